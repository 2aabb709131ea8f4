"""What may be done with a campaign, by whom, and in which state."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, update

from app.audit.models import AuditEntry
from app.campaigns import service
from app.campaigns.models import NEXT, Campaign, State
from app.campaigns.queries import audience_preview, due_campaigns, history, segments_of
from app.campaigns.service import CodeTaken, NotReady, OwnCampaign, WrongState
from app.campaigns.tasks import launch_due_campaigns
from app.content.models import EmailContent
from app.core import events, guards
from app.core.clock import now
from app.core.errors import AppError, Conflict, Forbidden
from app.core.extensions import db
from app.core.jobs import Job
from app.core.permissions import Role
from app.core.queues import run_tick
from app.core.unit_of_work import unit_of_work
from app.users.models import User
from tests.factories.campaigns import make_campaign, make_content
from tests.factories.clients import make_client, make_clients
from tests.factories.ledger import make_segment
from tests.factories.users import make_branch, make_user

WORDS = {"format": "html", "subject": "News", "preheader": "This week", "source": "<p>Hello</p>"}
FACTS = {"name": "Spring", "purpose": "marketing", "tags": [], "window_days": 30}


@pytest.fixture
def maker(app: Flask) -> User:
    return make_user(role=Role.MARKETING)


@pytest.fixture
def checker(app: Flask) -> User:
    return make_user(role=Role.COMPLIANCE)


def do(verb: Callable[..., Any], campaign: Campaign, **arguments: Any) -> Any:
    with unit_of_work():
        return verb(campaign=campaign, **arguments)


def actions(campaign: Campaign) -> list[str]:
    return [line.action.removeprefix("campaign.") for line in reversed(history(campaign))]


# ---- Setting up -----------------------------------------------------------------------------------------------------


def test_a_campaign_gets_the_years_next_code(maker: User) -> None:
    with unit_of_work():
        first = service.create_campaign(name="  Spring   drive ", actor=maker)
        service.create_campaign(name="Named", code="SPRING-1", actor=maker)
        second = service.create_campaign(name="Autumn", actor=maker)
    year = now().year
    assert (first.code, second.code) == (f"{year}-0001", f"{year}-0002")
    assert (first.name, first.state, first.owner_id) == ("Spring drive", State.DRAFT, maker.id)
    assert [step.channel for step in first.steps] == ["email"]


def test_the_next_code_goes_past_one_chosen_by_hand(maker: User) -> None:
    year = now().year
    with unit_of_work():
        service.create_campaign(name="By hand", code=f"{year}-0041", actor=maker)
        assert service.create_campaign(name="Next", actor=maker).code == f"{year}-0042"


def test_campaigns_made_at_once_get_codes_of_their_own(app: Flask) -> None:
    def create(number: int) -> str:
        with app.app_context(), unit_of_work():
            return service.create_campaign(name=f"Campaign {number}", actor=None).code

    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(create, range(8)))
    assert len(set(codes)) == 8


def test_a_code_is_taken_whatever_its_case(maker: User) -> None:
    make_campaign(code="Spring")
    with pytest.raises(CodeTaken), unit_of_work():
        service.create_campaign(name="Other", code="SPRING", actor=maker)


@pytest.mark.parametrize("code", ["new", "a/b", "../x", "-a", "a b", "x" * 41])
def test_a_code_that_cannot_be_an_address_is_refused(maker: User, code: str) -> None:
    with pytest.raises(AppError), unit_of_work():
        service.create_campaign(name="Other", code=code, actor=maker)


@pytest.mark.parametrize(
    "changes", [{"name": "  "}, {"name": "x" * 201}, {"purpose": "fun"}, {"window_days": 0}, {"window_days": 366}]
)
def test_facts_outside_their_range_are_refused_with_a_sentence(maker: User, changes: dict[str, Any]) -> None:
    with pytest.raises(AppError) as refusal, unit_of_work():
        service.create_campaign(**FACTS | changes, actor=maker)
    assert str(refusal.value).endswith(".")


def test_an_update_is_audited_with_what_changed_only(maker: User) -> None:
    campaign = make_campaign(name="Old")
    do(service.update_campaign, campaign, **FACTS | {"name": "New"}, actor=maker)
    assert history(campaign)[0].changes == {"name": ["Old", "New"]}
    assert history(campaign)[0].actor == maker.name
    do(service.update_campaign, campaign, **FACTS | {"name": "New"}, actor=maker)
    assert actions(campaign) == ["updated"]


def test_segments_are_set_in_their_roles_and_order(maker: User) -> None:
    a, b, c = (make_segment(name) for name in "abc")
    campaign = make_campaign(include=[])
    do(service.set_segments, campaign, include=[b, a], exclude=[c], report=[c], actor=maker)
    assert segments_of(campaign, "include") == [b, a]
    assert (segments_of(campaign, "exclude"), segments_of(campaign, "report")) == ([c], [c])
    do(service.set_segments, campaign, include=[a, b], actor=maker)
    assert segments_of(campaign, "include") == [a, b]
    assert segments_of(campaign, "exclude") == []
    assert history(campaign)[0].changes == {
        "include": [[b.id, a.id], [a.id, b.id]],
        "exclude": [[c.id], []],
        "report": [[c.id], []],
    }


def test_a_segment_cannot_be_included_and_excluded(maker: User) -> None:
    segment = make_segment("a")
    with pytest.raises(AppError, match="both"):
        do(service.set_segments, make_campaign(), include=[segment], exclude=[segment], actor=maker)


def test_an_archived_segment_cannot_be_chosen(maker: User) -> None:
    with pytest.raises(AppError, match="archived"):
        do(service.set_segments, make_campaign(), include=[make_segment("a", archived_at=now())], actor=maker)


def test_a_segment_in_use_cannot_be_archived_until_the_campaign_is_over(maker: User) -> None:
    segment = make_segment("a")
    campaign = make_campaign(name="Spring", include=[], report=[segment])
    with pytest.raises(Conflict, match="Spring"):
        guards.check("archive segment", segment.id)
    do(service.cancel, campaign, actor=maker)
    guards.check("archive segment", segment.id)


def test_the_rule_of_a_segment_stands_from_submission_until_the_end(maker: User) -> None:
    make_client()
    segment = make_segment("a")
    campaign = make_campaign(name="Spring", include=[segment])
    guards.check("edit segment", segment.id)
    do(service.submit, campaign, actor=maker)
    with pytest.raises(Conflict, match="Spring"):
        guards.check("edit segment", segment.id)
    do(service.withdraw, campaign, actor=maker)
    guards.check("edit segment", segment.id)


def test_every_edit_of_the_message_is_a_version_of_its_own(maker: User) -> None:
    campaign = make_campaign()
    before = campaign.steps[0].content
    after = do(service.set_content, campaign, **WORDS, actor=maker)
    assert campaign.steps[0].content == after != before
    assert db.session.scalar(select(func.count(EmailContent.id))) == 2
    assert do(service.set_content, campaign, **WORDS, actor=maker) == after
    assert actions(campaign) == ["content_changed"]


def test_an_edit_of_a_version_that_is_not_the_newest_is_refused(maker: User) -> None:
    campaign = make_campaign()
    seen = campaign.steps[0].content_id
    do(service.set_content, campaign, **WORDS, actor=maker, seen_content_id=seen)
    with pytest.raises(Conflict):
        do(service.set_content, campaign, **WORDS | {"subject": "Late"}, actor=maker, seen_content_id=seen)


def test_seeds_are_checked_and_kept_once(maker: User) -> None:
    campaign = make_campaign(state=State.APPROVED)
    do(service.set_seeds, campaign, emails=["Ann@Example.com", " ", "ann@example.com", "bo@example.com"], actor=maker)
    assert [seed.email for seed in campaign.seeds] == ["ann@example.com", "bo@example.com"]
    assert State(campaign.state) == State.APPROVED
    assert "example.com" not in str(history(campaign)[0].changes)
    with pytest.raises(AppError, match="“nobody” is not"):
        do(service.set_seeds, campaign, emails=["nobody"], actor=maker)


def test_seeds_stay_as_they_were_at_launch(maker: User) -> None:
    with pytest.raises(WrongState):
        do(service.set_seeds, make_campaign(state=State.RUNNING), emails=["a@example.com"], actor=maker)


def test_a_copy_is_a_draft_without_a_past(maker: User) -> None:
    gone = make_segment("gone")
    original = make_campaign(
        state=State.COMPLETE, report=[gone], seeds=["a@example.com"], submitter=maker, tags=["x"], purpose="service"
    )
    gone.archived_at = now()
    db.session.commit()
    copy = do(service.duplicate, original, actor=maker)
    assert (copy.state, copy.submitted_by_id, copy.launched_at) == (State.DRAFT, None, None)
    assert (copy.tags, copy.purpose) == (["x"], "service")
    assert segments_of(copy, "include") == segments_of(original, "include")
    assert segments_of(copy, "report") == []
    assert copy.steps[0].content_id == original.steps[0].content_id
    assert [seed.email for seed in copy.seeds] == ["a@example.com"]
    assert actions(original) == []


# ---- Approval -------------------------------------------------------------------------------------------------------


def test_a_complete_draft_goes_through_review_to_launch(maker: User, checker: User) -> None:
    make_client()
    campaign = make_campaign()
    do(service.submit, campaign, actor=maker)
    do(service.approve, campaign, actor=checker)
    do(service.launch, campaign, actor=maker)
    assert (campaign.submitted_by_id, campaign.approved_by_id) == (maker.id, checker.id)
    assert campaign.launched_at is not None
    assert do(service.complete, campaign) is True
    assert actions(campaign) == ["submitted", "approved", "launched", "completed"]


@pytest.mark.parametrize(
    ("lacks", "sentence"),
    [("segments", "Choose at least one segment"), ("content", "Write the message"), ("clients", "No clients match")],
)
def test_a_draft_that_lacks_something_is_not_submitted(maker: User, lacks: str, sentence: str) -> None:
    campaign = make_campaign(include=[] if lacks == "segments" else None)
    if lacks == "content":
        campaign.steps[0].content = None
        db.session.commit()
    with pytest.raises(NotReady, match=sentence):
        do(service.submit, campaign, actor=maker)
    assert State(campaign.state) == State.DRAFT


def test_a_draft_whose_every_client_is_excluded_is_not_submitted(maker: User) -> None:
    make_client(email_consent=None)
    with pytest.raises(NotReady, match="every one of them is excluded"):
        do(service.submit, make_campaign(), actor=maker)


def test_a_draft_with_a_forbidden_phrase_is_not_submitted(maker: User) -> None:
    make_client()
    campaign = make_campaign(content=make_content(subject="Guaranteed income"))
    with pytest.raises(NotReady, match="guaranteed"):
        do(service.submit, campaign, actor=maker)


def test_nobody_approves_what_they_submitted(maker: User) -> None:
    both = make_user(role=Role.COMPLIANCE)
    campaign = make_campaign(state=State.IN_REVIEW, submitter=both)
    with pytest.raises(OwnCampaign):
        do(service.approve, campaign, actor=both)
    with pytest.raises(OwnCampaign):
        do(service.send_back, campaign, reason="Because", actor=both)


@pytest.mark.parametrize("role", [role for role in Role if role != Role.COMPLIANCE])
def test_only_a_checker_approves_or_sends_back(app: Flask, role: Role) -> None:
    campaign = make_campaign(state=State.IN_REVIEW, submitter=make_user())
    person = make_user(role=role)
    with pytest.raises(Forbidden):
        do(service.approve, campaign, actor=person)
    with pytest.raises(Forbidden):
        do(service.send_back, campaign, reason="Because", actor=person)


def test_what_is_sent_back_says_why_until_it_is_submitted_again(maker: User, checker: User) -> None:
    make_client()
    campaign = make_campaign(state=State.IN_REVIEW, submitter=maker)
    with pytest.raises(AppError, match="what has to change"):
        do(service.send_back, campaign, reason="  ", actor=checker)
    do(service.send_back, campaign, reason="Add the risk warning.", actor=checker)
    assert (State(campaign.state), campaign.returned_reason) == (State.DRAFT, "Add the risk warning.")
    assert history(campaign)[0].reason == "Add the risk warning."
    do(service.submit, campaign, actor=maker)
    assert campaign.returned_reason is None


def test_an_approval_is_of_what_the_checker_saw(maker: User, checker: User) -> None:
    make_client()
    campaign = make_campaign(state=State.IN_REVIEW, submitter=maker)
    seen = campaign.submitted_at
    do(service.withdraw, campaign, actor=maker)
    do(service.submit, campaign, actor=maker)
    with pytest.raises(Conflict):
        do(service.approve, campaign, actor=checker, seen=seen)
    do(service.approve, campaign, actor=checker, seen=campaign.submitted_at)


EDITS: list[tuple[Callable[..., Any], dict[str, Any]]] = [
    (service.update_campaign, FACTS),
    (service.set_segments, {"include": []}),
    (service.set_content, WORDS),
]


@pytest.mark.parametrize(("edit", "arguments"), EDITS)
def test_an_edit_after_approval_returns_the_campaign_to_draft(
    maker: User, checker: User, edit: Callable[..., Any], arguments: dict[str, Any]
) -> None:
    campaign = make_campaign(state=State.APPROVED, submitter=maker, approver=checker)
    do(edit, campaign, **arguments, actor=maker)
    assert (State(campaign.state), campaign.approved_by_id) == (State.DRAFT, None)


@pytest.mark.parametrize(("edit", "arguments"), EDITS)
@pytest.mark.parametrize("state", sorted(set(State) - {State.DRAFT, State.APPROVED, State.REVISING}))
def test_nothing_is_edited_in_other_states(
    maker: User, state: State, edit: Callable[..., Any], arguments: dict[str, Any]
) -> None:
    campaign = make_campaign(state=state)
    content_id = campaign.steps[0].content_id
    with pytest.raises(WrongState):
        do(edit, campaign, **arguments, actor=maker)
    assert (State(campaign.state), campaign.steps[0].content_id) == (state, content_id)
    assert len(segments_of(campaign, "include")) == 1


# ---- The table of moves ---------------------------------------------------------------------------------------------

VERBS: dict[str, tuple[set[State], State]] = {
    "submit": ({State.DRAFT, State.REVISING}, State.IN_REVIEW),
    "approve": ({State.IN_REVIEW}, State.APPROVED),
    "send_back": ({State.IN_REVIEW}, State.DRAFT),
    "withdraw": ({State.IN_REVIEW, State.APPROVED, State.HELD}, State.DRAFT),
    "hold": ({State.RUNNING}, State.HELD),
    "accept_audience": ({State.HELD}, State.RUNNING),
    "revise": ({State.PAUSED}, State.REVISING),
    "schedule": ({State.APPROVED}, State.SCHEDULED),
    "unschedule": ({State.SCHEDULED}, State.APPROVED),
    "launch": ({State.APPROVED, State.SCHEDULED}, State.RUNNING),
    "pause": ({State.RUNNING}, State.PAUSED),
    "resume": ({State.PAUSED}, State.RUNNING),
    "cancel": (set(State) - {State.COMPLETE, State.CANCELLED}, State.CANCELLED),
    "complete": ({State.RUNNING}, State.COMPLETE),
    "reopen": ({State.COMPLETE}, State.RUNNING),
}


def act(verb: str, campaign: Campaign, *, maker: User, checker: User) -> bool:
    """Do the verb; False where it was refused."""
    arguments: dict[str, Any] = {"actor": checker if verb in ("approve", "send_back", "accept_audience") else maker}
    if verb == "schedule":
        arguments["send_at"] = now() + timedelta(hours=1)
    elif verb == "send_back":
        arguments["reason"] = "Change it."
    elif verb == "complete":
        return bool(do(service.complete, campaign))
    elif verb == "hold":
        arguments = {"found": 1}
    elif verb == "accept_audience":
        arguments["seen"] = campaign.held_count
    try:
        do(getattr(service, verb), campaign, **arguments)
    except WrongState:
        return False
    return True


def test_the_verbs_cover_the_table_and_nothing_else() -> None:
    made: dict[State, set[State]] = {state: set() for state in State}
    for sources, target in VERBS.values():
        for source in sources:
            made[source].add(target)
    # What was launched goes back to its revision, where a draft goes back to draft.
    made[State.IN_REVIEW].add(State.REVISING)
    made[State.APPROVED].add(State.REVISING)
    assert made == NEXT


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("verb", list(VERBS))
def test_each_verb_moves_from_its_own_states_only(maker: User, checker: User, verb: str, state: State) -> None:
    make_client()
    campaign = make_campaign(state=state, submitter=maker)
    sources, target = VERBS[verb]
    assert act(verb, campaign, maker=maker, checker=checker) is (state in sources)
    db.session.refresh(campaign)
    assert State(campaign.state) == (target if state in sources else state)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(sorted(VERBS)), max_size=14))
def test_any_walk_stays_on_the_table_and_is_audited_step_by_step(app: Flask, walk: list[str]) -> None:
    if not db.session.scalar(select(func.count(User.id))):
        make_client()
        make_user(role=Role.MARKETING)
        make_user(role=Role.COMPLIANCE)
    maker, checker = db.session.scalars(select(User).order_by(User.id)).all()
    campaign = make_campaign()
    moves = 0
    for verb in walk:
        before = State(campaign.state)
        moved = act(verb, campaign, maker=maker, checker=checker)
        after = State(campaign.state)
        assert (after in NEXT[before]) if moved else (after == before)
        moves += moved
        assert campaign.approved_by_id is None or campaign.approved_by_id == checker.id
        if after in (State.APPROVED, State.SCHEDULED, State.RUNNING, State.PAUSED, State.COMPLETE):
            assert campaign.approved_by_id == checker.id
    assert len(actions(campaign)) == moves


@pytest.mark.parametrize(
    ("verb", "state"),
    [("launch", State.APPROVED), ("launch", State.SCHEDULED), ("pause", State.RUNNING), ("cancel", State.RUNNING)],
)
def test_of_many_who_act_at_once_exactly_one_wins(app: Flask, maker: User, verb: str, state: State) -> None:
    campaign_id, maker_id = make_campaign(state=state).id, maker.id
    barrier = Barrier(6)

    def race(_: int) -> bool:
        with app.app_context():
            campaign, actor = db.session.get_one(Campaign, campaign_id), db.session.get_one(User, maker_id)
            assert State(campaign.state) == state
            barrier.wait(10)
            try:
                do(getattr(service, verb), campaign, actor=actor)
            except WrongState:
                return False
            return True

    with ThreadPoolExecutor(6) as pool:
        outcomes = list(pool.map(race, range(6)))
    assert outcomes.count(True) == 1
    assert len(actions(db.session.get_one(Campaign, campaign_id))) == 1


def test_an_edit_and_a_submission_at_once_do_not_pass_each_other(app: Flask, maker: User) -> None:
    make_client()
    campaign_id, maker_id = make_campaign().id, maker.id
    barrier = Barrier(2)

    def race(verb: str) -> bool:
        with app.app_context():
            campaign, actor = db.session.get_one(Campaign, campaign_id), db.session.get_one(User, maker_id)
            barrier.wait(10)
            try:
                if verb == "submit":
                    do(service.submit, campaign, actor=actor)
                else:
                    do(service.set_segments, campaign, include=[], actor=actor)
            except (WrongState, NotReady):
                return False
            return True

    with ThreadPoolExecutor(2) as pool:
        submitted, edited = pool.map(race, ["submit", "edit"])
    assert submitted is not edited


# ---- Launching ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "state", "event"),
    [
        ("launch", State.APPROVED, "campaign.launched"),
        ("resume", State.PAUSED, "campaign.resumed"),
        ("cancel", State.RUNNING, "campaign.cancelled"),
    ],
)
def test_delivery_is_told(maker: User, monkeypatch: pytest.MonkeyPatch, verb: str, state: State, event: str) -> None:
    monkeypatch.setattr(events, "_listeners", {event: [("test.heard", "default")]})
    campaign = make_campaign(state=state)
    do(getattr(service, verb), campaign, actor=maker)
    job = db.session.scalars(select(Job)).one()
    assert (job.name, job.args) == ("test.heard", {"campaign_id": campaign.id})


def test_a_launch_that_rolls_back_tells_nobody(maker: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_listeners", {"campaign.launched": [("test.heard", "default")]})
    campaign = make_campaign(state=State.APPROVED)

    def launch_and_fail(*, campaign: Campaign) -> None:
        service.launch(campaign=campaign, actor=maker)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        do(launch_and_fail, campaign)
    assert db.session.scalar(select(func.count(Job.id))) == 0
    assert State(campaign.state) == State.APPROVED


def test_a_due_campaign_is_launched_by_the_tick_and_only_once(maker: User) -> None:
    due, later = make_campaign(state=State.APPROVED), make_campaign(state=State.APPROVED)
    do(service.schedule, due, send_at=now() + timedelta(minutes=5), actor=maker)
    do(service.schedule, later, send_at=now() + timedelta(days=2), actor=maker)
    db.session.execute(update(Campaign).where(Campaign.id == due.id).values(send_at=now() - timedelta(seconds=1)))
    db.session.commit()
    assert due_campaigns(now()) == [due]
    assert run_tick("campaigns.launch_due", launch_due_campaigns)
    assert run_tick("campaigns.launch_due", launch_due_campaigns)
    db.session.expire_all()
    assert (State(due.state), State(later.state)) == (State.RUNNING, State.SCHEDULED)
    assert actions(due) == ["scheduled", "launched"]
    assert history(due)[0].actor is None


def test_a_due_campaign_that_may_not_start_does_not_hold_up_the_others(maker: User, checker: User) -> None:
    past = now() - timedelta(days=400)
    expired = make_campaign(state=State.SCHEDULED, send_at=past, submitter=maker, approver=checker, approved_at=past)
    db.session.execute(update(Campaign).where(Campaign.id == expired.id).values(approved_at=past))
    db.session.commit()
    good = make_campaign(state=State.SCHEDULED, send_at=now() - timedelta(seconds=1))
    run_tick("campaigns.launch_due", launch_due_campaigns)
    db.session.expire_all()
    assert (State(expired.state), State(good.state)) == (State.SCHEDULED, State.RUNNING)


@pytest.mark.parametrize("offset", [timedelta(seconds=-1), timedelta(days=366)])
def test_a_time_that_has_passed_or_outlives_the_approval_is_refused(
    maker: User, checker: User, offset: timedelta
) -> None:
    campaign = make_campaign(state=State.APPROVED, submitter=maker, approver=checker)
    with pytest.raises(AppError):
        do(service.schedule, campaign, send_at=now() + offset, actor=maker)
    assert State(campaign.state) == State.APPROVED


def test_completing_a_paused_or_finished_campaign_does_nothing(app: Flask) -> None:
    for state in (State.PAUSED, State.COMPLETE, State.CANCELLED):
        campaign = make_campaign(state=state)
        assert do(service.complete, campaign) is False
        assert State(campaign.state) == state
        assert actions(campaign) == []


def test_every_act_is_in_the_audit_trail_of_the_campaign(maker: User) -> None:
    campaign = make_campaign()
    do(service.cancel, campaign, actor=maker)
    entry = db.session.scalars(select(AuditEntry).where(AuditEntry.subject == "campaign")).one()
    assert (entry.actor_id, entry.action, entry.subject_id) == (maker.id, "campaign.cancelled", campaign.id)
    assert entry.changes["state"] == ["draft", "cancelled"]


# ---- Audience -------------------------------------------------------------------------------------------------------


def test_the_audience_is_matched_less_excluded(app: Flask) -> None:
    make_clients(5)
    make_client(email_consent=False)
    make_client(email=None)
    shanghai = make_segment("Shanghai", rule={"field": "city", "op": "is", "value": "Shanghai"})
    make_clients(2, city="Shanghai")
    preview = audience_preview(make_campaign(exclude=[shanghai]))
    assert (preview.matched, preview.eligible) == (9, 5)
    assert preview.exclusions == {"excluded_segment": 2, "no_address": 1, "no_consent": 1}


def test_a_branch_campaign_reaches_the_clients_of_that_branch_only(app: Flask) -> None:
    branch = make_branch()
    outlet = make_branch(parent=branch)
    make_clients(4)
    make_clients(2, branch_id=branch.id)
    make_clients(1, branch_id=outlet.id)
    assert audience_preview(make_campaign(owner=make_user(branch=branch))).eligible == 3
    assert audience_preview(make_campaign(owner=make_user())).eligible == 7
