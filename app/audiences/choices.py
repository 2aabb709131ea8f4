"""Where the values come from that a field offers to choose from."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, func, null, select, text, true

from app.audiences.lists.models import NumberList
from app.audiences.models import Segment
from app.clients.classes.models import MODELS
from app.clients.classes.queries import class_choices
from app.clients.queries import sees_whole_book
from app.core.extensions import db
from app.core.permissions import Role
from app.users.models import Branch, User
from app.users.queries import in_subtree

Value = str | int


MOST_WORDS = 10  # of what is typed


@dataclass(frozen=True, slots=True)
class Choice:
    """`size` is how many clients it stands for, where that is known."""

    value: Value
    label: object
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Directory:
    """Choices of which a house may have thousands: looked up by value, found by typing.

    `named(values)` gives those of the values that exist; `matching(typed, user, limit)` the first that a person may
    choose and whose label has all the words (no words: the first of all).
    """

    named: Callable[[Collection[Value]], Sequence[Choice]]
    matching: Callable[[str, User | None, int], Sequence[Choice]]


Choices = Callable[[], Sequence[Choice]] | Directory


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


def _directory(
    value: Any, label: Any, *order: Any, offered: Callable[[User | None], ColumnElement[bool]], size: Any = None
) -> Directory:
    """Rows of a table as choices; `offered(user)` are those that a person may choose (None: that exist for anybody),
    `size` is told beside them."""
    columns = select(value.label("value"), label.label("label"), (null() if size is None else size).label("size"))

    def read(query: Select[*tuple[Any, ...]]) -> Sequence[Choice]:
        return [Choice(*row) for row in db.session.execute(query)]

    def matching(typed: str, user: User | None, limit: int) -> Sequence[Choice]:
        query = columns.where(offered(user))
        for word in typed.split()[:MOST_WORDS]:
            query = query.where(label.icontains(word, autoescape=True))
        return read(query.order_by(*order).limit(limit))

    return Directory(lambda values: read(columns.where(value.in_(values), offered(None))), matching)


def _advisers_of(user: User | None) -> ColumnElement[bool]:
    adviser = User.roles.contains([Role.ADVISER.value])
    if user is None or sees_whole_book(user):
        return adviser
    return adviser & User.branch_id.in_(select(Branch.id).where(in_subtree(user.branch)))


def _everyone(user: User | None) -> ColumnElement[bool]:
    return true()


ADVISERS = _directory(User.id, User.name, User.name, User.id, offered=_advisers_of)
SEGMENTS = _directory(
    Segment.id,
    Segment.name,
    func.lower(Segment.name),
    Segment.id,
    offered=lambda user: Segment.archived_at.is_(None),
    size=Segment.last_count,
)
NUMBER_LISTS = _directory(
    NumberList.id,
    NumberList.name,
    func.lower(NumberList.name),
    NumberList.id,
    offered=_everyone,
    size=NumberList.size,
)


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


_campaigns: list[Directory] = []


def register_campaigns(source: Directory) -> None:
    """Where campaigns are looked up. Segments lie upstream of campaigns: see `app/wiring.py`."""
    _campaigns[:] = [source]


CAMPAIGNS = Directory(
    lambda values: [choice for source in _campaigns for choice in source.named(values)],
    lambda typed, user, limit: [choice for source in _campaigns for choice in source.matching(typed, user, limit)],
)
