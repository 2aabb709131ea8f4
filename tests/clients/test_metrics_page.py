"""The page, the job, the ticks and the command of the metrics."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Event
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, func, select

from app.audit.models import AuditEntry
from app.clients.metrics import tasks
from app.clients.metrics.models import ClientMetrics, MetricsRun
from app.clients.metrics.service import COMPUTE, default_as_of, mark_stale
from app.core import keeping
from app.core.extensions import db
from app.core.jobs import Job, Lease, LeaseLost, claim, run_job
from app.core.keeping import kept
from app.core.permissions import Role
from app.core.queues import run_tick
from app.core.unit_of_work import unit_of_work
from tests.factories.clients import make_client, make_clients
from tests.factories.users import make_user, sign_in


def jobs() -> list[Job]:
    return list(db.session.scalars(select(Job).where(Job.name == COMPUTE).order_by(Job.id)))


def test_an_administrator_sees_the_state_and_has_the_book_computed(app: Flask, browser_client: FlaskClient) -> None:
    admin = make_user(roles=[Role.ADMINISTRATOR])
    sign_in(browser_client, admin)
    page = browser_client.get("/clients/metrics")
    assert page.status_code == 200
    assert "not been computed yet" in page.text
    make_client(total_assets=Decimal(5))
    for _time in range(2):
        assert browser_client.post("/clients/metrics/compute").status_code == 302
    (job,) = jobs()  # a second click finds the first one's
    assert "are being computed" in browser_client.get("/clients/metrics").text
    run_job(job.id)
    db.session.expire_all()
    assert db.session.get_one(Job, job.id).state == "done"
    assert db.session.scalar(select(func.count()).select_from(ClientMetrics)) == 1
    page = browser_client.get("/clients/metrics")
    assert "being computed" not in page.text.replace("computed of", "")
    assert db.session.scalars(select(AuditEntry.actor_id).where(AuditEntry.action == "metrics.start")).all() == [
        admin.id,
        admin.id,
    ]


def test_a_failed_computation_is_told_and_changes_nothing(app: Flask, browser_client: FlaskClient) -> None:
    db.session.add(Job(name=COMPUTE, queue="audience", args={}, state="failed", attempts=1, done=0, error="Boom"))
    db.session.commit()
    sign_in(browser_client, make_user(roles=[Role.ADMINISTRATOR]))
    assert "failed and changed nothing" in browser_client.get("/clients/metrics").text


def test_others_may_not(app: Flask, browser_client: FlaskClient) -> None:
    sign_in(browser_client, make_user(roles=[Role.MARKETING]))
    assert browser_client.get("/clients/metrics").status_code == 403
    assert browser_client.post("/clients/metrics/compute").status_code == 403
    assert jobs() == []


@pytest.mark.parametrize(("hour", "expected"), [(0, 0), (1, 1), (23, 1)])
def test_the_night_begins_at_one_where_the_firm_is(
    app: Flask, monkeypatch: pytest.MonkeyPatch, hour: int, expected: int
) -> None:
    zone = tasks.ZoneInfo(tasks.settings().time_zone)
    at = datetime(2026, 3, 4, hour, 5, tzinfo=zone).astimezone(UTC)
    monkeypatch.setattr(tasks, "now", lambda: at)
    run_tick("clients.compute_metrics_nightly", tasks.compute_nightly)
    run_tick("clients.compute_metrics_nightly", tasks.compute_nightly)
    assert len(jobs()) == expected


def test_a_night_that_is_computed_is_left_alone_and_a_missed_one_made_up(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "NIGHT", tasks.time(0))
    start = datetime.now(UTC)
    run = MetricsRun(as_of=default_as_of(), clients=0, started_at=start, finished_at=start)
    db.session.add(run)
    db.session.commit()
    run_tick("clients.compute_metrics_nightly", tasks.compute_nightly)
    assert jobs() == []
    run.as_of -= timedelta(days=1)
    db.session.commit()
    run_tick("clients.compute_metrics_nightly", tasks.compute_nightly)
    assert len(jobs()) == 1


def test_the_tick_computes_those_whose_holdings_changed(app: Flask) -> None:
    ids = make_clients(12)
    start = datetime.now(UTC)
    db.session.add(MetricsRun(as_of=default_as_of(), clients=12, started_at=start, finished_at=start))
    db.session.commit()
    with unit_of_work():
        mark_stale(ids[:2])
    run_tick("clients.refresh_stale_metrics", tasks.refresh_stale_metrics)
    assert db.session.scalars(select(ClientMetrics.client_id).order_by(ClientMetrics.client_id)).all() == ids[:2]


def test_the_command_computes_at_once(app: Flask) -> None:
    make_clients(3)
    result = app.test_cli_runner().invoke(args=["clients", "metrics", "--as-of", "2026-03-31"])
    assert result.exit_code == 0, result.output
    assert "clients 3" in result.output
    assert {str(day) for day in db.session.scalars(select(ClientMetrics.as_of))} == {"2026-03-31"}


def test_a_lease_is_kept_while_the_work_lasts_and_a_lost_one_stays_lost(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    db.session.add(Job(name=COMPUTE, queue="audience", args={}, state="due", attempts=0, done=0))
    db.session.commit()
    (job,) = jobs()
    claimed = claim(job.id)
    assert claimed is not None
    monkeypatch.setattr(keeping, "LEASE", timedelta(milliseconds=3))
    short = datetime.now(UTC) - timedelta(hours=1)
    with unit_of_work():
        db.session.get_one(Job, job.id).lease_until = short
    renewed = Event()

    def on_commit(_connection: object) -> None:
        renewed.set()

    event.listen(db.engine, "commit", on_commit)
    with kept(claimed[0]):
        assert renewed.wait(10)
    event.remove(db.engine, "commit", on_commit)
    db.session.expire_all()
    assert db.session.get_one(Job, job.id).lease_until > short
    with pytest.raises(LeaseLost), unit_of_work():
        Lease(job.id, uuid4()).renew()
