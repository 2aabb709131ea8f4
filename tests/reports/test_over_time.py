"""When clients responded: each once, so that the pictures add up to the figures."""

from datetime import timedelta

from flask import Flask

from app.core.clock import now
from app.reports.over_time import TIMED, recent_clients, recent_response, timeline
from app.reports.response import Outcome, campaign_response
from tests.factories.clients import make_clients
from tests.factories.ledger import LAUNCH, claim, make_launched_campaign, make_opening, make_run
from tests.factories.users import make_user


def test_a_client_who_got_several_messages_is_counted_at_the_first_response(app: Flask) -> None:
    clients = make_clients(3)
    campaign = make_launched_campaign()
    for days in (0, 1):
        launched = LAUNCH + timedelta(days=days)
        make_run(campaign, clients, launched_at=launched, opened=clients, clicked=clients[:2], replied=clients[2:])
    make_opening(campaign, clients[0])
    make_opening(campaign, clients[0], opened_at=LAUNCH + timedelta(days=3))
    found, total = timeline(campaign), campaign_response(campaign).total
    assert found is not None
    assert {outcome: sum(found.counts[outcome]) for outcome in TIMED} == {
        outcome: total.count(outcome) for outcome in TIMED
    }
    assert found.counts[Outcome.OPENED][1] == 3  # an hour after the first launch
    assert found.counts[Outcome.ACCOUNTS_OPENED].index(1) == 48


def test_the_last_30_days_count_a_client_and_a_shared_opening_once(app: Flask) -> None:
    clients, head = make_clients(3), make_user(role="head_office")
    launched = now() - timedelta(days=2)
    first, second = make_launched_campaign(launched_at=launched), make_launched_campaign(launched_at=launched)
    for campaign, hours in ((first, 30), (second, 3)):
        at = dict.fromkeys(clients, now() - timedelta(hours=hours))
        make_run(campaign, clients, launched_at=launched, opened=at)
    claim(second, make_opening(first, clients[0], opened_at=now() - timedelta(hours=1)))
    with app.test_request_context():
        found = recent_response(head)
        sets = {outcome: len(recent_clients(outcome, head)) for outcome in (Outcome.SENT, *TIMED)}
    assert [found.total(outcome) for outcome in (Outcome.SENT, *TIMED)] == [3, 3, 0, 0, 1]
    assert sets == {outcome: found.total(outcome) for outcome in sets}
