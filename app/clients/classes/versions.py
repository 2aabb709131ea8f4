"""The versions of the models that are in force."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from app.clients.classes.models import MODELS, ModelVersion
from app.clients.classes.parameters import AllParameters, Parameters
from app.clients.classes.parsing import parse_parameters
from app.clients.classes.presets import first_preset
from app.core.extensions import db


def active_version(model: str) -> ModelVersion | None:
    """The version in force; None where the model still is what the market profile gives."""
    return db.session.scalar(select(ModelVersion).where(ModelVersion.model == model, ModelVersion.state == "active"))


def active_parameters(model: str) -> Parameters:
    """The parameters in force."""
    version = active_version(model)
    return first_preset(model) if version is None else parse_parameters(model, version.parameters)


def all_parameters(changed: Mapping[str, Parameters] | None = None) -> AllParameters:
    """The parameters in force of every model, but for those given."""
    rows = db.session.execute(select(ModelVersion.model, ModelVersion.parameters).where(ModelVersion.state == "active"))
    stored = {row.model: row.parameters for row in rows}
    found: dict[str, Any] = {
        model: parse_parameters(model, stored[model]) if model in stored else first_preset(model) for model in MODELS
    }
    return AllParameters(**(found | dict(changed or {})))
