"""Where the values come from that a field offers to choose from."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, text

from app.audiences.lists.models import NumberList
from app.audiences.models import Segment
from app.clients.classes.models import MODELS
from app.clients.classes.queries import class_choices
from app.core.extensions import db
from app.core.permissions import Role
from app.users.models import Branch, User

Value = str | int


@dataclass(frozen=True, slots=True)
class Choice:
    value: Value
    label: object


Choices = Callable[[], Sequence[Choice]]


def fixed(rows: Mapping[Any, object]) -> Choices:
    choices = tuple(Choice(value, label) for value, label in rows.items())
    return lambda: choices


def frequent(column: str, table: str = "client") -> Choices:
    """Suggestions: the frequent values, as the database's own statistics know them (so no pass over the table)."""
    query = text(
        "SELECT DISTINCT value FROM pg_stats, "
        "unnest(coalesce(most_common_elems, most_common_vals)::text::text[]) AS value "
        "WHERE schemaname = current_schema() AND tablename = :table AND attname = :column ORDER BY value"
    )

    def read() -> Sequence[Choice]:
        found = db.session.scalars(query, {"table": table, "column": column})
        return [Choice(value, value) for value in found]

    return read


def branches() -> Sequence[Choice]:
    rows = db.session.execute(select(Branch.code, Branch.name).order_by(Branch.path, Branch.code))
    return [Choice(row.code, f"{row.name} ({row.code})") for row in rows]


def advisers() -> Sequence[Choice]:
    rows = db.session.execute(
        select(User.id, User.name).where(User.roles.contains([Role.ADVISER.value])).order_by(User.name, User.id)
    )
    return [Choice(row.id, row.name) for row in rows]


def segments() -> Sequence[Choice]:
    rows = db.session.execute(
        select(Segment.id, Segment.name).where(Segment.archived_at.is_(None)).order_by(func.lower(Segment.name))
    )
    return [Choice(row.id, row.name) for row in rows]


def number_lists() -> Sequence[Choice]:
    rows = db.session.execute(
        select(NumberList.id, NumberList.name).order_by(func.lower(NumberList.name), NumberList.id)
    )
    return [Choice(row.id, row.name) for row in rows]


def classes(model: str) -> Choices:
    """The classes of a value model; those of suitability are numbers."""
    read: Callable[[str], Value] = int if model == "suitability" else str
    return lambda: [Choice(read(code), label) for code, label in class_choices(model)]


def all_classes() -> Sequence[Choice]:
    """The classes of every model; a code that several models use has all its names."""
    found: dict[Value, list[str]] = {}
    for model in MODELS:
        for code, label in class_choices(model):
            found.setdefault(code, []).append(label)
    return [Choice(value, " / ".join(dict.fromkeys(labels))) for value, labels in found.items()]


_campaigns: list[Callable[[], Iterable[tuple[int, str]]]] = []


def register_campaigns(source: Callable[[], Iterable[tuple[int, str]]]) -> None:
    """`source()` gives id and name of each campaign, newest first. Segments lie upstream of campaigns: see
    `app/wiring.py`."""
    if source not in _campaigns:
        _campaigns.append(source)


def campaigns() -> Sequence[Choice]:
    return [Choice(number, name) for source in _campaigns for number, name in source()]
