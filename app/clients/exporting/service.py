"""Verbs of an export: ask for it, allow or refuse it, write the file, fetch it, let it expire."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import structlog
from flask_babel import force_locale, format_decimal
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import Result, func, select

from app.audit.service import record
from app.clients.exporting.columns import Column, cell, columns
from app.clients.exporting.models import NEXT, ClientExport
from app.clients.exporting.sources import CLIENT_LIST, clients_of, clients_of_export, source_name
from app.clients.models import Client
from app.clients.queries import custom_fields, visible_clients
from app.core.clock import now
from app.core.errors import AppError, Conflict
from app.core.extensions import db
from app.core.files import delete_file, store_file
from app.core.jobs import enqueue
from app.core.permissions import Permission, require
from app.core.queues import AUDIENCE
from app.core.spreadsheet_files import Line, csv_bytes, watermark, workbook
from app.core.streams import stream_of
from app.core.unit_of_work import unit_of_work
from app.users.models import Branch, User

WRITE_EXPORT = "clients.write_export"
ROWS_WITHOUT_APPROVAL = 1_000
LIFETIME = timedelta(hours=24)
FETCHED_AT_ONCE = 2_000
MAX_PURPOSE = 300

log = structlog.get_logger(__name__)


class PurposeMissing(AppError):
    message = _l("Say what the list is for; it is kept with the export.")


class NoColumns(AppError):
    message = _l("Choose at least one column.")


class NothingToExport(AppError):
    message = _l("No client that you may see belongs to this list.")


class OwnExport(AppError):
    message = _l("Somebody else must decide about your export.")
    status = 403


class Decided(Conflict):
    message = _l("This export has been decided about already.")


class NotReady(Conflict):
    message = _l("This file is not there: it is not written yet, or it has expired.")


def ask_for_export(
    *,
    source: str = CLIENT_LIST,
    source_id: int | None = None,
    filters: Mapping[str, Any] | None = None,
    chosen: Sequence[str],
    format: str,
    unmasked: bool,
    purpose: str,
    actor: User,
) -> ClientExport:
    """Ask for a list of clients as a file. Up to 1,000 masked rows are written at once; more rows, or unmasked contact
    data, wait for a second person. Raises Forbidden, PurposeMissing, NoColumns, NothingToExport or NotFound.
    """
    require(actor, Permission.EXPORT)
    if not purpose.strip():
        raise PurposeMissing
    known = columns(custom_fields())
    wanted = [key for key in known if key in set(chosen)]
    if not wanted:
        raise NoColumns
    title = source_name(source, source_id) or str(_("Client list"))
    where = clients_of(source=source, source_id=source_id, filters=filters or {}, user=actor)
    rows = _count(where & visible_clients(actor))
    if not rows:
        raise NothingToExport
    alone = rows <= ROWS_WITHOUT_APPROVAL and not unmasked
    export = ClientExport(
        state="writing" if alone else "asked",
        source=source,
        source_id=source_id,
        filters=dict(filters or {}),
        title=title[:200],
        columns=wanted,
        format=format,
        unmasked=unmasked,
        purpose=purpose.strip()[:MAX_PURPOSE],
        rows=rows,
        requested_by_id=actor.id,
    )
    db.session.add(export)
    db.session.flush()
    _note(export, actor, "ask", {"rows": [None, rows], "unmasked": [None, unmasked]}, reason=export.purpose)
    if alone:
        enqueue(WRITE_EXPORT, queue=AUDIENCE, export_id=export.id)
    return export


def allow_export(*, export: ClientExport, actor: User) -> None:
    """A second person allows it; the file is written. Raises Forbidden, OwnExport or Decided."""
    _decide(export, actor, "writing")
    export.decision = None
    _note(export, actor, "allow", {})
    enqueue(WRITE_EXPORT, queue=AUDIENCE, export_id=export.id)


def refuse_export(*, export: ClientExport, reason: str, actor: User) -> None:
    """A second person refuses it, with a reason. Raises Forbidden, OwnExport, Decided or PurposeMissing."""
    if not reason.strip():
        raise PurposeMissing(_("Say why."))
    _decide(export, actor, "refused")
    export.decision = reason.strip()[:MAX_PURPOSE]
    _note(export, actor, "refuse", {}, reason=export.decision)


def _decide(export: ClientExport, actor: User, state: str) -> None:
    require(actor, Permission.ALLOW_EXPORTS)
    if export.requested_by_id == actor.id:
        raise OwnExport
    _move(export, state)
    export.decided_by_id, export.decided_at = actor.id, now()


def _move(export: ClientExport, state: str) -> None:
    db.session.refresh(export, with_for_update={"of": ClientExport})
    if state not in NEXT[export.state]:
        raise Decided
    export.state = state


def write_export(*, export_id: int) -> None:
    """Write the file of an allowed export, in a worker; written once, also if the job runs twice.

    The clients are those of the moment, as far as the person who asked may see them now. Where they have become more
    than were allowed, nothing is written: the export waits for a second person, with the new number.
    """
    with unit_of_work():
        export = db.session.get_one(ClientExport, export_id)
        db.session.refresh(export, with_for_update={"of": ClientExport})
        if export.state != "writing":
            return
        asker = export.requested_by
        if not asker.active or asker.frozen_at is not None:
            export.state = "failed"
            return
        known = columns(custom_fields())
        chosen = [known[key] for key in export.columns if key in known]
        with force_locale(asker.locale or "en"):
            if _outgrown(export, asker):
                return
            lines = _Lines(export, chosen, asker)
            head, mark = [str(column.label) for column in chosen], watermark(asker.name)
            if export.format == "xlsx":
                with workbook(export.title, head, lines, mark) as file:
                    stored = store_file(file, name=file_name(export))
            else:
                stored = store_file(stream_of(csv_bytes(head, lines, mark)), name=file_name(export))
        export.file_id, export.rows = stored.id, lines.written
        export.state, export.ready_at, export.expires_at = "ready", now(), now() + LIFETIME
    log.info("export_written", export=export_id)


def _allowed(export: ClientExport) -> int:
    """How many rows the file may hold: as many as the second person read, or what needs none."""
    read = export.rows or 0
    return read if export.unmasked else max(read, ROWS_WITHOUT_APPROVAL)


def _outgrown(export: ClientExport, asker: User) -> bool:
    """Put an export back to wait whose list has become longer than what was allowed."""
    before, rows = export.rows, _count(clients_of_export(export) & visible_clients(asker))
    if rows <= _allowed(export):
        return False
    _move(export, "asked")
    export.rows, export.decided_by_id, export.decided_at = rows, None, None
    export.decision = _(
        "The list had grown to %(rows)s rows when it was to be written. A second person has to allow that many.",
        rows=format_decimal(rows),
    )
    _note(export, asker, "outgrow", {"rows": [before, rows]})
    return True


class _Lines:
    """The rows of an export, read as they are written; counts them. Who joins the list while it is written, past what
    was allowed, is not in the file."""

    def __init__(self, export: ClientExport, chosen: Sequence[Column], asker: User) -> None:
        self.written = 0
        self._chosen = chosen
        self._allowed = _allowed(export)
        self._masks = [None if export.unmasked else column.mask for column in chosen]
        self._where = clients_of_export(export) & visible_clients(asker)

    def __iter__(self) -> Iterator[Line]:
        rows: Result[Any] = db.session.execute(
            select(*(column.value.label(f"c{place}") for place, column in enumerate(self._chosen)))
            .select_from(Client)
            .join(Branch, Branch.id == Client.branch_id)
            .outerjoin(User, User.id == Client.adviser_id)
            .where(self._where)
            .order_by(Client.id)
            .limit(self._allowed)
            .execution_options(yield_per=FETCHED_AT_ONCE)
        )
        for row in rows:
            self.written += 1
            yield [cell(mask(value) if mask else value) for value, mask in zip(row, self._masks, strict=True)]


def fetch_export(*, export: ClientExport, actor: User) -> int:
    """Note that the person who asked fetches the file; its id. Raises Forbidden or NotReady."""
    require(actor, Permission.EXPORT)
    db.session.refresh(export, with_for_update={"of": ClientExport})
    if export.state != "ready" or export.file_id is None or (export.expires_at or now()) <= now():
        raise NotReady
    export.downloads += 1
    _note(export, actor, "fetch", {"rows": [None, export.rows]})
    return export.file_id


def expire_exports() -> int:
    """Delete the files whose time is over. Returns how many."""
    due = db.session.scalars(
        select(ClientExport)
        .where(ClientExport.state == "ready", ClientExport.expires_at <= now())
        .with_for_update(skip_locked=True, of=ClientExport)
        .limit(100)
    ).all()
    for export in due:
        file_id, export.file_id, export.state = export.file_id, None, "expired"
        db.session.flush()
        if file_id is not None:
            delete_file(file_id)
    return len(due)


def file_name(export: ClientExport) -> str:
    return f"clients-{export.id}.{export.format}"


def _count(where: Any) -> int:
    return db.session.scalar(select(func.count()).select_from(Client).where(where)) or 0


def _note(
    export: ClientExport, actor: User, verb: str, changes: dict[str, list[Any]], *, reason: str | None = None
) -> None:
    record(actor=actor, action=f"export.{verb}", subject="export", subject_id=export.id, changes=changes, reason=reason)
