"""The figures of campaigns by e-mail."""

from datetime import datetime, timedelta
from email import message_from_bytes, policy
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from app.channels.email.models import MailboxMessage
from app.core.clock import now, today
from app.core.errors import AppError, Forbidden
from app.core.extensions import db, settings
from app.core.jobs import Job
from app.core.unit_of_work import unit_of_work
from app.reports.digest import tasks  # noqa: F401 - registers the job
from app.reports.digest.models import DigestIssue
from app.reports.digest.queries import figures
from app.reports.digest.sending import send_issue
from app.reports.digest.service import ask_for, periods_due, write_due
from app.users.models import User
from tests.factories.clients import make_client
from tests.factories.delivery import do_due_jobs
from tests.factories.ledger import make_launched_campaign, make_opening, make_run
from tests.factories.users import make_branch, make_user, sign_in


@pytest.fixture
def monday(app: Flask) -> datetime:
    """A Monday morning by the firm's clock."""
    return datetime(2026, 3, 9, 8, 30, tzinfo=ZoneInfo(settings().time_zone))


def wants(user: User, period: str | None = "daily", campaign_ids: list[int] | None = None) -> None:
    with unit_of_work():
        ask_for(period=period, campaign_ids=campaign_ids, actor=db.session.get_one(User, user.id))


def issues() -> list[tuple[str, str]]:
    db.session.expire_all()
    return [(one.period, one.state) for one in db.session.scalars(select(DigestIssue).order_by(DigestIssue.id))]


def inbox() -> list[MailboxMessage]:
    return list(db.session.scalars(select(MailboxMessage).order_by(MailboxMessage.id)))


def words_of(mail: MailboxMessage) -> tuple[str, str]:
    """The HTML and the plain text of a message."""
    whole = message_from_bytes(mail.mime, policy=policy.default)
    html, text = whole.get_body(("html",)), whole.get_body(("plain",))
    assert html is not None
    assert text is not None
    return html.get_content(), text.get_content()


def test_nothing_before_eight_nor_on_a_weekend(monday: datetime) -> None:
    assert periods_due(monday) == ["daily", "weekly"]
    assert periods_due(monday - timedelta(hours=1)) == []
    assert periods_due(monday + timedelta(days=1)) == ["daily"]
    assert periods_due(monday - timedelta(days=1)) == []


def test_a_digest_is_written_down_and_sent_once(app: Flask, monday: datetime) -> None:
    wants(make_user(role="head_office", email="chief@x.example"))
    client = make_client()
    make_run(make_launched_campaign(name="Spring drive"), [client.id])
    for _again in range(3):
        with unit_of_work():
            write_due(monday)
    do_due_jobs()
    for issue_id in db.session.scalars(select(DigestIssue.id)).all():
        send_issue(issue_id)  # as a job that is delivered twice
    assert issues() == [("daily", "sent")]
    (mail,) = inbox()
    assert mail.recipient == "chief@x.example"
    assert db.session.scalars(select(Job).where(Job.name == "reports.send_digest")).one().state == "done"


def test_it_holds_figures_and_links_and_no_client(app: Flask, monday: datetime) -> None:
    chief = make_user(role="head_office", email="chief@x.example", locale="zh_CN")
    wants(chief)
    client = make_client(number="4711", name="Li Na", email="lina@example.com")
    campaign = make_launched_campaign(code="SPRING", name="Spring <drive>")
    make_run(campaign, [client.id])
    make_opening(campaign, client.id, opened_at=monday - timedelta(days=1))
    with unit_of_work():
        write_due(monday)
    do_due_jobs()
    (mail,) = inbox()
    assert "营销活动" in mail.subject
    html, text = words_of(mail)
    assert "/reports/SPRING" in html
    assert "/reports/SPRING" in text
    assert "Spring &lt;drive&gt;" in html
    for secret in ("Li Na", "4711", "lina@example.com"):
        assert secret not in html + text


def test_what_may_have_left_is_never_sent_again(app: Flask, monday: datetime) -> None:
    user = make_user(role="head_office")
    wants(user)
    make_run(make_launched_campaign(), [make_client().id])
    with unit_of_work() as session:
        session.add(DigestIssue(user_id=user.id, period="daily", on_date=monday.date(), state="handing"))
    send_issue(db.session.scalars(select(DigestIssue.id)).one())
    assert issues() == [("daily", "unconfirmed")]
    assert inbox() == []


def test_who_may_not_read_reports_any_more_gets_nothing(app: Flask, monday: datetime) -> None:
    user = make_user(role="head_office")
    wants(user)
    make_run(make_launched_campaign(), [make_client().id])
    with unit_of_work():
        write_due(monday)
        db.session.get_one(User, user.id).roles = ["adviser"]
    do_due_jobs()
    assert issues() == [("daily", "skipped")]


def test_without_a_campaign_there_is_nothing_to_send(app: Flask, monday: datetime) -> None:
    wants(make_user(role="head_office"))
    with unit_of_work():
        write_due(monday)
    do_due_jobs()
    assert issues() == [("daily", "skipped")]
    assert inbox() == []


def test_a_branch_reads_its_own_part_of_the_figures(app: Flask) -> None:
    branch = make_branch()
    manager = make_user(role="branch_manager", branch=branch)
    mine, other = make_client(branch=branch), make_client()
    campaign = make_launched_campaign()
    make_run(campaign, [mine.id, other.id])
    make_opening(campaign, other.id, opened_at=now() - timedelta(days=1))
    (line,) = figures(manager, period="weekly", campaign_ids=None, on_date=today()).lines
    assert (line.row.targeted, line.new_accounts) == (1, 0)


def test_chosen_campaigns_have_to_be_of_the_list(app: Flask) -> None:
    user = make_user(role="head_office")
    draft = make_launched_campaign(launched_at=None)
    for chosen in ([], [draft.id], [999], [2**70]):
        with pytest.raises(AppError):
            wants(user, "daily", chosen)
    with pytest.raises(AppError):
        wants(user, "hourly")
    with pytest.raises(Forbidden):
        wants(make_user(role="adviser"))


def test_the_page_asks_changes_and_ends_it(browser_client: FlaskClient, app: Flask) -> None:
    user = make_user(role="head_office")
    sign_in(browser_client, user)
    campaign = make_launched_campaign(name="Spring drive")
    make_run(campaign, [make_client().id])
    assert browser_client.get("/digest/").status_code == 200
    posted = browser_client.post("/digest/", data={"period": "weekly", "which": "chosen", "campaign": str(campaign.id)})
    assert posted.status_code == 303
    preview = browser_client.get("/digest/preview?period=nonsense")
    assert "Spring drive" in preview.text
    assert preview.headers["Content-Security-Policy"].startswith("sandbox")
    assert browser_client.post("/digest/", data={"period": "hourly"}).status_code == 400
    assert browser_client.post("/digest/", data={"period": ""}).status_code == 303


def test_what_no_account_took_is_tried_again_on_the_same_day(app: Flask, monday: datetime) -> None:
    user = make_user(role="head_office")
    wants(user)
    make_run(make_launched_campaign(), [make_client().id])
    with unit_of_work():
        write_due(monday)
    with unit_of_work():
        for issue in db.session.scalars(select(DigestIssue)):
            issue.created_at = monday
        for job in db.session.scalars(select(Job)):
            job.state = "failed"
    with unit_of_work():
        assert write_due(monday + timedelta(minutes=10)) == 0
    with unit_of_work():
        assert write_due(monday + timedelta(minutes=20)) == 1
    with unit_of_work():
        assert write_due(monday + timedelta(minutes=21)) == 0  # its job is under way
    do_due_jobs()
    assert issues() == [("daily", "sent")]
    assert len(inbox()) == 1
