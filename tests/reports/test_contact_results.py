"""A contact result is a column of its own; replies are what clients wrote."""

from flask import Flask

from app.advising.service import record_contact
from app.core.extensions import db
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from app.reports.queries import client_lines
from app.reports.response import Outcome, campaign_response, outcome_clients
from tests.factories.advising import a_contact, make_call_campaign, make_called_client, make_tasks
from tests.factories.users import make_user


def test_contact_results_are_counted_apart_from_replies(app: Flask) -> None:
    wang = make_user(role=Role.ADVISER)
    reached, waiting = make_called_client(wang), make_called_client(wang)
    campaign = make_call_campaign()
    make_tasks([reached, waiting], campaign=campaign)
    with unit_of_work():
        record_contact(contact=a_contact(reached, "interested"), actor=db.session.merge(wang))
    total = campaign_response(campaign).total
    assert (total.targeted, total.contact_results, total.replied) == (2, 1, 0)
    assert list(outcome_clients(campaign, Outcome.CONTACT_RESULTS)) == [reached.id]
    (line,) = client_lines(campaign, [reached.id], viewer=None)
    assert [outcome for outcome, _at in line.happened] == [Outcome.CONTACT_RESULTS]
