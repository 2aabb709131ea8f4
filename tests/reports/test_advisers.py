"""The adviser funnel and the rankings."""

from datetime import timedelta
from decimal import Decimal

from flask import Flask
from flask.testing import FlaskClient
from pyroaring import BitMap64
from sqlalchemy import update

from app.advising.models import AdviserTask
from app.campaigns.models import Campaign
from app.clients.models import Client
from app.core.clock import now
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work
from app.reports.advisers.queries import STEPS, Funnel, funnels, ranking, total
from app.tracking.openings.models import CountedOpening
from app.users.models import User
from tests.factories.advising import make_call_campaign, make_called_client, make_tasks
from tests.factories.ledger import claim, make_opening
from tests.factories.users import make_branch, make_team, make_user, sign_in

MONTH = timedelta(days=30)


def contacted(clients: list[Client], results: list[str | None], campaign: Campaign) -> None:
    """Tasks about these clients with the result of each contact, None: not tried."""
    tasks = make_tasks(clients, campaign=campaign)
    with unit_of_work() as session:
        for task, result in zip(tasks, results, strict=True):
            if result is None:
                continue
            row = session.merge(task)
            row.tried_at = row.result_at = now()
            row.result = result
            row.reached_at = None if result == "no_answer" else now()


def line(lines: list[Funnel], user: User) -> Funnel:
    return next(one for one in lines if one.id == user.id)


def test_each_step_is_counted_with_what_it_is_a_share_of(app: Flask) -> None:
    adviser, chief = make_user(role="adviser"), make_user(role="head_office")
    clients = [make_called_client(adviser) for _ in range(6)]
    campaign = make_call_campaign()
    contacted(clients, ["no_answer", "reached", "interested", "appointment", "opened", None], campaign)
    first = make_opening(campaign, clients[4].id, opened_at=now())
    make_opening(campaign, clients[5].id, opened_at=now())
    with unit_of_work() as session:
        session.add(
            CountedOpening(
                campaign_id=campaign.id, opening_id=first.id, effective_on=now().date(), brought_in=Decimal(1)
            )
        )
    found = line(funnels(chief, since=now() - MONTH), adviser)
    assert [found.count(step) for step in ("assigned", "tried", "reached", "interested", "appointment")] == [
        6, 5, 4, 3, 2,
    ]  # fmt: skip
    assert (found.count("opened"), found.count("effective")) == (2, 1)
    assert (found.share("tried"), found.share("effective")) == (5 / 6, 0.5)
    assert funnels(chief, since=now() - MONTH, campaign=make_call_campaign()) == []


def test_posts_that_are_not_marketing_ones_are_listed_and_not_ranked(app: Flask) -> None:
    seller, clerk, chief = make_user(role="adviser"), make_user(role="adviser"), make_user(role="head_office")
    campaign = make_call_campaign()
    contacted([make_called_client(seller)], ["reached"], campaign)
    contacted([make_called_client(clerk)], ["opened"], make_call_campaign())
    with unit_of_work():
        db.session.get_one(User, clerk.id).marketing_post = False
    ranked = ranking(funnels(chief, since=now() - MONTH), by="reached", share=False)
    assert [(one.place, one.funnel.id) for one in ranked] == [(1, seller.id), (None, clerk.id)]


def test_an_opening_that_two_campaigns_claim_counts_once_for_an_adviser_and_in_all(app: Flask) -> None:
    adviser, other, chief = make_user(role="adviser"), make_user(role="adviser"), make_user(role="head_office")
    client = make_called_client(adviser)
    first, second, third = make_call_campaign(), make_call_campaign(), make_call_campaign()
    for campaign in (first, second, third):
        contacted([client], ["interested"], campaign)
    with unit_of_work() as session:  # the third campaign's contact was a colleague's
        session.execute(update(AdviserTask).where(AdviserTask.campaign_id == third.id).values(adviser_id=other.id))
    opening = make_opening(first, client.id, opened_at=now())
    claim(second, opening)
    claim(third, opening)
    lines = funnels(chief, since=now() - MONTH)
    assert [line(lines, one).count("opened") for one in (adviser, other)] == [1, 1]
    assert line(lines, adviser).count("assigned") == 1
    assert [total(lines).count(step) for step in ("assigned", "interested", "opened")] == [1, 1, 1]
    assert [one.count("opened") for one in funnels(chief, since=now() - MONTH, teams=True)] == [1]


def make_funnel(number: int, assigned: int, opened: int) -> Funnel:
    clients = dict.fromkeys(STEPS, BitMap64()) | {
        "assigned": BitMap64(range(assigned)),
        "opened": BitMap64(range(opened)),
    }
    return Funnel(number, f"A{number}", None, True, clients)


def test_equal_ones_share_a_place_and_few_are_not_ranked_by_a_share() -> None:
    lines = [make_funnel(1, 100, 5), make_funnel(2, 50, 5), make_funnel(3, 19, 9), make_funnel(4, 100, 1)]
    by_count = ranking(lines, by="opened", share=False)
    assert [(one.place, one.funnel.id) for one in by_count] == [(1, 3), (2, 1), (2, 2), (4, 4)]
    by_share = ranking(lines, by="opened", share=True)
    assert [(one.place, one.funnel.id) for one in by_share] == [(1, 2), (2, 1), (3, 4), (None, 3)]


def test_teams_are_counted_together(app: Flask) -> None:
    team, chief = make_team(name="North"), make_user(role="head_office")
    campaign = make_call_campaign()
    clients = [make_called_client(make_user(role="adviser", team=team)) for _ in range(2)]
    contacted(clients, ["reached", None], campaign)
    found = funnels(chief, since=now() - MONTH, teams=True)
    assert [(one.name, one.count("assigned"), one.count("tried")) for one in found] == [("North", 2, 1)]


def test_a_branch_ranks_its_own_clients_only(browser_client: FlaskClient, app: Flask) -> None:
    branch = make_branch()
    mine, other = make_user(role="adviser", branch=branch, name="Li Na"), make_user(role="adviser", name="Wu Bo")
    campaign = make_call_campaign()
    contacted([make_called_client(mine), make_called_client(other)], ["reached", "reached"], campaign)
    sign_in(browser_client, make_user(role="branch_manager", branch=branch))
    page = browser_client.get("/rankings/?sort=reached&share=1&days=nonsense&campaign=999").text
    assert "Li Na" in page
    assert "Wu Bo" not in page
    assert browser_client.get("/rankings/ranking.xlsx?by=team").status_code == 200
    assert "Exported by" in browser_client.get("/rankings/ranking.csv?by=team").text
