"""What workers do with openings by themselves, and the figures of a campaign."""

from datetime import timedelta

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from app.core.clock import now
from app.core.extensions import db
from app.core.jobs import Job
from app.core.permissions import Role
from app.core.queues import run_tick
from app.core.unit_of_work import unit_of_work
from app.tracking.openings.models import CountedOpening
from app.tracking.openings.tasks import JUDGE_ALL, JUDGE_ONE, judge_new
from tests.factories.clients import make_client
from tests.factories.delivery import do_due_jobs
from tests.factories.ledger import make_launched_campaign, make_run
from tests.factories.openings import report_opening
from tests.factories.users import make_branch, make_user, sign_in


def _launched(client_id: int):  # type: ignore[no-untyped-def]
    campaign = make_launched_campaign(window_days=30)
    make_run(campaign, [client_id], launched_at=now() - timedelta(days=5))
    return campaign


def test_what_is_claimed_is_judged_within_minutes_and_everything_a_few_times_a_day(app: Flask) -> None:
    client = make_client()
    campaign = _launched(client.id)
    run_tick("test", judge_new)
    assert db.session.scalars(select(Job.name)).all() == [JUDGE_ALL]
    do_due_jobs()
    report_opening(client_number=client.number, opened_at=now() - timedelta(days=1))
    run_tick("test", judge_new)
    assert db.session.scalars(select(Job.name).where(Job.state == "due")).all() == [JUDGE_ONE]
    do_due_jobs()
    run_tick("test", judge_new)
    db.session.expire_all()
    assert set(db.session.scalars(select(Job.state))) == {"done"}
    assert db.session.scalars(select(CountedOpening.campaign_id)).all() == [campaign.id]
    with unit_of_work() as session:
        session.query(Job).update({"created_at": now() - timedelta(hours=7)})
    run_tick("test", judge_new)
    do_due_jobs()
    assert db.session.scalars(select(CountedOpening.campaign_id)).all() == [campaign.id]


def test_the_figures_of_a_campaign_say_who_else_claims(browser_client: FlaskClient) -> None:
    client = make_client()
    one, other = _launched(client.id), _launched(client.id)
    report_opening(client_number=client.number, opened_at=now() - timedelta(days=1))
    run_tick("test", judge_new)
    do_due_jobs()
    sign_in(browser_client, make_user(role=Role.HEAD_OFFICE))
    page = browser_client.get(f"/account-openings/campaign/{one.code}").text
    assert other.name in page
    assert "1 client" in page
    elsewhere = make_user(role=Role.BRANCH_MANAGER, branch=make_branch(code="X1", name="Elsewhere"))
    sign_in(browser_client, elsewhere)
    assert "claims no account opening yet" in browser_client.get(f"/account-openings/campaign/{one.code}").text
    assert browser_client.get("/account-openings/campaign/none").status_code == 404
