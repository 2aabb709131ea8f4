"""The send path: a worker claims a batch, hands its messages over window by window, and records what became of them.

What keeps a message from being lost or doubled:
- a batch is claimed by compare-and-set and held under a lease with a token;
- a window of rows moves planned > handing in a commit of its own before any byte leaves, only while the token is
  ours and the campaign runs; the rules of `delivery/rules.py` are looked at in that same statement;
- no transaction is open while the channel talks to the network;
- results are recorded before the next window, and a worker that cannot record keeps trying.
After a crash the sweeper (`delivery/sweeping.py`) frees the batch: planned rows go on, handing rows become
unconfirmed and are never sent again by themselves.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import structlog
from sqlalchemy import (
    Row,
    Uuid,
    bindparam,
    func,
    select,
    text,
    update,
)
from sqlalchemy.exc import OperationalError

from app.channels.base import Channel, Outcome, Result
from app.channels.limits import give_back, give_back_for_domain, lease, lease_for_domain
from app.channels.models import ChannelAccount
from app.channels.registry import channel_of
from app.clients.engagement.service import CONTACTED, noting
from app.core.arrays import array_text
from app.core.clock import now
from app.core.errors import AppError
from app.core.extensions import db, table_of
from app.core.unit_of_work import unit_of_work
from app.delivery.models import NEXT, Batch, Message, MessageState, move
from app.delivery.postponing import put_off, put_off_each, queue_for_domain
from app.delivery.preparing import Prepared, prepare
from app.delivery.routing import account_works, choose_account, rest_account
from app.delivery.rules import may_send, take_turns

LEASE = timedelta(seconds=120)
MAX_ATTEMPTS = 12
FIRST_PAUSE_SECONDS = 5
LONGEST_PAUSE_SECONDS = 900
NO_ACCOUNT = timedelta(seconds=15)  # until a batch that found no account looks again

_BATCH = table_of(Batch)

# What is handed over here is work for people: the client is contacted when they did it.
DONE_BY_PEOPLE = ["call"]

log = structlog.get_logger(__name__)

STATE_OF = {
    Outcome.SENT: move(MessageState.HANDING, MessageState.SENT),
    Outcome.FAILED: move(MessageState.HANDING, MessageState.FAILED),
    Outcome.UNCONFIRMED: move(MessageState.HANDING, MessageState.UNCONFIRMED),
    Outcome.NOT_TAKEN: move(MessageState.HANDING, MessageState.PLANNED),
}


@dataclass
class Work:
    """A claimed batch, the account it leaves through, and what it has in common with the others of its step.

    `domain` is the receiving domain whose rate all of it waits for; `in_trouble`: the account had faults lately.
    """

    batch_id: int
    token: UUID
    run_id: int
    step_id: int
    variant: str | None
    account_id: int
    channel: Channel
    domain: str | None
    in_trouble: bool
    prepared: Prepared


@dataclass(frozen=True)
class Window:
    """Rows on their way (id, state, address, then the columns of the work's material). Nothing more is to be done where
    there are none, unless `again_at` tells when the account may take more."""

    rows: Sequence[Row[Any]]
    again_at: datetime | None = None


class Left(NamedTuple):
    """What is left to do: the batch's messages that are planned or on their way, and whether other batches of the run
    are open. Two batches that end at once may each see the other: the sweeper ends their run."""

    messages: int
    batches: bool


def send_batch(batch_id: int) -> int | None:
    """Claim a batch and send what is planned in it. A batch that is taken, done or paused is left alone.

    Returns the run's id where that may have been the last of the run, else None.
    """
    with unit_of_work():
        work = claim_batch(batch_id)
        window = hand_over(work, limit=work.channel.window) if work else None
    if work is None:
        return None
    while window is not None and window.rows:
        results = work.prepared.material.send(work.channel, window.rows)
        left = _record_surely(work, results)
        if not left.messages:
            return None if left.batches else work.run_id
        if any(result.account_at_fault for result in results):
            release(work)
            return None
        with unit_of_work():
            window = hand_over(work, limit=work.channel.window)
    if window is None or window.again_at is not None:
        release(work, due_at=window.again_at if window else None)
        return None
    with unit_of_work():
        finish(work)
    return work.run_id


def claim_batch(batch_id: int) -> Work | None:
    """Take an open, unheld batch that may be sent, in the caller's transaction.

    None where somebody else has it, nothing is to be done, or no account can take it now (it is looked at again later).
    """
    token, session = uuid4(), db.session
    batch = session.execute(
        update(_BATCH)
        .where(Batch.id == batch_id, Batch.state == "open", Batch.token.is_(None), may_send())
        .values(token=token, lease_until=now() + LEASE)
        .returning(
            Batch.run_id,
            Batch.step_id,
            Batch.channel,
            Batch.content_id,
            Batch.variant,
            Batch.domain,
        )
    ).one_or_none()
    if batch is None:
        return None
    prepared = prepare(run_id=batch.run_id, step_id=batch.step_id, variant=batch.variant)
    account = choose_account(batch.channel, purpose=prepared.rules.purpose)
    channel = None if account is None else _open(account)
    if account is None or channel is None:
        _give_back(batch_id, token, due_at=now() + NO_ACCOUNT)
        return None
    version = prepared.content_id
    if batch.content_id is not None and batch.content_id != version:
        _start_anew(batch_id, token)
        return None
    session.execute(update(_BATCH).where(Batch.id == batch_id).values(account_id=account.id, content_id=version))
    return Work(
        batch_id=batch_id,
        token=token,
        run_id=batch.run_id,
        step_id=batch.step_id,
        variant=batch.variant,
        account_id=account.id,
        channel=channel,
        domain=batch.domain if batch.domain in prepared.throttled else None,
        in_trouble=account.failures > 0,
        prepared=prepared,
    )


def _start_anew(batch_id: int, token: UUID) -> None:
    """The step says something else since this batch was begun: what is unsent leaves in batches of its own, so that
    each batch knows the words of all its messages."""
    planned = select(Message.id).where(Message.batch_id == batch_id, Message.state == MessageState.PLANNED)
    put_off(db.session.scalars(planned).all(), until=now(), batch_id=batch_id)
    _close(batch_id, token)


def _open(account: ChannelAccount) -> Channel | None:
    """The account's channel; None where it cannot be made, which the account's state then says."""
    try:
        return channel_of(account)
    except (AppError, ValueError) as error:
        rest_account(account.id, str(error))
        return None


def hand_over(work: Work, *, limit: int) -> Window | None:
    """Move up to `limit` planned rows of the batch to handing; those with a reason against them to skipped, and those
    that have to wait to a batch that is due later. To be committed before anything is sent.

    None where the lease was lost, the campaign no longer runs or the account may not be used any more.
    """
    work.prepared = prepare(run_id=work.run_id, step_id=work.step_id, variant=work.variant)
    account = db.session.execute(
        work.prepared.holding, {"batch": work.batch_id, "by": work.token, "until": now() + LEASE}
    ).one_or_none()
    if account is None:
        return None
    work.in_trouble = account.failures > 0
    take_turns(work.prepared.rules)
    while True:
        leased = lease(account, limit)
        if leased.granted and work.domain is not None:
            to_domain = lease_for_domain(work.domain, leased.granted)
            give_back(account, leased.granted - to_domain.granted)
            leased = to_domain
        if not leased.granted:
            return Window([], leased.again_at)
        going, picked = _judge(work, leased.granted)
        if work.prepared.throttled:
            going = _within_throttles(work, going)
        give_back(account, leased.granted - len(going))
        if work.domain is not None:
            give_back_for_domain(work.domain, leased.granted - len(going))
        if going or not picked:  # else all of them were skipped or wait: the next may go
            return Window(going)


def _judge(work: Work, limit: int) -> tuple[list[Row[Any]], int]:
    """Pick planned rows and write what the rules make of each: those that go, and how many were picked."""
    rows = db.session.execute(
        work.prepared.judging, {"batch": work.batch_id, "account": work.account_id, "window": limit}
    ).all()
    going = [row for row in rows if row.state == MessageState.HANDING]
    if len(going) < len(rows):
        later = {row.id: row.wait_until for row in rows if row.state == MessageState.PLANNED}
        if later:
            put_off_each(later, batch_id=work.batch_id)
        refresh_tally(work.batch_id)
    return going, len(rows)


def _within_throttles(work: Work, rows: list[Row[Any]]) -> list[Row[Any]]:
    """The rows whose receiving domain may get more now; the others wait their turn."""
    by_domain: dict[str, list[Row[Any]]] = {}
    for row in rows:
        by_domain.setdefault(row.address.rpartition("@")[2].lower(), []).append(row)
    too_many: list[Row[Any]] = []
    throttled = by_domain.keys() & (work.prepared.throttled.keys() - {work.domain})
    for domain in sorted(throttled):  # in one order, so that two workers never wait crosswise
        leased = lease_for_domain(domain, len(by_domain[domain]))
        over = by_domain[domain][leased.granted :]
        if over:
            ids = [row.id for row in over]
            queue_for_domain(ids, domain=domain, rate=work.prepared.throttled[domain], batch_id=work.batch_id)
            too_many += over
    if not too_many:
        return rows
    refresh_tally(work.batch_id)
    waiting = {row.id for row in too_many}
    return [row for row in rows if row.id not in waiting]


_RECORD = text(
    f"""
    WITH recorded AS (
        UPDATE message
        SET state = result.state,
            reason = result.reason,
            reference = result.reference,
            unconfirmed_at = CASE WHEN result.state = 'unconfirmed' THEN coalesce(message.unconfirmed_at, :at) END,
            sent_at = CASE WHEN result.state = 'sent' THEN :at ELSE message.sent_at END
        FROM unnest(CAST(:ids AS bigint[]), CAST(:states AS text[]), CAST(:reasons AS text[]),
                    CAST(:references AS text[])) AS result (id, state, reason, reference)
        WHERE message.id = result.id
          AND CASE message.state
              WHEN 'handing' THEN message.batch_id = :batch_id
                                  AND (SELECT token FROM batch WHERE id = :batch_id) = :token
              WHEN 'unconfirmed' THEN result.state = ANY(CAST(:late AS text[]))
              ELSE false
              END
        RETURNING message.id, message.state, message.client_id, message.campaign_id, message.channel, message.sent_at
    ),
    contact AS (
        SELECT '{CONTACTED}', client_id, campaign_id, channel, sent_at
        FROM recorded WHERE state = 'sent' AND channel <> ALL(:done_by_people)
    ),
    noting AS ({noting("contact")})
    SELECT id FROM recorded WHERE state = 'planned'
    """  # noqa: S608 - names of our own
)


def _storable(words: str | None) -> str | None:
    """A vendor's words without the one character that PostgreSQL refuses: it would cost the window its results."""
    return words.replace("\0", "") if words else words


# An unconfirmed message takes its real outcome, whenever it comes.
_STILL_TAKEN_LATE = array_text([MessageState.UNCONFIRMED.value, *NEXT[MessageState.UNCONFIRMED]])


def record_results(work: Work, results: Sequence[Result]) -> Left:
    """Write what became of a window's messages, the contacts made and the batch's counts, in the caller's transaction.
    Where that was all of the batch, it is closed.

    May be called again with the same results, as after a commit whose answer was lost: a row that is being handed over
    by somebody else by then is left alone. A row that was swept to unconfirmed meanwhile takes its real outcome, but
    never goes back to planned.
    """
    planned_again = set(
        db.session.scalars(
            _RECORD,
            {
                "at": now(),
                "done_by_people": DONE_BY_PEOPLE,
                "batch_id": work.batch_id,
                "token": work.token,
                "late": _STILL_TAKEN_LATE,
                "ids": array_text(result.message_id for result in results),
                "states": array_text(STATE_OF[result.outcome].value for result in results),
                "reasons": array_text(_storable(result.reason) for result in results),
                "references": array_text(_storable(result.reference) for result in results),
            },
        )
    )
    refused = [
        result.message_id for result in results if result.message_id in planned_again and not result.account_at_fault
    ]
    if refused:
        postpone(work.batch_id, refused)
    return refresh_tally(work.batch_id, held_by=work.token)


def postpone(batch_id: int, message_ids: Sequence[int]) -> None:
    """Messages that were definitely refused for now wait in a batch that is due later, longer each time.

    After many attempts they have failed. In the caller's transaction; what is not planned any more stays as it is.
    """
    attempts = db.session.scalars(select(Batch.attempts).where(Batch.id == batch_id)).one() + 1
    if attempts >= MAX_ATTEMPTS:
        db.session.execute(
            update(Message)
            .where(Message.id.in_(message_ids), Message.state == MessageState.PLANNED)
            .values(
                state=move(MessageState.PLANNED, MessageState.FAILED),
                reason=func.coalesce(Message.reason, "given up after many attempts"),
            )
            .execution_options(synchronize_session=False)
        )
        return
    db.session.execute(
        update(Message)
        .where(Message.id.in_(message_ids))
        .values(deferred_at=func.coalesce(Message.deferred_at, now()))
        .execution_options(synchronize_session=False)
    )
    pause = timedelta(seconds=min(FIRST_PAUSE_SECONDS * 2 ** (attempts - 1), LONGEST_PAUSE_SECONDS))
    put_off(message_ids, until=now() + pause, batch_id=batch_id, attempts=attempts)


_TALLY = text(
    """
    UPDATE batch
    SET size = counted.size, sent = counted.sent, failed = counted.failed, skipped = counted.skipped,
        unconfirmed = counted.unconfirmed,
        state = CASE WHEN pending = 0 AND token = :held_by THEN 'done' ELSE batch.state END,
        token = CASE WHEN pending = 0 AND token = :held_by THEN NULL ELSE token END,
        lease_until = CASE WHEN pending = 0 AND token = :held_by THEN NULL ELSE lease_until END
    FROM (
        SELECT count(*) AS size,
               count(*) FILTER (WHERE state = 'sent') AS sent,
               count(*) FILTER (WHERE state = 'failed') AS failed,
               count(*) FILTER (WHERE state = 'skipped') AS skipped,
               count(*) FILTER (WHERE state = 'unconfirmed') AS unconfirmed,
               count(*) FILTER (WHERE state IN ('planned', 'handing')) AS pending
        FROM message WHERE batch_id = :batch_id
    ) AS counted
    WHERE batch.id = :batch_id
    RETURNING counted.pending, EXISTS (
        SELECT FROM batch AS other WHERE other.run_id = batch.run_id AND other.state = 'open' AND other.id <> batch.id
    )
    """
).bindparams(bindparam("held_by", type_=Uuid))


def refresh_tally(batch_id: int, *, held_by: UUID | None = None) -> Left:
    """Count the batch's rows anew: at most BATCH_SIZE of them, and never wrong however often a row changed.

    A batch that is held by this token and has nothing left to do is closed.
    """
    return Left(*db.session.execute(_TALLY, {"batch_id": batch_id, "held_by": held_by}).one())


def _record_surely(work: Work, results: Sequence[Result]) -> Left:
    """Record; where the database is away keep the results and try again until it is back."""
    delay = 0.5
    while True:
        try:
            with unit_of_work():
                left = record_results(work, results)
                _note_health(work, results)
            return left
        except OperationalError as error:
            log.error("results_not_recorded_yet", batch=work.batch_id, error=type(error).__name__)
            db.session.remove()
            time.sleep(delay)
            delay = min(delay * 2, 30)


def _note_health(work: Work, results: Sequence[Result]) -> None:
    """Leave an account in trouble alone for a while; one that took messages again is well."""
    faults = [result for result in results if result.account_at_fault]
    if faults:
        until = max((result.again_at for result in faults if result.again_at), default=None)
        rest_account(work.account_id, faults[0].reason or "", until=until)
    elif work.in_trouble and any(result.outcome is Outcome.SENT for result in results):
        account_works(work.account_id)


def release(work: Work, *, due_at: datetime | None = None) -> None:
    """Give the batch back as it is, to be looked at again at `due_at` (None: at once)."""
    with unit_of_work():
        _give_back(work.batch_id, work.token, due_at=due_at or now())


def finish(work: Work) -> None:
    """Close the batch, or give it back where a row of it is planned or on its way, in the caller's transaction."""
    _close(work.batch_id, work.token)


def _close(batch_id: int, token: UUID) -> None:
    if refresh_tally(batch_id, held_by=token).messages:
        _give_back(batch_id, token)


def _give_back(batch_id: int, token: UUID, *, due_at: datetime | None = None) -> None:
    """Where this token still holds it. It stays due when it was, unless told."""
    db.session.execute(
        update(_BATCH)
        .where(Batch.id == batch_id, Batch.token == token)
        .values(token=None, lease_until=None, due_at=due_at or Batch.due_at)
    )
