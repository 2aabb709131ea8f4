"""Segments for tests."""

from itertools import count
from typing import Any

from app.audiences.models import Segment
from app.core.extensions import db

_numbers = count(1)


def make_segment(*, name: str | None = None, rule: dict[str, Any] | None = None, **fields: Any) -> Segment:
    """One committed segment; of everyone unless told otherwise."""
    segment = Segment(name=name or f"Segment {next(_numbers)}", rule={"all": []} if rule is None else rule, **fields)
    db.session.add(segment)
    db.session.commit()
    return segment
