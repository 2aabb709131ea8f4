"""What the report shows of each segment, on the page and in files, and what it says of how it was counted."""

import csv
import io
import re
import zipfile
from decimal import Decimal
from html import unescape

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pyroaring import BitMap64
from sqlalchemy import update
from xlsxwriter.utility import xl_col_to_name

from app.campaigns.models import Campaign, Step
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work
from app.reports.effect.figures import figure_named
from app.reports.effect.groups import groups_at_launch
from app.reports.outcomes.service import count_outcomes
from app.reports.response import Outcome, campaign_runs
from app.reports.targets.models import CampaignTarget, Measure
from app.reports.words import definition
from tests.factories.clients import make_clients
from tests.factories.effect import make_compared_run, make_openings
from tests.factories.ledger import make_launched_campaign
from tests.factories.users import make_branch, make_user, sign_in


@pytest.fixture
def clients(app: Flask) -> list[int]:
    return make_clients(2_000)


@pytest.fixture
def campaign(clients: list[int]) -> Campaign:
    """A: 130 of 750 treated opened an effective account with 1,000 each; B: 20 of 750; ten of 250 each without it."""
    made = make_launched_campaign(code="DRIVE", name="Autumn drive", fixed_cost=Decimal(500))
    made.steps[0].unit_cost = Decimal("0.1")
    control, a, b = BitMap64(clients[::4]), BitMap64(clients[:1000]), BitMap64(clients[1000:])
    make_compared_run(made, clients, control, segments={"A": a, "B": b})
    make_openings(list(a - control)[:130], campaign=made, brought_in=1_000)
    make_openings([*list(b - control)[:20], *list(a & control)[:10], *list(b & control)[:10]])
    with unit_of_work():
        count_outcomes()
    return made


@pytest.fixture
def marketing(browser_client: FlaskClient) -> FlaskClient:
    return sign_in(browser_client, make_user(role="marketing"))


def page_of(client: FlaskClient, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return " ".join(unescape(answer.text).split())


def csv_of(client: FlaskClient, code: str = "DRIVE") -> list[list[str]]:
    return list(csv.reader(io.StringIO(client.get(f"/reports/{code}/export.csv").text.removeprefix("\ufeff"))))


def sheet_of(client: FlaskClient, code: str, part: str = "xl/worksheets/sheet1.xml") -> str:
    """A part of the Excel file; the first sheet is the report."""
    with zipfile.ZipFile(io.BytesIO(client.get(f"/reports/{code}/export.xlsx").data)) as book:
        return book.read(part).decode()


def test_the_page_shows_effective_accounts_assets_and_cost(marketing: FlaskClient, campaign: Campaign) -> None:
    page = page_of(marketing, "/reports/DRIVE")
    for words in (
        "Effective accounts",
        "/reports/DRIVE/clients?outcome=effective&segment=",
        "130,000",
        "2.50 per effective one",
        "17.33% of 750",
        "(bootstrap)",
        "(Welch)",
        "/account-openings/campaign/DRIVE",
    ):
        assert words in page, words


def test_relative_lift_stands_beside_the_absolute_for_the_whole_and_each_segment(
    marketing: FlaskClient, campaign: Campaign
) -> None:
    page = page_of(marketing, "/reports/DRIVE")
    assert page.count('data-label="Relative lift"><span class="rate"><span class="rate-value">') == 3
    assert "+150.0 %" in page  # 10 % against 4 %


def test_every_tile_says_what_it_counts_and_of_what(marketing: FlaskClient, campaign: Campaign) -> None:
    page = page_of(marketing, "/reports/DRIVE")
    assert page.count('<div class="card figure-tile"') == page.count('<div class="card figure-tile" title="') >= 10


def test_files_have_what_the_page_has(marketing: FlaskClient, campaign: Campaign) -> None:
    head, whole, a, _b, *_rest = csv_of(marketing)
    of = {label: (whole[place], a[place]) for place, label in enumerate(head)}
    assert of["Effective accounts"] == ("130", "130")
    assert of["Assets brought in"] == ("130000.00", "130000.00")
    assert of["Cost"] == ("650.00", "325.00")
    assert of["Cost per account"] == ("4.33", "2.50")
    assert of["Relative lift"][0] == "1.5"
    assert all(float(of[f"Relative lift, {end}"][1]) > 0 for end in ("low", "high"))


def test_a_small_lift_is_not_rounded_away(marketing: FlaskClient, campaign: Campaign) -> None:
    head = csv_of(marketing)[0]
    styles = sheet_of(marketing, "DRIVE", "xl/styles.xml")
    sheet = sheet_of(marketing, "DRIVE")
    formats = dict(re.findall(r'numFmtId="(\d+)" formatCode="([^"]+)"', styles)) | {"10": "0.00%"}
    cell_formats = re.findall(r'<xf numFmtId="(\d+)"', styles[styles.index("<cellXfs") :])
    for label, shown in (("Absolute lift", "0.00%"), ("Relative lift, low", "0.00%"), ("Delivered, of sent", "0.0%")):
        place = f"{xl_col_to_name(head.index(label))}5"
        style = re.search(rf'<c r="{place}" s="(\d+)"', sheet)
        assert style, label
        assert formats[cell_formats[int(style[1])]] == shown, label


def test_a_failed_split_check_stands_over_the_figures_of_every_file(marketing: FlaskClient, clients: list[int]) -> None:
    made = make_launched_campaign(code="LOST")
    make_compared_run(made, clients, clients[:300], shares={0.25: clients})
    assert csv_of(marketing, "LOST")[0][0].startswith("Split check failed")
    sheet = sheet_of(marketing, "LOST")
    assert sheet.index("Split check failed") < sheet.index('r="A4"')
    assert page_of(marketing, "/reports/LOST").index("Split check failed") < 40_000


def test_a_split_check_that_passed_leaves_the_head_on_top(marketing: FlaskClient, campaign: Campaign) -> None:
    assert csv_of(marketing)[0][0] == "Segment"


class TestTargets:
    def test_what_was_reached_of_the_whole_is_told(self, marketing: FlaskClient, campaign: Campaign) -> None:
        db.session.add(CampaignTarget(campaign_id=campaign.id, measure=Measure.ACCOUNTS, amount=Decimal(40)))
        db.session.commit()
        page = page_of(marketing, "/reports/DRIVE/against-target")
        assert "Accounts opened" in page
        assert "of 40" in page
        assert "not for segments" in page

    def test_where_nothing_is_set_it_says_so(self, marketing: FlaskClient, campaign: Campaign) -> None:
        assert "No target is set for the whole campaign." in page_of(marketing, "/reports/DRIVE/against-target")

    def test_a_branch_reads_its_own(self, browser_client: FlaskClient, campaign: Campaign) -> None:
        south = make_branch(name="South")
        db.session.add(CampaignTarget(campaign_id=campaign.id, measure=Measure.ACCOUNTS, amount=Decimal(40)))
        db.session.commit()
        manager = sign_in(browser_client, make_user(role="branch_manager", branch=south))
        assert "No target is set for your branch." in page_of(manager, "/reports/DRIVE/against-target")


@pytest.mark.parametrize(
    ("model", "words"),
    [("last_touch", "last message"), ("first_touch", "first message"), ("last_click", "clicked last"), ("even", "all")],
)
def test_accounts_are_explained_by_the_model_of_the_campaign(app: Flask, model: str, words: str) -> None:
    campaign = make_launched_campaign(attribution_model=model)
    assert words in definition(Outcome.ACCOUNTS_OPENED, campaign=campaign)


class TestVariants:
    @pytest.fixture
    def tested(self, clients: list[int]) -> Campaign:
        """Two steps with variants whose ids are in another order as text than as numbers."""
        made = make_launched_campaign(code="TESTED")
        db.session.execute(update(Step).where(Step.id == made.steps[0].id).values(id=9))
        db.session.expire_all()
        made.steps.append(Step(id=10, position=1, channel="email", content=made.steps[0].content))
        db.session.commit()
        halves, others = (clients[:1_000], clients[1_000:]), (clients[::2], clients[1::2])
        groups = {
            (f"variant:{step_id}", letter, letter): ids
            for step_id, arms in ((10, others), (9, halves))
            for letter, ids in zip("AB", arms, strict=True)
        }
        make_compared_run(made, clients, [], groups=groups)
        return made

    def test_every_tested_step_is_shown_in_its_order(self, tested: Campaign) -> None:
        groups = groups_at_launch(tested, campaign_runs(tested), "variant")
        assert [key for key, _name, _ids in groups] == ["9:A", "9:B", "10:A", "10:B"]
        assert groups[0][1] == "Step 1 (E-mail): A"

    def test_each_leads_to_its_clients(self, marketing: FlaskClient, tested: Campaign, clients: list[int]) -> None:
        page = page_of(marketing, "/reports/TESTED/by/variant")
        assert "group=variant:9:A" in page or "group=variant%3A9%3AA" in page
        figure = figure_named(tested, "targeted", segment_id=None, group="variant:9:A", today=False, viewer=None)
        assert figure is not None
        assert figure.clients() == BitMap64(clients[:1_000])


@pytest.mark.parametrize("place", ["after", "before"])
@pytest.mark.parametrize("value", ["99999999999999999999999", "-1", "-99999999999999999999999"])
def test_a_page_beyond_every_client_is_not_found(
    marketing: FlaskClient, campaign: Campaign, place: str, value: str
) -> None:
    assert marketing.get(f"/reports/DRIVE/clients?outcome=sent&{place}={value}").status_code == 404
