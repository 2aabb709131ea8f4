"""Writing a chunk of converted rows into the client book: a handful of set-based statements, no query per row.

The rows are copied into a temporary table; clients that exist and differ are updated, those that do not exist
are inserted, and consent that is new leaves evidence. Loading the same rows twice changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from flask_babel import gettext as _
from psycopg import Cursor
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    Table,
    TableClause,
    Text,
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

from app.clients.importing.mapping import CONSENTS
from app.clients.models import Client, ClientImport, Consent, ImportNumber, ImportRefusal
from app.core.extensions import db

# Columns that an empty cell leaves as they are: they cannot be empty, or forgetting them would do harm.
KEPT_WHEN_MISSING = ("branch_id", "status", "kind", "qualified_investor", "flags")
_CLIENT = cast(Table, Client.__table__)
_CHUNK = "import_chunk"

Refused = tuple[int, list[str], str]


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the rows of a chunk."""

    created: int
    updated: int
    unchanged: int
    opt_outs_kept: int
    refused: list[Refused]


def load_chunk(
    *,
    client_import: ClientImport,
    columns: list[str],
    rows: Sequence[Sequence[Any]],
    cells: dict[int, list[str]],
    default_branch_id: int,
    visible: ColumnElement[bool] | None,
    numbers_unique: bool,
) -> Tally:
    """Load rows (row number first, then a value for each of `columns`) in the current transaction.

    `cells` are the words of each row, kept for those refused here: a number met before in the file, or that of a
    client who is not `visible` to the importer (None: who sees the whole book).
    """
    if not rows:
        return Tally(0, 0, 0, 0, [])
    chunk = _copy(columns, rows)
    refused: list[Refused] = []
    if not numbers_unique:
        refused += _refuse_repeated(client_import.id, chunk, cells)
    if visible is not None:
        refused += _refuse_invisible(chunk, visible, cells)
    consents = [name for name in CONSENTS if name in columns]
    kept = _record_consent_of_known(client_import, chunk, consents)
    updated = _update_known(chunk, columns)
    created = _insert_new(client_import, chunk, columns, consents, default_branch_id)
    loaded = len(rows) - len(refused)
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


def _copy(columns: list[str], rows: Sequence[Sequence[Any]]) -> TableClause:
    """The rows in a temporary table with the types of the client table."""
    listed = ", ".join(columns)
    db.session.execute(
        text(
            f"CREATE TEMPORARY TABLE {_CHUNK} ON COMMIT DROP AS "  # noqa: S608 - names come from the model
            f"SELECT NULL::bigint AS row_number, {listed} FROM client WITH NO DATA"
        )
    )
    connection: Any = db.session.connection().connection
    cursor: Cursor[Any]
    with connection.cursor() as cursor, cursor.copy(f"COPY {_CHUNK} (row_number, {listed}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
    db.session.execute(text(f"ANALYZE {_CHUNK} (number)"))
    return table(_CHUNK, column("row_number", BigInteger), *(column(name, _CLIENT.c[name].type) for name in columns))


def _refuse_repeated(import_id: int, chunk: TableClause, cells: dict[int, list[str]]) -> list[Refused]:
    """The first row with a client number counts; the later ones are refused and name it."""
    first = select(literal(import_id), chunk.c.number, func.min(chunk.c.row_number)).group_by(chunk.c.number)
    db.session.execute(
        upsert(ImportNumber).from_select(["import_id", "number", "row_number"], first).on_conflict_do_nothing()
    )
    gone = db.session.execute(
        delete(chunk)
        .where(
            ImportNumber.import_id == import_id,
            ImportNumber.number == chunk.c.number,
            ImportNumber.row_number != chunk.c.row_number,
        )
        .returning(chunk.c.row_number, chunk.c.number, ImportNumber.row_number)
    )
    return [
        (number, cells[number], _("The client number %(number)s stands in row %(row)s already.", number=name, row=row))
        for number, name, row in gone
    ]


def _refuse_invisible(chunk: TableClause, visible: ColumnElement[bool], cells: dict[int, list[str]]) -> list[Refused]:
    gone = db.session.execute(
        delete(chunk)
        .where(chunk.c.number == Client.number, or_(visible.is_(None), ~visible))
        .returning(chunk.c.row_number)
    )
    return [
        (number, cells[number], _("This client number belongs to a client outside your part of the firm."))
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


def _next_value(chunk: TableClause, name: str) -> ColumnElement[Any]:
    """What a known client's column becomes."""
    said, known = chunk.c[name], _CLIENT.c[name]
    if name in CONSENTS:
        return case((said.is_(False), False), (known.is_(None), said), else_=known)
    if name in KEPT_WHEN_MISSING:
        return func.coalesce(said, known)
    return func.coalesce(said, literal([], ARRAY(Text))) if name == "tags" else said


def _update_known(chunk: TableClause, columns: list[str]) -> int:
    filled = [name for name in columns if name != "number"]
    if not filled:
        return 0
    following = {name: _next_value(chunk, name) for name in filled}
    changed = db.session.execute(
        update(_CLIENT)
        .where(
            _CLIENT.c.number == chunk.c.number,
            tuple_(*(_CLIENT.c[name] for name in filled)).is_distinct_from(tuple_(*following.values())),
        )
        .values({**following, "updated_at": func.now()})
    )
    return int(changed.rowcount)  # type: ignore[attr-defined]


def _insert_new(
    client_import: ClientImport,
    chunk: TableClause,
    columns: list[str],
    consents: list[str],
    default_branch_id: int,
) -> int:
    """Insert the clients that do not exist, and the evidence of what they said. Returns how many."""
    defaults: dict[str, Any] = {
        "branch_id": literal(default_branch_id, BigInteger),
        "status": literal("client"),
        "kind": literal("person"),
        "qualified_investor": literal(False),
        "flags": literal([], ARRAY(Text)),
        "tags": literal([], ARRAY(Text)),
    }
    given = {name: chunk.c[name] for name in columns}
    filled = given | {name: func.coalesce(given.get(name, default), default) for name, default in defaults.items()}
    known = select(literal(1)).where(_CLIENT.c.number == chunk.c.number).exists()
    made = (
        upsert(_CLIENT)
        .from_select(list(filled), select(*filled.values()).where(~known).order_by(chunk.c.row_number))
        .on_conflict_do_nothing()
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
        count = count.add_cte(_evidence(client_import, select(*statements.c)).cte("evidence"))
    return int(db.session.scalar(count) or 0)
