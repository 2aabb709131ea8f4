"""Verbs of an import: take the file in, say what it will do, start it, do it."""

import json
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from hashlib import sha256
from itertools import islice
from typing import Any, BinaryIO

import structlog
from flask_babel import force_locale
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError, OperationalError

from app.audit.service import record
from app.clients.editing.recording import note_arrival
from app.clients.importing.converting import Chunk, RowConverter, adviser_parser, branch_parser
from app.clients.importing.limits import refuse_too_large
from app.clients.importing.loading import Tally, begin_chunk, finish_chunk, keep_refusals
from app.clients.importing.mapping import (
    CUSTOM,
    MAX_CHOICES,
    BadMapping,
    ColumnSample,
    KnownField,
    Mapping,
    check_columns,
    complete_fields,
    read_mapping,
    sample_columns,
    suggest,
)
from app.clients.importing.reading import RowProblem, column_names, data_rows, detect
from app.clients.importing.repeats import Sieve
from app.clients.importing.row_masks import RowMask, kinds_of, mask_of
from app.clients.importing.text_rows import Row
from app.clients.importing.turns import Wait, work_in_turn
from app.clients.importing.values import Parser
from app.clients.models import Client, ClientImport, ImportMapping, ImportNumber
from app.clients.queries import custom_fields, sees_whole_book, visible_clients
from app.clients.service import add_choices, define_field
from app.core.clock import now
from app.core.errors import Conflict, Forbidden
from app.core.extensions import db, settings
from app.core.files import open_file, store_file
from app.core.jobs import Job, Lease, LeaseLost, enqueue, noting_failure
from app.core.permissions import Permission, Role, allows
from app.core.queues import AUDIENCE
from app.core.unit_of_work import unit_of_work
from app.users.models import Branch, User
from app.users.queries import head_office, in_subtree

IMPORT_FILE = "clients.import_file"
CHUNK_ROWS = 10_000
LOADERS = 3  # chunks in work at a time: two that PostgreSQL loads while the next is converted
SAMPLE_ROWS = 20_000
PREVIEW_ROWS = 200
_COUNTED_BETWEEN_RENEWALS = 100_000

log = structlog.get_logger(__name__)


class AlreadyRunning(Conflict):
    message = _l("This import is running or done already.")


class NoNewFields(Forbidden):
    """Who brings the file in may not define fields, and the mapping asks for some."""


# ---- Taking the file in ---------------------------------------------------------------------------------------------


def receive_file(*, stream: BinaryIO, name: str, actor: User | None) -> ClientImport:
    """Store a file and find out how to read it. Raises FileTooLarge, or NotATable with a sentence where it is none."""
    refuse_too_large(stream)
    stored = store_file(stream, name=name)
    file = open_file(stored.id)
    dialect = detect(file)
    client_import = ClientImport(
        file_id=stored.id,
        file_name=name[:200],
        state="uploaded",
        dialect=dict(dialect),
        columns=column_names(file, dialect),
        rows_done=0,
        created_by_id=actor.id if actor else None,
    )
    db.session.add(client_import)
    db.session.flush()
    record(
        actor=actor,
        action="import.upload",
        subject="client_import",
        subject_id=client_import.id,
        changes={"columns": [0, len(client_import.columns)]},
    )
    return client_import


def rows_of(client_import: ClientImport) -> Iterator[Row]:
    """The file's data rows, streamed."""
    file = open_file(client_import.file_id)
    return data_rows(file, client_import.dialect, width=len(client_import.columns))  # type: ignore[arg-type]


def samples_of(client_import: ClientImport) -> list[ColumnSample]:
    """What the columns hold in the first 20,000 rows."""
    rows = (row for row in islice(rows_of(client_import), SAMPLE_ROWS) if not isinstance(row, RowProblem))
    return sample_columns(rows, len(client_import.columns))


def default_region() -> str | None:
    """The country of telephone numbers that do not say it, by the firm's market."""
    return "CN" if settings().market_profile == "mainland_china" else None


def signature(columns: list[str]) -> str:
    """The same for files with the same columns in the same order."""
    return sha256(json.dumps(columns, ensure_ascii=False).encode()).hexdigest()


def suggested_mapping(client_import: ClientImport, samples: list[ColumnSample]) -> Mapping:
    """The mapping last used for such a file, else a guess from names and values; all columns accounted for."""
    remembered = db.session.get(ImportMapping, signature(client_import.columns))
    fields = _known_fields()
    if client_import.mapping is not None:
        mapping = read_mapping(client_import.mapping)
    elif remembered is not None:
        mapping = read_mapping(remembered.mapping)
    else:
        mapping = suggest(
            client_import.columns,
            samples,
            fields,
            region=default_region(),
        )
    return complete_fields(_without_lost_fields(mapping, fields), client_import.columns, samples, fields)


def _known_fields() -> dict[str, KnownField]:
    return {field.key: KnownField(field.label, field.type) for field in custom_fields()}


def _without_lost_fields(mapping: Mapping, known: dict[str, KnownField]) -> Mapping:
    """A remembered mapping may name fields that are gone; their columns are guessed anew."""
    kept = {
        target: source
        for target, source in mapping.columns.items()
        if not target.startswith(CUSTOM) or target.removeprefix(CUSTOM) in known
    }
    return replace(mapping, columns=kept)


def save_mapping(*, client_import: ClientImport, mapping: Mapping, actor: User | None) -> None:
    """Keep the mapping that somebody chose for the file. Raises BadMapping where it does not fit, AlreadyRunning."""
    if client_import.state != "uploaded":
        raise AlreadyRunning
    check_columns(mapping, client_import.columns)
    completed = complete_fields(mapping, client_import.columns, samples_of(client_import), _known_fields())
    _check_new_fields(completed, actor)
    fields = {field.key: (field.type, field.slot) for field in custom_fields()}
    RowConverter(mapping, client_import.columns, fields=fields, lookups=_lookups(mapping, actor))
    client_import.mapping = mapping.to_json()


# ---- Preview --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PreviewRow:
    """One row as it would be taken: `values` by client column, or the reason against it."""

    row_number: int
    cells: list[str]
    reason: str | None


@dataclass(frozen=True, slots=True)
class Preview:
    """What the first rows would become. `known` of those taken exist already and would be updated."""

    rows: list[PreviewRow]
    refused: int
    known: int


def preview(*, client_import: ClientImport, mapping: Mapping, actor: User | None) -> Preview:
    """Try the first 200 rows without writing anything. Raises BadMapping where the mapping itself is wrong."""
    check_columns(mapping, client_import.columns)
    mapping = complete_fields(mapping, client_import.columns, samples_of(client_import), _known_fields())
    fields = {field.key: (field.type, field.slot) for field in custom_fields()}
    columns = dict(mapping.columns)
    for column, new in mapping.new_fields.items():
        fields.setdefault(new.key, (new.type, new.key))
        columns[f"{CUSTOM}{new.key}"] = {"column": column}
    converter = RowConverter(
        replace(mapping, columns=columns, new_fields={}),
        client_import.columns,
        fields=fields,
        lookups=_lookups(mapping, actor),
    )
    rows = list(islice(rows_of(client_import), PREVIEW_ROWS))
    chunk = converter.convert(rows, first=1)
    reasons = {number: reason for number, _cells, reason in chunk.refused}
    first_rows: dict[str, int] = {}
    for number, text_of_number in zip(chunk.numbers, chunk.texts[0], strict=True):
        first = first_rows.setdefault(text_of_number, number)
        if first != number:
            reasons[number] = _(
                "The client number %(number)s stands in row %(row)s already.", number=text_of_number, row=first
            )
    mask = mask_of(client_import.columns, kinds_of(mapping))
    shown = [_shown(number, chunk.cells(number), reasons.get(number), mask) for number in range(1, len(rows) + 1)]
    known = db.session.scalar(
        select(func.count()).select_from(Client).where(Client.number.in_(list(first_rows)), visible_clients(actor))
    )
    return Preview(shown, sum(row.reason is not None for row in shown), known or 0)


def _shown(number: int, cells: list[str], reason: str | None, mask: RowMask) -> PreviewRow:
    return PreviewRow(number, mask.cells(cells), reason and mask.reason(reason, cells))


# ---- Starting -------------------------------------------------------------------------------------------------------


def start_import(
    *, client_import: ClientImport, mapping: Mapping | dict[str, Any], actor: User | None, in_worker: bool = True
) -> Job:
    """Define the new fields, remember the mapping and enqueue the import. Call within a unit of work.

    With `in_worker` False the job is left for the calling process to claim at once (a worker takes it over only
    if that process dies). Raises BadMapping, NoSlotLeft or AlreadyRunning.
    """
    locked = db.session.scalars(select(ClientImport).where(ClientImport.id == client_import.id).with_for_update()).one()
    db.session.refresh(locked)
    if locked.state not in ("uploaded", "failed") or locked.rows_done:
        raise AlreadyRunning
    if not isinstance(mapping, Mapping):
        mapping = read_mapping(mapping)
    check_columns(mapping, locked.columns)
    samples = samples_of(locked)
    completed = complete_fields(mapping, locked.columns, samples, _known_fields())
    final = _define_fields(completed, actor)
    _converter(locked, final, actor)  # a constant that cannot be read is found before anything runs
    plain = final.to_json()
    locked.mapping = plain
    db.session.execute(
        upsert(ImportMapping)
        .values(signature=signature(locked.columns), mapping=plain, used_at=now())
        .on_conflict_do_update(index_elements=["signature"], set_={"mapping": plain, "used_at": now()})
    )
    return _enqueue(locked, actor, in_worker=in_worker)


def resume_import(*, client_import: ClientImport, actor: User | None) -> Job:
    """Go on with a failed import after the rows that it had done. Call within a unit of work."""
    locked = db.session.scalars(select(ClientImport).where(ClientImport.id == client_import.id).with_for_update()).one()
    db.session.refresh(locked)
    job_state = db.session.scalar(select(Job.state).where(Job.id == locked.job_id))
    if locked.mapping is None or not (
        locked.state == "failed" or (locked.state == "running" and job_state == "failed")
    ):
        raise AlreadyRunning
    return _enqueue(locked, actor, in_worker=True)


def _enqueue(client_import: ClientImport, actor: User | None, *, in_worker: bool) -> Job:
    job = enqueue(
        IMPORT_FILE,
        queue=AUDIENCE,
        delay=None if in_worker else timedelta(),
        import_id=client_import.id,
    )
    client_import.job_id = job.id
    client_import.state = "running"
    client_import.error = None
    record(actor=actor, action="import.start", subject="client_import", subject_id=client_import.id)
    return job


def may_define_fields(actor: User | None) -> bool:
    """Fields are the whole firm's: an administrator defines them, and the head office by a file it brings in."""
    return sees_whole_book(actor) or (actor is not None and allows(actor, Permission.ADMINISTER))


def _check_new_fields(mapping: Mapping, actor: User | None) -> None:
    if mapping.new_fields and not may_define_fields(actor):
        raise NoNewFields(
            _(
                "Only an administrator or the head office defines fields. Leave these columns out, or ask for fields "
                "for them: %(columns)s.",
                columns=", ".join(mapping.new_fields),
            )
        )


def _define_fields(mapping: Mapping, actor: User | None) -> Mapping:
    """Define the mapping's new fields; the result names them as targets and defines none. Raises NoNewFields."""
    _check_new_fields(mapping, actor)
    columns = dict(mapping.columns)
    for column, new in mapping.new_fields.items():
        field = define_field(
            key=new.key,
            label=new.label,
            type=new.type,
            choices=list(new.choices) if new.choices is not None else None,
            actor=actor,
        )
        columns[f"{CUSTOM}{field.key}"] = {"column": column}
    return replace(mapping, columns=columns, new_fields={}, other_columns="ignore")


def _lookups(mapping: Mapping, actor: User | None) -> dict[str, Parser]:
    lookups: dict[str, Parser] = {}
    if "branch" in mapping.columns:
        scope = actor.branch if actor else head_office()
        codes = db.session.execute(select(Branch.code, Branch.id).where(in_subtree(scope)))
        lookups["branch"] = branch_parser({code.casefold(): branch_id for code, branch_id in codes})
    if "adviser" in mapping.columns:
        advisers = db.session.execute(
            select(func.lower(User.email), User.id).where(User.active, User.roles.contains([Role.ADVISER]))
        )
        lookups["adviser"] = adviser_parser(dict(iter(advisers)))
    return lookups


def _converter(client_import: ClientImport, mapping: Mapping, actor: User | None) -> RowConverter:
    return RowConverter(
        mapping,
        client_import.columns,
        fields={field.key: (field.type, field.slot) for field in custom_fields()},
        lookups=_lookups(mapping, actor),
    )


# ---- Doing it -------------------------------------------------------------------------------------------------------


def run_import(*, lease: Lease, import_id: int) -> None:
    """Load the file chunk by chunk, each in a transaction that also moves `rows_done` and renews the lease.

    Killed at any point and run again, it goes on after the last chunk that was committed.
    """
    client_import = db.session.get_one(ClientImport, import_id)
    if client_import.state == "done":
        return
    actor = db.session.get(User, client_import.created_by_id) if client_import.created_by_id else None
    with (
        force_locale((actor.locale if actor else None) or "en"),
        noting_failure(
            partial(_note_failure, import_id),
            fault=_l("The import stopped because of a fault. It can be continued."),
            passing=(OperationalError, IntegrityError),  # somebody was at the same clients
        ),
    ):
        _run(lease, client_import, actor)


def _note_failure(import_id: int, sentence: str) -> None:
    db.session.execute(
        update(ClientImport)
        .where(ClientImport.id == import_id)
        .values(state="failed", error=sentence, finished_at=now())
    )


def _run(lease: Lease, client_import: ClientImport, actor: User | None) -> None:
    if client_import.mapping is None:
        raise BadMapping
    import_id, done = client_import.id, client_import.rows_done
    converter = _converter(client_import, read_mapping(client_import.mapping), actor)
    total, sieve = _look_through(lease, client_import, converter)
    choices = _ChoiceWatch(converter)
    default_branch_id = actor.branch_id if actor else head_office().id
    visible = None if sees_whole_book(actor) else visible_clients(actor)

    def load(chunk: Chunk, wait: Wait) -> None:
        with unit_of_work() as session:
            loading = begin_chunk(
                client_import=session.get_one(ClientImport, import_id),
                columns=converter.columns,
                chunk=chunk,
                perhaps_repeated=sieve.perhaps_repeated(chunk.texts[0]) if sieve else None,
                default_branch_id=default_branch_id,
            )
            wait()
            before = chunk.first - 1
            lease.renew(done=before + len(chunk.rows), total=total)
            tally = finish_chunk(loading, visible=visible)
            if tally.created:
                note_arrival(connection=session.connection(), import_id=import_id)
            choices.extend()
            refused = chunk.refused + tally.refused
            keep_refusals(loading.client_import, refused)
            _count_chunk(import_id, before, len(chunk.rows), tally, len(refused))

    chunks = _chunks(rows_of(client_import), converter, done)
    db.session.rollback()  # nothing is read here while the threads work
    work_in_turn(chunks, load, workers=LOADERS)
    _finish(lease, import_id)


def _chunks(rows: Iterator[Row], converter: RowConverter, done: int) -> Generator[Chunk]:
    """The rows after those done, converted, a chunk at a time."""
    first = done + 1
    rows = islice(rows, done, None)
    while some := list(islice(rows, CHUNK_ROWS)):
        yield converter.convert(some, first=first)
        first += len(some)


def _look_through(lease: Lease, client_import: ClientImport, converter: RowConverter) -> tuple[int, Sieve | None]:
    """Count the rows and shake their client numbers through a sieve (None where they cannot repeat).

    A resumed import, which knows its total, looks through the file again for the sieve alone.
    """
    total, sieve = client_import.rows_total, None if converter.numbers_unique else Sieve()
    if total is not None and sieve is None:
        return total, None
    counted = 0
    rows = rows_of(client_import)
    while some := list(islice(rows, CHUNK_ROWS)):
        if sieve is not None:
            sieve.meet(converter.client_numbers(some, first=counted + 1))
        counted += len(some)
        if counted % _COUNTED_BETWEEN_RENEWALS == 0:
            with unit_of_work():
                lease.renew()
    if total is None:
        with unit_of_work() as session:
            lease.renew()
            session.execute(update(ClientImport).where(ClientImport.id == client_import.id).values(rows_total=counted))
    return counted, sieve


def _count_chunk(import_id: int, done: int, rows: int, tally: Tally, refused: int) -> None:
    """Move the counts on, by compare-and-set on the rows done: a chunk is never counted twice."""
    moved = db.session.execute(
        update(ClientImport)
        .where(ClientImport.id == import_id, ClientImport.rows_done == done)
        .values(
            rows_done=done + rows,
            created=ClientImport.created + tally.created,
            updated=ClientImport.updated + tally.updated,
            unchanged=ClientImport.unchanged + tally.unchanged,
            refused=ClientImport.refused + refused,
            opt_outs_kept=ClientImport.opt_outs_kept + tally.opt_outs_kept,
        )
        .execution_options(synchronize_session=False)
    )
    if moved.rowcount != 1:  # type: ignore[attr-defined]
        raise LeaseLost


def _finish(lease: Lease, import_id: int) -> None:
    with unit_of_work() as session:
        lease.renew()
        session.execute(delete(ImportNumber).where(ImportNumber.import_id == import_id))
        client_import = session.get_one(ClientImport, import_id, populate_existing=True)
        client_import.state = "done"
        client_import.finished_at = now()
        record(
            actor=None,
            action="import.done",
            subject="client_import",
            subject_id=import_id,
            changes={
                name: [0, getattr(client_import, name)] for name in ("created", "updated", "unchanged", "refused")
            },
        )
        if client_import.created + client_import.updated >= CHUNK_ROWS:
            # Lists and segments are planned by these statistics; autovacuum would take a minute to notice.
            session.execute(text("ANALYZE client"))
    log.info("clients_imported", import_id=import_id)


class _ChoiceWatch:
    """Adds words that a choice field meets for the first time to its list, up to 500."""

    def __init__(self, converter: RowConverter) -> None:
        fields = {field.slot: field for field in custom_fields()}
        self._watched = [
            (fields[slot].id, set(fields[slot].choices or ()), met) for slot, met in converter.words_met.items()
        ]

    def extend(self) -> None:
        for field_id, known, met in self._watched:
            fresh = met.copy() - known  # copied at once: the words of the next rows are met in another thread
            if fresh and len(known) < MAX_CHOICES:
                known |= fresh
                add_choices(field_id=field_id, values=sorted(fresh)[:MAX_CHOICES])
