"""From a launch to rows: the audience is frozen once, then one message row per client is planned.

Both steps may be interrupted and run again: a run is unique by campaign, a message by (run, step, client), and
planning goes on after the last client that was planned.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from functools import partial

from pyroaring import BitMap64
from sqlalchemy import ColumnElement, bindparam, func, insert, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.types import BigInteger

from app.audiences.compiler import condition
from app.audiences.fields import load_catalogue
from app.audiences.rules import parse_rule
from app.audiences.sentence import sentence
from app.audiences.snapshots import client_ids, freeze, reach
from app.campaigns.gates import gates
from app.campaigns.models import Campaign, CampaignSegment, Step
from app.campaigns.service import hold, still_approved
from app.campaigns.step_kinds import contacts_of, step_kind
from app.clients.queries import visible_clients
from app.core.clock import now
from app.core.extensions import db
from app.core.queues import send_task
from app.core.unit_of_work import after_commit, unit_of_work
from app.delivery.material import queue_of
from app.delivery.models import Batch, Message, Run, RunChannel, RunSegment, SeedMessage
from app.delivery.postponing import BATCH_SIZE

CHUNK = 10_000
FIRST_CHUNK = BATCH_SIZE  # small, so that the first messages leave while the others are being planned
SEND_BATCH = "delivery.send_batch"
RESEND_AFTER = timedelta(seconds=30)

_INSERT_MESSAGES = text(
    """
    INSERT INTO message (run_id, campaign_id, step_id, client_id, batch_id, channel, branch_id, adviser_id)
    SELECT :run_id, :campaign_id, :step_id, client.id, (:batch_ids)[(chosen.place - 1) / :batch_size + 1],
           :channel, client.branch_id, client.adviser_id
    FROM unnest(:client_ids) WITH ORDINALITY AS chosen (id, place)
    JOIN client ON client.id = chosen.id
    ORDER BY chosen.place
    ON CONFLICT (run_id, step_id, client_id) DO NOTHING
    """
).bindparams(bindparam("batch_ids", type_=ARRAY(BigInteger)), bindparam("client_ids", type_=ARRAY(BigInteger)))


class AudienceMoved(Exception):
    """At the launch `found` clients are eligible: too far from the number that was approved."""

    def __init__(self, found: int) -> None:
        super().__init__(found)
        self.found = found


def plan_run(campaign_id: int, renew: Callable[..., None]) -> None:
    """Freeze the audience of a launched campaign and plan its messages.

    Where the audience is not the one that was approved any more, nothing is planned and the campaign is held.
    `renew(done=, total=)` is called in each chunk's transaction; it raises where the job was taken over.
    """
    try:
        with unit_of_work():
            renew()
            run_id = freeze_run(campaign=db.session.get_one(Campaign, campaign_id)).id
    except AudienceMoved as moved:
        with unit_of_work():
            renew()
            hold(campaign=db.session.get_one(Campaign, campaign_id), found=moved.found)
        return
    for step_id, channel, contact in _steps(campaign_id):
        eligible = _eligible(run_id, contact)
        for chunk in _unplanned_chunks(run_id, step_id, eligible):
            with unit_of_work():
                renew(total=len(eligible))
                plan_messages(
                    run_id=run_id, campaign_id=campaign_id, step_id=step_id, channel=channel, client_ids=chunk
                )
    with unit_of_work():
        run = db.session.get_one(Run, run_id)
        if run.state == "planning":
            run.state = "sending"
            run.planned_at = now()


def freeze_run(*, campaign: Campaign) -> Run:
    """The campaign's run, made at the first call: who matched, who is excluded and why, who will be sent to.

    Somebody is sent to where one of the steps may reach them; whom each channel may reach is frozen apart.
    Only clients of the owner's part of the firm count, as on the pages that led here.

    The segments chosen for the report are frozen in the same transaction, cut down to the eligible.
    """
    existing = db.session.scalar(select(Run).where(Run.campaign_id == campaign.id, Run.number == 1).with_for_update())
    if existing is not None:
        return existing
    scope = visible_clients(campaign.owner)
    included = [link for link in campaign.segments if link.role == "include"]
    excluded = [link for link in campaign.segments if link.role == "exclude"]
    audience = reach(
        included=[link.segment.rule for link in included],
        excluded=[link.segment.rule for link in excluded],
        channels=contacts_of(campaign),
        purpose=campaign.purpose,
        visible=scope,
        gates=gates(campaign),
    )
    if not still_approved(campaign, len(audience.eligible)):
        raise AudienceMoved(len(audience.eligible))
    frozen = freeze(name=f"{campaign.code}: audience", ids=audience.eligible)
    run = Run(
        campaign_id=campaign.id,
        number=1,
        audience_id=frozen.id,
        matched=len(audience.matched),
        eligible=len(audience.eligible),
        exclusions=audience.exclusions,
    )
    db.session.add(run)
    db.session.flush()
    for channel, reached in audience.channels.items():
        alone = len(audience.channels) == 1
        ids = frozen if alone else freeze(name=f"{campaign.code}: {channel}", ids=reached.eligible)
        db.session.add(
            RunChannel(
                run_id=run.id,
                channel=channel,
                audience_id=ids.id,
                eligible=len(reached.eligible),
                exclusions=reached.exclusions,
            )
        )
    for position, link in enumerate(_reported(campaign)):
        _freeze_segment(run, link, position, audience.eligible, scope, everyone=included == [link])
    _plan_seeds(run, campaign)
    return run


def _reported(campaign: Campaign) -> Iterator[CampaignSegment]:
    """Included segments first, then those chosen to report by; none twice."""
    seen: set[int] = set()
    for role in ("include", "report"):
        for link in campaign.segments:
            if link.role == role and link.segment_id not in seen:
                seen.add(link.segment_id)
                yield link


def _freeze_segment(
    run: Run,
    link: CampaignSegment,
    position: int,
    eligible: BitMap64,
    scope: ColumnElement[bool],
    *,
    everyone: bool,
) -> None:
    """`everyone`: it is the only segment that is sent to, so all the eligible are in it."""
    catalogue = load_catalogue()
    rule = parse_rule(link.segment.rule, catalogue)
    where = condition(rule, catalogue=catalogue, scope=scope)
    snapshot = freeze(
        name=link.segment.name,
        ids=eligible if everyone else client_ids(where) & eligible,
        segment=link.segment,
        rule=link.segment.rule,
        sentence=sentence(rule, catalogue),
    )
    db.session.add(RunSegment(run_id=run.id, segment_id=link.segment_id, position=position, snapshot_id=snapshot.id))


def _plan_seeds(run: Run, campaign: Campaign) -> None:
    for step in campaign.steps:
        for seed in campaign.seeds if step.channel == "email" else ():
            db.session.execute(
                pg_insert(SeedMessage).values(run_id=run.id, step_id=step.id, email=seed.email).on_conflict_do_nothing()
            )


def _eligible(run_id: int, channel: str) -> BitMap64:
    """Whom the run may reach on a channel."""
    reached = db.session.get(RunChannel, (run_id, channel))
    audience = reached.audience if reached else db.session.get_one(Run, run_id).audience
    return audience.client_ids if audience else BitMap64()


def _steps(campaign_id: int) -> list[tuple[int, str, str]]:
    """Id, channel and the channel whose consent counts, in their order."""
    steps = db.session.scalars(select(Step).where(Step.campaign_id == campaign_id).order_by(Step.position))
    return [(step.id, step.channel, step_kind(step.channel).contact_of(step)) for step in steps]


def _unplanned_chunks(run_id: int, step_id: int, eligible: BitMap64) -> Iterator[list[int]]:
    """Client ids in ascending order, from after the last one planned."""
    last = db.session.scalar(
        select(func.max(Message.client_id)).where(Message.run_id == run_id, Message.step_id == step_id)
    )
    start = eligible.rank(last) if last is not None else 0
    size = FIRST_CHUNK
    while start < len(eligible):
        yield list(eligible[start : start + size])
        start += size
        size = CHUNK


def plan_messages(*, run_id: int, campaign_id: int, step_id: int, channel: str, client_ids: Sequence[int]) -> list[int]:
    """Write the batches and message rows of these clients and send the batches out after the commit.

    Returns the batch ids. Planning the same clients twice changes nothing.
    """
    sizes = [len(client_ids[start : start + BATCH_SIZE]) for start in range(0, len(client_ids), BATCH_SIZE)]
    batch_ids = list(
        db.session.scalars(
            insert(Batch).returning(Batch.id, sort_by_parameter_order=True),
            [
                {
                    "run_id": run_id,
                    "step_id": step_id,
                    "channel": channel,
                    "size": size,
                    "due_at": now() + RESEND_AFTER,
                }
                for size in sizes
            ],
        )
    )
    db.session.execute(
        _INSERT_MESSAGES,
        {
            "run_id": run_id,
            "campaign_id": campaign_id,
            "step_id": step_id,
            "channel": channel,
            "batch_ids": batch_ids,
            "batch_size": BATCH_SIZE,
            "client_ids": list(client_ids),
        },
    )
    for batch_id in batch_ids:
        after_commit(partial(send_task, SEND_BATCH, queue_of(channel), batch_id))
    return batch_ids
