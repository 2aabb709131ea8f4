"""The client list: search, filters, sorting, and paging by key over a million rows.

A page is read from the index of its sort column, however far down it lies: the rows with a value first, then
those without, each part as its own range of the index.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Label,
    Select,
    SQLColumnExpression,
    String,
    cast,
    func,
    literal,
    or_,
    select,
    tuple_,
)
from sqlalchemy.orm import selectinload

from app.clients.classes.labels import MODEL_LABELS
from app.clients.classes.models import MODELS, ClientClass
from app.clients.classes.queries import class_choices
from app.clients.importing.values import BadValue, parse_mobile
from app.clients.models import Client
from app.clients.queries import visible_clients
from app.core.extensions import db
from app.core.plans import estimated_rows
from app.users.models import Branch, User

PAGE = 50
COUNTED = 100_000  # up to here counting is cheap and exact
_LAST_SIGN = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class Filters:
    """What the list is narrowed to; empty parts do not narrow."""

    search: str = ""
    branch: str = ""
    adviser: str = ""
    status: str = ""
    tag: str = ""
    consent: str = ""
    risk_level: str = ""
    value_class: str = ""
    unreachable: str = ""

    @property
    def narrowing(self) -> bool:
        return any(getattr(self, name) for name in self.__slots__)


# The key of each order: what is sorted by, then what tells equals apart.
SORTS: dict[str, tuple[SQLColumnExpression[Any], ...]] = {
    "number": (func.length(Client.number), Client.number),
    "name": (Client.name, Client.id),
    "assets": (Client.total_assets, Client.id),
    "opened": (Client.opened_on, Client.id),
}
_NULLABLE = {"name", "assets", "opened"}
DEFAULT_SORT = "number"


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the list: after (or before) the client with this key. `value` None: among those without a value."""

    value: Any
    tie: Any
    backwards: bool = False

    def encode(self) -> str:
        shown = self.value if self.value is None or isinstance(self.value, int) else str(self.value)
        return urlsafe_b64encode(json.dumps([shown, self.tie]).encode()).decode().rstrip("=")


_VALUES: dict[str, Callable[[str], Any]] = {"name": str, "assets": Decimal, "opened": date.fromisoformat}


def decode_cursor(sort: str, encoded: str, *, backwards: bool) -> Cursor | None:
    """The place an address names; None (the start of the list) where somebody changed it into nonsense."""
    try:
        value, tie = json.loads(urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
        if sort == "number":
            return Cursor(int(value), str(tie), backwards)
        if value is not None:
            value = _VALUES[sort](str(value))
        return Cursor(value, int(tie), backwards)
    except (ValueError, TypeError, KeyError, ArithmeticError, RecursionError):
        return None


@dataclass(frozen=True, slots=True)
class Page:
    """A page of clients and the places of the pages before and after it (None at the ends)."""

    clients: Sequence[Client]
    before: str | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """How many clients match: exact, or the planner's estimate."""

    number: int
    exact: bool


def clients_page(
    *, user: User, filters: Filters, sort: str = DEFAULT_SORT, cursor: Cursor | None = None, size: int = PAGE
) -> Page:
    """One page. `sort` is a key of SORTS, with "-" in front for descending; clients without the value come last."""
    column = sort.removeprefix("-")
    parts = SORTS[column]
    descending = sort.startswith("-")
    backwards = cursor is not None and cursor.backwards
    conditions = [visible_clients(user), *filter_conditions(filters)]
    found: list[Client] = []
    down = descending != backwards
    query = _found_first if filters.search else _along_the_order
    for missing, start in _stretches(column, cursor, backwards):
        if len(found) <= size:
            stretch = _stretch(parts, column, missing, start, down=down)
            found += db.session.scalars(query([*conditions, *stretch], parts, down, size + 1 - len(found)))
    more = len(found) > size
    found = found[:size]
    if backwards:
        found.reverse()
    if not found:
        return Page([])
    at_start = not more if backwards else cursor is None
    at_end = False if backwards else not more
    return Page(
        found,
        None if at_start else _place(column, found[0]).encode(),
        None if at_end else _place(column, found[-1]).encode(),
    )


def _stretches(column: str, cursor: Cursor | None, backwards: bool) -> list[tuple[bool, Cursor | None]]:
    """The parts of the list to read, in order: (those without a value?, where to start in it)."""
    if column not in _NULLABLE:
        return [(False, cursor)]
    if cursor is None:
        return [(False, None), (True, None)]
    if cursor.value is None:
        return [(True, cursor), (False, None)] if backwards else [(True, cursor)]
    return [(False, cursor)] if backwards else [(False, cursor), (True, None)]


def _stretch(
    parts: tuple[SQLColumnExpression[Any], ...], column: str, missing: bool, start: Cursor | None, *, down: bool
) -> list[ColumnElement[bool]]:
    """The conditions that make a part of the list, from a place in it on."""
    first, tie = parts
    conditions: list[ColumnElement[bool]] = []
    if column in _NULLABLE:
        conditions.append(first.is_(None) if missing else first.is_not(None))
    if start is not None and missing:
        conditions.append(tie < start.tie if down else tie > start.tie)
    elif start is not None:
        key, place = tuple_(first, tie), tuple_(literal(start.value), literal(start.tie))
        conditions.append(key < place if down else key > place)
    return conditions


_Columns = Sequence[SQLColumnExpression[Any]]


def _along_the_order(conditions: Sequence[ColumnElement[bool]], parts: _Columns, down: bool, limit: int) -> Select[Any]:
    # The page is read from one index alone; a join here can tempt the planner to sort the whole book instead.
    query = select(Client).options(selectinload(Client.branch), selectinload(Client.adviser))
    return query.where(*conditions).order_by(*_ordered(parts, down)).limit(limit)


def _found_first(conditions: Sequence[ColumnElement[bool]], parts: _Columns, down: bool, limit: int) -> Select[Any]:
    """The same for a search: all whom it finds, sorted afterwards.

    Names that begin alike lie together in the order of the list, perhaps at its far end: read along that order, a page
    could pass the whole book. OFFSET 0 keeps the planner from it.
    """
    keys: list[Label[Any]] = [part.label(f"key_{place}") for place, part in enumerate(parts)]
    found = select(Client.id, *keys).where(*conditions).offset(0).subquery()
    first = select(found.c.id).order_by(*_ordered([found.c[key.name] for key in keys], down)).limit(limit)
    return _along_the_order([Client.id.in_(first)], parts, down, limit)


def _ordered(parts: _Columns, down: bool) -> list[ColumnElement[Any]]:
    return [part.desc() if down else part.asc() for part in parts]


def _place(column: str, client: Client) -> Cursor:
    if column == "number":
        return Cursor(len(client.number), client.number)
    value = {"name": client.name, "assets": client.total_assets, "opened": client.opened_on}[column]
    return Cursor(value, client.id)


# ---- Conditions -----------------------------------------------------------------------------------------------------


def starts_with(column: SQLColumnExpression[Any], prefix: str) -> ColumnElement[bool]:
    """`column LIKE 'prefix%'`, written as a range that an index with text_pattern_ops serves in every plan."""
    return column.op("~>=~", is_comparison=True)(prefix) & column.op("~<~", is_comparison=True)(prefix + _LAST_SIGN)


def filter_conditions(filters: Filters) -> list[ColumnElement[bool]]:
    """The WHERE of the filters. A value that nothing can have matches nothing."""
    conditions: list[ColumnElement[bool]] = []
    if filters.search:
        conditions.append(_search(filters.search))
    if filters.branch:
        root = select(Branch.path).where(cast(Branch.id, String) == filters.branch).scalar_subquery()
        below = select(Branch.id).where(func.starts_with(Branch.path, root))
        conditions.append(Client.branch_id.in_(below))
    if filters.adviser == "none":
        conditions.append(Client.adviser_id.is_(None))
    elif filters.adviser:
        conditions.append(Client.adviser_id == (int(filters.adviser) if filters.adviser.isdecimal() else -1))
    if filters.status:
        conditions.append(Client.status == filters.status)
    if filters.tag:
        conditions.append(Client.tags.contains([filters.tag]))
    if filters.risk_level:
        conditions.append(Client.risk_level == (int(filters.risk_level) if filters.risk_level.isdecimal() else -1))
    if filters.consent:
        conditions.append(_CONSENT.get(filters.consent, literal(False)))
    if filters.value_class:
        conditions.append(_of_class(filters.value_class))
    if filters.unreachable:
        conditions.append(_UNREACHABLE.get(filters.unreachable, literal(False)))
    return conditions


_NO_EMAIL = or_(Client.email.is_(None), Client.email == "", Client.email_problem.is_not(None))
_NO_MOBILE = or_(Client.mobile.is_(None), Client.mobile == "", Client.mobile_problem.is_not(None))
_UNREACHABLE: dict[str, ColumnElement[bool]] = {
    "email": _NO_EMAIL,
    "mobile": _NO_MOBILE,
    "both": _NO_EMAIL & _NO_MOBILE,
}


def class_filters() -> list[tuple[object, list[tuple[str, str]]]]:
    """The classes of each value model, the tiers first: (model, [(value of the filter, label)])."""
    return [
        (MODEL_LABELS[model], [(f"{model}:{code}", label) for code, label in class_choices(model)]) for model in MODELS
    ]


def _of_class(value: str) -> ColumnElement[bool]:
    """Clients of the class "model:code"."""
    model, _colon, code = value.partition(":")
    if model not in MODELS:
        return literal(False)
    column = ClientClass.__table__.c[model]
    return Client.id.in_(select(ClientClass.client_id).where(cast(column, String) == code))


_CONSENT: dict[str, ColumnElement[bool]] = {
    "email": Client.email_consent.is_(True),
    "sms": Client.sms_consent.is_(True),
    "call": Client.call_consent.is_(True),
    "none": Client.email_consent.is_not(True) & Client.sms_consent.is_not(True) & Client.call_consent.is_not(True),
    "withdrawn": or_(Client.email_consent.is_(False), Client.sms_consent.is_(False), Client.call_consent.is_(False)),
}


def _search(words: str) -> ColumnElement[bool]:
    """Beginning of a number or name, or a whole address or mobile number; each by its own index."""
    words = words.strip()[:200].replace("\x00", "")
    ways = [starts_with(Client.number, words), starts_with(func.lower(Client.name), words.lower())]
    if "@" in words:
        ways.append(func.lower(Client.email) == words.lower())
    if mobiles := _as_mobile(words):
        ways.append(Client.mobile.in_(mobiles))
    return or_(*ways)


def _as_mobile(words: str) -> set[str]:
    found = set()
    for region in (None, "CN"):
        try:
            found.add(parse_mobile(words, region=region))
        except BadValue:
            continue
    return found


# ---- Counting -------------------------------------------------------------------------------------------------------


def clients_count(*, user: User, filters: Filters) -> Count:
    """Exact up to 100,000; above, what PostgreSQL's planner expects, which is close and costs nothing."""
    matching = select(literal(1)).select_from(Client).where(visible_clients(user), *filter_conditions(filters))
    counted = db.session.scalar(select(func.count()).select_from(matching.limit(COUNTED + 1).subquery())) or 0
    if counted <= COUNTED:
        return Count(counted, exact=True)
    return Count(max(estimated_rows(matching), counted), exact=False)
