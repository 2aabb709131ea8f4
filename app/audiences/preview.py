"""Whom a rule finds, while it is being written: counted in one pass over the clients a person may see.

A preview is given up when it takes too long (TooSlow), and when its page asks the next question (Superseded): then
nobody waits for the answer any more, and a query of seconds over millions of rows would only hold up the next one.
The queries run on a connection of their own that is closed afterwards. A cancellation that comes a moment too late
therefore finds nothing, and never the next statement of somebody else on a pooled connection.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic, perf_counter
from typing import Any

from psycopg.errors import QueryCanceled
from sqlalchemy import ColumnElement, Connection, Executable, func, select, text
from sqlalchemy.exc import OperationalError

from app.audiences import queries
from app.audiences.compiler import condition, tune_statements
from app.audiences.obstacles import CHANNELS, first_reasons, obstacles
from app.audiences.queries import SAMPLE, SampleClient, TooSlow, sample_clients
from app.audiences.rules import Rule
from app.clients.classes.models import ClientClass
from app.clients.models import Client
from app.clients.queries import visible_clients
from app.core.extensions import db
from app.users.models import Branch, User

BRANCHES_SHOWN = 6
BOOK_SECONDS = 180  # how long the size of the book is remembered
WAIT_SECONDS = 2  # for the question before to end
_WAIT_STEP = 0.02


class Superseded(Exception):
    """The page has asked something else since, or was left; nobody reads this answer."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Whose page asks (`builder` names the page), and which of its questions this is: they count up."""

    user_id: int
    builder: str
    edit: int

    @property
    def page(self) -> str:
        return f"preview:{self.user_id}:{self.builder}:"


@dataclass(frozen=True, slots=True)
class Reach:
    """How many of those who match marketing on a channel may reach, and the others by the first reason against it."""

    channel: str
    reachable: int
    excluded: Sequence[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Preview:
    """How many of the `book` clients a person may see match, and who they are.

    `branches` are the largest parts by name, `other_branches` what the rest have together; `tiers` has the code of the
    asset tier (None: in no tier). Both go from the largest part down. `seconds` is what the counting took.
    """

    matched: int
    book: int
    reach: Sequence[Reach]
    branches: Sequence[tuple[str, int]]
    other_branches: int
    tiers: Sequence[tuple[str | None, int]]
    sample: Sequence[SampleClient]
    seconds: float


def preview(rule: Rule, *, user: User | None, asker: Asker | None = None, time_limit_ms: int | None = None) -> Preview:
    """Count a rule among the clients the person may see (None: all). Raises TooSlow or Superseded."""
    started = perf_counter()
    visible = visible_clients(user)
    where = condition(rule, scope=visible) & visible
    with _asking(asker, time_limit_ms or queries.TIME_LIMIT_MS) as ask:
        book = _book_size(visible, ask)
        groups = ask(_grouped(where)).all()
        matched = sum(group.clients for group in groups)
        ids = _sample_ids(groups, matched, where, ask)
        branches, others = _largest(_sums(groups, "branch_id"), ask)
    return Preview(
        matched=matched,
        book=max(book, matched),
        reach=[_reach(channel, groups) for channel in CHANNELS],
        branches=branches,
        other_branches=others,
        tiers=_sums(groups, "tier"),
        sample=sample_clients(ids),
        seconds=perf_counter() - started,
    )


def _grouped(where: ColumnElement[bool]) -> Executable:
    """One row for each combination of branch, tier and obstacles to contact, with its number of clients."""
    parts = [Client.branch_id, ClientClass.aum_tier.label("tier"), obstacles()]
    some = (func.count().label("clients"), func.min(Client.id).label("first"), func.max(Client.id).label("last"))
    return (
        select(*parts, *some)
        .select_from(Client)
        .outerjoin(ClientClass, ClientClass.client_id == Client.id)
        .where(where)
        .group_by(*parts)
    )


def _sums(groups: Sequence[Any], part: str) -> list[tuple[Any, int]]:
    sums: Counter[Any] = Counter()
    for group in groups:
        sums[getattr(group, part)] += group.clients
    return sums.most_common()


def _reach(channel: str, groups: Sequence[Any]) -> Reach:
    sums = first_reasons(_sums(groups, "obstacles"), channel)
    reachable = sums.pop(None, 0)
    return Reach(channel, reachable, [(reason, clients) for reason, clients in sums.most_common() if reason])


def _largest(sums: list[tuple[int, int]], ask: "_Ask") -> tuple[list[tuple[str, int]], int]:
    """The largest branches by name, and what all others have together; one left over is named as well."""
    shown = sums if len(sums) <= BRANCHES_SHOWN + 1 else sums[:BRANCHES_SHOWN]
    names = dict(ask(select(Branch.id, Branch.name).where(Branch.id.in_([branch for branch, _clients in shown]))).all())
    return [(names[branch], clients) for branch, clients in shown], sum(
        clients for _branch, clients in sums[len(shown) :]
    )


def _sample_ids(groups: Sequence[Any], matched: int, where: ColumnElement[bool], ask: "_Ask") -> list[int]:
    """Ids of some who match: the first and last of each group where that gives enough, which costs no second pass."""
    ids = sorted({one for group in groups for one in (group.last, group.first)}, reverse=True)
    if len(ids) < min(SAMPLE, matched):
        ids = list(ask(select(Client.id).where(where).order_by(Client.id.desc()).limit(SAMPLE)).scalars())
    return ids[:SAMPLE]


# ---- The size of the book -------------------------------------------------------------------------------------------

_books: dict[object, tuple[float, int]] = {}


def _book_size(visible: ColumnElement[bool], ask: "_Ask") -> int:
    """How many clients a person may see. Remembered for some minutes per scope, as long as no client is added."""
    compiled = visible.compile(dialect=db.engine.dialect)
    newest = ask(select(func.max(Client.id))).scalar()
    key = (str(db.engine.url), str(compiled), tuple(map(str, compiled.params.values())), newest)
    now = monotonic()
    for old in [one for one, (until, _size) in _books.items() if until < now]:
        _books.pop(old, None)
    if key not in _books:
        size = ask(select(func.count()).select_from(Client).where(visible)).scalar() or 0
        _books[key] = (now + BOOK_SECONDS, size)
    return _books[key][1]


def forget_books() -> None:
    """Count the book anew at the next question."""
    _books.clear()


# ---- One question at a time -----------------------------------------------------------------------------------------


class _Ask:
    """Runs statements on the connection; one that is ended by its time limit or by the next question says so."""

    def __init__(self, connection: Connection, limit_ms: int) -> None:
        self._connection, self._limit = connection, limit_ms / 1000

    def __call__(self, statement: Executable, parameters: dict[str, Any] | None = None) -> Any:
        started = monotonic()
        try:
            return self._connection.execute(statement, parameters or {})
        except OperationalError as error:
            if not isinstance(error.orig, QueryCanceled):
                raise
            # PostgreSQL tells the two apart in words of its own language only.
            raise (TooSlow if monotonic() - started >= self._limit else Superseded) from None


@contextmanager
def _asking(asker: Asker | None, limit_ms: int) -> Iterator[_Ask]:
    with db.engine.connect() as connection:
        connection.detach()
        tune_statements(connection)
        ask = _Ask(connection, limit_ms)
        ask(text("SELECT set_config('statement_timeout', :limit, true)"), {"limit": str(int(limit_ms))})
        if asker:
            _take_turn(asker, ask)
        yield ask


_OTHERS = """
    FROM (
        SELECT pid, CASE WHEN starts_with(application_name, :page)
            THEN split_part(application_name, ':', 4)::bigint END AS edit
        FROM pg_stat_activity
        WHERE pid <> pg_backend_pid() AND datname = current_database() AND usename = current_user
    ) AS backend
"""
_CANCEL = text(f"SELECT count(pg_cancel_backend(pid)) {_OTHERS} WHERE edit < :edit")
_NEWER = text(f"SELECT count(*) {_OTHERS} WHERE edit > :edit")


def _take_turn(asker: Asker, ask: _Ask) -> None:
    """End the page's questions before this one, and wait until they have ended.

    Each question wears its name for as long as its transaction lasts and holds the lock of its page, so that none is
    missed between two of its statements. Raises Superseded where a newer question is there already.
    """
    facts = {"page": asker.page, "edit": asker.edit}
    ask(text("SELECT set_config('application_name', :name, true)"), {"name": f"{asker.page}{asker.edit}"})
    deadline = monotonic() + WAIT_SECONDS
    while True:
        ask(text("SELECT pg_stat_clear_snapshot()"))
        if ask(_NEWER, facts).scalar():
            raise Superseded
        ask(_CANCEL, facts)
        if ask(text("SELECT pg_try_advisory_xact_lock(hashtextextended(:page, 0))"), {"page": asker.page}).scalar():
            return
        if monotonic() > deadline:
            raise TooSlow
        ask(text("SELECT pg_sleep(:step)"), {"step": _WAIT_STEP})


def end_questions(*, user_id: int, builder: str) -> None:
    """The page was left: end whatever is being counted for it."""
    asker = Asker(user_id, builder, edit=2**62)
    db.session.execute(_CANCEL, {"page": asker.page, "edit": asker.edit})
