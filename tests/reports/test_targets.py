"""Targets against results: entering them, reading a file, what was reached, and the forecast."""

import io
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from statsmodels.regression.linear_model import OLS

from app.audit.models import AuditEntry
from app.campaigns.models import Campaign
from app.clients.models import Client
from app.core.clock import now, today
from app.core.errors import AppError, Forbidden
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work
from app.reports.targets.files import FileRefused, read_targets
from app.reports.targets.forecasting import forecast
from app.reports.targets.models import CampaignTarget, Measure
from app.reports.targets.queries import Standing, TargetLine, target_lines
from app.reports.targets.results import results
from app.reports.targets.service import NotYours, Wanted, set_period, set_targets
from app.tracking.openings.models import CountedOpening
from app.users.models import User
from tests.factories.advising import make_called_client, make_tasks
from tests.factories.clients import make_client
from tests.factories.ledger import make_launched_campaign, make_opening, make_run
from tests.factories.users import make_branch, make_user, sign_in

LAUNCHED = now() - timedelta(days=20)


@pytest.fixture
def chief(app: Flask) -> User:
    return make_user(role="head_office")


def wanted(campaign: Campaign, actor: User, *some: Wanted) -> None:
    with unit_of_work():
        set_targets(campaign=campaign, wanted=some, actor=actor)


def lines_of(campaign: Campaign, viewer: User) -> list[TargetLine]:
    db.session.expire_all()
    return target_lines(campaign, viewer=viewer)


def opened(campaign: Campaign, client: Client, *, days_ago: int, effective: bool = False, assets: int = 0) -> None:
    at = datetime.combine(today() - timedelta(days=days_ago), time(4), UTC)
    opening = make_opening(campaign, client.id, opened_at=at)
    with unit_of_work() as session:
        session.add(
            CountedOpening(
                campaign_id=campaign.id,
                opening_id=opening.id,
                effective_on=at.date() if effective else None,
                brought_in=Decimal(assets) if assets else None,
            )
        )


# ---- The forecast ----------------------------------------------------------------------------------------------------


def test_the_forecast_is_the_prediction_interval_of_a_mean_of_new_days() -> None:
    daily = [3.0, 5, 4, 6, 2, 4, 5, 3, 4, 6, 5, 4, 3, 2]
    made = forecast(40, daily, 10, counts=True)
    assert made is not None
    # The same by regression on a constant: variance of the mean of 10 new days and of the mean that is estimated.
    fit = OLS(daily, [1.0] * 14).fit()
    half = 2.160369 * (fit.mse_resid * (1 / 10 + 1 / 14)) ** 0.5 * 10
    assert made.expected == pytest.approx(40 + 10 * 4.0)
    assert made.high - made.expected == pytest.approx(half, rel=1e-5)
    assert made.expected - made.low == pytest.approx(half, rel=1e-5)


def test_nothing_on_fourteen_days_may_still_be_bad_luck() -> None:
    made = forecast(2, [0.0] * 14, 14, counts=True)
    assert made is not None
    assert (made.low, made.expected, made.high) == (2, 2, 5)


def test_four_days_are_too_few_and_the_last_day_is_no_forecast() -> None:
    assert forecast(2, [1, 2, 3, 4], 5, counts=True) is None
    assert forecast(2, [], 0, counts=True) == (made := forecast(2, [9], 0, counts=True))
    assert made is not None
    assert (made.low, made.high) == (2, 2)
    with pytest.raises(ValueError, match="negative"):
        forecast(2, [1] * 9, -1, counts=True)


# ---- Results ---------------------------------------------------------------------------------------------------------


def test_results_belong_to_branch_adviser_and_week(app: Flask, chief: User) -> None:
    north = make_branch()
    outlet = make_branch(parent=north)
    adviser = make_user(role="adviser", branch=outlet)
    mine, other = make_client(branch=outlet, adviser_id=adviser.id), make_client()
    campaign = make_launched_campaign(launched_at=LAUNCHED)
    make_run(campaign, [mine.id, other.id], launched_at=LAUNCHED)
    opened(campaign, mine, days_ago=8, effective=True, assets=5_000)
    opened(campaign, mine, days_ago=1, assets=9_000)  # the client's assets are counted once
    opened(campaign, other, days_ago=1)
    week = today() - timedelta(days=8)
    wanted(
        campaign,
        chief,
        Wanted(Measure.ACCOUNTS, Decimal(4)),
        Wanted(Measure.ACCOUNTS, Decimal(2), branch=north),
        Wanted(Measure.EFFECTIVE, Decimal(2), adviser=adviser),
        Wanted(Measure.ASSETS, Decimal(10_000), branch=outlet),
        Wanted(Measure.ACCOUNTS, Decimal(1), branch=outlet, week=week),
    )
    found = {(line.kind, line.name, line.target.measure, line.target.week): line for line in lines_of(campaign, chief)}
    monday = week - timedelta(days=week.weekday())
    assert found["whole", None, "accounts", None].result == 3
    assert found["branch", north.name, "accounts", None].result == 2
    assert found["branch", north.name, "accounts", None].standing is Standing.ATTAINED
    assert found["adviser", adviser.name, "effective", None].result == 1
    assert found["branch", outlet.name, "assets", None].result == 5_000
    assert found["branch", outlet.name, "assets", None].share == 0.5
    assert found["branch", outlet.name, "accounts", monday].result >= 1


def test_an_opening_claimed_for_two_messages_counts_once(app: Flask, chief: User) -> None:
    client = make_client()
    campaign = make_launched_campaign(launched_at=LAUNCHED)
    make_run(campaign, [client.id], launched_at=LAUNCHED)
    opened(campaign, client, days_ago=2)
    assert results(campaign, viewer=chief).between(
        Measure.ACCOUNTS, ("whole", ""), today() - timedelta(days=5), today()
    ) == Decimal(1)


def test_contacts_are_clients_who_were_tried(app: Flask, chief: User) -> None:
    adviser = make_user(role="adviser")
    clients = [make_called_client(adviser) for _ in range(3)]
    tasks = make_tasks(clients)
    campaign = db.session.get_one(Campaign, tasks[0].campaign_id)
    with unit_of_work():
        for task in tasks[:2]:
            db.session.merge(task).tried_at = now()
    wanted(campaign, chief, Wanted(Measure.CONTACTS, Decimal(3), adviser=adviser))
    assert lines_of(campaign, chief)[0].result == 2


def test_who_is_behind_falls_short_even_at_the_upper_end(app: Flask, chief: User) -> None:
    clients = [make_client() for _ in range(16)]
    campaign = make_launched_campaign(launched_at=LAUNCHED, window_days=30)
    make_run(campaign, [client.id for client in clients], launched_at=LAUNCHED)
    for day, client in enumerate(clients[:14], start=1):
        opened(campaign, client, days_ago=day)
    wanted(campaign, chief, Wanted(Measure.ACCOUNTS, Decimal(1000)))
    line = lines_of(campaign, chief)[0]
    assert line.standing is Standing.BEHIND
    assert line.forecast is not None
    # One a day on each of 14 days, and 11 days left with today.
    assert line.forecast.expected == 14 + 11
    wanted(campaign, chief, Wanted(Measure.ACCOUNTS, Decimal(20)))
    assert lines_of(campaign, chief)[0].standing is Standing.ON_COURSE


def test_after_the_period_a_target_is_attained_or_missed(app: Flask, chief: User) -> None:
    client = make_client()
    campaign = make_launched_campaign(launched_at=LAUNCHED)
    make_run(campaign, [client.id], launched_at=LAUNCHED)
    opened(campaign, client, days_ago=2)
    wanted(campaign, chief, Wanted(Measure.ACCOUNTS, Decimal(2)))
    with unit_of_work():
        set_period(campaign=campaign, first=today() - timedelta(days=20), last=today() - timedelta(days=1), actor=chief)
    assert lines_of(campaign, chief)[0].standing is Standing.MISSED


def test_the_partner_tells_its_own_results(app: Flask, chief: User) -> None:
    campaign = make_launched_campaign()
    wanted(campaign, chief, Wanted(Measure.PARTNER, Decimal(10), partner_item="cards", reported=Decimal(4)))
    line = lines_of(campaign, chief)[0]
    assert (line.result, line.share, line.forecast) == (4, 0.4, None)


# ---- Setting ---------------------------------------------------------------------------------------------------------


def test_the_same_target_again_replaces_it_and_nought_takes_it_away(app: Flask, chief: User) -> None:
    campaign = make_launched_campaign()
    for amount in (10, 12):
        wanted(campaign, chief, Wanted(Measure.ACCOUNTS, Decimal(amount), week=date(2026, 3, 4)))
    assert [row.amount for row in db.session.scalars(select(CampaignTarget))] == [12]
    wanted(campaign, chief, Wanted(Measure.ACCOUNTS, Decimal(0), week=date(2026, 3, 6)))
    assert db.session.scalars(select(CampaignTarget)).all() == []
    notes = db.session.scalars(select(AuditEntry.action).where(AuditEntry.subject_id == campaign.id)).all()
    assert notes == ["campaign.targets_changed"] * 3


def test_a_branch_sets_its_own_targets_only_and_sees_them_only(app: Flask, chief: User) -> None:
    mine, other = make_branch(), make_branch()
    manager = make_user(role="branch_manager", branch=mine)
    campaign = make_launched_campaign()
    wanted(campaign, manager, Wanted(Measure.ACCOUNTS, Decimal(5), branch=mine))
    wanted(campaign, chief, Wanted(Measure.ACCOUNTS, Decimal(7), branch=other), Wanted(Measure.ACCOUNTS, Decimal(9)))
    for whose in ({"branch": other}, {}, {"tier": "gold"}):
        with pytest.raises(NotYours):
            wanted(campaign, manager, Wanted(Measure.ACCOUNTS, Decimal(5), **whose))  # type: ignore[arg-type]
    assert [line.target.amount for line in lines_of(campaign, manager)] == [5]
    assert len(lines_of(campaign, chief)) == 3
    with pytest.raises(Forbidden):
        wanted(campaign, make_user(role="compliance"), Wanted(Measure.ACCOUNTS, Decimal(5)))


def test_who_is_not_in_a_marketing_post_gets_no_targets(app: Flask, chief: User) -> None:
    clerk = make_user(role="adviser")
    with unit_of_work():
        db.session.get_one(User, clerk.id).marketing_post = False
    with pytest.raises(AppError, match="marketing post"):
        try:
            wanted(make_launched_campaign(), chief, Wanted(Measure.ACCOUNTS, Decimal(5), adviser=clerk))
        except AppError as error:
            raise AppError(str(error)) from Exception(str(error))


@pytest.mark.parametrize(
    "one",
    [
        Wanted(Measure.ACCOUNTS, Decimal("1.5")),
        Wanted(Measure.ACCOUNTS, Decimal(-1)),
        Wanted(Measure.ASSETS, Decimal(10) ** 15),
        Wanted(Measure.PARTNER, Decimal(1)),
        Wanted(Measure.ACCOUNTS, Decimal(1), partner_item="cards"),
        Wanted(Measure.ACCOUNTS, Decimal(1), reported=Decimal(1)),
        Wanted(Measure.ACCOUNTS, Decimal(1), week=date(1900, 1, 1)),
        Wanted(Measure.PARTNER, Decimal(1), partner_item="x" * 61),
    ],
)
def test_what_makes_no_sense_is_refused(app: Flask, chief: User, one: Wanted) -> None:
    with pytest.raises(AppError):
        wanted(make_launched_campaign(), chief, one)


# ---- Files -----------------------------------------------------------------------------------------------------------


def csv_of(*rows: str) -> io.BytesIO:
    return io.BytesIO("\n".join(("measure,branch,adviser,tier,week,target,reported,partner_item", *rows)).encode())


def test_a_file_is_taken_whole_or_not_at_all(app: Flask, chief: User) -> None:
    make_branch(code="N1")
    good = read_targets(
        csv_of("accounts,N1,,,2026-03-04,10,,", 'Assets brought in,,,,,"1,000",,', "partner,,,,,9,3,cards"), actor=chief
    )
    assert [one.amount for one in good] == [10, 1000, 9]
    with pytest.raises(FileRefused) as refused:
        read_targets(
            csv_of("accounts,N1,,,,10,,", "nonsense,,,,,1,,", "accounts,XX,,,,1,,", "accounts,,,,soon,1,,",
                   "accounts,,,,,many,,", "accounts,,nobody@x.example,,,1,,", "accounts,n1,,,,11,,", "accounts,,,,,,,"),
            actor=chief,
        )  # fmt: skip
    assert [row for row, _reason in refused.value.problems] == [2, 3, 4, 5, 6, 7, 8]
    assert all("%(" not in reason for _row, reason in refused.value.problems)


def test_the_workbook_can_be_read_again(browser_client: FlaskClient, app: Flask, chief: User) -> None:
    branch = make_branch(code="N1")
    campaign = make_launched_campaign(code="SPRING")
    wanted(campaign, chief, Wanted(Measure.ACCOUNTS, Decimal(10), branch=branch, week=date(2026, 3, 2)))
    sign_in(browser_client, chief)
    assert "Exported by" in browser_client.get("/reports/SPRING/targets/targets.csv").text
    file = browser_client.get("/reports/SPRING/targets/targets.xlsx")
    response = browser_client.post(
        "/reports/SPRING/targets/file", data={"file": (io.BytesIO(file.data), "targets.xlsx")}
    )
    assert response.status_code == 303, response.text


# ---- The page --------------------------------------------------------------------------------------------------------


def test_the_page_sets_shows_and_removes_targets(browser_client: FlaskClient, app: Flask, chief: User) -> None:
    sign_in(browser_client, chief)
    make_launched_campaign(code="SPRING", launched_at=LAUNCHED)
    assert "No targets yet" in browser_client.get("/reports/SPRING/targets/").text
    posted = browser_client.post(
        "/reports/SPRING/targets/", data={"measure": "accounts", "whose": "", "amount": "120", "week": ""}
    )
    assert posted.status_code == 303, posted.text
    page = browser_client.get("/reports/SPRING/targets/").text
    assert "Whole campaign" in page
    target = db.session.scalars(select(CampaignTarget)).one()
    assert browser_client.post(f"/reports/SPRING/targets/{target.id}/remove").status_code == 303
    assert browser_client.post("/reports/SPRING/targets/999/remove").status_code == 404


ODD_INPUT: list[dict[str, str]] = [
    {"amount": "x"},
    {"amount": "NaN"},
    {"measure": "no", "amount": "1"},
    {"whose": "branch:999", "amount": "1"},
    {"amount": "1", "week": "soon"},
    {"amount": "1e400"},
    {"measure": "partner", "amount": "1"},
]


@pytest.mark.parametrize("typed", ODD_INPUT)
def test_odd_input_is_sent_back_with_a_sentence(
    browser_client: FlaskClient, app: Flask, chief: User, typed: dict[str, str]
) -> None:
    sign_in(browser_client, chief)
    make_launched_campaign(code="SPRING")
    response = browser_client.post("/reports/SPRING/targets/", data={"measure": "accounts", "whose": ""} | typed)
    assert response.status_code in (400, 422)
    assert db.session.scalars(select(CampaignTarget)).all() == []


def test_a_file_that_is_no_table_is_refused(browser_client: FlaskClient, app: Flask, chief: User) -> None:
    sign_in(browser_client, chief)
    make_launched_campaign(code="SPRING")
    for body in (b"%PDF-1.7", b"", b"a,b\n1,2\n", b"measure,target\naccounts,\x00\n"):
        response = browser_client.post("/reports/SPRING/targets/file", data={"file": (io.BytesIO(body), "t.csv")})
        assert response.status_code in (400, 422), body
