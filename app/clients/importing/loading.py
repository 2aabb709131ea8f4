"""Writing a chunk of converted rows into the client book: a handful of set-based statements, no query per row.

The rows are copied into a temporary table; clients that exist and differ are updated, those that do not exist
are inserted, and consent that is new leaves evidence. Loading the same rows twice changes nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any, cast

from flask_babel import gettext as _
from psycopg import Cursor
from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Select,
    Table,
    TableClause,
    Text,
    all_,
    and_,
    case,
    column,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    table,
    text,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert

from app.clients.editing.recording import change_clients
from app.clients.importing.converting import Chunk, Refused
from app.clients.importing.mapping import CONSENTS
from app.clients.models import Client, ClientImport, Consent, ImportNumber, ImportRefusal
from app.clients.ownership.recording import record_ownership_changes
from app.clients.service import withdraw_consent
from app.core.extensions import db

# Columns that an empty cell leaves as they are: they cannot be empty, or forgetting them would do harm.
KEPT_WHEN_MISSING = ("branch_id", "status", "kind", "qualified_investor", "professional_investor")
_CLIENT = cast(Table, Client.__table__)
_CHUNK = "import_chunk"


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the rows of a chunk."""

    created: int
    updated: int
    unchanged: int
    opt_outs_kept: int
    refused: list[Refused]


@dataclass(frozen=True, slots=True)
class Loading:
    """A chunk on its way into the client book: what `finish_chunk` needs of `begin_chunk`."""

    client_import: ClientImport
    columns: list[str]
    chunk: Chunk
    rows: TableClause
    default_branch_id: int
    perhaps_repeated: bool
    some_known: bool
    created: int

    @property
    def consents(self) -> list[str]:
        return [name for name in CONSENTS if name in self.columns]


def begin_chunk(
    *,
    client_import: ClientImport,
    columns: list[str],
    chunk: Chunk,
    perhaps_repeated: Sequence[bool] | None,
    default_branch_id: int,
) -> Loading:
    """Do, in the current transaction, what needs nothing of the chunks before: chunks may begin side by side.

    `perhaps_repeated` tells the rows whose client number may stand in the file elsewhere (None: none can). Where
    nobody of the chunk is known yet, the others are created here: no other chunk touches what they touch, so that
    none that begins holds anything that one before it could wait for.
    """
    repeated = perhaps_repeated is not None and any(perhaps_repeated)
    rows = _copy(columns, chunk, perhaps_repeated)
    known = bool(chunk.numbers) and _any_known(rows)
    loading = Loading(client_import, columns, chunk, rows, default_branch_id, repeated, known, created=0)
    if known or not chunk.numbers:
        return loading
    return replace(loading, created=_insert_new(loading, rows.c.perhaps_repeated.is_(False)))


def finish_chunk(loading: Loading, *, visible: ColumnElement[bool] | None) -> Tally:
    """Load the rest, once the chunks before are in. Call in the transaction of `begin_chunk`.

    Refused here: a client number met before in the file, that of a client who is not `visible` to the importer (None:
    who sees the whole book), and that of a client who was merged into another.
    """
    client_import, rows, cells = loading.client_import, loading.rows, loading.chunk.cells
    created, kept, updated = loading.created, 0, 0
    refused: list[Refused] = []
    if loading.perhaps_repeated:
        refused += _refuse_repeated(client_import.id, rows, cells)
    if loading.some_known:
        db.session.execute(text(f"ANALYZE {_CHUNK} (number)"))
        refused += _refuse_merged(client_import, rows, loading.consents, cells)
        if visible is not None:
            refused += _refuse_invisible(rows, visible, cells)
        kept = _record_consent_of_known(client_import, rows, loading.consents)
        if "adviser_id" in loading.columns:
            _record_owners(client_import, rows)
        updated = _update_known(client_import, rows, loading.columns)
        is_new = ~select(literal(1)).where(_CLIENT.c.number == rows.c.number).exists()
        created += _insert_new(loading, is_new)
    elif loading.perhaps_repeated:
        created += _insert_new(loading, rows.c.perhaps_repeated)
    loaded = len(loading.chunk.numbers) - len(refused)
    return Tally(created, updated, loaded - created - updated, kept, refused)


def keep_refusals(client_import: ClientImport, refused: Sequence[Refused]) -> None:
    """Store the refused rows with their reasons, for the file that people download."""
    if refused:
        db.session.execute(
            insert(ImportRefusal),
            [
                {"import_id": client_import.id, "row_number": number, "cells": cells, "reason": reason}
                for number, cells, reason in refused
            ],
        )


def _copy(columns: list[str], chunk: Chunk, perhaps_repeated: Sequence[bool] | None) -> TableClause:
    """The rows in a temporary table with the types of the client table."""
    listed = ", ".join(columns)
    db.session.execute(
        text(
            f"CREATE TEMPORARY TABLE {_CHUNK} ON COMMIT DROP AS "  # noqa: S608 - names come from the model
            f"SELECT NULL::bigint AS row_number, NULL::boolean AS perhaps_repeated, {listed} FROM client WITH NO DATA"
        )
    )
    perhaps = ("t" if one else "f" for one in perhaps_repeated) if perhaps_repeated is not None else repeat("f")
    lines = map("\t".join, zip(map(str, chunk.numbers), perhaps, *chunk.texts, strict=False))
    connection: Any = db.session.connection().connection
    cursor: Cursor[Any]
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY {_CHUNK} (row_number, perhaps_repeated, {listed}) FROM STDIN") as copy,
    ):
        copy.write("".join(f"{line}\n" for line in lines))
    return table(
        _CHUNK,
        column("row_number", BigInteger),
        column("perhaps_repeated", Boolean),
        *(column(name, _CLIENT.c[name].type) for name in columns),
    )


def _refuse_repeated(import_id: int, chunk: TableClause, cells: Callable[[int], list[str]]) -> list[Refused]:
    """The first row with a client number counts; the later ones are refused and name it."""
    first = (
        select(literal(import_id), chunk.c.number, func.min(chunk.c.row_number))
        .where(chunk.c.perhaps_repeated)
        .group_by(chunk.c.number)
    )
    db.session.execute(
        upsert(ImportNumber).from_select(["import_id", "number", "row_number"], first).on_conflict_do_nothing()
    )
    # One look into the index a row: the limit keeps the planner, who has no idea of a table that has just been
    # filled, from reading it whole.
    met = (
        select(ImportNumber.row_number)
        .where(ImportNumber.import_id == import_id, ImportNumber.number == chunk.c.number)
        .limit(1)
        .correlate(chunk)
        .lateral("met")
    )
    again = db.session.execute(
        select(chunk.c.row_number, chunk.c.number, met.c.row_number)
        .join_from(chunk, met, literal(True))
        .where(chunk.c.perhaps_repeated, met.c.row_number != chunk.c.row_number)
        .order_by(chunk.c.row_number)
    ).all()
    if again:
        numbers = literal([row_number for row_number, _number, _first in again], ARRAY(BigInteger))
        db.session.execute(delete(chunk).where(chunk.c.row_number == func.any(numbers)))
    return [
        (
            row_number,
            cells(row_number),
            _("The client number %(number)s stands in row %(row)s already.", number=number, row=first_row),
        )
        for row_number, number, first_row in again
    ]


def _any_known(chunk: TableClause) -> bool:
    """Whether there is anyone to update. A new book's first import never asks more than this."""
    found = select(literal(1)).select_from(_CLIENT).where(_CLIENT.c.number == chunk.c.number).limit(1).correlate(chunk)
    return bool(db.session.scalar(select(select(literal(1)).select_from(chunk).where(found.exists()).exists())))


def _refuse_merged(
    client_import: ClientImport, chunk: TableClause, consents: list[str], cells: Callable[[int], list[str]]
) -> list[Refused]:
    """Rows of numbers that were merged into another client: their facts are old, but an opt-out in them counts."""
    survivor = _CLIENT.alias("survivor")
    gone = db.session.execute(
        delete(chunk)
        .where(chunk.c.number == _CLIENT.c.number, survivor.c.id == _CLIENT.c.merged_into_id)
        .returning(chunk.c.row_number, survivor.c.id, survivor.c.number, *(chunk.c[name] for name in consents))
    ).all()
    for place, name in enumerate(consents, start=3):
        if opted_out := [row[1] for row in gone if row[place] is False]:
            channel = name.removesuffix("_consent")
            withdraw_consent(client_ids=opted_out, channel=channel, source="import", wording=client_import.file_name)
    return [
        (row[0], cells(row[0]), _("This client number was merged into %(number)s. Use that number.", number=row[2]))
        for row in gone
    ]


def _refuse_invisible(
    chunk: TableClause, visible: ColumnElement[bool], cells: Callable[[int], list[str]]
) -> list[Refused]:
    gone = db.session.execute(
        delete(chunk)
        .where(chunk.c.number == Client.number, or_(visible.is_(None), ~visible))
        .returning(chunk.c.row_number)
    )
    return [
        (number, cells(number), _("This client number belongs to a client outside your part of the firm."))
        for (number,) in gone
    ]


def _changed_consents(chunk: TableClause, consents: list[str]) -> Select[Any]:
    """(client id, channel, granted) for each consent that this chunk will change on a known client.

    An opt-out always counts. A consent counts where the client had said nothing yet: it never undoes an opt-out.
    """
    parts = []
    for name in consents:
        said, known = chunk.c[name], _CLIENT.c[name]
        parts.append(
            select(_CLIENT.c.id, literal(name.removesuffix("_consent"), Text), said)
            .join_from(chunk, _CLIENT, _CLIENT.c.number == chunk.c.number)
            .where(or_(and_(said.is_(False), known.is_distinct_from(False)), and_(said.is_(True), known.is_(None))))
        )
    whole: Select[Any] = select(union_all(*parts).subquery())
    return whole


def _record_consent_of_known(client_import: ClientImport, chunk: TableClause, consents: list[str]) -> int:
    """Leave evidence for the consents that change. Returns how many consents an earlier opt-out overrules."""
    if not consents:
        return 0
    changed = _changed_consents(chunk, consents).subquery()
    db.session.execute(_evidence(client_import, select(*changed.c)))
    overruled = [func.count().filter(and_(chunk.c[name].is_(True), _CLIENT.c[name].is_(False))) for name in consents]
    counts = db.session.execute(select(*overruled).join_from(chunk, _CLIENT, _CLIENT.c.number == chunk.c.number)).one()
    return int(sum(counts))


def _evidence(client_import: ClientImport, statements: Select[Any]) -> Any:
    """INSERT of evidence for rows of (client id, channel, granted)."""
    said = statements.subquery()
    client_id, channel, granted = said.c
    return insert(Consent).from_select(
        ["client_id", "channel", "granted", "purpose", "source", "wording", "actor_id"],
        select(
            client_id,
            channel,
            granted,
            literal("marketing"),
            literal("import"),
            literal(client_import.file_name),
            literal(client_import.created_by_id, BigInteger),
        ),
    )


def _record_owners(client_import: ClientImport, chunk: TableClause) -> None:
    """Write the history of the clients who get another owner, or none."""
    owner = _CLIENT.c.adviser_id
    changes = (
        select(_CLIENT.c.id.label("client_id"), owner.label("was"), chunk.c.adviser_id.label("becomes"))
        .join_from(chunk, _CLIENT, _CLIENT.c.number == chunk.c.number)
        .where(owner.is_distinct_from(chunk.c.adviser_id))
    )
    record_ownership_changes(changes=changes, actor_id=client_import.created_by_id, reason=client_import.file_name)


def _next_value(chunk: TableClause, name: str) -> ColumnElement[Any]:
    """What a known client's column becomes."""
    said, known = chunk.c[name], _CLIENT.c[name]
    if name in CONSENTS:
        return case((said.is_(False), False), (known.is_(None), said), else_=known)
    if name == "personalisation_refused":  # as an opt-out: a file never takes it back
        return or_(known, func.coalesce(said, literal(False)))
    if name == "flags":
        return _with_flags(known, said)
    if name in KEPT_WHEN_MISSING:
        return func.coalesce(said, known)
    return func.coalesce(said, literal([], ARRAY(Text))) if name == "tags" else said


def _with_flags(known: ColumnElement[Any], said: ColumnElement[Any]) -> ColumnElement[Any]:
    """The flags a client has and those a file adds. Taking one off lets marketing reach somebody again, which needs the
    reason that the client's page asks for."""
    flag = func.unnest(said).column_valued("flag")
    added = func.array(select(flag).where(flag != all_(known)).scalar_subquery(), type_=ARRAY(Text))
    return case((said.is_(None), known), (said.contained_by(known), known), else_=known.concat(added))


def _update_known(client_import: ClientImport, chunk: TableClause, columns: list[str]) -> int:
    filled = [name for name in columns if name != "number"]
    if not filled:
        return 0
    following, was = {name: _next_value(chunk, name) for name in filled}, _CLIENT.alias("was")
    change = (
        update(_CLIENT)
        .where(
            _CLIENT.c.number == chunk.c.number,
            was.c.id == _CLIENT.c.id,
            tuple_(*(_CLIENT.c[name] for name in filled)).is_distinct_from(tuple_(*following.values())),
        )
        .values({**following, "updated_at": func.now()})
    )
    return change_clients(
        change=change, was=was, columns=filled, connection=db.session.connection(), import_id=client_import.id
    )


def _insert_new(loading: Loading, which: ColumnElement[bool]) -> int:
    """Create those clients of the rows, and the evidence of what they said. Returns how many."""
    chunk, consents = loading.rows, loading.consents
    defaults: dict[str, Any] = {
        "branch_id": literal(loading.default_branch_id, BigInteger),
        "status": literal("client"),
        "kind": literal("person"),
        "qualified_investor": literal(False),
        "professional_investor": literal(False),
        "personalisation_refused": literal(False),
        "flags": literal([], ARRAY(Text)),
        "tags": literal([], ARRAY(Text)),
    }
    given = {name: chunk.c[name] for name in loading.columns}
    filled = given | {name: func.coalesce(given.get(name, default), default) for name, default in defaults.items()}
    fresh = select(*filled.values()).where(which).order_by(chunk.c.row_number)
    made = (
        # Not ON CONFLICT, which costs half as much again: that somebody else creates one of them at the same moment is
        # rare, and then the chunk is loaded once more.
        insert(_CLIENT)
        .from_select(list(filled), fresh)
        .returning(_CLIENT.c.id, *(_CLIENT.c[name] for name in consents))
        .cte("made")
    )
    count = select(func.count()).select_from(made)
    if consents:
        statements = union_all(
            *(
                select(made.c.id, literal(name.removesuffix("_consent"), Text), made.c[name]).where(
                    made.c[name].is_not(None)
                )
                for name in consents
            )
        ).subquery()
        count = count.add_cte(_evidence(loading.client_import, select(*statements.c)).cte("evidence"))
    return int(db.session.scalar(count) or 0)
