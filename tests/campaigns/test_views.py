"""The campaign pages, by role and by state."""

from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from app.campaigns import service
from app.campaigns.models import Campaign, State
from app.campaigns.queries import segments_of
from app.core.clock import now
from app.core.extensions import db
from app.core.permissions import GRANTS, Permission, Role
from app.core.unit_of_work import unit_of_work
from app.users.models import User
from tests.factories.campaigns import make_campaign, make_content
from tests.factories.clients import make_client, make_clients
from tests.factories.ledger import make_segment
from tests.factories.users import make_branch, make_user, sign_in

PAGES = ("", "/setup", "/audience", "/audience/counts", "/message", "/message/preview", "/review", "/send")
ACTS = {
    "/setup": Permission.EDIT_CAMPAIGNS,
    "/audience": Permission.EDIT_CAMPAIGNS,
    "/message": Permission.EDIT_CAMPAIGNS,
    "/seeds": Permission.EDIT_CAMPAIGNS,
    "/submit": Permission.EDIT_CAMPAIGNS,
    "/withdraw": Permission.EDIT_CAMPAIGNS,
    "/duplicate": Permission.EDIT_CAMPAIGNS,
    "/approve": Permission.APPROVE_CAMPAIGNS,
    "/send-back": Permission.APPROVE_CAMPAIGNS,
    "/schedule": Permission.RUN_CAMPAIGNS,
    "/unschedule": Permission.RUN_CAMPAIGNS,
    "/launch": Permission.RUN_CAMPAIGNS,
    "/pause": Permission.RUN_CAMPAIGNS,
    "/resume": Permission.RUN_CAMPAIGNS,
    "/cancel": Permission.RUN_CAMPAIGNS,
}


@pytest.fixture
def officer(browser_client: FlaskClient) -> FlaskClient:
    return sign_in(browser_client, make_user())


@pytest.fixture
def checker(app: Flask) -> FlaskClient:
    return sign_in(app.test_client(), make_user(role=Role.COMPLIANCE))


def text(client: FlaskClient, path: str, status: int = 200) -> str:
    response = client.get(path)
    assert response.status_code == status, response.text
    return response.text


def path_of(campaign: Campaign, rest: str = "") -> str:
    return f"/campaigns/{campaign.code}{rest}"


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("role", [Role.MARKETING, Role.COMPLIANCE, Role.HEAD_OFFICE])
def test_every_page_shows_in_every_state(browser_client: FlaskClient, role: Role, state: State) -> None:
    make_client()
    maker, checker = make_user(), make_user(role=Role.COMPLIANCE)
    approved = state in (State.APPROVED, State.SCHEDULED, State.RUNNING, State.PAUSED, State.COMPLETE)
    campaign = make_campaign(
        state=state,
        name="Spring & <autumn>",
        submitter=maker if state != State.DRAFT else None,
        approver=checker if approved else None,
        send_at=now() + timedelta(days=1) if state == State.SCHEDULED else None,
        exclude=[make_segment("left out", rule={"field": "city", "op": "is", "value": "Nowhere"})],
        seeds=["ann@example.com"],
    )
    sign_in(browser_client, make_user(role=role))
    for page in PAGES:
        shown = text(browser_client, path_of(campaign, page))
        assert "<autumn>" not in shown


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("act", list(ACTS))
def test_an_act_needs_its_permission(browser_client: FlaskClient, role: Role, act: str) -> None:
    sign_in(browser_client, make_user(role=role))
    campaign = make_campaign()
    status = browser_client.post(path_of(campaign, act)).status_code
    assert (status == 403) is (ACTS[act] not in GRANTS[role])


def test_strangers_are_sent_to_sign_in(browser_client: FlaskClient) -> None:
    campaign = make_campaign()
    for page in PAGES:
        assert browser_client.get(path_of(campaign, page)).status_code == 302
    for act in ACTS:
        assert browser_client.post(path_of(campaign, act)).status_code == 302


def test_advisers_have_no_campaign_pages(browser_client: FlaskClient) -> None:
    sign_in(browser_client, make_user(role=Role.ADVISER))
    assert browser_client.get("/campaigns").status_code == 403


def test_a_branch_sees_its_own_campaigns_and_those_from_above(app: Flask, browser_client: FlaskClient) -> None:
    north, south = make_branch(), make_branch()
    mine = make_campaign(name="North drive", owner=make_user(branch=north))
    above = make_campaign(name="Head office drive", owner=make_user())
    theirs = make_campaign(name="South drive", owner=make_user(branch=south))
    sign_in(browser_client, make_user(role=Role.BRANCH_MANAGER, branch=north))
    listed = text(browser_client, "/campaigns")
    assert mine.name in listed
    assert above.name in listed
    assert theirs.name not in listed
    text(browser_client, path_of(theirs), status=404)


def test_an_empty_list_says_what_to_do_first(officer: FlaskClient, checker: FlaskClient) -> None:
    assert "/campaigns/new" in text(officer, "/campaigns")
    assert "/campaigns/new" not in text(checker, "/campaigns")


def test_the_list_is_filtered(officer: FlaskClient) -> None:
    make_campaign(name="Funds", tags=["spring"], state=State.RUNNING)
    make_campaign(name="Bonds", tags=["autumn"])
    for query, there, not_there in (
        ("state=running", "Funds", "Bonds"),
        ("state=open&search=bon", "Bonds", "Funds"),
        ("tag=spring", "Funds", "Bonds"),
    ):
        listed = text(officer, f"/campaigns?{query}")
        assert f">{there}</a>" in listed
        assert f">{not_there}</a>" not in listed
    assert "No campaign fits" in text(officer, "/campaigns?search=100%25")


def test_the_list_is_paged_in_both_directions(officer: FlaskClient) -> None:
    content, nobody = make_content(), []
    campaigns = [make_campaign(content=content, include=nobody) for _ in range(120)]
    first = text(officer, "/campaigns")
    assert campaigns[-1].code in first
    assert f"older={campaigns[70].id}" in first
    assert 'rel="prev"' not in first
    second = text(officer, f"/campaigns?older={campaigns[70].id}")
    assert campaigns[69].code in second
    assert f"newer={campaigns[69].id}" in second
    third = text(officer, f"/campaigns?older={campaigns[20].id}")
    assert campaigns[0].code in third
    assert 'rel="next"' not in third
    back = text(officer, f"/campaigns?newer={campaigns[69].id}")
    assert f"older={campaigns[70].id}" in back


def test_from_name_to_launch_in_the_browser(app: Flask, officer: FlaskClient, checker: FlaskClient) -> None:
    make_clients(4)
    everyone, students = make_segment("everyone"), make_segment("students")
    facts = {"name": "Spring", "purpose": "marketing", "tags": "fund, spring", "window_days": "30", "code": "S-1"}
    assert officer.post("/campaigns/new", data=facts).location == "/campaigns/S-1/audience"
    officer.post("/campaigns/S-1/audience", data={"role": "include", "add": everyone.id})
    officer.post("/campaigns/S-1/audience", data={"role": "report", "add": students.id})
    assert '<td class="num">4</td>' in text(officer, "/campaigns/S-1/audience/counts")
    page = text(officer, "/campaigns/S-1/message")
    assert "stock:welcome" in page
    words = {"format": "html", "subject": "News", "preheader": "Now", "source": "<p>Hello</p>", "seen": "0"}
    assert officer.post("/campaigns/S-1/message", data=words).status_code == 302
    refused = officer.post("/campaigns/S-1/seeds", data={"emails": "not an address"}, follow_redirects=True)
    assert refused.request.path == "/campaigns/S-1/message"
    officer.post("/campaigns/S-1/seeds", data={"emails": "ann@example.com"})
    assert "Submit for approval" in text(officer, "/campaigns/S-1/review")
    officer.post("/campaigns/S-1/submit")
    assert "Somebody else has to check it" in text(officer, "/campaigns/S-1/review")
    campaign = db.session.query(Campaign).one()
    assert campaign.submitted_at is not None
    assert "Return to the author" in text(checker, "/campaigns/S-1/review")
    checker.post("/campaigns/S-1/approve", data={"seen": campaign.submitted_at.isoformat()})
    send = text(officer, "/campaigns/S-1/send")
    assert "to 4 clients now?" in send
    assert officer.post("/campaigns/S-1/launch").status_code == 302
    db.session.expire_all()
    assert State(campaign.state) == State.RUNNING
    assert campaign.tags == ["fund", "spring"]
    assert "/campaigns/S-1/progress" in text(officer, "/campaigns/S-1/send")


def test_a_segment_is_removed_again(officer: FlaskClient) -> None:
    a, b = make_segment("a"), make_segment("b")
    campaign = make_campaign(include=[a, b])
    officer.post(path_of(campaign, "/audience"), data={"role": "include", "remove": a.id})
    db.session.expire_all()
    assert segments_of(campaign, "include") == [b]


def test_what_cannot_be_read_comes_back_with_the_sentence_and_the_words(officer: FlaskClient) -> None:
    campaign = make_campaign()
    words = {"format": "mjml", "subject": "News", "source": "<mjml><mj-body>", "seen": "0"}
    response = officer.post(path_of(campaign, "/message"), data=words)
    assert response.status_code == 422
    assert "The MJML cannot be read" in response.text
    assert "&lt;mjml&gt;&lt;mj-body&gt;" in response.text


def test_an_edit_over_somebody_elses_comes_back_as_a_conflict(officer: FlaskClient) -> None:
    campaign = make_campaign()
    words = {"format": "html", "subject": "Late", "source": "<p>Late</p>", "seen": "999"}
    response = officer.post(path_of(campaign, "/message"), data=words)
    assert response.status_code == 409
    assert "&lt;p&gt;Late&lt;/p&gt;" in response.text


def test_starting_from_a_stock_template_saves_nothing(officer: FlaskClient) -> None:
    campaign = make_campaign()
    page = text(officer, path_of(campaign, "/message?start=stock:welcome"))
    assert "Nothing is saved yet" in page
    assert "Welcome" in page
    db.session.expire_all()
    assert campaign.steps[0].content is not None
    assert campaign.steps[0].content.subject == "Market brief"


def test_the_preview_is_sandboxed_and_filled_with_a_client_in_scope(app: Flask, browser_client: FlaskClient) -> None:
    branch = make_branch()
    inside = make_client(first_name="Maria", branch=branch)
    outside = make_client(first_name="Secret")
    sign_in(browser_client, make_user(branch=branch))
    words = {"format": "html", "subject": "Hi", "source": '<p>Dear {{ client.first_name | default: "client" }}</p>'}
    url = path_of(make_campaign(owner=make_user(branch=branch)), "/message/preview")
    filled = browser_client.post(url, data=words | {"client_number": inside.number})
    assert "Dear Maria" in filled.text
    assert filled.headers["Content-Security-Policy"].startswith("sandbox")
    refused = browser_client.post(url, data=words | {"client_number": outside.number})
    assert "Secret" not in refused.text
    assert "does not exist" in refused.text
    plain = browser_client.post(url, data=words | {"mode": "text"})
    assert "<pre" in plain.text
    broken = browser_client.post(url, data=words | {"source": "<p>{{ x"})
    assert broken.status_code == 200
    assert "cannot be read" in broken.text


def test_only_those_who_may_see_the_buttons_of_a_step(app: Flask, officer: FlaskClient, checker: FlaskClient) -> None:
    make_client()
    waiting = make_campaign(state=State.IN_REVIEW, submitter=make_user())
    approved = make_campaign(state=State.APPROVED)
    running = make_campaign(state=State.RUNNING)
    assert "/approve" in text(checker, path_of(waiting, "/review"))
    assert "/approve" not in text(officer, path_of(waiting, "/review"))
    assert "/launch" in text(officer, path_of(approved, "/send"))
    assert "/launch" not in text(checker, path_of(approved, "/send"))
    assert "/pause" in text(officer, path_of(running, "/send"))
    assert "/pause" not in text(checker, path_of(running, "/send"))


def test_the_reason_of_a_return_is_shown_to_the_author(officer: FlaskClient, checker: FlaskClient) -> None:
    campaign = make_campaign(state=State.IN_REVIEW, submitter=make_user())
    assert checker.post(path_of(campaign, "/send-back"), data={"reason": ""}).status_code == 422
    checker.post(path_of(campaign, "/send-back"), data={"reason": "Name the risk."})
    assert "Name the risk." in text(officer, path_of(campaign, "/audience"))


def test_a_time_is_entered_in_the_zone_that_the_page_names(officer: FlaskClient) -> None:
    campaign = make_campaign(state=State.APPROVED)
    assert "UTC" in text(officer, path_of(campaign, "/send"))
    at = (now() + timedelta(days=1)).replace(second=0, microsecond=0)
    officer.post(path_of(campaign, "/schedule"), data={"send_at": at.strftime("%Y-%m-%dT%H:%M")})
    db.session.expire_all()
    assert campaign.send_at == at
    assert State(campaign.state) == State.SCHEDULED
    late = officer.post(path_of(make_campaign(state=State.APPROVED), "/schedule"), data={"send_at": "2020-01-01T10:00"})
    assert late.status_code == 400
    assert "This time has passed" in late.text


def test_a_step_out_of_turn_is_a_sentence_not_a_crash(officer: FlaskClient) -> None:
    response = officer.post(path_of(make_campaign(state=State.COMPLETE), "/pause"))
    assert response.status_code == 409
    assert "not possible while the campaign is" in response.text


def test_the_history_tells_who_did_what(officer: FlaskClient) -> None:
    campaign = make_campaign()
    person: User = make_user(name="Ann Example")
    with unit_of_work():
        service.update_campaign(
            campaign=campaign, name="Renamed", purpose="marketing", tags=[], window_days=30, actor=person
        )
    page = text(officer, path_of(campaign))
    assert "Ann Example" in page
    assert "→ Renamed" in page


def test_a_branch_manager_drafts_for_the_own_branch_and_changes_nothing_above_it(app: Flask) -> None:
    """Head office launches what the branch has drafted; what head office sends is seen there, and may be copied."""
    north = make_branch()
    manager = make_user(role=Role.BRANCH_MANAGER, branch=north)
    of_head_office = make_campaign(owner=make_user(role=Role.MARKETING))
    browser = sign_in(app.test_client(), manager)
    facts = {"name": "Evening at the branch", "purpose": "marketing", "window_days": 30}
    made = browser.post("/campaigns/new", data=facts)
    assert made.status_code == 302
    own = db.session.scalars(select(Campaign).where(Campaign.name == "Evening at the branch")).one()
    assert own.owner_id == manager.id
    setup = {"name": "Changed", "purpose": "marketing", "window_days": 20}
    assert browser.post(f"/campaigns/{own.code}/setup", data=setup).status_code == 302
    assert browser.get(f"/campaigns/{of_head_office.code}/setup").status_code == 200
    assert browser.post(f"/campaigns/{of_head_office.code}/setup", data=setup).status_code == 403
    assert browser.post(f"/campaigns/{of_head_office.code}/submit").status_code == 403
    assert browser.post(f"/campaigns/{own.code}/launch").status_code == 403
    assert browser.get("/templates").status_code == 403
    assert browser.post(f"/campaigns/{of_head_office.code}/duplicate").status_code == 302
    db.session.expire_all()
    assert db.session.get_one(Campaign, own.id).name == "Changed"
    assert db.session.get_one(Campaign, of_head_office.id).name != "Changed"
