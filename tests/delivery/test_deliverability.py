"""How messages arrive, counted from the ledger, and what happens when too many complain."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from app.audit.models import AuditEntry
from app.channels.models import ChannelAccount
from app.core.clock import now, today
from app.core.extensions import db
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from app.delivery.accounts.service import resume_marketing
from app.delivery.deliverability.alarms import complaints_by_account
from app.delivery.deliverability.counting import mark_due, runs_to_count
from app.delivery.deliverability.models import Arrival, DeliverabilitySettings
from app.delivery.deliverability.service import count_arrivals
from app.delivery.models import Message, Run
from app.delivery.routing import usable_accounts
from tests.factories.clients import make_clients
from tests.factories.delivery import launched, send_all
from tests.factories.users import make_user

pytestmark = pytest.mark.usefixtures("app")


def sent(clients: int = 10, **fields: object) -> list[int]:
    make_clients(clients, email=lambda n: f"c{n}@{'big' if n % 2 else 'small'}.example")
    launched(**fields)
    send_all()
    return list(db.session.scalars(select(Message.id).order_by(Message.id)))


def change(ids: list[int], **values: object) -> None:
    with unit_of_work() as session:
        session.execute(update(Message).where(Message.id.in_(ids)).values(**values))
        mark_due(set(session.scalars(select(Run.id))))


def count() -> int:
    with unit_of_work():
        return count_arrivals()


def figures() -> dict[str, tuple[int, ...]]:
    columns = (
        Arrival.sent, Arrival.delivered, Arrival.deferred, Arrival.refused, Arrival.bounced, Arrival.complained,
    )  # fmt: skip
    return {
        row[0]: tuple(row[1:])
        for row in db.session.execute(select(Arrival.domain, *map(func.sum, columns)).group_by(Arrival.domain))
    }


def few_are_enough(minimum: int = 5) -> None:
    with unit_of_work() as session:
        session.add(DeliverabilitySettings(minimum_sent=minimum))


def test_arrivals_are_counted_by_account_and_receiving_domain() -> None:
    ids = sent()
    change(ids[:1], bounced_at=now())
    change(ids[1:2], complained_at=now())
    change(ids[2:3], state="failed", sent_at=None)
    change(ids[3:4], deferred_at=now())
    assert count() == 1
    domains = dict(db.session.execute(select(Message.id, Message.domain)).all())
    assert {domains[ids[0]], domains[ids[2]]} != {domains[ids[1]], domains[ids[3]]}
    assert figures() == {
        domains[ids[0]]: (4, 3, 0, 1, 1, 0),
        domains[ids[1]]: (5, 5, 1, 0, 0, 1),
    }


def test_counting_again_changes_nothing_and_is_done_only_when_something_came_back() -> None:
    ids = sent()
    count()
    first = figures()
    with unit_of_work() as session:
        session.execute(update(Run).values(finished_at=now() - timedelta(hours=1)))
    assert runs_to_count() == []
    change([], reason=None)
    assert len(runs_to_count()) == 1
    count()
    assert figures() == first
    change(ids, complained_at=now())
    count()
    assert sum(row[5] for row in figures().values()) == 10


def test_a_retry_or_late_result_shortly_after_the_end_is_counted() -> None:
    sent()
    count()
    assert len(runs_to_count()) == 1  # it has just ended: results may still be recorded


def test_marketing_through_an_account_stops_where_too_many_complain_and_service_goes_on() -> None:
    few_are_enough()
    ids = sent()
    change(ids[:1], complained_at=now())
    count()
    account = db.session.scalars(select(ChannelAccount)).one()
    assert account.marketing_paused_for == {"complained": 1, "delivered": 10, "days": 7}
    with unit_of_work():
        assert usable_accounts("email", purpose="marketing") == []
        assert usable_accounts("email", purpose="service") == [account]
    entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "pause_marketing")).one()
    assert (entry.actor_id, entry.subject_id) == (None, account.id)


def test_a_person_starts_marketing_again_and_old_complaints_do_not_stop_it() -> None:
    few_are_enough()
    ids = sent()
    change(ids[:1], complained_at=now())
    count()
    boss = make_user(role=Role.ADMINISTRATOR)
    with unit_of_work():
        account = db.session.scalars(select(ChannelAccount)).one()
        resume_marketing(account=account, reason="a wrong list, taken out", actor=boss)
    change(ids[1:2], complained_at=now())
    count()
    db.session.refresh(account)
    assert account.marketing_paused_at is None
    assert account.complaints_from == today() + timedelta(days=1)


@pytest.mark.parametrize(("complained", "minimum", "level"), [(0, 5, ""), (1, 5, "pause"), (1, 100, "")])
def test_a_rate_means_something_only_from_a_minimum_on(complained: int, minimum: int, level: str) -> None:
    few_are_enough(minimum)
    ids = sent()
    change(ids[:complained], complained_at=now())
    count()
    (complaints,) = complaints_by_account().values()
    assert complaints.level == level


def test_service_messages_do_not_count_for_the_alarm() -> None:
    few_are_enough()
    ids = sent(purpose="service")
    change(ids, complained_at=now())
    count()
    assert complaints_by_account() == {}
