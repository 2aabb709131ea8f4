"""Messages awaiting receipt are settled by people, and failed ones are tried again: each client still once."""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from app.audit.models import AuditEntry
from app.campaigns.models import Campaign, State
from app.channels.email.models import MailboxMessage
from app.core.errors import AppError, Forbidden
from app.core.extensions import db
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from app.delivery.models import Batch, Message, MessageState, Run
from app.delivery.outcomes.queries import Filter, awaiting_receipt, extent, failed, failed_groups, masked_words
from app.delivery.outcomes.service import order, retry, settle
from app.delivery.queries import campaign_progress
from app.users.models import User
from tests.factories.clients import make_clients
from tests.factories.delivery import do_due_jobs, launched, send_all, set_state, states
from tests.factories.users import make_branch, make_user

pytestmark = pytest.mark.usefixtures("app")


def sent_campaign(clients: int = 6, **ended: list[int]) -> Campaign:
    """A complete campaign of which the messages at these places (from 0) ended as said: failed=[0], unconfirmed=[1]."""
    make_clients(clients)
    campaign = launched()
    send_all()
    ids = message_ids()
    for state, places in ended.items():
        end(state, [ids[place] for place in places])
    return campaign


def end(state: str, ids: list[int], **facts: Any) -> None:
    values = {"state": state, "sent_at": None, "reason": "550 5.1.1 no such user", "reference": None} | facts
    with unit_of_work() as session:
        session.execute(update(Message).where(Message.id.in_(ids)).values(values))
        session.execute(
            update(Batch).values(
                {
                    name: select(func.count())
                    .where(Message.batch_id == Batch.id, Message.state == name)
                    .scalar_subquery()
                    for name in ("sent", "failed", "unconfirmed")
                }
            )
        )


def message_ids() -> list[int]:
    return list(db.session.scalars(select(Message.id).order_by(Message.id)))


@pytest.fixture
def officer(app: Flask) -> User:
    return make_user(role=Role.MARKETING)


def acts(action: str) -> list[AuditEntry]:
    return list(db.session.scalars(select(AuditEntry).where(AuditEntry.action == action)))


# ---- Awaiting receipt ----


@pytest.mark.parametrize("state", [MessageState.SENT, MessageState.FAILED])
def test_a_person_settles_what_awaits_receipt_with_a_reason(officer: User, state: MessageState) -> None:
    campaign = sent_campaign(unconfirmed=[1, 2])
    actor, ids = officer, message_ids()
    with unit_of_work():
        assert settle(chosen=Filter(ids=[ids[1]]), state=state, reason="the relay's log says so", actor=actor) == 1
    counts = {"sent": 5 if state == "sent" else 4, "unconfirmed": 1} | ({"failed": 1} if state == "failed" else {})
    assert states() == counts
    progress = campaign_progress(campaign.id)
    assert progress is not None
    assert (progress.unconfirmed, progress.waiting) == (1, 0)
    (entry,) = acts("campaign.messages_settled")
    assert (entry.reason, entry.changes) == ("the relay's log says so", {"messages": 1, "state": state.value})


def test_settling_without_a_reason_or_the_permission_is_refused(officer: User) -> None:
    sent_campaign(unconfirmed=[0])
    with pytest.raises(AppError), unit_of_work():
        settle(chosen=Filter(), state=MessageState.SENT, reason=" ", actor=officer)
    checker = make_user(role=Role.COMPLIANCE)
    with pytest.raises(Forbidden), unit_of_work():
        settle(chosen=Filter(), state=MessageState.SENT, reason="why", actor=checker)
    assert states()["unconfirmed"] == 1


def test_only_what_awaits_receipt_is_settled(officer: User) -> None:
    sent_campaign(failed=[0], unconfirmed=[1])
    with unit_of_work():
        assert settle(chosen=Filter(ids=message_ids()), state=MessageState.SENT, reason="log", actor=officer) == 1
    assert states() == {"sent": 5, "failed": 1}


def test_nobody_settles_messages_of_another_branch() -> None:
    sent_campaign(unconfirmed=[0])
    stranger = make_user(role=Role.MARKETING, branch=make_branch())
    with unit_of_work():
        assert settle(chosen=Filter(), state=MessageState.SENT, reason="log", actor=stranger) == 0
        assert extent(awaiting_receipt(stranger, Filter())).count == 0


def test_all_that_were_seen_are_settled_by_a_job(officer: User) -> None:
    sent_campaign(unconfirmed=[0, 2, 4])
    actor, seen = officer, message_ids()[2]
    with unit_of_work():
        order(verb="failed", chosen=Filter(up_to=seen), reason="the vendor confirmed in writing", actor=actor)
    do_due_jobs()
    assert states() == {"sent": 3, "failed": 2, "unconfirmed": 1}


# ---- Failed ----


def test_the_failed_are_sent_again_in_the_same_rows_and_the_campaign_ends_anew(officer: User) -> None:
    campaign = sent_campaign(failed=[0, 3])
    before = message_ids()
    assert db.session.get_one(Campaign, campaign.id).state == State.COMPLETE
    with unit_of_work():
        assert retry(chosen=Filter(campaign=campaign.code), reason="the relay is mended", actor=officer) == 2
    assert states() == {"sent": 4, "planned": 2}
    db.session.refresh(campaign)
    assert campaign.state == State.RUNNING
    send_all()
    assert states() == {"sent": 6}
    assert message_ids() == before
    assert db.session.scalar(select(func.count(MailboxMessage.id))) == 8  # the first two never counted as taken
    db.session.refresh(campaign)
    assert (campaign.state, db.session.scalars(select(Run.state)).one()) == (State.COMPLETE, "complete")
    progress = campaign_progress(campaign.id)
    assert progress is not None
    assert (progress.planned, progress.sent, progress.failed) == (6, 6, 0)
    assert len(acts("campaign.messages_retried")) == 1


def test_what_awaited_receipt_is_never_retried_also_once_it_was_settled(officer: User) -> None:
    campaign = sent_campaign(failed=[0], unconfirmed=[1, 2])
    actor, ids = officer, message_ids()
    with unit_of_work():
        settle(chosen=Filter(ids=[ids[1]]), state=MessageState.FAILED, reason="not in the log", actor=actor)
    with unit_of_work():
        assert retry(chosen=Filter(campaign=campaign.code), reason="again", actor=actor) == 1
    assert states() == {"sent": 3, "planned": 1, "failed": 1, "unconfirmed": 1}


def test_a_failed_message_of_which_something_came_back_is_not_retried(officer: User) -> None:
    sent_campaign(failed=[0, 1])
    with unit_of_work() as session:
        session.execute(update(Message).where(Message.id == message_ids()[0]).values(opened_at=func.now()))
    with unit_of_work():
        assert retry(chosen=Filter(), reason="again", actor=officer) == 1


def test_nothing_of_a_cancelled_campaign_is_retried(officer: User) -> None:
    campaign = sent_campaign(failed=[0])
    set_state(campaign, State.CANCELLED)
    with unit_of_work():
        assert retry(chosen=Filter(), reason="again", actor=officer) == 0


def test_retrying_twice_plans_once(officer: User) -> None:
    sent_campaign(failed=[0])
    actor = officer
    for expected in (1, 0):
        with unit_of_work():
            assert retry(chosen=Filter(), reason="again", actor=actor) == expected
    assert states() == {"sent": 5, "planned": 1}


def test_the_failed_are_grouped_by_the_vendors_words_whatever_address_they_name(officer: User) -> None:
    sent_campaign(failed=[0, 1, 2])
    ids = message_ids()
    end("failed", [ids[0]], reason="550 5.1.1 <a@example.com> unknown (id 4bQxYz1234567)")
    end("failed", [ids[1]], reason="550 5.1.1 <b@example.org> unknown (id 4bQxAa7654321)")
    end("failed", [ids[2]], reason="552 5.2.2 mailbox full")
    groups = {(row.reason, row.count, row.retryable) for row in failed_groups(officer, Filter())}
    assert groups == {("550 5.1.1 <…@…> unknown (id …)", 2, 2), ("552 5.2.2 mailbox full", 1, 1)}
    with unit_of_work():
        chosen = Filter(group="552 5.2.2 mailbox full", up_to=ids[-1])
        order(verb="retry", chosen=chosen, reason="it has room now", actor=officer)
    do_due_jobs()
    assert states() == {"sent": 3, "failed": 2, "planned": 1}


def test_addresses_in_the_vendors_words_are_masked() -> None:
    assert masked_words("550 <wang.fang@example.com>: no such user") == "550 <w•••@example.com>: no such user"
    assert masked_words(None) == ""


def test_many_are_done_in_chunks(officer: User) -> None:
    sent_campaign(7, failed=[0, 1, 2, 3, 4])
    actor = officer
    done = []
    for _ in range(4):
        with unit_of_work():
            done.append(retry(chosen=Filter(), reason="again", actor=actor, limit=2))
    assert done == [2, 2, 1, 0]
    assert extent(failed(actor, Filter())).count == 0
