"""The pages of the reports, as people of each role see them."""

import csv
import io
import re
import zipfile
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from python_calamine import CalamineWorkbook
from sqlalchemy import select
from xlsxwriter.utility import xl_col_to_name

from app.audit.models import AuditEntry
from app.campaigns.models import Campaign, State
from app.clients.exporting.models import ClientExport
from app.clients.models import Client
from app.core.clock import now
from app.core.extensions import db
from app.reports.response import campaign_response
from tests.factories.campaigns import make_campaign
from tests.factories.clients import make_clients
from tests.factories.ledger import LAUNCH, make_launched_campaign, make_opening, make_run, make_segment
from tests.factories.users import make_branch, make_user, sign_in


@pytest.fixture
def marketing(browser_client: FlaskClient) -> FlaskClient:
    return sign_in(browser_client, make_user(role="marketing"))


@pytest.fixture
def campaign(app: Flask) -> Campaign:
    """120 clients, 30 opened, 10 clicked, 2 accounts; the second segment is a third of the first."""
    clients = make_clients(120)
    made = make_launched_campaign(code="SPRING", name="Spring drive")
    make_run(
        made,
        clients,
        segments={"everyone": clients, "students": clients[:40]},
        opened=clients[:30],
        clicked=clients[:10],
        unsubscribed=[clients[50]],
        skipped={"no_consent": clients[100:103]},
        exclusions={"no_address": 5},
    )
    make_opening(made, clients[0])
    make_opening(made, clients[60])
    return made


def text_of(page: str) -> str:
    """What a reader sees: no tags, no runs of blanks."""
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_the_report_shows_figures_with_their_denominators(marketing: FlaskClient, campaign: Campaign) -> None:
    page = text_of(marketing.get("/reports/SPRING").text)
    assert "Spring drive" in page
    assert "of 125 matched" in page
    assert "25.6% of delivered" in page  # 30 of 117
    assert "students" in page
    assert "No usable address − 5" in page
    assert "No marketing consent" in page
    assert "this channel reports no receipts" in page


def test_an_address_in_other_letters_finds_the_same_report(marketing: FlaskClient, campaign: Campaign) -> None:
    assert marketing.get("/reports/spring").status_code == 200
    assert marketing.get("/reports/AUTUMN").status_code == 404


def test_a_campaign_before_its_launch_says_so(marketing: FlaskClient, app: Flask) -> None:
    make_campaign(code="LATER", state=State.DRAFT)
    assert "Nothing to report yet" in marketing.get("/reports/LATER").text
    assert marketing.get("/reports/LATER/over-time.json").status_code == 404


def test_every_number_leads_to_exactly_its_clients(marketing: FlaskClient, campaign: Campaign) -> None:
    page = marketing.get("/reports/SPRING").text
    students = campaign_response(campaign).segments[1]
    link = f"/reports/SPRING/clients?outcome=opened&amp;segment={students.segment_id}"
    assert link in page
    listed = marketing.get(link.replace("&amp;", "&")).text
    assert "30 clients" in text_of(listed)
    assert len(re.findall(r'href="/clients/\d+"', listed)) == 30


@pytest.mark.parametrize("address", ["/reports/SPRING/by/channel", "/reports/SPRING/segment?segment={later}"])
def test_the_numbers_of_a_channel_and_of_a_later_segment_lead_to_their_clients(
    marketing: FlaskClient, campaign: Campaign, address: str
) -> None:
    later = make_segment("Later", rule={"all": [{"field": "number", "op": "in", "value": ["1", "2", "60"]}]})
    page = marketing.get(address.format(later=later.id)).text
    cells = re.findall(r'href="(/reports/SPRING/clients[^"]+)">([\d,]+)</a>', page)
    assert cells
    for link, count in cells:
        assert f"{count} client" in text_of(marketing.get(link.replace("&amp;", "&")).text)


@pytest.mark.parametrize("group", ["channel:pigeon", "segment:0", "segment:x", "segment:99999999999999999999", "x:1"])
def test_a_group_that_is_not_there_shows_nobody(marketing: FlaskClient, campaign: Campaign, group: str) -> None:
    answer = marketing.get(f"/reports/SPRING/clients?outcome=sent&group={group}")
    assert answer.status_code == 404 or "0 clients" in text_of(answer.text)


def test_a_list_of_clients_is_masked_and_paged(marketing: FlaskClient, campaign: Campaign) -> None:
    seen: list[str] = []
    address = "/reports/SPRING/clients?outcome=sent"
    while address:
        page = marketing.get(address).text
        assert "c1@example.com" not in page
        assert "•••@example.com" in page
        seen += re.findall(r'href="/clients/(\d+)"', page)
        following = re.search(r'rel="next" href="([^"]+)"', page)
        address = following[1].replace("&amp;", "&") if following else ""
    assert len(seen) == len(set(seen)) == 117
    back = re.search(r'rel="prev" href="([^"]+)"', page)
    assert back is not None
    earlier = marketing.get(back[1].replace("&amp;", "&")).text
    assert re.findall(r'href="/clients/(\d+)"', earlier) == seen[50:100]


@pytest.mark.parametrize("query", ["", "?outcome=nonsense", "?outcome=opened&segment=999"])
def test_a_figure_that_does_not_exist_is_not_found(marketing: FlaskClient, campaign: Campaign, query: str) -> None:
    assert marketing.get(f"/reports/SPRING/clients{query}").status_code == 404


def test_responses_by_hour_and_by_day(marketing: FlaskClient, app: Flask) -> None:
    clients = make_clients(10)
    made = make_launched_campaign(code="TIMES")
    hour = {clients[0]: LAUNCH + timedelta(minutes=30), clients[1]: LAUNCH + timedelta(hours=2, minutes=1)}
    make_run(made, clients, opened=hour, clicked={clients[2]: LAUNCH + timedelta(hours=2)})
    option = marketing.get("/reports/TIMES/over-time.json").get_json()
    series = {one["name"]: one["data"] for one in option["series"]}
    assert series["Opened"] == [1, 0, 2]
    assert series["Clicked"] == [0, 0, 1]
    assert len(option["xAxis"][0]["data"]) == 3

    make_opening(made, clients[3], opened_at=LAUNCH + timedelta(days=20))
    series = {one["name"]: one["data"] for one in marketing.get("/reports/TIMES/over-time.json").get_json()["series"]}
    assert series["Opened"] == [3] + [0] * 20
    assert series["Accounts opened"] == [0] * 20 + [1]


def test_the_list_of_reports_is_searched_and_paged(marketing: FlaskClient, app: Flask) -> None:
    clients = make_clients(3)
    for number in range(25):
        make_run(make_launched_campaign(name=f"Drive {number}", code=f"D{number:02}"), clients)
    make_campaign(code="DRAFT", name="Drive of the future", state=State.DRAFT)
    first = marketing.get("/reports").text
    assert "Drive 24" in first
    assert "Drive 4" not in text_of(first)
    assert "future" not in first
    older = re.search(r'rel="next" href="([^"]+)"', first)
    assert older is not None
    second = marketing.get(older[1].replace("&amp;", "&")).text
    assert "Drive 4" in second
    newer = re.search(r'rel="prev" href="([^"]+)"', second)
    assert newer is not None
    assert "Drive 24" in marketing.get(newer[1].replace("&amp;", "&")).text
    assert "Drive 7" in marketing.get("/reports?q=d07").text
    assert "No campaign matches" in marketing.get("/reports?q=winter").text


class TestExport:
    def test_the_table_as_csv(self, marketing: FlaskClient, campaign: Campaign) -> None:
        body = marketing.get("/reports/SPRING/export.csv").data.decode("utf-8-sig")
        rows = list(csv.reader(io.StringIO(body)))
        head, whole, everyone, students, _blank, mark = rows
        assert head[:3] == ["Segment", "Targeted", "Sent"]
        opened = head.index("Opened")
        assert (whole[0], whole[1], whole[opened]) == ("Whole audience", "120", "30")
        assert head[opened + 1] == "Opened, of delivered"
        assert float(whole[opened + 1]) == pytest.approx(30 / 117)
        assert (everyone[0], students[0], students[opened]) == ("everyone", "students", "30")
        assert mark[0].startswith("Exported by Staff")

    def test_the_excel_file_has_the_table_each_break_down_a_chart_and_notes(
        self, marketing: FlaskClient, campaign: Campaign
    ) -> None:
        answer = marketing.get("/reports/SPRING/export.xlsx")
        assert answer.headers["Content-Disposition"].endswith("filename=SPRING-report.xlsx")
        book = CalamineWorkbook.from_filelike(io.BytesIO(answer.data))
        sheets = {name: book.get_sheet_by_name(name).to_python() for name in book.sheet_names if name != "Chart"}
        assert list(sheets) == ["Report", "Channel", "Notes"]
        head, whole, everyone, students = sheets["Report"][3:7]
        opened = head.index("Opened")
        assert whole[:2] == ["Whole audience", 120]
        assert [line[opened] for line in (whole, everyone, students)] == [30, 30, 30]
        assert whole[opened + 1] == pytest.approx(30 / 117)
        assert sheets["Channel"][4][:3] == ["E-mail", 120, 117]
        assert any("Wilson" in str(cell) for line in sheets["Notes"] for cell in line)
        chart = zipfile.ZipFile(io.BytesIO(answer.data)).read("xl/charts/chart1.xml").decode()
        place = head.index("Accounts opened")
        column = xl_col_to_name(place, True)
        assert re.findall(r"<c:f>([^<]+)</c:f>", chart) == [
            f"Report!{column}$4", "Report!$A$5:$A$7", f"Report!{column}$5:{column}$7"
        ]  # fmt: skip

    def test_formulas_in_names_are_neutralised(self, marketing: FlaskClient, app: Flask) -> None:
        clients = make_clients(1, name='=HYPERLINK("http://evil.example","x")')
        make_run(make_launched_campaign(code="EVIL"), clients, segments={"@SUM(1)": clients})
        assert "'@SUM(1)" in marketing.get("/reports/EVIL/export.csv").text
        body = marketing.post("/reports/EVIL/clients/export?outcome=sent", data={"format": "csv"}).text
        assert "'=HYPERLINK" in body
        book = marketing.post("/reports/EVIL/clients/export?outcome=sent", data={"format": "xlsx"}).data
        sheet = zipfile.ZipFile(io.BytesIO(book)).read("xl/worksheets/sheet1.xml").decode()
        assert "<f>" not in sheet
        assert "'=HYPERLINK" in sheet

    def test_a_list_leaves_masked_marked_and_noted(self, marketing: FlaskClient, campaign: Campaign) -> None:
        body = marketing.post(
            "/reports/SPRING/clients/export?outcome=clicked", data={"format": "csv", "purpose": "follow-up calls"}
        ).data.decode("utf-8-sig")
        rows = list(csv.reader(io.StringIO(body)))
        assert len(rows) == 1 + 10 + 2
        assert "@example.com" not in body.replace("•••@example.com", "")
        assert rows[-1][0].startswith("Exported by")
        entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "client_list_exported")).one()
        assert entry.reason == "follow-up calls"
        assert entry.changes["rows"] == [None, 10]

    def test_a_long_list_waits_for_a_second_person(self, marketing: FlaskClient, app: Flask) -> None:
        clients = make_clients(1_001)
        make_run(make_launched_campaign(code="LONG"), clients)
        answer = marketing.post("/reports/LONG/clients/export?outcome=sent", data={"format": "csv", "purpose": "audit"})
        assert answer.status_code == 302
        page = marketing.get(answer.location).text
        assert "only once a second person has allowed it" in page
        assert "LONG: Sent" in page
        assert 'value="audit"' in page
        form = {"columns": ["number"], "format": "csv", "purpose": "audit"}
        marketing.post(answer.location, data=form)
        (export,) = db.session.scalars(select(ClientExport))
        assert (export.state, export.rows) == ("asked", 1_001)

    def test_who_may_not_export_cannot(self, browser_client: FlaskClient, campaign: Campaign) -> None:
        checker = sign_in(browser_client, make_user(role="compliance"))
        page = checker.get("/reports/SPRING").text
        assert "export" not in page
        assert checker.get("/reports/SPRING/export.csv").status_code == 403
        assert checker.post("/reports/SPRING/clients/export?outcome=sent", data={"format": "csv"}).status_code == 403


class TestScope:
    def test_a_branch_sees_and_exports_its_own_clients_only(self, browser_client: FlaskClient, app: Flask) -> None:
        south = make_branch(name="South")
        elsewhere, own = make_clients(20), make_clients(5, branch_id=south.id)
        make_run(make_launched_campaign(code="ALL"), elsewhere + own, opened=elsewhere + own, exclusions={"closed": 9})
        manager = sign_in(browser_client, make_user(role="branch_manager", branch=south))
        page = text_of(manager.get("/reports/ALL").text)
        assert "Only clients of South" in page
        assert "No longer a client" not in page
        assert "5 clients" in text_of(manager.get("/reports/ALL/clients?outcome=opened").text)
        rows = manager.post("/reports/ALL/clients/export?outcome=opened", data={"format": "csv"}).text.splitlines()
        assert len(rows) == 1 + 5 + 2
        option = manager.get("/reports/ALL/over-time.json").get_json()
        assert sum(option["series"][0]["data"]) == 5

    def test_a_branch_outside_the_campaign_is_told_so(self, browser_client: FlaskClient, app: Flask) -> None:
        make_run(make_launched_campaign(code="ALL"), make_clients(3))
        manager = sign_in(browser_client, make_user(role="branch_manager", branch=make_branch()))
        assert "None of your clients were in this campaign" in manager.get("/reports/ALL").text

    def test_advisers_have_no_reports(self, browser_client: FlaskClient, campaign: Campaign) -> None:
        adviser = sign_in(browser_client, make_user(role="adviser"))
        assert adviser.get("/reports/SPRING").status_code == 403
        assert adviser.get("/").status_code == 200


class TestOverview:
    def test_a_new_firm_is_told_what_to_do_first(self, marketing: FlaskClient) -> None:
        page = text_of(marketing.get("/").text)
        assert "Four steps to your first result" in page
        assert "Import your clients" in page
        assert "Done" not in page
        make_clients(1)
        assert "Import your clients Done" in text_of(marketing.get("/").text)

    def test_the_checker_sees_what_waits_for_approval(self, browser_client: FlaskClient, app: Flask) -> None:
        author = make_user(role="marketing")
        for _number in range(3):
            make_campaign(state=State.IN_REVIEW, owner=author, submitter=author)
        checker = sign_in(browser_client, make_user(role="compliance"))
        assert "3 campaigns wait for your approval" in checker.get("/").text
        assert "wait for your approval" not in sign_in(browser_client, author).get("/").text

    def test_the_author_sees_drafts_returns_and_what_is_ready(self, browser_client: FlaskClient, app: Flask) -> None:
        author = make_user(role="marketing")
        make_campaign(owner=author)
        make_campaign(owner=author, returned_reason="The risk warning is missing.")
        make_campaign(owner=author, state=State.APPROVED)
        make_campaign(owner=make_user(role="marketing"))
        page = sign_in(browser_client, author).get("/").text
        assert "1 draft of yours is not submitted yet" in page
        assert "1 campaign came back to you" in page
        assert "1 approved campaign is ready" in page

    def test_running_campaigns_show_how_far_they_are(self, marketing: FlaskClient, app: Flask) -> None:
        clients = make_clients(10)
        make_run(make_launched_campaign(name="Autumn drive"), clients, waiting=clients[6:])
        make_campaign(name="Winter drive", state=State.SCHEDULED, send_at=now() + timedelta(days=1))
        page = marketing.get("/").text
        assert "6 of 10" in text_of(page)
        assert "Winter drive" in page

    def test_the_last_30_days_count_what_came_back(self, marketing: FlaskClient, app: Flask) -> None:
        clients = make_clients(10)
        yesterday = now() - timedelta(days=1)
        made = make_launched_campaign(launched_at=yesterday)
        make_run(made, clients, launched_at=yesterday, opened=clients[:4])
        make_opening(made, clients[0], opened_at=now() - timedelta(hours=1))
        old = make_launched_campaign(launched_at=now() - timedelta(days=45))
        make_run(old, clients, launched_at=now() - timedelta(days=45), opened=clients)
        page = text_of(marketing.get("/overview/recent").text)
        assert "Sent 10" in page
        assert "Opened 4" in page
        assert "Accounts opened 1" in page


def test_names_are_shown_as_text(marketing: FlaskClient, app: Flask) -> None:
    clients = make_clients(1, name="<script>alert(1)</script>")
    made = make_launched_campaign(code="XSS", name="<b>bold</b>")
    make_run(made, clients, segments={"<i>seg</i>": clients})
    for address in ("/", "/reports", "/reports/XSS", "/reports/XSS/clients?outcome=sent"):
        page = marketing.get(address).text
        assert "<script>alert" not in page
        assert "<b>bold" not in page
        assert "<i>seg" not in page
    assert db.session.scalar(select(Client.name)) == "<script>alert(1)</script>"


@pytest.mark.parametrize("address", ["/", "/overview/recent", "/reports", "/reports/SPRING"])
def test_pages_are_there_in_chinese(browser_client: FlaskClient, campaign: Campaign, address: str) -> None:
    reader = sign_in(browser_client, make_user(role="marketing", locale="zh_CN"))
    assert reader.get(address).status_code == 200
