"""What leaves for a partner, and what is noted of it."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from app.audit.models import AuditEntry
from app.campaigns.models import Campaign
from app.core.extensions import db
from app.reports.partner.queries import Category, partner_report
from tests.factories.clients import make_clients
from tests.factories.effect import make_compared_run, make_openings
from tests.factories.ledger import make_launched_campaign
from tests.factories.users import make_branch, make_user, sign_in


@pytest.fixture
def campaign(app: Flask) -> Campaign:
    """Three branches, 900 contacted clients: 40, 30 and 3 of them opened an account. 100 more in the control group."""
    clients = make_clients(1_000)
    made = make_launched_campaign(code="JOINT", name="Joint drive")
    branches = {"North": clients[:400], "South": clients[400:700], "West": clients[700:]}
    groups = {("branch", str(key), name): ids for key, (name, ids) in enumerate(branches.items())}
    make_compared_run(made, clients, clients[900:], groups=groups)
    make_openings([*clients[:40], *clients[400:430], *clients[700:703], *clients[900:905]])
    return made


def test_small_counts_are_withheld_and_another_branch_with_them(campaign: Campaign) -> None:
    report = partner_report(campaign)
    assert report.categories == (Category.OPENED, Category.NONE)
    branches = report.tables[0]
    assert branches.total == [73, 827, 900]
    assert branches.lines == [
        ("North", [40, 360, 400]),
        ("South", [None, None, 300]),
        ("West", [None, None, 200]),
    ]


def test_too_few_openings_are_not_shared_at_all(app: Flask) -> None:
    clients = make_clients(100)
    made = make_launched_campaign(code="SMALL")
    make_compared_run(made, clients, [])
    make_openings(clients[:9])
    report = partner_report(made)
    assert (report.categories, report.tables) == ((), [])


def test_what_leaves_is_noted_and_marked(browser_client: FlaskClient, campaign: Campaign) -> None:
    person = sign_in(browser_client, make_user(role="head_office", name="Wei Lan"))
    assert "∗" in person.get("/reports/JOINT/partner").text
    file = person.post("/reports/JOINT/partner", data={"partner": "River Bank", "format": "csv"})
    assert "South,∗,∗,300" in file.text
    assert "Wei Lan" in file.text
    assert "River Bank" in file.text
    entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "partner_report_exported")).one()
    assert entry.changes["partner"] == [None, "River Bank"]
    assert entry.changes["withheld"][1] > 0
    assert "River Bank" in person.get("/reports/JOINT/partner").text
    assert person.post("/reports/JOINT/partner", data={"partner": "River Bank", "format": "xlsx"}).status_code == 200


@pytest.mark.parametrize(
    "data",
    [
        {"partner": " ", "format": "csv"},
        {"partner": "x" * 101, "format": "csv"},
        {},
        {"partner": "a\0b", "format": "csv"},
        {"partner": "Bank", "format": "exe"},
    ],
)
def test_a_senseless_request_gives_nothing_out(
    browser_client: FlaskClient, campaign: Campaign, data: dict[str, str]
) -> None:
    person = sign_in(browser_client, make_user(role="marketing"))
    assert person.post("/reports/JOINT/partner", data=data).status_code == 422
    assert db.session.scalar(select(AuditEntry).where(AuditEntry.action == "partner_report_exported")) is None


def test_nothing_to_share_is_said(browser_client: FlaskClient, app: Flask) -> None:
    make_launched_campaign(code="EMPTY")
    person = sign_in(browser_client, make_user(role="marketing"))
    assert "Nothing to share yet" in person.get("/reports/EMPTY/partner").text
    assert person.post("/reports/EMPTY/partner", data={"partner": "Bank", "format": "csv"}).status_code == 422


def test_who_sees_a_part_of_the_firm_gives_nothing_out(browser_client: FlaskClient, campaign: Campaign) -> None:
    """A part taken off the whole would tell what was withheld."""
    branch = make_branch(code="B9", name="Ninth")
    manager = sign_in(browser_client, make_user(role="branch_manager", branch=branch))
    assert manager.get("/reports/JOINT/partner").status_code == 403
