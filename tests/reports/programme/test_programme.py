"""Several campaigns together: clients and openings once, whatever they are broken down by."""

from datetime import UTC, date, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from app.audit.models import AuditEntry
from app.campaigns.models import Campaign
from app.core.extensions import db
from app.reports.programme.queries import Grouping, Period, Programme, compared, programme
from app.reports.response import Outcome
from tests.factories.clients import make_clients
from tests.factories.effect import make_compared_run, make_openings
from tests.factories.ledger import LAUNCH, claim, make_launched_campaign, make_opening, make_run
from tests.factories.users import make_branch, make_user, sign_in

YEAR = Period(date(2026, 1, 1), date(2026, 12, 31), UTC)


@pytest.fixture
def campaigns(app: Flask) -> list[Campaign]:
    """March: clients 0-59 and one opening; May: clients 40-99 with the same opening claimed too, and one of its own."""
    clients = make_clients(100)
    march = make_launched_campaign(code="MARCH", name="March drive", tags=["accounts", "bank"])
    may = make_launched_campaign(
        code="MAY", name="May letter", purpose="service", launched_at=LAUNCH + timedelta(days=60)
    )
    make_run(march, clients[:60], opened=clients[:30])
    make_run(may, clients[40:], opened=clients[40:60], launched_at=LAUNCH + timedelta(days=60))
    shared = make_opening(march, clients[50])
    claim(may, shared)
    make_opening(may, clients[90], opened_at=LAUNCH + timedelta(days=61))
    return [march, may]


def parts(found: Programme) -> dict[str, tuple[int, int, int]]:
    """Campaigns, targeted clients and openings by part."""
    return {part.key: (len(part.campaigns), part.count(Outcome.TARGETED), len(part.openings)) for part in found.parts}


def test_a_client_and_an_opening_count_once(campaigns: list[Campaign]) -> None:
    total = programme(YEAR, Grouping.MONTH, viewer=None).total
    assert total.count(Outcome.TARGETED) == 100
    assert total.count(Outcome.OPENED) == 50
    assert len(total.openings) == 2
    assert len(total.shared) == 1


def test_it_is_broken_down_by_month_purpose_channel_and_tag(campaigns: list[Campaign]) -> None:
    assert parts(programme(YEAR, Grouping.MONTH, viewer=None)) == {"2026-03": (1, 60, 1), "2026-05": (1, 60, 2)}
    assert parts(programme(YEAR, Grouping.PURPOSE, viewer=None)) == {"marketing": (1, 60, 1), "service": (1, 60, 2)}
    assert parts(programme(YEAR, Grouping.CHANNEL, viewer=None)) == {"email": (2, 100, 2)}
    assert parts(programme(YEAR, Grouping.TAG, viewer=None)) == {
        "accounts": (1, 60, 1),
        "bank": (1, 60, 1),
        "": (1, 60, 2),
    }


def test_only_what_was_launched_in_the_period_counts(campaigns: list[Campaign]) -> None:
    march = Period(date(2026, 3, 1), date(2026, 3, 2), UTC)
    assert [campaign.code for campaign, _ in programme(march, Grouping.MONTH, viewer=None).lines] == ["MARCH"]
    empty = programme(Period(date(2020, 1, 1), date(2020, 1, 2), UTC), Grouping.CHANNEL, viewer=None)
    assert (empty.lines, empty.parts, len(empty.total.openings)) == ([], [], 0)


def test_a_branch_sees_its_own_clients_only(campaigns: list[Campaign]) -> None:
    elsewhere = make_user(role="branch_manager", branch=make_branch(code="B9", name="Ninth"))
    found = programme(YEAR, Grouping.CHANNEL, viewer=elsewhere)
    assert found.total.count(Outcome.TARGETED) == 0
    assert not found.total.openings


def test_the_page_and_its_files(browser_client: FlaskClient, campaigns: list[Campaign]) -> None:
    person = sign_in(browser_client, make_user(role="marketing"))
    page = person.get("/programme?since=2026-01-01&until=2026-12-31&by=month").text
    assert "March 2026" in page
    assert "May letter" in page
    csv = person.get("/programme/export.csv?since=2026-01-01&until=2026-12-31&by=purpose")
    assert "All campaigns,2,100" in csv.text
    assert person.get("/programme/export.xlsx").status_code == 200
    noted = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "report_exported")).all()
    assert [entry.subject for entry in noted] == ["report", "report"]


@pytest.mark.parametrize(
    "query",
    ["since=x&until=99999-01-01", "by=nonsense", "since=2026-12-31&until=2020-01-01", "since=%00", "since=0001-01-01"],
)
def test_a_senseless_period_is_answered_with_a_page(
    browser_client: FlaskClient, campaigns: list[Campaign], query: str
) -> None:
    person = sign_in(browser_client, make_user(role="head_office"))
    assert person.get(f"/programme?{query}").status_code == 200


def test_campaigns_side_by_side_with_what_they_caused(browser_client: FlaskClient, app: Flask) -> None:
    clients = make_clients(2_000)
    first = make_launched_campaign(code="ONE", name="First drive")
    second = make_launched_campaign(code="TWO", name="Second drive")
    make_compared_run(first, clients[:1_000], clients[:1_000:4])
    make_compared_run(second, clients[1_000:], [])
    make_openings([client for client in clients[:1_000] if client not in clients[:1_000:4]][:90])
    person = sign_in(browser_client, make_user(role="marketing"))
    page = person.get("/programme/compare?code=ONE&code=two&code=nothing&code=%00").text
    assert "+12.00" in page  # 90 of 750 against none of 250
    assert "No control group" in page
    csv = person.get("/programme/compare/export.csv?code=ONE&code=TWO").text
    assert "ONE First drive" in csv
    assert person.get("/programme/compare/export.xlsx?code=ONE&code=TWO").status_code == 200


def test_a_failed_split_check_stands_over_the_numbers_and_in_the_file(browser_client: FlaskClient, app: Flask) -> None:
    clients = make_clients(3_000)
    bad, good = make_launched_campaign(code="BAD"), make_launched_campaign(code="GOOD")
    make_compared_run(bad, clients, clients[:1_000], shares={0.1: clients})  # a third where a tenth was to be drawn
    make_compared_run(good, clients, clients[:300])
    make_openings(clients[1_000:1_200])
    person = sign_in(browser_client, make_user(role="marketing"))
    page = person.get("/programme/compare?code=BAD&code=GOOD").text
    assert page.count("Split check failed") == 1
    assert page.index("Split check failed") < page.index("Absolute lift")
    lines = person.get("/programme/compare/export.csv?code=BAD&code=GOOD").text.splitlines()
    assert [next(line for line in lines if line.startswith(code)).split(",")[1] for code in ("BAD", "GOOD")] == [
        "Failed: do not trust any comparison.",
        "Passed.",
    ]


def test_fewer_than_two_are_asked_for_and_no_more_than_eight_shown(campaigns: list[Campaign]) -> None:
    assert [one.campaign.code for one in compared(["MARCH"], viewer=None)] == ["MARCH"]
    many = [make_launched_campaign(code=f"X{number}").code for number in range(9)]
    assert len(compared(many, viewer=None)) == 8
    assert compared([], viewer=None) == []
    assert compared(["MAY", "MARCH", "MAY"], viewer=None)[0].campaign.code == "MAY"


def test_the_comparison_offers_campaigns_to_choose_from(browser_client: FlaskClient, campaigns: list[Campaign]) -> None:
    person = sign_in(browser_client, make_user(role="marketing"))
    page = person.get("/programme/compare?q=march").text
    assert "March drive" in page
    assert "May letter" not in page
    assert "Choose at least two." in page
