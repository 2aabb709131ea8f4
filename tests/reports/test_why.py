"""Why one client did, or did not, get one campaign."""

import re
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from app.campaigns.models import Campaign, State
from app.clients.models import Client
from app.clients.service import suppress
from app.core.clock import now
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work
from app.delivery.models import Message
from app.reports.why.queries import Why, why
from app.reports.why.verdicts import Verdict
from tests.factories.advising import make_called_client, make_tasks
from tests.factories.campaigns import make_campaign
from tests.factories.clients import make_client, make_clients, make_consent
from tests.factories.delivery import launched, send_all
from tests.factories.ledger import LAUNCH, make_launched_campaign, make_opening, make_run, make_segment
from tests.factories.tracking import make_events
from tests.factories.users import make_branch, make_user, sign_in


@pytest.fixture
def manager(browser_client: FlaskClient) -> FlaskClient:
    return sign_in(browser_client, make_user(role="head_office"))


def asked(campaign: Campaign, client: Client) -> Why:
    db.session.expire_all()
    return why(db.session.get_one(Campaign, campaign.id), db.session.get_one(Client, client.id))


def message_of(client: Client) -> Message:
    return db.session.scalars(select(Message).where(Message.client_id == client.id)).one()


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_who_was_sent_to_got_it_with_account_and_words(app: Flask) -> None:
    client = make_client()
    campaign = launched()
    send_all()
    found = asked(campaign, client)
    assert found.answer.verdict is Verdict.SENT
    assert found.in_audience
    assert found.segments[0].now.holds
    assert found.segments[0].frozen
    assert found.messages[0].account is not None
    assert found.messages[0].words is not None


def test_each_condition_of_a_rule_is_told_apart(app: Flask) -> None:
    client = make_client(city="Wuhan", status="client")
    rule = {
        "all": [
            {"field": "city", "op": "is", "value": "Shanghai"},
            {"any": [{"field": "status", "op": "is", "value": "client"}, {"field": "age", "op": "gt", "value": 60}]},
            {"not": {"field": "city", "op": "is", "value": "Beijing"}},
        ]
    }
    campaign = make_campaign(include=[make_segment("Shanghai people", rule=rule)])
    found = asked(campaign, client)
    assert found.answer.verdict is Verdict.NO_SEGMENT
    lines = found.segments[0].now.lines
    assert [(line.depth, line.holds, line.joins) for line in lines] == [
        (0, False, True),
        (1, False, False),
        (1, True, True),
        (2, True, False),
        (2, False, False),
        (1, True, False),
    ]


def test_a_segment_within_a_rule_is_taken_apart_too(app: Flask) -> None:
    client = make_client(city="Wuhan")
    inner = make_segment("Inner", rule={"field": "city", "op": "is", "value": "Shanghai"})
    outer = make_segment("Outer", rule={"field": "segment", "op": "not_in", "value": [inner.id]})
    found = asked(make_campaign(include=[outer]), client)
    assert [line.holds for line in found.segments[0].now.lines] == [True, False]


def test_a_rule_that_is_no_longer_understood_says_so(app: Flask) -> None:
    client = make_client()
    campaign = make_campaign(include=[make_segment("Old", rule={"field": "gone", "op": "is", "value": "x"})])
    found = asked(campaign, client)
    assert found.segments[0].now.holds is None
    assert found.answer.verdict is Verdict.NO_SEGMENT


def test_a_rule_changed_after_the_launch_is_shown_as_it_was_frozen(app: Flask) -> None:
    client = make_client(city="Shanghai")
    segment = make_segment("City", rule={"field": "city", "op": "is", "value": "Shanghai"})
    campaign = launched(include=[segment])
    with unit_of_work():
        db.session.merge(segment).rule = {"field": "city", "op": "is", "value": "Wuhan"}
    line = asked(campaign, client).segments[0]
    assert (line.changed, line.now.holds, line.frozen) == (True, True, True)


def test_the_control_group_is_not_contacted_and_says_so(app: Flask) -> None:
    clients = [db.session.get_one(Client, one) for one in make_clients(40)]
    campaign = launched(control_percent=50.0)
    found = [asked(campaign, client) for client in clients]
    drawn = [one for one in found if one.control.drawn]
    assert drawn
    assert {one.answer.verdict for one in drawn} == {Verdict.CONTROL}
    assert all(not one.messages for one in drawn)
    assert {one.control.share for one in found} == {0.5}


def test_no_consent_keeps_out_with_its_evidence_at_the_launch(app: Flask) -> None:
    client = make_client(email_consent=False)
    make_client()
    make_consent(client, granted=False, at=now() - timedelta(days=3), source="one-click")
    found = asked(launched(), client)
    assert found.answer.verdict is Verdict.EXCLUDED
    assert found.answer.reasons == ("no_consent",)
    assert found.answer.as_of_now
    at_launch = found.consents[0].at_launch
    assert at_launch is not None
    assert at_launch.source == "one-click"


def test_all_reasons_are_named_and_not_only_the_first(app: Flask) -> None:
    client = make_client(email_consent=False, status="closed")
    with unit_of_work():
        suppress(channel="email", addresses=[client.email or ""], reason="hard bounce", source="smtp")
    found = asked(make_campaign(), client)
    assert found.answer.reasons == ("closed", "suppressed", "no_consent")
    suppression = found.consents[0].suppression
    assert suppression is not None
    assert suppression.source == "smtp"


def test_an_excluded_segment_keeps_out(app: Flask) -> None:
    client = make_client(city="Wuhan")
    out = make_segment("Wuhan", rule={"field": "city", "op": "is", "value": "Wuhan"})
    assert asked(make_campaign(exclude=[out]), client).answer.verdict is Verdict.EXCLUDED_SEGMENT


def test_clients_of_another_part_of_the_firm_are_never_sent_to(app: Flask) -> None:
    client = make_client()
    owner = make_user(branch=make_branch())
    assert asked(make_campaign(owner=owner), client).answer.verdict is Verdict.OTHER_PART


def test_who_came_after_the_launch_is_told_so(app: Flask) -> None:
    make_client()
    campaign = launched()
    late = make_client()
    assert asked(campaign, late).answer.verdict is Verdict.NEW


def test_what_was_skipped_names_its_reason(app: Flask) -> None:
    client = make_client()
    campaign = make_launched_campaign()
    make_run(campaign, [client.id], skipped={"capped": [client.id]})
    found = asked(campaign, client)
    assert found.answer.verdict is Verdict.SKIPPED
    assert found.messages[0].message.reason == "capped"


def test_before_the_launch_it_says_what_would_happen(app: Flask) -> None:
    client = make_client()
    assert asked(make_campaign(state=State.DRAFT), client).answer.verdict is Verdict.NOT_LAUNCHED


def test_events_stand_in_the_order_of_time_with_their_verdicts(app: Flask) -> None:
    client = make_client()
    campaign = make_launched_campaign()
    make_run(campaign, [client.id])
    message_id = message_of(client).id
    make_events(
        [
            {"kind": "click", "message_id": message_id, "at": now(), "machine": True, "machine_reasons": "agent, trap",
             "link": "https://x.example"},
            {"kind": "open", "message_id": message_id, "at": now() - timedelta(minutes=1), "machine": False,
             "machine_reasons": None, "link": None},
        ]
    )  # fmt: skip
    events = asked(campaign, client).events
    assert [(event.kind, event.machine, event.reasons) for event in events] == [
        ("open", False, []),
        ("click", True, ["agent", "trap"]),
    ]


def test_an_opening_names_who_claims_it(app: Flask) -> None:
    client = make_client()
    first, second = make_launched_campaign(name="Spring"), make_launched_campaign(name="Autumn")
    make_run(first, [client.id])
    make_run(second, [client.id])
    opening = make_opening(first, client.id)
    mine, theirs = asked(first, client).openings[0], asked(second, client).openings[0]
    assert (mine.opening.id, mine.weight, mine.others) == (opening.id, 1, [])
    assert (theirs.weight, theirs.others) == (None, ["Spring"])


def test_contact_tasks_are_told(app: Flask) -> None:
    adviser = make_user(role="adviser")
    client = make_called_client(adviser)
    task = make_tasks([client])[0]
    campaign = db.session.get_one(Campaign, task.campaign_id)
    assert asked(campaign, client).tasks[0][1] == adviser.name


def test_the_history_of_a_merged_record_is_the_clients(app: Flask) -> None:
    client, other = make_client(), make_client()
    campaign = make_launched_campaign()
    make_run(campaign, [other.id])
    with unit_of_work():
        db.session.get_one(Client, other.id).merged_into_id = client.id
    assert asked(campaign, client).answer.verdict is Verdict.SENT


# ---- The pages -------------------------------------------------------------------------------------------------------


def test_the_page_shows_the_answer_and_the_message_in_a_sandbox(manager: FlaskClient, app: Flask) -> None:
    client = make_client(number="4711", name="Li Na", email="lina@example.com")
    campaign = launched(code="SPRING")
    send_all()
    page = manager.get("/reports/spring/why/4711")
    assert page.status_code == 200
    assert "Yes: sent by E-mail on" in text_of(page.text)
    assert "lina@example.com" not in page.text
    frame = re.search(r'src="(/reports/SPRING/why/4711/messages/\d+)"', page.text)
    assert frame is not None
    message = manager.get(frame[1])
    assert message.headers["Content-Security-Policy"].startswith("sandbox;")
    assert "market brief" in message.text
    assert "https://news.example.com/brief" in message.text  # plain: no click of a colleague counts as the client's
    assert "/c/" not in message.text
    assert campaign.code == "SPRING"
    assert client.number == "4711"


def test_a_message_of_somebody_else_is_not_shown_under_this_client(manager: FlaskClient, app: Flask) -> None:
    mine, other = make_client(), make_client()
    launched(code="SPRING")
    send_all()
    foreign = message_of(other).id
    assert manager.get(f"/reports/SPRING/why/{mine.number}/messages/{foreign}").status_code == 404
    assert manager.get(f"/reports/SPRING/why/{mine.number}/messages/{2**70}").status_code == 404


def test_the_search_finds_by_number_and_name(manager: FlaskClient, app: Flask) -> None:
    make_client(number="88", name="Li Na")
    make_client(number="99", name="Li Bo")
    make_launched_campaign(code="SPRING")
    assert manager.get("/reports/SPRING/why?q=88").headers["Location"].endswith("/reports/SPRING/why/88")
    listed = manager.get("/reports/SPRING/why?q=Li").text
    assert "/reports/SPRING/why/88" in listed
    assert "/reports/SPRING/why/99" in listed
    assert "No such client" in manager.get("/reports/SPRING/why?q=%00nobody").text


def test_the_page_of_a_client_lists_their_campaigns(manager: FlaskClient, app: Flask) -> None:
    client = make_client(number="88")
    campaign = make_launched_campaign(code="SPRING", name="Spring drive")
    make_run(campaign, [client.id], launched_at=LAUNCH)
    assert "/clients/88/campaigns" in manager.get("/clients/88").text
    fragment = manager.get("/clients/88/campaigns").text
    assert 'href="/reports/SPRING/why/88"' in fragment
    assert manager.get("/clients/88/why?campaign=SPRING").headers["Location"].endswith("/reports/SPRING/why/88")


def test_a_branch_asks_about_its_own_clients_only(browser_client: FlaskClient, app: Flask) -> None:
    branch = make_branch()
    sign_in(browser_client, make_user(role="branch_manager", branch=branch))
    mine, foreign = make_client(branch=branch), make_client()
    campaign = make_launched_campaign(code="SPRING")
    make_run(campaign, [mine.id, foreign.id])
    assert browser_client.get(f"/reports/SPRING/why/{mine.number}").status_code == 200
    assert browser_client.get(f"/reports/SPRING/why/{foreign.number}").status_code == 404
    assert "No such client" in browser_client.get(f"/reports/SPRING/why?q={foreign.name}").text


def test_a_call_is_shown_by_its_script(manager: FlaskClient, app: Flask) -> None:
    adviser = make_user(role="adviser")
    client = make_called_client(adviser)
    task = make_tasks([client])[0]
    code = db.session.get_one(Campaign, task.campaign_id).code
    address = f"/reports/{code}/why/{client.number}"
    assert f"{address}/messages/{task.message_id}" in manager.get(address).text
    framed = manager.get(f"{address}/messages/{task.message_id}")
    assert "Good morning, this is your adviser." in framed.text
    assert framed.headers["Content-Security-Policy"].startswith("sandbox;")
