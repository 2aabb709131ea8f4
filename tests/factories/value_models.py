"""Metrics and value models for tests."""

from datetime import date
from typing import Any

from sqlalchemy import insert

from app.clients.classes.computing import compute_all
from app.clients.classes.models import ClassRun, ModelVersion
from app.clients.classes.parameters import Parameters
from app.clients.classes.parsing import dump_parameters, parse_parameters
from app.clients.classes.presets import first_preset
from app.clients.classes.service import activate_version, save_draft
from app.clients.classes.versions import active_version
from app.clients.metrics.models import ClientMetrics
from app.core import clock
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work


def make_metrics(client_id: int, **values: Any) -> None:
    """A committed row of metrics, as of today."""
    db.session.execute(insert(ClientMetrics).values(client_id=client_id, as_of=clock.today(), **values))
    db.session.commit()


def changed(model: str, **values: Any) -> Parameters:
    """The parameters a house begins with, with these changes (as a form or JSON would give them)."""
    return parse_parameters(model, dump_parameters(first_preset(model)) | values)


def put_in_force(model: str, parameters: Parameters) -> ModelVersion:
    """A committed version in force, in place of the one before."""
    with unit_of_work():
        version = save_draft(model=model, parameters=parameters, actor=None)
        before = active_version(model)
        activate_version(version=version, seen=before.id if before else None, actor=None)
    return version


def computed() -> ClassRun:
    """A finished run over the whole book."""
    run = compute_all()
    assert run is not None
    return run


def months_ago(months: int) -> date:
    """A day of the month so many months back, the 28th at the latest."""
    today = clock.today()
    month = today.year * 12 + today.month - 1 - months
    return date(month // 12, month % 12 + 1, min(today.day, 28))
