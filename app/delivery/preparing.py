"""What the batches of a step have in common: its rules, its words, and the statements that hand their windows over.

Reading and writing all that costs more than handing a window over, so a process that goes from batch to batch does it
once a second.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Executable,
    Uuid,
    bindparam,
    case,
    func,
    select,
    update,
)

from app.campaigns.models import Campaign, Step, Variant
from app.campaigns.step_kinds import step_kind, words_of
from app.channels.limits import LEASED_BY, throttled_domains
from app.channels.models import ChannelAccount
from app.clients.models import Client
from app.core.clock import now
from app.core.extensions import Timestamp, db, table_of
from app.delivery.material import Material, load_material
from app.delivery.models import Batch, Message, MessageState, Run, move
from app.delivery.routing import may_take
from app.delivery.rules import Rules, may_send, rules_of, skip_if_leaving, skip_reason, wait_until

LASTS = timedelta(seconds=1)
# Rows that are no objects: reading them by way of the mapped classes takes a third longer.
_BATCH, _MESSAGE = table_of(Batch), table_of(Message)
_MOST = 100  # steps and variants that a process remembers


@dataclass(frozen=True)
class Prepared:
    """A step of a run, in one variant, as it was at a moment.

    `content_id` is the version of its words. `holding` holds a `batch` for the token `by` `until` a time and returns
    what its account may take: no row where the lease was lost, the campaign no longer runs, the words changed or the
    account may not be used any more. `judging` picks up to `window` planned rows of a `batch` for an `account` and
    writes what the rules make of each.
    """

    at: datetime
    rules: Rules
    content_id: int | None
    material: Material
    throttled: Mapping[str, float]
    holding: Executable
    judging: Executable


_prepared: dict[tuple[int, int, str | None], Prepared] = {}


def prepare(*, run_id: int, step_id: int, variant: str | None) -> Prepared:
    """All that as it is now, or was at most a second ago. Raises LookupError where the step says nothing."""
    at, key = now(), (run_id, step_id, variant)
    known = _prepared.get(key)
    if known is not None and timedelta() <= at - known.at < LASTS:
        return known
    if len(_prepared) >= _MOST:
        _prepared.clear()
    session = db.session
    step = session.get_one(Step, step_id)
    campaign = session.get_one(Campaign, step.campaign_id)
    rules = rules_of(campaign, step=step, run=session.get_one(Run, run_id))
    material = load_material(step, campaign, variant)
    made = _prepared[key] = Prepared(
        at=at,
        rules=rules,
        content_id=getattr(words_of(step, variant), step_kind(step.channel).column),
        material=material,
        throttled=throttled_domains() if step.channel == "email" else {},
        holding=_holding(rules, _version_now(step, variant)),
        judging=_judging(rules, material, at),
    )
    return made


def _version_now(step: Step, variant: str | None) -> ColumnElement[int | None]:
    """Over batch: the version of the step's words at the time of the statement."""
    column = step_kind(step.channel).column
    words = select(getattr(Step, column)).where(Step.id == Batch.step_id)
    if variant not in (None, "A"):
        own = Variant.step_id == Batch.step_id, Variant.letter == Batch.variant
        words = select(getattr(Variant, column)).where(*own)
    return words.correlate(Batch).scalar_subquery()


def _holding(rules: Rules, version: ColumnElement[int | None]) -> Executable:
    return (
        update(_BATCH)
        .where(
            Batch.id == bindparam("batch", type_=BigInteger),
            Batch.token == bindparam("by", type_=Uuid),
            may_send(),
            Batch.content_id.is_not_distinct_from(version),
            Batch.account_id == ChannelAccount.id,
            *may_take(rules.purpose),
        )
        .values(lease_until=bindparam("until", type_=Timestamp))
        .returning(*LEASED_BY, ChannelAccount.failures)
    )


def _judging(rules: Rules, material: Material, at: datetime) -> Executable:
    picked = (
        select(Message.id)
        .where(Message.batch_id == bindparam("batch", type_=BigInteger), Message.state == MessageState.PLANNED)
        .order_by(Message.id)
        .limit(bindparam("window", type_=BigInteger))
        .cte("picked")
    )
    judged = (
        select(
            Message.id.label("message_id"),
            skip_reason(rules, material=material).label("reason"),
            wait_until(rules, at=at).label("wait_until"),
            skip_if_leaving(rules, at=at).label("reason_if_leaving"),
            material.address.label("address"),
            *material.columns,
        )
        .join(picked, picked.c.id == Message.id)
        .join(Client, Client.id == Message.client_id)
        .cte("judged")
    )
    if not rules.plain:  # else its expressions would be worked out once for each place they are named in
        judged = judged.prefix_with("MATERIALIZED")
    state = case(
        (judged.c.reason.is_not(None), move(MessageState.PLANNED, MessageState.SKIPPED).value),
        (judged.c.wait_until.is_not(None), MessageState.PLANNED.value),
        (judged.c.reason_if_leaving.is_not(None), move(MessageState.PLANNED, MessageState.SKIPPED).value),
        else_=move(MessageState.PLANNED, MessageState.HANDING).value,
    )
    reason = case(
        (judged.c.wait_until.is_(None), func.coalesce(judged.c.reason, judged.c.reason_if_leaving)),
        else_=judged.c.reason,
    )
    return (
        update(_MESSAGE)
        # The state once more, of the row as it is by now: it may have been cancelled meanwhile. Not the batch too:
        # where statistics are old, PostgreSQL would look for each row among all of its batch.
        .where(Message.id == judged.c.message_id, Message.state == MessageState.PLANNED)
        .values(
            state=state,
            reason=reason,
            account_id=bindparam("account", type_=BigInteger),
            domain=func.nullif(func.split_part(func.lower(judged.c.address), "@", 2), ""),
        )
        .returning(
            _MESSAGE.c.id,
            _MESSAGE.c.state,
            judged.c.address,
            *(judged.c[column.name] for column in material.columns),
            judged.c.wait_until,
        )
    )
