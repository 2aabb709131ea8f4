"""The ledger: nothing is lost, nothing is sent twice, whatever happens in between."""

from datetime import timedelta
from threading import Thread
from uuid import uuid4

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select, text, update

from app.campaigns.models import Campaign, State
from app.channels.base import Outcome, Result
from app.channels.email.models import MailboxMessage
from app.clients.models import Client, Suppression
from app.content import rendering
from app.core.clock import now
from app.core.extensions import db
from app.core.jobs import enqueue
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from app.delivery.models import NEXT, Batch, Message, MessageState, Run, RunSegment, move
from app.delivery.planning import FIRST_CHUNK, plan_run
from app.delivery.postponing import BATCH_SIZE
from app.delivery.queries import campaign_progress
from app.delivery.sending import MAX_ATTEMPTS, Window, finish, hand_over, record_results, release, send_batch
from app.delivery.service import settle_unconfirmed
from app.delivery.sweeping import cancel_run, dispatch_due_batches, free_dead_batches, resume_run, sweep
from tests.factories.audiences import make_segment
from tests.factories.campaigns import make_campaign
from tests.factories.clients import make_client, make_clients
from tests.factories.delivery import (
    claimed,
    do_due_jobs,
    handed_over,
    launched,
    mailbox_count,
    plan,
    send_all,
    set_state,
    states,
)
from tests.factories.users import make_branch, make_user

pytestmark = pytest.mark.usefixtures("app")


def the_campaign() -> Campaign:
    db.session.expire_all()
    return db.session.scalars(select(Campaign)).one()


def test_every_eligible_client_gets_exactly_one_message() -> None:
    make_clients(BATCH_SIZE + 20)
    launched()
    assert states() == {"planned": BATCH_SIZE + 20}
    send_all()
    assert states() == {"sent": BATCH_SIZE + 20}
    assert mailbox_count() == BATCH_SIZE + 20
    assert the_campaign().state == State.COMPLETE
    assert db.session.scalars(select(Run.state)).one() == "complete"


def test_planning_twice_changes_nothing() -> None:
    make_clients(30)
    campaign = launched()
    plan(campaign)
    assert states() == {"planned": 30}
    assert db.session.scalar(select(func.count(Run.id))) == 1


def test_interrupted_planning_goes_on_after_the_last_planned_client() -> None:
    make_clients(30)
    campaign = launched()
    later = select(Message.id).order_by(Message.client_id.desc()).limit(10)
    with unit_of_work() as session:
        session.execute(Message.__table__.delete().where(Message.id.in_(later)))
        session.execute(update(Run).values(state="planning", planned_at=None))
    plan(campaign)
    assert states() == {"planned": 30}
    assert db.session.scalar(select(func.count(func.distinct(Message.client_id)))) == 30


def test_launch_counts_the_excluded_by_reason() -> None:
    make_clients(5)
    make_client(email_consent=None)
    make_client(email=None)
    make_client(flags=["deceased"])
    make_client(status="closed")
    blocked = make_client()
    db.session.add(Suppression(channel="email", address=blocked.email, reason="hard bounce", source="test"))
    db.session.commit()
    launched()
    run = db.session.scalars(select(Run)).one()
    assert (run.matched, run.eligible) == (10, 5)
    assert run.exclusions == {"no_consent": 1, "no_address": 1, "flagged": 1, "closed": 1, "suppressed": 1}


def test_a_branch_campaign_reaches_the_clients_of_its_branch_only() -> None:
    branch = make_branch()
    make_clients(2)
    make_clients(3, branch_id=branch.id)
    launched(owner=make_user(role=Role.MARKETING, branch=branch))
    assert db.session.scalars(select(Run.matched)).one() == 3
    assert states() == {"planned": 3}


def test_reported_segments_are_frozen_at_launch() -> None:
    make_clients(4, city="Shanghai")
    make_clients(3, city="Beijing")
    segment = make_segment(name="Shanghai", rule={"all": [{"field": "city", "op": "is", "value": "Shanghai"}]})
    launched(report=[segment])
    db.session.execute(update(Client).values(city="Beijing"))
    db.session.commit()
    frozen = db.session.scalars(select(RunSegment).order_by(RunSegment.position)).all()
    assert [part.snapshot.size for part in frozen] == [7, 4]


def test_consent_withdrawn_after_planning_skips_the_message() -> None:
    ids = make_clients(3)
    launched()
    db.session.execute(update(Client).where(Client.id == ids[1]).values(email_consent=False))
    db.session.commit()
    send_all()
    assert states() == {"sent": 2, "skipped": 1}
    assert db.session.scalar(select(Message.reason).where(Message.client_id == ids[1])) == "no_consent"
    progress = campaign_progress(the_campaign().id)
    assert progress is not None
    assert (progress.sent, progress.skipped, progress.waiting) == (2, 1, 0)


def test_a_batch_is_claimed_by_one_worker_only() -> None:
    make_clients(3)
    launched()
    batch_id = db.session.scalars(select(Batch.id)).one()
    assert claimed(batch_id) is not None
    assert claimed(batch_id) is None


def test_nothing_leaves_while_the_campaign_is_paused() -> None:
    make_clients(3)
    campaign = launched()
    set_state(campaign, State.PAUSED)
    send_all()
    assert states() == {"planned": 3}
    set_state(campaign, State.RUNNING)
    send_all()
    assert states() == {"sent": 3}


def test_a_message_that_is_cancelled_at_the_last_moment_does_not_leave(app: Flask) -> None:
    make_clients(3)
    launched()
    work = claimed()
    assert work is not None
    cancelled = db.session.scalars(select(func.min(Message.id))).one()
    db.session.rollback()
    windows: list[Window | None] = []

    def hand_it_over() -> None:
        with app.app_context(), unit_of_work():
            windows.append(hand_over(work, limit=10))

    worker = Thread(target=hand_it_over)
    with db.engine.begin() as canceller, db.engine.connect() as watch:
        canceller.execute(update(Message).where(Message.id == cancelled).values(state="cancelled"))
        worker.start()
        while not watch.scalar(text("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")):
            assert worker.is_alive()
    worker.join()
    (window,) = windows
    assert window is not None
    assert cancelled not in [row.id for row in window.rows]
    assert states() == {"cancelled": 1, "handing": 2}


def test_a_pause_stops_a_worker_before_its_next_window() -> None:
    make_clients(5)
    campaign = launched()
    work, first = handed_over(2)
    assert len(first.rows) == 2
    set_state(campaign, State.PAUSED)
    with unit_of_work():
        assert hand_over(work, limit=2) is None
    assert states() == {"handing": 2, "planned": 3}


def test_cancel_leaves_the_unsent_unsent() -> None:
    make_clients(5)
    campaign = launched()
    work, window = handed_over(2)
    set_state(campaign, State.CANCELLED)
    with unit_of_work():
        cancel_run(campaign.id)
    with unit_of_work():
        record_results(work, [Result(row.id, Outcome.SENT) for row in window.rows])
        finish(work)
    assert states() == {"cancelled": 3, "sent": 2}
    assert db.session.scalars(select(Batch.state)).one() == "done"


def test_the_worker_that_closes_the_last_batch_of_a_run_is_told_so() -> None:
    make_clients(5)
    launched()
    with unit_of_work() as session:
        first = session.scalars(select(Batch)).one()
        facts = {"run_id": first.run_id, "step_id": first.step_id, "channel": first.channel}
        second = Batch(**facts, size=2)
        session.add(second)
        session.flush()
        session.execute(update(Message).where(Message.id.in_(select(Message.id).limit(2))).values(batch_id=second.id))
    assert [send_batch(batch.id) for batch in (second, first)] == [None, first.run_id]
    assert send_batch(first.id) is None
    rows = db.session.execute(select(Batch.state, Batch.token, Batch.lease_until, Batch.size, Batch.sent))
    assert sorted(rows.all()) == [("done", None, None, 2, 2), ("done", None, None, 3, 3)]


def test_a_late_result_does_not_close_the_batch_that_another_worker_holds() -> None:
    make_clients(3)
    launched()
    late, window = handed_over(3)
    token = uuid4()
    with unit_of_work() as session:
        session.execute(update(Batch).values(token=token))
        session.execute(update(Message).values(state="unconfirmed", unconfirmed_at=now()))
    with unit_of_work():
        left = record_results(late, [Result(row.id, Outcome.SENT) for row in window.rows])
    assert left == (0, False)
    assert db.session.execute(select(Batch.state, Batch.token)).one() == ("open", token)


def test_a_campaign_cancelled_before_its_audience_is_frozen_is_never_planned() -> None:
    make_clients(3)
    campaign = make_campaign(state=State.CANCELLED, seeds=["seed@firm.example"])
    with unit_of_work():
        cancel_run(campaign.id)
        enqueue("delivery.plan_run", campaign_id=campaign.id)
    do_due_jobs()
    assert (states(), mailbox_count(), db.session.scalars(select(Run.id)).all()) == ({}, 0, [])


def test_a_campaign_cancelled_while_it_is_planned_leaves_everything_unsent() -> None:
    make_clients(FIRST_CHUNK + 100)
    campaign = make_campaign(state=State.RUNNING, seeds=["seed@firm.example"])
    transactions = []

    def cancelled_in_the_second_chunk(**progress: int) -> None:
        transactions.append(progress)
        if len(transactions) == 3:  # the freeze, the first chunk, the second
            db.session.execute(update(Campaign).values(state=State.CANCELLED))

    plan_run(campaign.id, cancelled_in_the_second_chunk)
    assert states() == {"planned": FIRST_CHUNK}
    with unit_of_work():
        enqueue("delivery.plan_run", campaign_id=campaign.id)
    do_due_jobs()
    with unit_of_work():
        sweep()
    assert (states(), mailbox_count()) == ({"cancelled": FIRST_CHUNK}, 0)
    assert db.session.scalars(select(Run.state)).one() == "cancelled"
    assert set(db.session.scalars(select(Batch.state))) == {"done"}


def test_what_a_relay_refuses_for_now_after_the_cancel_stays_unsent_too() -> None:
    make_clients(5)
    campaign = launched()
    work, window = handed_over(2)
    set_state(campaign, State.CANCELLED)
    with unit_of_work():
        cancel_run(campaign.id)
    refused, sent = (row.id for row in window.rows)
    with unit_of_work():
        record_results(work, [Result(refused, Outcome.NOT_TAKEN), Result(sent, Outcome.SENT)])
        finish(work)
    with unit_of_work():
        sweep()
    assert states() == {"cancelled": 4, "sent": 1}
    assert set(db.session.scalars(select(Batch.state))) == {"done"}


def test_after_a_crash_planned_rows_go_on_and_handing_rows_are_never_sent_again() -> None:
    make_clients(5)
    launched()
    handed_over(2)
    db.session.execute(update(Batch).values(lease_until=now() - timedelta(seconds=1)))
    db.session.commit()
    with unit_of_work():
        assert free_dead_batches() == 1
    assert states() == {"unconfirmed": 2, "planned": 3}
    send_all()
    assert states() == {"unconfirmed": 2, "sent": 3}
    assert mailbox_count() == 3
    assert the_campaign().state == State.COMPLETE  # an unconfirmed row never blocks completion


def test_a_slow_worker_records_its_results_after_it_was_swept() -> None:
    make_clients(2)
    launched()
    work, window = handed_over(2)
    db.session.execute(update(Batch).values(lease_until=now() - timedelta(seconds=1)))
    db.session.commit()
    with unit_of_work():
        free_dead_batches()
    sent, not_taken = (row.id for row in window.rows)
    with unit_of_work():
        record_results(work, [Result(sent, Outcome.SENT), Result(not_taken, Outcome.NOT_TAKEN)])
    assert states() == {"sent": 1, "unconfirmed": 1}  # what awaits a receipt never goes back to planned


def test_results_that_are_recorded_again_leave_what_another_worker_has_on_its_way_alone() -> None:
    make_clients(2)
    launched()
    first, window = handed_over(2)
    refused = Result(window.rows[0].id, Outcome.NOT_TAKEN, reason="450 busy")
    faulty = Result(window.rows[1].id, Outcome.NOT_TAKEN, reason="relay unreachable", account_at_fault=True)
    with unit_of_work():
        record_results(first, [refused, faulty])
    release(first)
    for batch_id in db.session.scalars(select(Batch.id).where(Batch.state == "open")).all():
        handed_over(2, batch_id=batch_id)
    assert states() == {"handing": 2}
    with unit_of_work():
        record_results(first, [refused, faulty])  # the answer to its first commit was lost
    assert states() == {"handing": 2}


def test_a_vendors_words_with_a_nul_are_recorded_without_it() -> None:
    make_clients(1)
    launched()
    work, window = handed_over(1)
    with unit_of_work():
        record_results(work, [Result(window.rows[0].id, Outcome.FAILED, reason="550 \0no", reference="\0")])
    assert db.session.scalars(select(Message.reason)).one() == "550 no"


def test_a_worker_whose_lease_was_taken_hands_nothing_over() -> None:
    make_clients(2)
    launched()
    batch_id = db.session.scalars(select(Batch.id)).one()
    slow = claimed(batch_id)
    assert slow is not None
    db.session.execute(update(Batch).values(lease_until=now() - timedelta(seconds=1)))
    db.session.commit()
    with unit_of_work():
        free_dead_batches()
    assert claimed(batch_id) is not None
    with unit_of_work():
        assert hand_over(slow, limit=2) is None
    release(slow)
    assert db.session.scalar(select(Batch.token)) is not None


def test_settling_by_evidence_moves_unconfirmed_to_sent_only() -> None:
    make_clients(3)
    launched()
    ids = db.session.scalars(select(Message.id).order_by(Message.id)).all()
    db.session.execute(update(Message).where(Message.id == ids[0]).values(state="unconfirmed"))
    db.session.execute(update(Message).where(Message.id == ids[1]).values(state="failed"))
    db.session.commit()
    with unit_of_work():
        assert settle_unconfirmed(ids) == 1
    assert states() == {"sent": 1, "failed": 1, "planned": 1}


def test_a_message_refused_for_now_waits_longer_each_time_and_is_given_up_in_the_end() -> None:
    make_clients(3)
    launched()
    refused = db.session.scalars(select(Message.id).order_by(Message.id).limit(1)).one()
    pauses = []
    for _ in range(MAX_ATTEMPTS):
        db.session.rollback()
        batch_id = db.session.scalars(select(Message.batch_id).where(Message.id == refused)).one()
        work, window = handed_over(10, batch_id=batch_id)
        before = now()
        outcomes = {refused: Outcome.NOT_TAKEN}
        with unit_of_work():
            record_results(work, [Result(row.id, outcomes.get(row.id, Outcome.SENT)) for row in window.rows])
            finish(work)
        db.session.rollback()
        batch = db.session.get_one(
            Batch, db.session.scalars(select(Message.batch_id).where(Message.id == refused)).one()
        )
        pauses.append((batch.due_at - before).total_seconds())
    assert pauses[:4] == pytest.approx([5, 10, 20, 40], abs=1.5)
    assert states() == {"failed": 1, "sent": 2}
    # what deliverability counts as deferred: the message that was refused for now, at the first time it was
    deferred = db.session.execute(select(Message.id, Message.deferred_at).where(Message.deferred_at.is_not(None)))
    [(message_id, deferred_at)] = deferred
    assert message_id == refused
    assert deferred_at < before
    assert set(db.session.scalars(select(Batch.state))) == {"done"}
    progress = campaign_progress(the_campaign().id)
    assert progress is not None
    assert (progress.planned, progress.sent, progress.failed) == (3, 2, 1)


def test_waiting_batches_are_sent_out_again_once_per_pause() -> None:
    make_clients(2)
    campaign = launched()
    with unit_of_work():
        assert dispatch_due_batches() == 0
    with unit_of_work():
        resume_run(campaign.id)
    db.session.execute(update(Batch).values(due_at=now()))
    db.session.commit()
    with unit_of_work():
        assert dispatch_due_batches() == 1
    with unit_of_work():
        assert dispatch_due_batches() == 0


def test_a_message_that_cannot_be_filled_in_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = make_clients(3)
    campaign = launched()
    assert campaign.steps[0].content is not None
    fill = rendering.CompiledEmail.fill

    def fails_for_one(self: rendering.CompiledEmail, values: rendering.Values, links: rendering.MessageLinks) -> list:
        if links._message_id == first:
            raise rendering.LiquidError("no", token=None)
        return fill(self, values, links)

    first = db.session.scalar(select(Message.id).where(Message.client_id == ids[0]))
    monkeypatch.setattr(rendering.CompiledEmail, "fill", fails_for_one)
    send_all()
    assert states() == {"failed": 1, "sent": 2}


@given(st.data())
def test_no_path_leads_out_of_an_end_state_or_back_to_handing_from_unconfirmed(data: st.DataObject) -> None:
    state = MessageState.PLANNED
    for _ in range(12):
        if not NEXT[state]:
            assert state in {MessageState.SENT, MessageState.SKIPPED, MessageState.CANCELLED}
            return
        before, state = state, data.draw(st.sampled_from(sorted(NEXT[state])))
        if before is MessageState.UNCONFIRMED:
            assert state in {MessageState.SENT, MessageState.FAILED}
        if before is MessageState.FAILED:  # by the verb that retries, which takes definite refusals only
            assert state is MessageState.PLANNED


def test_a_move_that_the_table_does_not_have_is_a_fault() -> None:
    for since, state in [(MessageState.SENT, MessageState.PLANNED), (MessageState.UNCONFIRMED, MessageState.HANDING)]:
        with pytest.raises(ValueError, match="never goes"):
            move(since, state)


def test_the_mailbox_holds_whole_messages(app: Flask) -> None:
    make_client(first_name="Ana & Co")
    launched()
    send_all()
    message = db.session.scalars(select(MailboxMessage)).one()
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click" in message.mime
    assert message.subject == "Market brief"
