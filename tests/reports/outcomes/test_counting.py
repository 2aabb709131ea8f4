"""The outcome sets are the messages, whatever happened to them and in whatever order it was counted."""

from collections.abc import Sequence
from threading import Barrier, Thread
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyroaring import BitMap64
from sqlalchemy import delete, func, insert, select, text, update

from app.core.clock import now
from app.core.extensions import db
from app.core.queues import run_tick
from app.core.unit_of_work import unit_of_work
from app.delivery.models import Message, MessageState, Run
from app.reports.outcomes import queries
from app.reports.outcomes.models import Fact, OutcomeSet, UncountedClients
from app.reports.outcomes.queries import STATES, TIMES, WITH_REASONS, outcome_sets
from app.reports.outcomes.service import count_outcomes
from app.reports.response import Outcome, campaign_response
from app.reports.tasks import keep_outcomes_counted
from tests.factories.clients import make_clients
from tests.factories.ledger import make_launched_campaign, make_run

Recount = dict[tuple[int, int, Fact, str], set[int]]


@pytest.fixture
def clients(app: Flask) -> list[int]:
    return make_clients(30)


def recount() -> Recount:
    """Every set by plain reading of every message."""
    found: Recount = {}
    rows = db.session.execute(
        select(
            Message.run_id,
            Message.step_id,
            Message.client_id,
            Message.state,
            Message.reason,
            Message.account_id,
            *TIMES.values(),
        )
    )
    for run_id, step_id, client_id, state, reason, account_id, *times in rows:
        fact = Fact.SENT if any(times) else STATES[state]
        why = {Fact.SENT: account_id}.get(fact, reason if fact in WITH_REASONS else None)
        keys = {(fact, str(why or ""))}
        keys |= {(came, "") for came, time in zip(TIMES, times, strict=True) if time}
        for key in keys:
            found.setdefault((run_id, step_id, *key), set()).add(client_id)
    return found


def stored() -> Recount:
    rows = db.session.scalars(select(OutcomeSet).execution_options(populate_existing=True)).all()
    assert all(row.size == len(row.clients) for row in rows)
    return {(row.run_id, row.step_id, Fact(row.fact), row.reason): set(row.clients) for row in rows if row.size}


def read() -> Recount:
    """The sets as a page reads them, counted or not."""
    run_ids = db.session.scalars(select(Run.id)).all()
    return {
        (*place, *key): set(clients)
        for place, sets in outcome_sets(run_ids).sets.items()
        for key, clients in sets.items()
        if clients
    }


def count() -> int:
    with unit_of_work():
        return count_outcomes()


def test_a_count_puts_each_client_into_the_sets_of_their_message(clients: list[int]) -> None:
    campaign = make_launched_campaign()
    make_run(campaign, clients, opened=clients[:9], skipped={"no_consent": clients[20:22]}, failed={"x": clients[22:]})
    assert count() == 30
    assert stored() == recount() == read()
    assert db.session.scalar(select(func.count(UncountedClients.id))) == 0
    assert count() == 0


def test_a_page_is_right_before_anything_is_counted(clients: list[int]) -> None:
    make_run(make_launched_campaign(), clients, opened=clients[:9])
    assert stored() == {}
    assert read() == recount()


def test_what_changes_later_moves_the_client(clients: list[int]) -> None:
    make_run(make_launched_campaign(), clients, unconfirmed=clients[:3], opened=clients[5:8])
    count()
    change([clients[0]], state=MessageState.SENT)
    change([clients[5]], opened_at=None)
    change([clients[9]], bounced_at=now())
    assert read() == recount() != stored()
    assert count() == 3
    assert stored() == recount()


def test_removed_messages_leave_every_set(clients: list[int]) -> None:
    make_run(make_launched_campaign(), clients, opened=clients)
    count()
    with unit_of_work():
        db.session.execute(delete(Message).where(Message.client_id.in_(clients[:4])))
    count()
    assert stored() == recount()
    assert len(stored()) == 2


def test_a_message_of_another_client_leaves_the_first(clients: list[int]) -> None:
    make_run(make_launched_campaign(), clients[:20], opened=clients[:5])
    count()
    change([clients[0]], client_id=clients[25])
    count()
    assert stored() == recount()


def test_a_backlog_is_counted_in_several_goes(clients: list[int]) -> None:
    for client_id in clients[:4]:
        make_run(make_launched_campaign(), [client_id])
    with unit_of_work():
        assert count_outcomes(at_once=3) == 3
    with unit_of_work():
        assert count_outcomes(at_once=3) == 1
    assert stored() == recount()


def test_the_tick_counts(clients: list[int]) -> None:
    make_run(make_launched_campaign(), clients)
    assert run_tick("reports.count_outcomes", keep_outcomes_counted)
    assert stored() == recount()


def test_the_report_says_what_is_still_being_counted(clients: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = make_launched_campaign()
    make_run(campaign, clients)
    count()
    change(clients[:7], opened_at=now())
    monkeypatch.setattr(queries, "LITTLE", 5)
    response = campaign_response(campaign)
    assert (response.total.opened, response.pending) == (0, 7)
    assert response.as_of is not None
    monkeypatch.setattr(queries, "LITTLE", 7)
    assert (campaign_response(campaign).total.opened, campaign_response(campaign).pending) == (7, 0)


def test_reasons_are_kept_without_what_differs_from_message_to_message(clients: list[int]) -> None:
    campaign = make_launched_campaign()
    make_run(campaign, clients, failed={f"550 no such user c{n}@example.com": [clients[n]] for n in range(5)})
    count()
    assert len([key for key in stored() if key[2] is Fact.FAILED]) == 1
    assert campaign_response(campaign).failed == {"550 no such user …@…": 5}


def test_many_writers_and_two_counters_leave_nothing_behind(app: Flask, clients: list[int]) -> None:
    campaign = make_launched_campaign()
    make_run(campaign, clients, waiting=clients)
    start = Barrier(5)

    def write(part: list[int]) -> None:
        with app.app_context():
            start.wait()
            for client_id in part:
                change([client_id], state=MessageState.HANDING)
                change([client_id], state=MessageState.SENT, sent_at=now())
                change([client_id], opened_at=now())

    def keep_counting() -> None:
        with app.app_context():
            start.wait()
            for _ in range(25):
                count()

    work = [Thread(target=write, args=(clients[n::3],)) for n in range(3)]
    work += [Thread(target=keep_counting) for _ in range(2)]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert read() == recount()
    while count():
        pass
    assert stored() == recount()
    total = campaign_response(campaign).total
    assert (total.sent, total.count(Outcome.OPENED)) == (30, 30)


def change(client_ids: Sequence[int], **values: Any) -> None:
    with unit_of_work():
        db.session.execute(
            update(Message)
            .where(Message.client_id.in_(client_ids))
            .values(**values)
            .execution_options(synchronize_session=False)
        )


TIME_COLUMNS = (
    "delivered_at",
    "opened_at",
    "clicked_at",
    "replied_at",
    "unsubscribed_at",
    "bounced_at",
    "complained_at",
    "machine_opened_at",
    "machine_clicked_at",
)
CHANGES = st.one_of(
    st.tuples(st.just("state"), st.sampled_from(list(MessageState)), st.sampled_from([None, "one", "two"])),
    st.tuples(st.just("time"), st.sampled_from(TIME_COLUMNS), st.booleans()),
    st.tuples(st.just("account"), st.sampled_from([None, 1, 2]), st.none()),
    st.tuples(st.just("gone"), st.none(), st.none()),
    st.tuples(st.just("new"), st.sampled_from(list(MessageState)), st.none()),
    st.tuples(st.just("count"), st.none(), st.none()),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(CHANGES, st.sets(st.integers(0, 11), min_size=1, max_size=6)), max_size=14))
def test_any_history_gives_the_sets_of_a_plain_recount(
    app: Flask, history: list[tuple[tuple[str, Any, Any], set[int]]]
) -> None:
    db.session.rollback()
    with db.engine.begin() as connection:
        connection.execute(text("TRUNCATE message, outcome_set, uncounted_clients, run CASCADE"))
    known = db.session.scalars(text("SELECT id FROM client ORDER BY id")).all() or make_clients(12)
    campaign = make_launched_campaign()
    run = make_run(campaign, known[:6])
    message = db.session.scalars(select(Message).limit(1)).one()
    place = {name: getattr(message, name) for name in ("run_id", "campaign_id", "step_id", "batch_id", "channel")}
    for (kind, what, how), places in history:
        ids = [known[number] for number in places]
        if kind == "state":
            change(ids, state=what, reason=how)
        elif kind == "time":
            change(ids, **{what: now() if how else None})
        elif kind == "account":
            change(ids, account_id=what)
        elif kind == "gone":
            with unit_of_work():
                db.session.execute(delete(Message).where(Message.client_id.in_(ids)))
        elif kind == "new":
            taken = set(db.session.scalars(select(Message.client_id)))
            fresh = [place | {"client_id": client_id, "state": what} for client_id in ids if client_id not in taken]
            if fresh:
                with unit_of_work():
                    db.session.execute(insert(Message), fresh)
        else:
            count()
    assert read() == recount()
    count()
    assert stored() == read() == recount()
    assert BitMap64(set().union(*stored().values()) if stored() else ()) == BitMap64(
        db.session.scalars(select(Message.client_id).where(Message.run_id == run.id))
    )
