"""How fast a run goes and what its messages wait for, from the batches alone: as quick at the end as at the start."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, case, func, literal, select

from app.campaigns.models import Campaign, State, Step
from app.channels.models import ChannelAccount
from app.core.clock import now
from app.core.extensions import db
from app.delivery.models import Batch
from app.delivery.queries import Progress
from app.delivery.rules import marketing_is_stopped

SOON = timedelta(seconds=60)  # a batch on the broker is due again within that
SAMPLES = 8
WAITS_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Wait:
    """`clients` messages wait: `why` is sending, ready, refused, time, paused, stopped or no_account."""

    why: str
    clients: int
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Pace:
    """Messages a second now (None: not known yet) and on average; the time left at that pace.

    `samples` goes into the page and comes back with its next question, so that the server keeps nothing.
    """

    now: float | None
    mean: float | None
    left: timedelta | None
    samples: str


def pace(progress: Progress, samples: str) -> Pace:
    """From what was done at earlier questions: `samples` is "moment.done,…", oldest first; rubbish is left out."""
    at = now()
    seconds = int(at.timestamp() * 10)
    known = [*_read(samples, before=seconds, done=progress.done), (seconds, progress.done)][-SAMPLES:]
    (first_at, first_done), (last_at, last_done) = known[0], known[-1]
    rate = (last_done - first_done) / ((last_at - first_at) / 10) if last_at - first_at >= 10 else None
    began, ended = progress.run.planned_at or progress.run.created_at, progress.run.finished_at
    duration = ((ended or at) - min(began, progress.run.created_at)).total_seconds()
    mean = progress.done / duration if duration > 1 and progress.done else None
    speed = rate or mean
    left = timedelta(seconds=round(progress.waiting / speed)) if speed and progress.waiting and ended is None else None
    return Pace(rate, mean, left, ",".join(f"{when}.{done}" for when, done in known))


def _read(samples: str, *, before: int, done: int) -> list[tuple[int, int]]:
    found = []
    for pair in samples[:400].split(",")[-SAMPLES:]:
        when, _, count = pair.partition(".")
        numbers = when.isascii() and count.isascii() and when.isdecimal() and count.isdecimal() and len(pair) < 40
        if numbers and 0 < before - int(when) < 6_000 and int(count) <= done:
            found.append((int(when), int(count)))
    return sorted(found)


def by_step(run_id: int) -> Sequence[Row[*tuple[Any, ...]]]:
    """(position from 0, channel, planned, sent, failed, skipped, unconfirmed) of each step."""
    sums = [func.sum(column) for column in (Batch.size, Batch.sent, Batch.failed, Batch.skipped, Batch.unconfirmed)]
    names = ("planned", "sent", "failed", "skipped", "unconfirmed")
    return db.session.execute(
        select(Step.position, Batch.channel, *(one.label(name) for one, name in zip(sums, names, strict=True)))
        .join(Step, Step.id == Batch.step_id)
        .where(Batch.run_id == run_id)
        .group_by(Step.position, Batch.channel)
        .order_by(Step.position)
    ).all()


def accounts_at_work(run_id: int) -> Sequence[Row[str, int]]:
    """Names of the accounts that batches of the run left through last, with how many messages those sent."""
    sent = func.sum(Batch.sent)
    return db.session.execute(
        select(ChannelAccount.name, sent)
        .join(Batch, Batch.account_id == ChannelAccount.id)
        .where(Batch.run_id == run_id, Batch.sent > 0)
        .group_by(ChannelAccount.id)
        .order_by(sent.desc())
    ).all()


def waits(campaign: Campaign, run_id: int) -> list[Wait]:
    """What the unsent of the run wait for, soonest first."""
    at = now()
    unsent = Batch.size - Batch.sent - Batch.failed - Batch.skipped - Batch.unconfirmed
    why = case(
        (Batch.token.is_not(None), "sending"),
        (Batch.due_at <= at + SOON, "ready"),
        (Batch.attempts > 0, "refused"),
        else_="time",
    )
    until = case((Batch.due_at <= at + SOON, literal(None)), else_=func.date_trunc("minute", Batch.due_at))
    rows = db.session.execute(
        select(why, Batch.channel, until, func.sum(unsent))
        .where(Batch.run_id == run_id, Batch.state == "open")
        .group_by(why, Batch.channel, until)
        .having(func.sum(unsent) > 0)
        .order_by(until.asc().nulls_first())
    ).all()
    stopped = campaign.purpose == "marketing" and marketing_is_stopped()
    found: dict[tuple[str, datetime | None], int] = {}
    for kind, channel, due, clients in rows:
        if kind == "ready":
            kind = _why_ready(campaign, channel, stopped)
        key = (kind, None if kind in ("sending", "ready", "paused", "stopped", "no_account") else due)
        found[key] = found.get(key, 0) + int(clients)
    listed = [Wait(kind, clients, due) for (kind, due), clients in found.items()]
    if len(listed) <= WAITS_SHOWN:
        return listed
    rest = listed[WAITS_SHOWN - 1 :]
    return [*listed[: WAITS_SHOWN - 1], Wait("later", sum(one.clients for one in rest), rest[0].until)]


def _why_ready(campaign: Campaign, channel: str, stopped: bool) -> str:
    if campaign.state == State.PAUSED:
        return "paused"
    if stopped:
        return "stopped"
    return "ready" if _has_account(channel, campaign.purpose) else "no_account"


def _has_account(channel: str, purpose: str) -> bool:
    """Whether an account may take it, without making one (this is asked by pages)."""
    accounts = db.session.scalars(
        select(ChannelAccount).where(ChannelAccount.channel == channel, ChannelAccount.archived_at.is_(None))
    ).all()
    if not accounts:
        return channel == "email"  # the configured one appears with the first message
    at = now()
    return any(
        account.weight > 0
        and (account.state == "active" or (account.state == "resting" and (account.resting_until or at) <= at))
        and not (purpose == "marketing" and account.marketing_paused_at)
        for account in accounts
    )
