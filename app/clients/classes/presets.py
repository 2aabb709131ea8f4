"""What a house begins with: the presets of each model, and which of them a market profile takes.

Data, in `presets.json`: practice of real firms, to be edited on the pages. Legal defaults are conservative; the firm's
counsel must confirm them.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from flask_babel import get_locale

from app.clients.classes.parameters import Parameters
from app.clients.classes.parsing import parse_parameters
from app.core.extensions import settings


@cache
def _data() -> Mapping[str, Any]:
    read: Mapping[str, Any] = json.loads(Path(__file__).with_name("presets.json").read_text(encoding="utf-8"))
    return read


def preset_names(model: str) -> list[tuple[str, str]]:
    """Key and name of each preset of a model, in the reader's language."""
    name = "name_zh" if str(get_locale() or "en").startswith("zh") else "name_en"
    return [(key, preset[name]) for key, preset in _data()[model].items()]


def preset(model: str, key: str) -> Parameters:
    """A preset's parameters. Raises KeyError where there is none of this name."""
    return parse_parameters(model, _data()[model][key])


def first_preset(model: str) -> Parameters:
    """What the market profile begins with."""
    chosen = _data()["profiles"][settings().market_profile].get(model) or next(iter(_data()[model]))
    return preset(model, chosen)
