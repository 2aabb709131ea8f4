"""What may be done with a campaign, each verb in the caller's transaction.

Every change of state goes through `_move`: one compare-and-set UPDATE along the table `NEXT`, so that of two people
(or a person and a tick) who act at once exactly one wins and the other reads Conflict. Edits take the row lock
first, so nothing changes between the check and the move.
"""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from email_validator import EmailNotValidError, validate_email
from flask_babel import lazy_gettext as _l
from sqlalchemy import Integer, cast, func, select, update

from app.audiences.models import Segment
from app.audit.service import record
from app.campaigns.models import (
    NEXT,
    PURPOSES,
    STATE_LABELS,
    Campaign,
    CampaignSegment,
    Seed,
    State,
    Step,
    Variant,
)
from app.campaigns.preflight import preflight
from app.campaigns.queries import audience_preview, in_own_part
from app.campaigns.sending_rules import rules_in_force
from app.campaigns.step_kinds import step_kind, step_on
from app.content.models import EmailContent
from app.content.service import new_content, same_words
from app.core.clock import now
from app.core.errors import AppError, Conflict, Forbidden
from app.core.events import emit
from app.core.extensions import db
from app.core.guards import check
from app.core.permissions import Actor, Permission, require
from app.users.models import User

LAUNCH = "launch campaign"  # the guard that other features may refuse a launch through
RESERVED_CODES = {"new"}
MAX_SEEDS = 50
MAX_STEPS = 8
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
APPROVAL_GOOD_FOR = timedelta(days=365)


class CodeTaken(Conflict):
    message = _l("Another campaign has this code. Choose a different one.")


class WrongState(Conflict):
    """The campaign's state does not allow the step (or somebody else was quicker)."""

    def __init__(self, campaign: Campaign) -> None:
        super().__init__(
            _l(
                "This is not possible while the campaign is “%(state)s”. Reload the page to see how it stands now.",
                state=STATE_LABELS[State(campaign.state)],
            )
        )


class NotReady(AppError):
    """Something is missing before the campaign can be submitted; the message says what."""


class OtherPart(Forbidden):
    message = _l("This campaign belongs to a part of the firm above yours. You may copy it and change the copy.")


class OwnCampaign(Forbidden):
    message = _l("You submitted this campaign yourself. Somebody else has to check it.")


class ApprovalExpired(Conflict):
    message = _l("An approval is good for twelve months. Take the campaign back to draft and submit it again.")


# ---- Setting up -----------------------------------------------------------------------------------------------------


def create_campaign(
    *,
    name: str,
    purpose: str = "marketing",
    tags: Sequence[str] = (),
    window_days: int = 30,
    code: str | None = None,
    actor: Actor | None,
) -> Campaign:
    """Begin a campaign as a draft with one e-mail step. Without a code it gets the year's next, such as 2026-0007."""
    facts = _checked_facts(name=name, purpose=purpose, tags=tags, window_days=window_days)
    db.session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended("campaign code", 0))))
    campaign = Campaign(
        code=_free_code(code) if code else _next_code(),
        state=State.DRAFT,
        owner_id=actor.id if actor else None,
        steps=[Step(position=0, channel="email")],
        **facts,
    )
    db.session.add(campaign)
    db.session.flush()
    changes = {key: [None, value] for key, value in {"code": campaign.code, **facts}.items()}
    note_act(campaign, "created", actor, changes=changes)
    return campaign


def update_campaign(
    *, campaign: Campaign, name: str, purpose: str, tags: Sequence[str], window_days: int, actor: Actor | None
) -> None:
    """Change the facts of a campaign that is still open to change."""
    facts = _checked_facts(name=name, purpose=purpose, tags=tags, window_days=window_days)
    changes = {key: [getattr(campaign, key), value] for key, value in facts.items() if getattr(campaign, key) != value}
    if not changes:
        return
    open_for_editing(campaign, actor)
    for key, value in facts.items():
        setattr(campaign, key, value)
    note_act(campaign, "updated", actor, changes=changes)


def set_segments(
    *,
    campaign: Campaign,
    include: Sequence[Segment],
    exclude: Sequence[Segment] = (),
    report: Sequence[Segment] = (),
    actor: Actor | None,
) -> None:
    """Choose whom to send to, whom to leave out, and by which further segments to report."""
    wanted = {"include": list(include), "exclude": list(exclude), "report": list(report)}
    if {segment.id for segment in include} & {segment.id for segment in exclude}:
        raise AppError(_l("A segment cannot be both included and excluded."))
    open_for_editing(campaign, actor)
    _hold_segments({segment.id for segments in wanted.values() for segment in segments})
    changes: dict[str, Any] = {}
    kept: list[CampaignSegment] = []
    for role, segments in wanted.items():
        before = {link.segment_id: link for link in campaign.segments if link.role == role}
        unique = list({segment.id: segment for segment in segments}.values())
        for position, segment in enumerate(unique):
            link = before.get(segment.id) or CampaignSegment(segment_id=segment.id, role=role)
            link.position = position
            kept.append(link)
        if list(before) != [segment.id for segment in unique]:
            changes[role] = [list(before), [segment.id for segment in unique]]
    if not changes:
        return
    campaign.segments = kept
    db.session.flush()
    db.session.refresh(campaign, ["segments"])
    note_act(campaign, "audience_changed", actor, changes=changes)


def set_content(
    *,
    campaign: Campaign,
    format: str,
    subject: str,
    preheader: str,
    source: str,
    actor: Actor | None,
    seen_content_id: int | None = None,
    step: Step | None = None,
    variant: Variant | None = None,
) -> EmailContent:
    """Write an e-mail of the campaign (`step` None: its first): a new immutable version, unless nothing changed.

    `seen_content_id` is the version the editor began from (0: none); Conflict where there is a newer one.
    """
    content = new_content(format=format, subject=subject, preheader=preheader, source=source, actor=actor)
    step = step or step_on(campaign, "email")
    if step is None:
        raise AppError(_l("This campaign has no e-mail. Add one first."))
    before = (variant or step).content
    if before is not None and same_words(before, content):
        return before
    changes = (
        {}
        if before and before.subject == content.subject
        else {"subject": [before and before.subject, content.subject]}
    )
    set_step_content(
        campaign=campaign,
        step=step,
        content=content,
        actor=actor,
        seen_content_id=seen_content_id,
        changes=changes,
        variant=variant,
    )
    return content


def set_seeds(*, campaign: Campaign, emails: Sequence[str], actor: Actor | None) -> None:
    """The staff addresses that get a copy of the real send. They are outside all counts, so approval stands."""
    addresses = list(dict.fromkeys(_address(email) for email in emails if email.strip()))
    if len(addresses) > MAX_SEEDS:
        raise AppError(_l("A seed list holds at most %(limit)s addresses.", limit=MAX_SEEDS))
    _lock(campaign)
    _check_own_part(campaign, actor)
    if campaign.launched_at is not None or State(campaign.state) == State.CANCELLED:
        raise WrongState(campaign)
    kept = {seed.email: seed for seed in campaign.seeds}
    if list(kept) == addresses:
        return
    campaign.seeds = [kept.get(address) or Seed(email=address) for address in addresses]
    db.session.flush()
    note_act(campaign, "seeds_changed", actor, changes={"addresses": [len(kept), len(addresses)]})


def duplicate(*, campaign: Campaign, actor: Actor | None) -> Campaign:
    """A new draft with the same facts, segments still in use, message and seed list; nothing of its history."""
    copy = create_campaign(
        name=str(_l("Copy of %(name)s", name=campaign.name)),
        purpose=campaign.purpose,
        tags=campaign.tags,
        window_days=campaign.window_days,
        actor=actor,
    )
    copy.topic_id = campaign.topic_id
    copy.segments = [
        CampaignSegment(
            segment_id=link.segment_id,
            role=link.role,
            position=link.position,
            control_percent=link.control_percent,
        )
        for link in campaign.segments
        if link.segment.archived_at is None
    ]
    copy.control_percent = campaign.control_percent
    copy.attribution_model, copy.effective_rule = campaign.attribution_model, campaign.effective_rule
    copy.fixed_cost = campaign.fixed_cost
    copy.seeds = [Seed(email=seed.email) for seed in campaign.seeds]
    copy.steps.clear()
    db.session.flush()
    copy.steps = [_copy_of(step) for step in campaign.steps]
    db.session.flush()
    note_act(copy, "copied", actor, changes={"copied_from": [None, campaign.id]})
    return copy


def _copy_of(step: Step) -> Step:
    """A step that says the same, in the same variants, tested in the same way."""
    column = step_kind(step.channel).column
    return Step(
        position=step.position,
        channel=step.channel,
        unit_cost=step.unit_cost,
        test_percent=step.test_percent,
        test_metric=step.test_metric,
        test_hours=step.test_hours,
        variants=[
            Variant(letter=variant.letter, share=variant.share, **{column: getattr(variant, column)})
            for variant in step.variants
        ],
        **{column: getattr(step, column)},
    )


# ---- Steps ----------------------------------------------------------------------------------------------------------


def add_step(*, campaign: Campaign, channel: str, actor: Actor | None) -> Step:
    """A further message at the end, with nothing written yet. Raises NotFound for a channel that is not installed."""
    kind = step_kind(channel)
    open_for_editing(campaign, actor)
    if len(campaign.steps) >= MAX_STEPS:
        raise AppError(_l("A campaign has at most %(limit)s steps.", limit=MAX_STEPS))
    step = Step(position=len(campaign.steps), channel=kind.channel, test_metric=(*kind.metrics, "clicked")[0])
    campaign.steps.append(step)
    db.session.flush()
    note_act(campaign, "step_added", actor, changes={"step": [None, step.id], "channel": [None, step.channel]})
    return step


def remove_step(*, campaign: Campaign, step: Step, actor: Actor | None) -> None:
    """Take a step out. What it said is kept as a version. The last one stays: a campaign sends something."""
    open_for_editing(campaign, actor)
    if step not in campaign.steps:
        raise Conflict
    if len(campaign.steps) == 1:
        raise AppError(_l("A campaign needs at least one step."))
    changes = {
        "step": [step.id, None],
        "channel": [step.channel, None],
        "content": [getattr(step, step_kind(step.channel).column), None],
    }
    campaign.steps.remove(step)
    db.session.flush()
    _put_in_order(campaign, campaign.steps)
    note_act(campaign, "step_removed", actor, changes=changes)


def move_step(*, campaign: Campaign, step: Step, position: int, actor: Actor | None) -> None:
    """Put a step at a place among the others, 0 being the first."""
    open_for_editing(campaign, actor)
    if step not in campaign.steps:
        raise Conflict
    others = [other for other in campaign.steps if other is not step]
    position = max(0, min(position, len(others)))
    if position == step.position:
        return
    changes = {"step": [step.id, step.id], "position": [step.position, position]}
    _put_in_order(campaign, [*others[:position], step, *others[position:]])
    note_act(campaign, "step_moved", actor, changes=changes)


def set_step_content(
    *,
    campaign: Campaign,
    step: Step,
    content: Any,
    actor: Actor | None,
    seen_content_id: int | None = None,
    changes: dict[str, Any] | None = None,
    variant: Variant | None = None,
) -> None:
    """Give a step (or one of its variants) a new version of what it says: a row of its kind's table, not stored yet.

    `seen_content_id` is the version the editor began from (0: none); Conflict where there is a newer one. `changes`
    are further facts for the audit trail.
    """
    column = step_kind(step.channel).column
    open_for_editing(campaign, actor, revising=True)
    if step not in campaign.steps:
        raise Conflict
    db.session.refresh(step)
    if variant is not None and variant not in step.variants:
        raise Conflict
    words = variant or step
    db.session.refresh(words)
    before = getattr(words, column)
    if seen_content_id is not None and seen_content_id != (before or 0):
        raise Conflict
    db.session.add(content)
    db.session.flush()
    setattr(words, column, content.id)
    db.session.flush()
    db.session.refresh(words)
    changed = {"content": [before, content.id]} | ({"variant": [None, variant.letter]} if variant else {})
    note_act(campaign, "content_changed", actor, changes={**changed, **(changes or {})})


def _put_in_order(campaign: Campaign, steps: Sequence[Step]) -> None:
    """Positions from 0 in this order; by way of others, because no two may ever be equal."""
    for sign in (-1, 1):
        for position, step in enumerate(steps):
            step.position = position if sign > 0 else -1 - position
        db.session.flush()
    db.session.refresh(campaign, ["steps"])


# ---- Approval -------------------------------------------------------------------------------------------------------


def submit(*, campaign: Campaign, actor: Actor) -> None:
    """Hand the draft to compliance. NotReady says everything that is missing or forbidden."""
    _lock(campaign)
    _check_own_part(campaign, actor)
    if State(campaign.state) not in (State.DRAFT, State.REVISING):
        raise WrongState(campaign)
    _hold_segments({link.segment_id for link in campaign.segments})
    _check_ready(campaign)
    _move(
        campaign,
        State.IN_REVIEW,
        since={State.DRAFT, State.REVISING},
        action="submitted",
        actor=actor,
        submitted_by_id=actor.id,
        submitted_at=now(),
        approved_by_id=None,
        approved_at=None,
        returned_reason=None,
    )


def approve(*, campaign: Campaign, actor: Actor, seen: datetime | None = None) -> None:
    """Release the campaign for sending: by a checker, never by the one who submitted it.

    How many clients it would reach is approved with it; see `still_approved`.
    `seen` is the submission the checker looked at; Conflict where it was withdrawn and submitted anew since.
    """
    _check_checker(campaign, actor)
    _lock(campaign)
    if seen is not None and campaign.submitted_at != seen:
        raise Conflict
    count = audience_preview(campaign).eligible if campaign.launched_at is None else campaign.approved_count
    _move(
        campaign,
        State.APPROVED,
        since={State.IN_REVIEW},
        action="approved",
        actor=actor,
        approved_by_id=actor.id,
        approved_at=now(),
        approved_count=count,
    )


def send_back(*, campaign: Campaign, reason: str, actor: Actor) -> None:
    """Return the campaign to its author with the reason."""
    _check_checker(campaign, actor)
    reason = reason.strip()
    if not reason:
        raise AppError(_l("Say what has to change, so that the author can act on it."))
    _move(
        campaign,
        _open_state(campaign),
        since={State.IN_REVIEW},
        action="returned",
        actor=actor,
        reason=reason,
        returned_reason=reason,
    )


def withdraw(*, campaign: Campaign, actor: Actor) -> None:
    """Take a submitted or approved campaign back to draft, to change it. An approval is lost by this."""
    _check_own_part(campaign, actor)
    _reopen(campaign, actor)


# ---- Sending --------------------------------------------------------------------------------------------------------


def schedule(*, campaign: Campaign, send_at: datetime, actor: Actor) -> None:
    """Launch by itself at `send_at` (aware)."""
    _check_not_launched(campaign)
    if send_at <= now():
        raise AppError(_l("This time has passed. Choose a later one, or launch now."))
    _check_approval_lasts(campaign, send_at)
    _move(
        campaign,
        State.SCHEDULED,
        since={State.APPROVED},
        action="scheduled",
        actor=actor,
        send_at=send_at,
        returned_reason=None,
    )


def unschedule(*, campaign: Campaign, actor: Actor) -> None:
    """Take the time back; the approval stands."""
    _move(campaign, State.APPROVED, since={State.SCHEDULED}, action="unscheduled", actor=actor, send_at=None)


def launch(*, campaign: Campaign, actor: Actor | None) -> None:
    """Start sending. The audience is frozen by the listener of "campaign.launched". `actor` None: the schedule."""
    _check_not_launched(campaign)
    check(LAUNCH, campaign.id)
    _check_approval_lasts(campaign, now())
    _move(
        campaign,
        State.RUNNING,
        since={State.APPROVED, State.SCHEDULED},
        action="launched",
        actor=actor,
        launched_at=now(),
    )
    emit("campaign.launched", campaign_id=campaign.id)


def still_approved(campaign: Campaign, found: int) -> bool:
    """Whether so many clients are still about as many as were approved, by the firm's tolerance."""
    if campaign.approved_count is None:
        return True
    return abs(found - campaign.approved_count) * 100 <= rules_in_force().launch_tolerance * campaign.approved_count


def hold(*, campaign: Campaign, found: int) -> None:
    """The launch found another audience than was approved (called by delivery): somebody has to decide."""
    _move(
        campaign,
        State.HELD,
        since={State.RUNNING},
        action="held",
        actor=None,
        held_count=found,
        launched_at=None,
        send_at=None,
    )


def accept_audience(*, campaign: Campaign, seen: int, actor: Actor) -> None:
    """Approve the audience that the launch found and go on: by a checker who did not submit the campaign.

    `seen` is the count they looked at; Conflict where it is another one by now.
    """
    _check_checker(campaign, actor)
    check(LAUNCH, campaign.id)
    _lock(campaign)
    if campaign.held_count != seen:
        raise Conflict
    counts = [campaign.approved_count, seen]
    _move(
        campaign,
        State.RUNNING,
        since={State.HELD},
        action="audience_accepted",
        actor=actor,
        changes={"approved_count": counts},
        approved_by_id=actor.id,
        approved_at=now(),
        approved_count=seen,
        held_count=None,
        launched_at=now(),
    )
    emit("campaign.launched", campaign_id=campaign.id)


def pause(*, campaign: Campaign, actor: Actor) -> None:
    """Stop after the messages that are being handed over right now."""
    _move(campaign, State.PAUSED, since={State.RUNNING}, action="paused", actor=actor)


def revise(*, campaign: Campaign, actor: Actor) -> None:
    """Change what a paused campaign says, and when it leaves. It needs a new approval and touches the unsent only."""
    _check_own_part(campaign, actor)
    _move(
        campaign,
        State.REVISING,
        since={State.PAUSED},
        action="revising",
        actor=actor,
        approved_by_id=None,
        approved_at=None,
    )


def resume(*, campaign: Campaign, actor: Actor) -> None:
    """Go on where it was paused, or after a revision was approved."""
    if State(campaign.state) == State.APPROVED and campaign.launched_at is None:
        raise WrongState(campaign)
    _move(campaign, State.RUNNING, since={State.PAUSED, State.APPROVED}, action="resumed", actor=actor)
    emit("campaign.resumed", campaign_id=campaign.id)


def cancel(*, campaign: Campaign, actor: Actor) -> None:
    """End the campaign for good. What was sent stays sent; nothing more leaves."""
    open_states = {state for state, following in NEXT.items() if State.CANCELLED in following}
    _move(
        campaign, State.CANCELLED, since=open_states, action="cancelled", actor=actor, send_at=None, finished_at=now()
    )
    emit("campaign.cancelled", campaign_id=campaign.id)


def complete(*, campaign: Campaign) -> bool:
    """Everything is sent (called by delivery). False where the campaign is not running (paused or over)."""
    try:
        _move(campaign, State.COMPLETE, since={State.RUNNING}, action="completed", actor=None, finished_at=now())
    except WrongState:
        return False
    return True


def reopen(*, campaign: Campaign, actor: Actor | None) -> None:
    """Failed messages are tried again (called by delivery): a complete campaign runs until they have ended too."""
    _move(campaign, State.RUNNING, since={State.COMPLETE}, action="reopened", actor=actor, finished_at=None)


def refuse_segment_archive(segment_id: int) -> object | None:
    """The refusal for "archive segment": a campaign that still needs it, or None."""
    name = _campaign_with(segment_id, set(State) - {State.COMPLETE, State.CANCELLED})
    return _l("The campaign “%(name)s” uses this segment and is not over yet.", name=name) if name else None


def refuse_segment_edit(segment_id: int) -> object | None:
    """The refusal for "edit segment": what was submitted or approved must be what is sent."""
    name = _campaign_with(segment_id, set(State) - {State.DRAFT, State.COMPLETE, State.CANCELLED})
    sentence = _l(
        "The campaign “%(name)s” was submitted with this segment. Take it back to draft first, or copy the segment.",
        name=name,
    )
    return sentence if name else None


def _campaign_with(segment_id: int, states: set[State]) -> str | None:
    """The name of the newest campaign in one of these states that has the segment in any role."""
    return db.session.scalar(
        select(Campaign.name)
        .join(CampaignSegment)
        .where(CampaignSegment.segment_id == segment_id, Campaign.state.in_(states))
        .order_by(Campaign.id.desc())
        .limit(1)
    )


# ---- The one way states change --------------------------------------------------------------------------------------


def _move(
    campaign: Campaign,
    target: State,
    *,
    since: set[State],
    action: str,
    actor: Actor | None,
    reason: str | None = None,
    changes: dict[str, Any] | None = None,
    **values: Any,
) -> None:
    """Compare-and-set to `target` from one of the states in `since` that NEXT allows; WrongState for the loser."""
    db.session.flush()
    allowed = {state for state in since if target in NEXT[state]}
    before, send_at = State(campaign.state), campaign.send_at
    moved = (
        before in allowed
        and db.session.execute(
            update(Campaign)
            .where(Campaign.id == campaign.id, Campaign.state == before)
            .values(state=target, updated_at=now(), **values)
            .returning(Campaign.id)
            .execution_options(synchronize_session=False)
        ).scalar_one_or_none()
    )
    db.session.refresh(campaign)
    if not moved:
        raise WrongState(campaign)
    changes = {"state": [before, target], **(changes or {})}
    if "send_at" in values:
        changes["send_at"] = [send_at and send_at.isoformat(), campaign.send_at and campaign.send_at.isoformat()]
    note_act(campaign, action, actor, changes=changes, reason=reason)


def _reopen(campaign: Campaign, actor: Actor | None) -> None:
    _move(
        campaign,
        _open_state(campaign),
        since={State.IN_REVIEW, State.APPROVED, State.HELD},
        action="withdrawn",
        actor=actor,
        approved_by_id=None,
        approved_at=None,
        held_count=None,
    )


def _open_state(campaign: Campaign) -> State:
    """The state in which it can be changed: a draft, or the revision of what was launched."""
    return State.DRAFT if campaign.launched_at is None else State.REVISING


def _lock(campaign: Campaign) -> None:
    """Hold the campaign's row until the end of the transaction, and see it as it is now."""
    db.session.flush()
    db.session.refresh(campaign, with_for_update=True)


def open_for_editing(campaign: Campaign, actor: Actor | None, *, revising: bool = False) -> None:
    """Only drafts change. An approved campaign falls back to draft: what was approved is not what would be sent.

    `revising`: this may also be changed of what was launched and is paused for it.
    """
    _lock(campaign)
    _check_own_part(campaign, actor)
    if State(campaign.state) == State.APPROVED and (revising or campaign.launched_at is None):
        _reopen(campaign, actor)
    if State(campaign.state) != State.DRAFT and not (revising and State(campaign.state) == State.REVISING):
        raise WrongState(campaign)


def _check_own_part(campaign: Campaign, actor: Actor | None) -> None:
    if actor is not None and not in_own_part(campaign, db.session.get_one(User, actor.id)):
        raise OtherPart


def _check_not_launched(campaign: Campaign) -> None:
    if campaign.launched_at is not None:
        raise WrongState(campaign)


def _check_checker(campaign: Campaign, actor: Actor) -> None:
    require(actor, Permission.APPROVE_CAMPAIGNS)
    if campaign.submitted_by_id == actor.id:
        raise OwnCampaign


def _check_approval_lasts(campaign: Campaign, until: datetime) -> None:
    if campaign.approved_at is not None and until > campaign.approved_at + APPROVAL_GOOD_FOR:
        raise ApprovalExpired


def _hold_segments(segment_ids: set[int]) -> None:
    """Keep the segments as they are until the end of the transaction. AppError where one is archived."""
    held = select(Segment.id).where(Segment.id.in_(segment_ids), Segment.archived_at.is_(None)).order_by(Segment.id)
    if len(db.session.scalars(held.with_for_update(read=True)).all()) < len(segment_ids):
        raise AppError(_l("An archived segment cannot be used. Choose another one."))


def _check_ready(campaign: Campaign) -> None:
    errors = [str(finding.message) for finding in preflight(campaign) if finding.severity == "error"]
    if errors:
        raise NotReady(" ".join(errors))
    if campaign.launched_at is not None:
        return  # its audience was locked at the launch
    preview = audience_preview(campaign)
    if preview.eligible == 0:
        raise NotReady(
            _l("No clients match.")
            if preview.matched == 0
            else _l("Clients match, but every one of them is excluded: nobody would get this message.")
        )


# ---- Checked input --------------------------------------------------------------------------------------------------


def _checked_facts(*, name: str, purpose: str, tags: Sequence[str], window_days: int) -> dict[str, Any]:
    name = " ".join(name.split())
    if not name:
        raise AppError(_l("Give the campaign a name."))
    if len(name) > 200:
        raise AppError(_l("The name may have 200 characters at most."))
    if purpose not in PURPOSES:
        raise AppError(_l("The purpose is marketing, service or statutory notice."))
    if not 1 <= window_days <= 365:
        raise AppError(_l("The attribution window is 1 to 365 days."))
    clean = dict.fromkeys(" ".join(tag.split())[:40] for tag in tags if tag.strip())
    return {"name": name, "purpose": purpose, "tags": list(clean), "window_days": window_days}


def _free_code(code: str) -> str:
    code = code.strip()
    if not _CODE.fullmatch(code) or code.lower() in RESERVED_CODES:
        raise AppError(_l("A code has letters, digits, dots, hyphens and underscores, 40 at most, e.g. 2026-SPRING."))
    if db.session.scalar(select(Campaign.id).where(func.lower(Campaign.code) == code.lower())) is not None:
        raise CodeTaken
    return code


def _next_code() -> str:
    """The year's next number; the caller holds the lock on codes."""
    year = now().year
    number = Campaign.code.regexp_match(f"^{year}-[0-9]{{4,9}}$")
    last = db.session.scalar(select(func.max(cast(func.split_part(Campaign.code, "-", 2), Integer))).where(number))
    return f"{year}-{(last or 0) + 1:04}"


def _address(email: str) -> str:
    try:
        return validate_email(email.strip(), check_deliverability=False).normalized.lower()
    except EmailNotValidError:
        raise AppError(_l("“%(address)s” is not an e-mail address.", address=email.strip()[:100])) from None


def note_act(
    campaign: Campaign,
    action: str,
    actor: Actor | None,
    *,
    changes: dict[str, Any],
    reason: str | None = None,
) -> None:
    record(
        actor=actor,
        action=f"campaign.{action}",
        subject="campaign",
        subject_id=campaign.id,
        changes=changes,
        reason=reason,
    )
