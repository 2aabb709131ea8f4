"""Verbs of feeds: define one, take a file in, load it, collect what lies in its folder."""

import re
from datetime import time, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, cast

import structlog
from flask_babel import force_locale
from flask_babel import lazy_gettext as _l
from sqlalchemy import delete, select

from app.audit.service import record
from app.clients.feeds.definitions import BadDefinition, read_definition, suggest
from app.clients.feeds.files import MAX_BYTES
from app.clients.feeds.models import KINDS, SCHEDULES, Feed, FeedRun
from app.clients.feeds.queries import require_whole_firm
from app.clients.feeds.running import run_feed
from app.clients.feeds.schedule import next_time, prepare_folder, put_away, take, waiting_files
from app.clients.importing.reading import RowProblem, column_names, data_rows, detect
from app.core.clock import now
from app.core.errors import AppError, Conflict, Retryable
from app.core.extensions import db
from app.core.files import StoredFile, store_file
from app.core.jobs import Job, Lease, LeaseLost, enqueue
from app.core.queues import AUDIENCE
from app.core.unit_of_work import unit_of_work
from app.users.models import User

RUN_FEED = "clients.run_feed"
COLLECT_FEED = "clients.collect_feed"
SAMPLE_ROWS = 50
_SAMPLE_CELL = 200
_KEEP_FAILED = timedelta(days=30)
_NAME = re.compile(r"\w[\w-]{0,39}")
_SOURCE = re.compile(r"\S(?:.{0,38}\S)?")

log = structlog.get_logger(__name__)


class BadFeed(AppError):
    message = _l("This feed cannot be kept like this.")


class NameTaken(Conflict):
    message = _l("There is a feed of this name already.")


class NotDefined(Conflict):
    message = _l("Please choose the columns of this feed first.")


class SwitchedOff(Conflict):
    message = _l("This feed is switched off.")


class TooLarge(AppError):
    message = _l("This file is larger than 2 GB. Please divide it.")
    status = 413


class NotAgain(Conflict):
    message = _l("Only a run that failed can be tried again, as long as its file is kept (30 days).")


_BAD_NAME = _l("A name has up to 40 letters, digits, hyphens and underscores; it is also the name of a folder.")
BAD_SOURCE = _l("Please name the system that the rows come from in up to 40 signs.")
_BAD_SCHEDULE = _l("A schedule is hourly, or daily with a time of day.")


# ---- Defining -------------------------------------------------------------------------------------------------------


def create_feed(*, name: str, kind: str, source: str, actor: User | None) -> Feed:
    """A feed that is not defined yet. Raises BadFeed or NameTaken."""
    require_whole_firm(actor)
    name, source = name.strip(), source.strip()
    if not _NAME.fullmatch(name):
        raise BadFeed(_BAD_NAME)
    if kind not in KINDS:
        raise BadFeed
    if not _SOURCE.fullmatch(source) or not source.isprintable():
        raise BadFeed(BAD_SOURCE)
    if db.session.scalar(select(Feed.id).where(Feed.name == name)):
        raise NameTaken
    feed = Feed(name=name, kind=kind, source=source, created_by_id=actor.id if actor else None, enabled=True, version=1)
    db.session.add(feed)
    db.session.flush()
    record(actor=actor, action="feed.create", subject="feed", subject_id=feed.id, changes={"name": [None, name]})
    return feed


def define_feed(*, feed: Feed, definition: dict[str, Any], actor: User | None) -> None:
    """Keep a checked definition. A changed one counts as a new version: files may be loaded again under it."""
    require_whole_firm(actor)
    plain = read_definition(definition, feed.kind).to_json()
    if plain == feed.definition:
        return
    feed.version += feed.definition is not None
    feed.definition = plain
    record(actor=actor, action="feed.define", subject="feed", subject_id=feed.id)


def schedule_feed(
    *, feed: Feed, schedule: str | None, daily_at: time | None, enabled: bool, actor: User | None
) -> None:
    """Say when the feed's folder is looked at, and whether the feed may load at all."""
    require_whole_firm(actor)
    if (schedule is not None and schedule not in SCHEDULES) or (schedule == "daily" and daily_at is None):
        raise BadFeed(_BAD_SCHEDULE)
    before = {"schedule": feed.schedule, "enabled": feed.enabled}
    feed.schedule, feed.enabled = schedule, enabled
    feed.daily_at = daily_at if schedule == "daily" else None
    feed.next_at = next_time(schedule, feed.daily_at, after=now()) if enabled else None
    if schedule is not None:
        prepare_folder(feed)
    changes = {name: [was, value] for name, was in before.items() if was != (value := getattr(feed, name))}
    record(actor=actor, action="feed.edit", subject="feed", subject_id=feed.id, changes=changes)


def take_sample(*, feed: Feed, stream: BinaryIO, actor: User | None) -> None:
    """Keep the columns and first rows of a file, for choosing the columns. Raises NotATable with a sentence.

    The encoding found is suggested with the columns; the runs then insist on it.
    """
    require_whole_firm(actor)
    dialect = detect(stream)
    columns = column_names(stream, dialect)
    rows = [
        [cell[:_SAMPLE_CELL] for cell in row]
        for row in islice(data_rows(stream, dialect, width=len(columns)), SAMPLE_ROWS * 2)
        if not isinstance(row, RowProblem)
    ][:SAMPLE_ROWS]
    encoding = dialect.get("encoding", "utf-8").removesuffix("-sig")
    feed.sample = {"columns": columns, "rows": rows, "encoding": encoding}
    record(
        actor=actor, action="feed.upload", subject="feed", subject_id=feed.id, changes={"columns": [0, len(columns)]}
    )


def suggested_definition(feed: Feed) -> dict[str, Any]:
    """The plain definition to begin with: the one kept, else a guess from the sample's columns."""
    if feed.definition is not None:
        return feed.definition
    if feed.sample is None:
        raise NotDefined
    encoding = feed.sample["encoding"]
    return suggest(feed.kind, feed.sample["columns"]) | ({"encoding": encoding} if encoding != "utf-8" else {})


# ---- Taking a file in -----------------------------------------------------------------------------------------------


class _Limited:
    """A stream that ends with an error rather than going on for ever."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._left = MAX_BYTES

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise TooLarge
        return data


def receive_file(
    *, feed: Feed, stream: BinaryIO, name: str, actor: User | None, again: bool = False, in_worker: bool = True
) -> FeedRun:
    """Keep a file and enqueue its load. With `in_worker` False the job is left for the calling process to claim.

    `again` loads it even if the same file was loaded before. Raises NotDefined, SwitchedOff, TooLarge.
    """
    run = _keep(feed=feed, stream=stream, name=name, actor=actor, again=again)
    job = enqueue(RUN_FEED, queue=AUDIENCE, delay=None if in_worker else timedelta(), run_id=run.id)
    run.job_id = job.id
    return run


def _keep(*, feed: Feed, stream: BinaryIO, name: str, actor: User | None, again: bool = False) -> FeedRun:
    require_whole_firm(actor)
    if feed.definition is None:
        raise NotDefined
    if not feed.enabled:
        raise SwitchedOff
    stored = store_file(cast(BinaryIO, _Limited(stream)), name=name)
    run = FeedRun(
        feed_id=feed.id,
        version=feed.version,
        file_name=name[:200],
        file_id=stored.id,
        size=stored.size,
        again=again,
        state="waiting",
        created_by_id=actor.id if actor else None,
        **dict.fromkeys(("rows_read", "left_out", "created", "changed", "unchanged", "refused", "clients_created"), 0),
    )
    db.session.add(run)
    db.session.flush()
    record(actor=actor, action="feed.start", subject="feed", subject_id=feed.id, changes={"run": [None, run.id]})
    return run


def try_again(*, run: FeedRun, actor: User | None) -> Job:
    """Load the kept file of a failed run once more, say after the feed was put right."""
    require_whole_firm(actor)
    locked = db.session.scalars(select(FeedRun).where(FeedRun.id == run.id).with_for_update()).one()
    db.session.refresh(locked)
    job_state = db.session.scalar(select(Job.state).where(Job.id == locked.job_id))
    if locked.file_id is None or not (locked.state == "failed" or (job_state == "failed" and locked.state != "done")):
        raise NotAgain
    job = enqueue(RUN_FEED, queue=AUDIENCE, run_id=locked.id)
    locked.job_id, locked.state, locked.error = job.id, "waiting", None
    record(actor=actor, action="feed.start", subject="feed", subject_id=locked.feed_id, changes={"run": [None, run.id]})
    return job


def load(*, lease: Lease, run_id: int) -> FeedRun:
    """Load a run's file in the words of the person who started it."""
    run = db.session.get_one(FeedRun, run_id)
    actor = db.session.get(User, run.created_by_id) if run.created_by_id else None
    with force_locale((actor.locale if actor else None) or "en"):
        return run_feed(lease=lease, run_id=run_id)


# ---- Collecting -----------------------------------------------------------------------------------------------------


def enqueue_due_feeds() -> None:
    """Enqueue the feeds whose folder is due and holds something. Called by a tick, within its transaction."""
    due = select(Feed).where(Feed.enabled, Feed.schedule.is_not(None), Feed.next_at <= now()).order_by(Feed.id)
    for feed in db.session.scalars(due.with_for_update(skip_locked=True)):
        feed.next_at = next_time(feed.schedule, feed.daily_at, after=now())
        if feed.definition is not None and waiting_files(feed):
            collect_now(feed=feed, actor=None)
    old = select(FeedRun.file_id).where(FeedRun.state == "failed", FeedRun.finished_at < now() - _KEEP_FAILED)
    db.session.execute(delete(StoredFile).where(StoredFile.id.in_(old)))


def collect_now(*, feed: Feed, actor: User | None, in_worker: bool = True) -> Job | None:
    """Enqueue the collecting of the feed's folder; None where that is under way already."""
    require_whole_firm(actor)
    if feed.definition is None:
        raise NotDefined
    if not feed.enabled:
        raise SwitchedOff
    open_job = select(Job.id).where(Job.id == feed.collecting_job_id, Job.state.in_(("due", "running")))
    if db.session.scalar(open_job):
        return None
    job = enqueue(COLLECT_FEED, queue=AUDIENCE, delay=None if in_worker else timedelta(), feed_id=feed.id)
    feed.collecting_job_id = job.id
    return job


def collect(*, lease: Lease, feed_id: int) -> int:
    """Load what lies in the feed's folder, file by file. Returns how many were loaded.

    A file that cannot be loaded goes to `failed/` and the next one is taken. Killed at any point and run again, it
    goes on with the file that was on its way.
    """
    feed = db.session.get_one(Feed, feed_id)
    folder = prepare_folder(feed)
    loaded = 0
    for path in waiting_files(feed):
        there = take(path, folder)
        run_id = _run_of(feed, there, lease)
        whole = _loads(lease, run_id)
        loaded += whole
        put_away(there, folder, run_id=run_id, loaded=whole)
        feed = db.session.get_one(Feed, feed_id, populate_existing=True)
    log.info("feed_collected", feed=feed_id, loaded=loaded)
    return loaded


def _loads(lease: Lease, run_id: int) -> bool:
    """True where the file was loaded; the reason why not stands in the run."""
    try:
        load(lease=lease, run_id=run_id)
    except (LeaseLost, Retryable):
        raise
    except AppError:
        return False
    except Exception:
        log.exception("feed_run_failed", run=run_id)
        return False
    return True


def _run_of(feed: Feed, path: Path, lease: Lease) -> int:
    """The run of a file on its way: the one that a dead worker had begun, else a new one."""
    with unit_of_work() as session:
        lease.renew()
        begun = session.scalar(
            select(FeedRun)
            .where(
                FeedRun.feed_id == feed.id,
                FeedRun.file_name == path.name[:200],
                FeedRun.state.in_(("waiting", "running")),
                FeedRun.created_by_id.is_(None),
                FeedRun.job_id.in_(select(Job.id).where(Job.name == COLLECT_FEED)),
            )
            .order_by(FeedRun.id.desc())
            .limit(1)
        )
        if begun is None:
            if path.stat().st_size > MAX_BYTES:
                begun = _unread(feed, path)
            else:
                with path.open("rb") as stream:
                    begun = _keep(feed=feed, stream=stream, name=path.name, actor=None)
        begun.job_id = lease.job_id
    return begun.id


def _unread(feed: Feed, path: Path) -> FeedRun:
    """The run of a file that is too large to be taken in."""
    run = FeedRun(
        feed_id=feed.id,
        version=feed.version,
        file_name=path.name[:200],
        size=path.stat().st_size,
        state="failed",
        error=str(TooLarge.message),
        finished_at=now(),
    )
    db.session.add(run)
    db.session.flush()
    return run


def check_definition(feed: Feed, plain: dict[str, Any]) -> None:
    """Raise BadDefinition where a definition names columns that the feed's sample does not have."""
    known = set((feed.sample or {}).get("columns", ()))
    lacking = sorted(read_definition(plain, feed.kind).used_columns - known) if known else []
    if lacking:
        raise BadDefinition(_l("The sample has no column “%(name)s”.", name=lacking[0][:60]))
