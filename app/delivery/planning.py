"""From a launch to rows: the audience is frozen once, then one message row per client is planned.

Both steps may be interrupted and run again: a run is unique by campaign, a message by (run, step, client), and
planning goes on with the clients that have none.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial

from pyroaring import BitMap64
from sqlalchemy import ColumnElement, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as pg_insert

from app.audiences.compiler import condition
from app.audiences.fields import load_catalogue
from app.audiences.rules import parse_rule
from app.audiences.sentence import sentence
from app.audiences.snapshots import client_ids, freeze, packed, reach, read_set
from app.campaigns.gates import gates
from app.campaigns.models import Campaign, CampaignSegment, State, Step
from app.campaigns.service import hold, still_approved
from app.campaigns.step_kinds import contacts_of, step_kind
from app.clients.queries import visible_clients
from app.core.arrays import array_text
from app.core.clock import now
from app.core.extensions import db
from app.core.memory import give_back
from app.core.queues import send_task
from app.core.unit_of_work import after_commit, unit_of_work
from app.delivery.experiments.splitting import arms_of, split_run
from app.delivery.material import queue_of
from app.delivery.models import LEFT_OUT, Batch, Message, Run, RunChannel, RunGroup, RunSegment, SeedMessage
from app.delivery.postponing import BATCH_SIZE

CHUNK = 10_000
FIRST_CHUNK = 500  # small, so that the first messages leave while the others are being planned
SEND_BATCH = "delivery.send_batch"
RESEND_AFTER = timedelta(seconds=30)

_INSERT_MESSAGES = text(
    """
    INSERT INTO message (run_id, campaign_id, step_id, client_id, batch_id, channel, branch_id, adviser_id)
    SELECT :run_id, :campaign_id, :step_id, client.id,
           (SELECT CAST(:batch_ids AS bigint[]))[(chosen.place - 1) / :batch_size + 1],
           :channel, client.branch_id, client.adviser_id
    FROM unnest(CAST(:client_ids AS bigint[])) WITH ORDINALITY AS chosen (id, place)
    JOIN client ON client.id = chosen.id
    ORDER BY chosen.place
    ON CONFLICT (run_id, step_id, client_id) DO NOTHING
    """
)


class AudienceMoved(Exception):
    """At the launch `found` clients are eligible: too far from the number that was approved."""

    def __init__(self, found: int) -> None:
        super().__init__(found)
        self.found = found


def plan_run(campaign_id: int, renew: Callable[..., None]) -> None:
    """Freeze the audience of a launched campaign and plan its messages.

    Where the audience is not the one that was approved any more, nothing is planned and the campaign is held.
    Planning ends early where the campaign was cancelled meanwhile. `renew(done=, total=)` is called in each chunk's
    transaction; it raises where the job was taken over.
    """
    try:
        with unit_of_work():
            renew()
            campaign = db.session.get_one(Campaign, campaign_id, populate_existing=True)
            if campaign.state == State.CANCELLED:
                return
            run_id = freeze_run(campaign=campaign).id
    except AudienceMoved as moved:
        with unit_of_work():
            renew()
            hold(campaign=db.session.get_one(Campaign, campaign_id), found=moved.found)
        return
    give_back()
    for step_id in _step_ids(campaign_id):
        plan_step(run_id, step_id, renew)
    with unit_of_work() as session:
        session.execute(
            update(Run).where(Run.id == run_id, Run.state == "planning").values(state="sending", planned_at=now())
        )


def plan_step(run_id: int, step_id: int, renew: Callable[..., None]) -> None:
    """Plan what is not planned yet of a step, in chunks: to everybody treated whom its channel may reach, but for those
    who wait for the end of a test of variants. May be called again at any time; stops where the run was cancelled.
    """
    step = db.session.get_one(Step, step_id)
    campaign_id, channel, contact = step.campaign_id, step.channel, step_kind(step.channel).contact_of(step)
    arms = arms_of(run_id, step_id)
    treated = BitMap64().union(*arms.values()) & _reachable(run_id, contact)
    for chunk in _chunks(treated - _planned(run_id, step_id)):
        with unit_of_work():
            renew(total=len(treated))
            if _cancelled(run_id):
                return
            for variant, ids in arms.items():
                plan_messages(
                    run_id=run_id,
                    campaign_id=campaign_id,
                    step_id=step_id,
                    channel=channel,
                    variant=variant,
                    client_ids=chunk & ids,
                )


def freeze_run(*, campaign: Campaign) -> Run:
    """The campaign's run, made at the first call: who matched, who is excluded and why, who will be sent to.

    Somebody is eligible where one of the steps may reach them; whom each channel may reach is frozen apart.
    Only clients of the owner's part of the firm count, as on the pages that led here.

    The segments chosen for the report are frozen in the same transaction, cut down to the eligible, and of these are
    drawn who is contacted and who is not, and who gets which variant.
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
        gates=gates(campaign, of_many=True),
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
    frozen_segments = {
        link.segment_id: _freeze_segment(run, link, position, audience.eligible, scope, everyone=included == [link])
        for position, link in enumerate(_reported(campaign))
    }
    split_run(run, campaign, eligible=audience.eligible, segments=frozen_segments)
    _keep_left_out(run, audience.left_out)
    _plan_seeds(run, campaign)
    return run


def _keep_left_out(run: Run, left_out: Mapping[str, BitMap64]) -> None:
    """So that the number of each reason leads to its clients."""
    for reason, ids in left_out.items():
        db.session.add(
            RunGroup(run_id=run.id, dimension=LEFT_OUT, key=reason, name=reason, bitmap=ids.serialize(), size=len(ids))
        )


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
) -> BitMap64:
    """Returns its eligible clients; `everyone`: those are all, because it is the only segment that is sent to."""
    catalogue = load_catalogue()
    rule = parse_rule(link.segment.rule, catalogue)
    where = condition(rule, catalogue=catalogue, scope=scope)
    ids = eligible if everyone else client_ids(where) & eligible
    snapshot = freeze(
        name=link.segment.name,
        ids=ids,
        segment=link.segment,
        rule=link.segment.rule,
        sentence=sentence(rule, catalogue),
    )
    db.session.add(RunSegment(run_id=run.id, segment_id=link.segment_id, position=position, snapshot_id=snapshot.id))
    return ids


def _plan_seeds(run: Run, campaign: Campaign) -> None:
    for step in campaign.steps:
        for seed in campaign.seeds if step.channel == "email" else ():
            db.session.execute(
                pg_insert(SeedMessage).values(run_id=run.id, step_id=step.id, email=seed.email).on_conflict_do_nothing()
            )


def _reachable(run_id: int, channel: str) -> BitMap64:
    """Whom the run may reach on a channel."""
    reached = db.session.get(RunChannel, (run_id, channel))
    audience = reached.audience if reached else db.session.get_one(Run, run_id).audience
    return audience.client_ids if audience else BitMap64()


def _cancelled(run_id: int) -> bool:
    """Whether somebody cancelled the run or its campaign. Who does so now waits for the end of the transaction, so that
    what it plans is cancelled too."""
    row = db.session.execute(
        select(Run.state, Campaign.state)
        .join(Campaign, Campaign.id == Run.campaign_id)
        .where(Run.id == run_id)
        .with_for_update(read=True, of=Run)
    ).one()
    return "cancelled" in row


def _step_ids(campaign_id: int) -> Sequence[int]:
    return db.session.scalars(select(Step.id).where(Step.campaign_id == campaign_id).order_by(Step.position)).all()


def _planned(run_id: int, step_id: int) -> BitMap64:
    planned = select(packed(Message.client_id.expression)).where(Message.run_id == run_id, Message.step_id == step_id)
    return read_set(planned)


def _chunks(clients: BitMap64) -> Iterator[BitMap64]:
    """By ascending id, the first chunk small."""
    start, size = 0, FIRST_CHUNK
    while start < len(clients):
        yield clients[start : start + size]
        start += size
        size = CHUNK


def plan_messages(
    *, run_id: int, campaign_id: int, step_id: int, channel: str, variant: str | None, client_ids: BitMap64
) -> list[int]:
    """Write the batches and message rows of these clients and send the batches out after the commit.

    Returns the batch ids. Whoever asks: the run's control group is left out, here, where every message begins.
    """
    chosen = list(client_ids - db.session.get_one(Run, run_id).control_ids)
    sizes = [len(chosen[start : start + BATCH_SIZE]) for start in range(0, len(chosen), BATCH_SIZE)]
    if not sizes:
        return []
    batch_ids = list(
        db.session.scalars(
            insert(Batch).returning(Batch.id, sort_by_parameter_order=True),
            [
                {
                    "run_id": run_id,
                    "step_id": step_id,
                    "channel": channel,
                    "variant": variant,
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
            "batch_ids": array_text(batch_ids),
            "batch_size": BATCH_SIZE,
            "client_ids": array_text(chosen),
        },
    )
    for batch_id in batch_ids:
        after_commit(partial(send_task, SEND_BATCH, queue_of(channel), batch_id))
    return batch_ids
