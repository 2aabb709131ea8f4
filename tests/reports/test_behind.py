"""Every figure above zero on the pages of reports leads to a list of exactly what it counts."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from html import escape, unescape

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pyroaring import BitMap64
from sqlalchemy import select

from app.advising.models import ContactResult
from app.campaigns.models import Campaign, State
from app.clients.models import Client
from app.core.clock import now, today
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work
from app.delivery.models import LEFT_OUT, Message, RunGroup
from app.delivery.planning import freeze_run
from app.reports.behind.campaigns import left_out
from app.reports.targets.models import Measure
from app.reports.targets.service import Wanted, set_targets
from app.tracking.models import AccountOpening, Reply
from app.tracking.openings.models import CountedOpening, OpeningFollowUp
from app.users.models import User
from tests.factories.advising import make_call_campaign, make_called_client, make_tasks
from tests.factories.campaigns import make_campaign, make_content
from tests.factories.clients import make_client, make_clients
from tests.factories.ledger import claim, make_launched_campaign, make_opening, make_run
from tests.factories.tracking import make_events
from tests.factories.users import make_branch, make_team, make_user, sign_in

BRIEF = "https://news.example.com/brief?a=1&b=2"
_FIGURE = re.compile(r'<data class="figure-data" value="([^"]*)">(?:<a (?:class="[^"]*" )?href="([^"]*)">)?')
_LIST = re.compile(r'<data id="figure-behind" value="([^"]*)">')
_ROW = re.compile(r'<th scope="row"')
# The pages, and how many figures above zero each has at least.
PAGES = {
    "/reports": 10,
    "/reports/SPRING": 4,
    "/overview/recent": 4,
    "/programme": 20,
    "/programme?by=channel": 15,
    "/programme?by=tag": 15,
    "/programme?by=purpose": 15,
    "/programme/compare?code=SPRING&code=AUTUMN": 6,
    "/rankings/": 10,
    "/rankings/?by=team&sort=reached": 7,
    "/sheets/morning": 2,
    "/sheets/evening": 10,
    "/reports/SPRING/map/": 4,
    "/reports/SPRING/targets/": 3,
    "/account-openings/campaign/SPRING": 6,
}


@dataclass(frozen=True)
class Firm:
    """Two e-mail campaigns over the same clients, one of calls, and what came of them; `branch` has half of it."""

    chief: User
    manager: User
    stranger: str
    """The number of a client of another branch, who answered everything."""


@pytest.fixture
def firm(app: Flask) -> Firm:
    chief, branch = make_user(role="head_office"), make_branch(name="North")
    adviser, colleague = (make_user(role="adviser", branch=branch, team=make_team()) for _ in range(2))
    called = [make_called_client(adviser) for _ in range(4)]
    stranger = make_client(number="STRANGER-7")
    ids = [stranger.id, *(one.id for one in called), *(make_client().id for _ in range(5))]
    yesterday = now() - timedelta(days=1)
    spring, autumn = (_letter(code, yesterday) for code in ("SPRING", "AUTUMN"))
    make_run(
        spring, ids, launched_at=yesterday, opened=ids[:6], clicked=ids[:3], replied=ids[:1],
        skipped={"no_consent": ids[8:9]}, failed={"no such mailbox": ids[9:]},
    )  # fmt: skip
    make_run(autumn, ids[:8], launched_at=yesterday, opened=ids[2:5], unsubscribed=ids[4:5])
    shared = _counted(spring, ids[1], brought_in=700)
    _counted(spring, ids[0], brought_in=40)
    claim(autumn, shared)
    _click(spring, ids[:3], machines=ids[3:5])
    _reply(spring, ids[0])
    _call(called, adviser, colleague=colleague)
    _followed(spring, shared)
    with unit_of_work():
        wanted = [Wanted(measure, Decimal(9)) for measure in Measure if measure is not Measure.PARTNER]
        set_targets(campaign=spring, wanted=[*wanted, Wanted(Measure.ACCOUNTS, Decimal(4), branch=branch)], actor=chief)
    return Firm(chief, make_user(role="branch_manager", branch=branch), stranger.number)


def _letter(code: str, launched_at: datetime) -> Campaign:
    content = make_content(source=f'<html><body><a href="{escape(BRIEF)}">Brief</a></body></html>')
    return make_campaign(
        code=code, name=code.title(), content=content, launched_at=launched_at, tags=["shares"], state=State.RUNNING
    )


def _message(campaign: Campaign, client_id: int) -> int:
    return db.session.scalars(
        select(Message.id).where(Message.campaign_id == campaign.id, Message.client_id == client_id)
    ).one()


def _counted(campaign: Campaign, client_id: int, *, brought_in: int) -> AccountOpening:
    """An effective opening of today that the campaign claims."""
    opening = make_opening(campaign, client_id, opened_at=now())
    with unit_of_work() as session:
        session.add(
            CountedOpening(
                campaign_id=campaign.id, opening_id=opening.id, effective_on=today(), brought_in=Decimal(brought_in)
            )
        )
    return opening


def _click(campaign: Campaign, people: list[int], *, machines: list[int]) -> None:
    make_events(
        {"kind": "click", "message_id": _message(campaign, client_id), "link": BRIEF, "machine": client_id in machines}
        for client_id in people + machines
    )


def _call(called: list[Client], adviser: User, *, colleague: User) -> None:
    """Two campaigns ask for calls of the same clients; a colleague reaches one of them as well."""
    for _number in range(2):
        campaign = make_call_campaign()
        tasks = make_tasks(called, campaign=campaign)
        with unit_of_work() as session:
            for task, result in zip(tasks, ("appointment", "no_answer", "interested"), strict=False):
                row = session.merge(task)
                row.tried_at = row.result_at = row.reached_at = now()
                row.result, row.adviser_id, row.planned_on = result, adviser.id, today()
            session.merge(tasks[3]).due_on = today() - timedelta(days=2)
        with unit_of_work() as session:
            for actor in (adviser, colleague):
                session.add(
                    ContactResult(
                        key=f"{campaign.id}-{actor.id}", client_id=called[0].id, task_ids=[tasks[0].id],
                        actor_id=actor.id, outcome="appointment", at=now(),
                    )
                )  # fmt: skip


def _followed(campaign: Campaign, opening: AccountOpening) -> None:
    with unit_of_work() as session:
        session.add(
            OpeningFollowUp(
                campaign_id=campaign.id, opening_id=opening.id, days=30, on_date=today(), still_effective=True,
                assets=Decimal(650),
            )
        )  # fmt: skip


def _reply(campaign: Campaign, client_id: int) -> None:
    with unit_of_work() as session:
        session.add(
            Reply(
                message_id=_message(campaign, client_id), client_id=client_id, campaign_id=campaign.id, subject="Re",
                message_id_header="<1@x>", text="Please call", raw=b"", received_at=now(),
            )
        )  # fmt: skip


def figures_on(client: FlaskClient, address: str) -> list[tuple[Decimal, str]]:
    """(value, address of its list) of every figure of a page."""
    page = client.get(address)
    assert page.status_code == 200, address
    return [(Decimal(value), unescape(href)) for value, href in _FIGURE.findall(page.text)]


def check_lists(client: FlaskClient, address: str, *, never: str | None = None) -> int:
    """How many figures above zero the page has, each with a list of as many lines as it says, `never` in none."""
    above = [(value, href) for value, href in figures_on(client, address) if value]
    for value, href in above:
        assert href, f"{value} on {address} leads nowhere"
        listed = client.get(href)
        assert listed.status_code == 200, href
        assert never is None or never not in listed.text, href
        (told,) = _LIST.findall(listed.text)
        assert Decimal(told) == value, href
        lines = len(_ROW.findall(listed.text))
        assert lines > 0 if "in all ·" in listed.text else lines == value, href
    return len(above)


def test_every_figure_leads_to_what_it_counts(browser_client: FlaskClient, firm: Firm) -> None:
    sign_in(browser_client, firm.chief)
    found = {address: check_lists(browser_client, address) for address in PAGES}
    assert {address: found[address] for address, fewest in PAGES.items() if found[address] < fewest} == {}


def test_a_branch_is_led_to_its_own_clients_only(browser_client: FlaskClient, firm: Firm) -> None:
    sign_in(browser_client, firm.manager)
    for address in PAGES:
        found = check_lists(browser_client, address, never=firm.stranger)
        assert found or address in ("/sheets/morning", "/reports/SPRING")


def test_a_list_is_masked_and_paged_and_cannot_be_taken_out(browser_client: FlaskClient, app: Flask) -> None:
    clients = make_clients(120)
    campaign = make_launched_campaign(code="LONG", launched_at=now() - timedelta(days=1))
    make_run(campaign, clients, launched_at=now() - timedelta(days=1), opened=clients)
    sign_in(browser_client, make_user(role="head_office"))
    address, seen = "/figures/recent?figure=opened", 0
    while address:
        page = browser_client.get(address).text
        seen += len(_ROW.findall(page))
        assert "export" not in page
        following = re.search(r'rel="next" href="([^"]+)"', page)
        address = unescape(following[1]) if following else ""
    assert seen == 120
    assert "@" in page
    assert "client120@" not in page
    back = re.search(r'rel="prev" href="([^"]+)"', page)
    assert back
    assert len(_ROW.findall(browser_client.get(unescape(back[1])).text)) == 50


NO_FIGURES = (
    "programme?figure=nonsense", "programme?figure=opened&part=1999-01", "programme?figure=opened&code=NONE",
    "advisers?step=nonsense", "advisers?step=tried&who=99999", "sheet?sheet=noon&figure=due",
    "sheet?sheet=morning&figure=due&who=x", "sheet?sheet=morning&of=branch:9&figure=due",
    "link?code=SPRING&link=https://other.example.com", "link?code=SPRING&link=%00&by=x",
    "link?code=SPRING&step=99999999999999999999", "hour?code=SPRING&figure=opened&day=7&hour=0",
    "hour?code=SPRING&figure=opened&day=x&hour=", "target?code=SPRING&id=0", "openings?code=SPRING&figure=x",
    "openings?code=SPRING&figure=still&days=31", "openings?code=SPRING&other=NONE", "left-out?code=SPRING&reason=x",
    "reason?code=SPRING&outcome=sent&reason=x", "reason?code=SPRING&outcome=skipped&reason=%00",
    "recent?figure=bounced", "recent", "nonsense",
)  # fmt: skip


def test_what_is_no_figure_is_not_found(browser_client: FlaskClient, firm: Firm) -> None:
    sign_in(browser_client, firm.chief)
    answers = {query: browser_client.get(f"/figures/{query}").status_code for query in NO_FIGURES}
    assert {query: status for query, status in answers.items() if status != 404} == {}
    for place in ("after=99999999999999999999999", "before=99999999999999999999999", "after=-5"):
        assert browser_client.get(f"/figures/recent?figure=opened&{place}").status_code == 200


# ---- Who was left out ------------------------------------------------------------------------------------------------


def test_who_was_left_out_at_the_launch_is_kept(browser_client: FlaskClient, app: Flask) -> None:
    consenting, others = make_clients(3), [make_client(email_consent=False).id for _ in range(2)]
    campaign = make_campaign(code="LEFT", state=State.RUNNING)
    with unit_of_work():
        run = freeze_run(campaign=db.session.get_one(Campaign, campaign.id))
    (group,) = db.session.scalars(
        select(RunGroup).where(RunGroup.run_id == run.id, RunGroup.dimension == LEFT_OUT)
    ).all()
    assert (group.key, group.client_ids) == ("no_consent", BitMap64(others))
    sign_in(browser_client, make_user(role="head_office"))
    for query, count in (("&reason=no_consent", 2), ("", len(consenting) + 2)):
        page = browser_client.get(f"/figures/left-out?code=LEFT{query}").text
        assert _LIST.findall(page) == [str(count)]
        assert len(_ROW.findall(page)) == count
    sign_in(browser_client, make_user(role="branch_manager", branch=make_branch()))
    assert browser_client.get("/figures/left-out?code=LEFT").status_code == 404


def test_a_launch_that_kept_only_the_number_has_no_list(app: Flask) -> None:
    campaign = make_launched_campaign()
    make_run(campaign, make_clients(2), exclusions={"no_consent": 3})
    assert left_out(campaign) is None


def test_skipped_and_refused_messages_lead_to_their_clients_by_reason(browser_client: FlaskClient, firm: Firm) -> None:
    sign_in(browser_client, firm.chief)
    for outcome, reason in (("skipped", "no_consent"), ("failed", "no such mailbox")):
        page = browser_client.get(f"/figures/reason?code=SPRING&outcome={outcome}&reason={reason}").text
        assert _LIST.findall(page) == ["1"]
