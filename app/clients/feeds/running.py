"""Loading one file of a feed, whole or not at all.

The rows are staged, checked and applied in one transaction on a connection of its own; the job's lease is renewed
beside it. The transaction ends by noting the counts on the run and by making sure that the job is still ours, so
that a run is done exactly when its rows are there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from threading import Event, Thread
from typing import Any, BinaryIO, cast

import structlog
from flask import Flask, current_app
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import Connection, Select, column, delete, insert, select, table, text, update
from sqlalchemy.exc import OperationalError

from app.clients.editing.recording import note_arrival
from app.clients.feeds.converting import FeedConverter, RowRefused
from app.clients.feeds.definitions import Definition, read_definition
from app.clients.feeds.files import BrokenFile, FeedFile, Inspection, inspect, refuse_cut_end
from app.clients.feeds.loading.plan import LOADERS, make_months
from app.clients.feeds.loading.rules import Outcome, Rules, outcome
from app.clients.feeds.masks import mask_of_file
from app.clients.feeds.models import Feed, FeedRefusal, FeedRun
from app.clients.feeds.staging import Stage
from app.clients.importing.row_masks import RowMask
from app.clients.metrics.service import mark_stale
from app.core.clock import now, today
from app.core.extensions import db
from app.core.files import StoredFile, open_file
from app.core.jobs import Job, Lease, LeaseLost, noting_failure
from app.core.unit_of_work import unit_of_work
from app.users.queries import head_office

KEPT_REFUSALS = 50_000
MAX_REFUSALS = 200_000  # so many rows that cannot be read end the run
SMALL = 20  # so many refused rows never end a run
ANALYZED_FROM = 50_000
_BEAT_SECONDS = 3.0

# The clients whose rows a load wrote; their metrics follow within a minute.
_CHANGED: Select[Any] = (
    select(column("client_id")).select_from(table("feed_rows")).where(column("state").in_(("new", "changed")))
)

log = structlog.get_logger(__name__)


class TooManyRefused(BrokenFile):
    pass


@dataclass
class Reading:
    """How far the reading of a file is; refused rows in the file's order."""

    rows: int = 0
    left_out: int = 0
    refused: int = 0
    reasons: list[tuple[int, str]] = field(default_factory=list)
    stopped: bool = False


# ---- A run ----------------------------------------------------------------------------------------------------------


def run_feed(*, lease: Lease, run_id: int) -> FeedRun:
    """Load the file of a run. Killed at any point and run again, it starts anew; nothing was half-written.

    Raises AppError where the file cannot be taken (the run keeps the sentence), Retryable where the database was away.
    """
    run = db.session.get_one(FeedRun, run_id)
    if run.state in ("done", "repeated"):
        return run
    if run.file_id is None:
        raise BrokenFile
    feed = db.session.get_one(Feed, run.feed_id)
    with unit_of_work() as session:
        session.execute(delete(FeedRefusal).where(FeedRefusal.run_id == run_id))
        run.state, run.started_at, run.version, run.error, run.refused = "running", now(), feed.version, None, 0
    with noting_failure(partial(_note_failure, run_id), fault=_l("The load stopped because of a fault.")):
        _load(lease, feed, run)
    db.session.expire_all()
    log.info("feed_run_ended", run=run_id, feed=feed.id, state=run.state)
    return run


def _note_failure(run_id: int, sentence: str) -> None:
    db.session.execute(
        update(FeedRun)
        .where(FeedRun.id == run_id)
        .values(state="failed", error=sentence, finished_at=now(), created=0, changed=0, unchanged=0)
    )


def _load(lease: Lease, feed: Feed, run: FeedRun) -> None:
    definition = read_definition(feed.definition, feed.kind)
    stream = cast(BinaryIO, open_file(cast(int, run.file_id)))
    inspection = inspect(stream, encoding=definition.encoding)
    if earlier := _loaded_before(feed, run, inspection):
        _note_repeated(run, earlier, inspection)
        return
    if not definition.open_end and _always_ended(feed):
        refuse_cut_end(inspection)
    file = FeedFile(stream, inspection, definition)
    with unit_of_work() as session:
        session.execute(
            update(FeedRun).where(FeedRun.id == run.id).values(columns=file.columns, sha256=inspection.sha256)
        )
    reading = Reading()
    with _heartbeat(lease, run.id, reading):
        with db.engine.begin() as connection:
            stage = _staged(connection, feed.kind, definition, file, reading)
            # One load of a kind at a time: what is checked below still holds when it is applied.
            stage.run("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))", name=f"feeds of {feed.kind}")
            if earlier := _loaded_before(feed, run, inspection):
                _note_repeated(run, earlier, inspection)
                return
            made = _check_and_apply(stage, feed, definition, file, run, reading)
            _note_done(connection, lease, run, inspection, reading, made)
        _analyze(feed.kind, made)
    _forget_file(run.id)


def _loaded_before(feed: Feed, run: FeedRun, inspection: Inspection) -> int | None:
    """The run that loaded the same file under the same definition, unless it is to be loaded again."""
    if run.again:
        return None
    with unit_of_work() as session:
        return session.scalar(
            select(FeedRun.id)
            .where(
                FeedRun.feed_id == feed.id,
                FeedRun.sha256 == inspection.sha256,
                FeedRun.state == "done",
                FeedRun.version == feed.version,
            )
            .order_by(FeedRun.id.desc())
            .limit(1)
        )


def _always_ended(feed: Feed) -> bool:
    """True where the newest text file that was loaded ended with a line end: then the next one should too."""
    return bool(
        db.session.scalar(
            select(FeedRun.ends_with_line_end)
            .where(FeedRun.feed_id == feed.id, FeedRun.state == "done", FeedRun.ends_with_line_end.is_not(None))
            .order_by(FeedRun.id.desc())
            .limit(1)
        )
    )


def _check_and_apply(
    stage: Stage, feed: Feed, definition: Definition, file: FeedFile, run: FeedRun, reading: Reading
) -> Outcome:
    loader, rules = LOADERS[feed.kind], rules_of(feed, definition, run_id=run.id)
    loader.check(stage, rules)
    reading.refused = stage.count("SELECT count(DISTINCT row_number) FROM feed_refused")
    refused = with_cells(file, stage.refusals(KEPT_REFUSALS)) if reading.refused else iter(())
    if reading.refused > max(SMALL, reading.rows * definition.refused_limit // 100):
        _keep_refusals_apart(run.id, list(islice(refused, 1_000)), reading)
        raise TooManyRefused(
            _(
                "%(refused)s of %(rows)s rows cannot be taken, more than the %(limit)s %% that the feed allows. "
                "Nothing was loaded; the reasons are listed with the run.",
                refused=f"{reading.refused:,}",
                rows=f"{reading.rows:,}",
                limit=definition.refused_limit,
            )
        )
    make_months(stage, loader)
    made = loader.apply(stage, rules)
    if made.clients_created or (feed.kind == "clients" and made.created):
        note_arrival(connection=stage.connection, feed_run_id=run.id)
    if feed.kind != "clients":
        mark_stale(_CHANGED, connection=stage.connection)
    while part := list(islice(refused, 1_000)):
        stage.connection.execute(insert(FeedRefusal), _refusal_rows(run.id, part))
    return made


def rules_of(feed: Feed, definition: Definition, *, run_id: int | None = None) -> Rules:
    return Rules(
        source=feed.source,
        branch_id=head_office().id,
        on_date=today(),
        run_id=run_id,
        create_clients=definition.create_clients,
        move_accounts=definition.move_accounts,
        whole_statements=definition.whole_statements,
    )


# ---- Staging --------------------------------------------------------------------------------------------------------


def _staged(connection: Connection, kind: str, definition: Definition, file: FeedFile, reading: Reading) -> Stage:
    converter = FeedConverter(kind, definition, file.columns)
    stage = Stage(connection, kind, converter.targets)
    stage.copy(_converted(converter, file, reading, mask_of_file(file.columns, definition, kind)))
    stage.refuse_rows(reading.reasons)
    reading.reasons.clear()
    return stage


def _converted(converter: FeedConverter, file: FeedFile, reading: Reading, mask: RowMask) -> Iterator[list[Any]]:
    """The rows that can be read, each with its number in front; the others are noted in `reading`."""
    convert, left_out = converter.convert, converter.left_out
    for number, row in file.rows():
        reading.rows = number
        if reading.stopped:
            raise LeaseLost
        if left_out(row):
            reading.left_out += 1
            continue
        try:
            converted: list[Any] = convert(row)
        except RowRefused as refusal:
            file.refuse_header(number, row)
            _refuse(reading, number, refusal.reason, row, mask)
            continue
        converted.insert(0, number)
        yield converted


def _refuse(reading: Reading, number: int, reason: str, row: list[str], mask: RowMask) -> None:
    """Reasons are kept up to the number that is shown anyway; further ones are alike.

    The sentence that ends the run is read by people as it is, so the values it quotes are masked here.
    """
    if len(reading.reasons) >= MAX_REFUSALS:
        raise TooManyRefused(
            _("Row %(row)s: %(reason)s So many rows cannot be taken that the file must be another one. "
              "Nothing was loaded.", row=number, reason=mask.reason(reason, row))
        )  # fmt: skip
    reading.reasons.append((number, reason))


def with_cells(file: FeedFile, refused: list[tuple[int, str]]) -> Iterator[tuple[int, str, list[str]]]:
    """Refused rows (in the file's order) with the words of the file, which is read once more for them."""
    waiting = iter(refused)
    wanted = next(waiting, None)
    for number, row in file.rows():
        if wanted is None:
            return
        if number == wanted[0]:
            yield *wanted, row
            wanted = next(waiting, None)


def _refusal_rows(run_id: int, refused: list[tuple[int, str, list[str]]]) -> list[dict[str, Any]]:
    return [
        {"run_id": run_id, "row_number": number, "reason": reason, "cells": [cell[:2_000] for cell in cells]}
        for number, reason, cells in refused
    ]


def _keep_refusals_apart(run_id: int, refused: list[tuple[int, str, list[str]]], reading: Reading) -> None:
    """The reasons of a run that fails outlive its transaction."""
    with unit_of_work() as session:
        session.execute(insert(FeedRefusal), _refusal_rows(run_id, refused))
        session.execute(
            update(FeedRun).where(FeedRun.id == run_id).values(refused=reading.refused, rows_read=reading.rows)
        )


# ---- The end --------------------------------------------------------------------------------------------------------


def _note_done(
    connection: Connection, lease: Lease, run: FeedRun, inspection: Inspection, reading: Reading, made: Outcome
) -> None:
    """The counts, in the transaction of the rows; LeaseLost where another worker has the job by now."""
    held = connection.execute(
        select(Job.id).where(Job.id == lease.job_id, Job.token == lease.token, Job.state == "running").with_for_update()
    )
    if held.first() is None:
        raise LeaseLost
    connection.execute(
        update(FeedRun)
        .where(FeedRun.id == run.id)
        .values(
            state="done",
            finished_at=now(),
            ends_with_line_end=inspection.ends_with_line_end,
            rows_read=reading.rows,
            left_out=reading.left_out + made.left_out,
            created=made.created,
            changed=made.changed,
            unchanged=made.unchanged,
            refused=reading.refused,
            clients_created=made.clients_created,
        )
    )


def _note_repeated(run: FeedRun, earlier: int, inspection: Inspection) -> None:
    with unit_of_work() as session:
        session.execute(
            update(FeedRun)
            .where(FeedRun.id == run.id)
            .values(state="repeated", repeats_id=earlier, sha256=inspection.sha256, finished_at=now())
        )
    _forget_file(run.id)


def _forget_file(run_id: int) -> None:
    """What was loaded is in the client book; the firm's copy of the file is its own affair."""
    with unit_of_work() as session:
        file_id = session.scalar(select(FeedRun.file_id).where(FeedRun.id == run_id))
        session.execute(delete(StoredFile).where(StoredFile.id == file_id))


def _analyze(kind: str, made: Outcome) -> None:
    """Lists and segments are planned by these statistics; autovacuum never looks at partitioned tables as a whole."""
    if made.created + made.changed >= ANALYZED_FROM:
        with unit_of_work() as session:
            for table in LOADERS[kind].grows:
                session.execute(text(f'ANALYZE "{table}"'))


@contextmanager
def _heartbeat(lease: Lease, run_id: int, reading: Reading) -> Iterator[None]:
    """Renew the lease and tell the progress beside the work, from a thread of its own."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    ended = Event()

    def beat() -> None:
        while not ended.wait(_BEAT_SECONDS):
            try:
                with app.app_context(), unit_of_work() as session:
                    lease.renew(done=reading.rows)
                    session.execute(
                        update(FeedRun)
                        .where(FeedRun.id == run_id, FeedRun.state == "running")
                        .values(rows_read=reading.rows)
                    )
            except LeaseLost:
                reading.stopped = True
                return
            except OperationalError:
                continue  # the work itself will notice

    thread = Thread(target=beat, name=f"feed run {run_id}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


# ---- Trying out -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TriedRow:
    """A row as it would be read: a value for each target, or the reason against it, or neither: passed over."""

    number: int
    cells: list[str]
    values: list[str | None] | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Rehearsal:
    targets: list[str]
    rows: list[TriedRow]
    outcome: Outcome
    refused: int


def rehearse(*, feed: Feed, definition: Definition, columns: list[str], rows: list[list[str]]) -> Rehearsal:
    """Check rows against the client book as a run would, and undo it: nothing is written."""
    converter = FeedConverter(feed.kind, definition, columns)
    read: dict[int, list[str | None]] = {}
    reasons: dict[int, str] = {}
    for number, row in enumerate(rows, start=1):
        if not converter.left_out(row):
            try:
                read[number] = converter.convert(row)
            except RowRefused as refusal:
                reasons[number] = refusal.reason
    with db.engine.connect() as connection:
        stage = Stage(connection, feed.kind, converter.targets)
        stage.copy([number, *values] for number, values in read.items())
        LOADERS[feed.kind].check(stage, rules_of(feed, definition))
        reasons |= dict(stage.refusals(KEPT_REFUSALS))
        would_be = outcome(stage)
        connection.rollback()
    tried = [TriedRow(number, row, read.get(number), reasons.get(number)) for number, row in enumerate(rows, start=1)]
    return Rehearsal(converter.targets, tried, would_be, len(reasons))
