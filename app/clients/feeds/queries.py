"""Reads about feeds and their runs. They concern the whole firm, so only its head office may see them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import ColumnElement, case, exists, select

from app.clients.feeds.models import Feed, FeedRefusal, FeedRun
from app.core.errors import Forbidden, NotFound
from app.core.extensions import db
from app.core.jobs import Job
from app.core.paging import Page, newest_first
from app.users.models import User

REFUSALS_SHOWN = 20
RUNS_SHOWN = 30


def require_whole_firm(actor: User | None) -> None:
    """Feeds fill the book of the whole firm: only staff of the head office (or the system itself) may touch them."""
    if actor is not None and actor.branch.parent_id is not None:
        raise Forbidden(_l("Feeds fill the client book of the whole firm; only staff of the head office manage them."))


def find_feed(feed_id: int, *, user: User | None) -> Feed:
    """The feed; else NotFound."""
    require_whole_firm(user)
    found = db.session.get(Feed, feed_id)
    if found is None:
        raise NotFound
    return found


def feed_by_name(name: str) -> Feed | None:
    return db.session.scalar(select(Feed).where(Feed.name == name))


def find_run(run_id: int, *, user: User | None) -> tuple[FeedRun, Feed]:
    """A run with its feed; else NotFound."""
    require_whole_firm(user)
    found = db.session.execute(
        select(FeedRun, Feed).join(Feed, Feed.id == FeedRun.feed_id).where(FeedRun.id == run_id)
    ).first()
    if found is None:
        raise NotFound
    return found[0], found[1]


def _state() -> ColumnElement[str]:
    """A run whose job has ended without it (its workers died again and again) has failed."""
    lost = exists().where(Job.id == FeedRun.job_id, Job.state == "failed").correlate(FeedRun)
    return case((FeedRun.state.in_(("waiting", "running")) & lost, "failed"), else_=FeedRun.state)


def run_state(run: FeedRun) -> str:
    """The state of the run as people read it."""
    db.session.refresh(run)
    return str(db.session.scalar(select(_state()).where(FeedRun.id == run.id)))


@dataclass(frozen=True, slots=True)
class FeedLine:
    """A feed in the list, with its newest run and that one's state."""

    feed: Feed
    run: FeedRun | None
    state: str | None


def feed_lines() -> list[FeedLine]:
    """All feeds by name. A firm has a handful."""
    newest = (
        select(FeedRun.id)
        .where(FeedRun.feed_id == Feed.id)
        .order_by(FeedRun.id.desc())
        .limit(1)
        .correlate(Feed)
        .scalar_subquery()
    )
    rows = db.session.execute(
        select(Feed, FeedRun, _state()).outerjoin(FeedRun, FeedRun.id == newest).order_by(Feed.name)
    )
    return [FeedLine(feed, run, state if run is not None else None) for feed, run, state in rows]


def runs_page(feed_id: int, *, newer_than: int | None, older_than: int | None) -> Page:
    """Runs of a feed, newest first: id, run, state, name of who started it."""
    query: Any = (
        select(FeedRun.id, FeedRun, _state().label("state"), User.name)
        .outerjoin(User, User.id == FeedRun.created_by_id)
        .where(FeedRun.feed_id == feed_id)
    )
    return newest_first(query, FeedRun.id.expression, newer_than=newer_than, older_than=older_than, size=RUNS_SHOWN)


def first_refusals(run_id: int) -> Sequence[FeedRefusal]:
    """The first refused rows, for the page of the run."""
    return db.session.scalars(
        select(FeedRefusal).where(FeedRefusal.run_id == run_id).order_by(FeedRefusal.row_number).limit(REFUSALS_SHOWN)
    ).all()


def staff_name(user_id: int | None) -> str | None:
    return db.session.scalar(select(User.name).where(User.id == user_id)) if user_id else None
