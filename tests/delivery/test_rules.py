"""The rules at send time: suitability, refused personalisation, frequency caps, throttled domains."""

import threading
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, update

from app.audiences.fields import load_catalogue
from app.campaigns.gates import asks_personal_facts, is_personalised
from app.campaigns.models import Campaign, SecondCheck, State, Step
from app.channels.models import ChannelLimit
from app.clients.models import Client
from app.core.clock import now, today
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work
from app.delivery.accounts.service import remove_throttle
from app.delivery.caps import cap_reason
from app.delivery.models import Batch, Message, MessageState, Run
from app.delivery.sending import hand_over, send_batch
from app.delivery.sweeping import dispatch_due_batches
from tests.factories.campaigns import make_campaign, make_content
from tests.factories.clients import make_client, make_clients
from tests.factories.delivery import claimed, launched, plan, send_all, set_rules, states
from tests.factories.ledger import make_segment
from tests.factories.users import make_user

pytestmark = pytest.mark.usefixtures("app")


def reasons() -> dict[str, int]:
    """How many messages were skipped for each reason."""
    db.session.expire_all()
    return dict(Counter(db.session.scalars(select(Message.reason).where(Message.state == "skipped"))))


# ---- Suitability ----


def assessed(level: int, **more: Any) -> int:
    return make_client(risk_level=level, risk_assessed_on=today(), birth_date=date(1990, 1, 1), **more).id


def test_only_those_for_whom_the_product_is_suitable_get_it() -> None:
    for level in range(1, 6):
        assessed(level)
    make_client(risk_level=5, risk_assessed_on=today() - timedelta(days=400), birth_date=date(1990, 1, 1))
    make_client(birth_date=date(1990, 1, 1))
    launched(product_risk=3)
    run = db.session.scalars(select(Run)).one()
    assert (run.matched, run.eligible, run.exclusions) == (7, 3, {"unsuitable": 4})


def test_an_assessment_that_runs_out_after_the_launch_stops_the_message() -> None:
    kept, lost = assessed(3), assessed(4)
    launched(product_risk=3)
    with unit_of_work() as session:
        session.get_one(Client, lost).risk_assessed_on = today() - timedelta(days=500)
    send_all()
    assert states() == {"sent": 1, "skipped": 1}
    assert reasons() == {"unsuitable": 1}
    assert db.session.scalars(select(Message.client_id).where(Message.state == "sent")).one() == kept


def test_older_clients_get_risky_products_only_after_a_second_check() -> None:
    old = make_client(risk_level=5, risk_assessed_on=today(), birth_date=date(1940, 1, 1)).id
    assessed(5)
    campaign = make_campaign(state=State.RUNNING, product_risk=5)
    checker = make_user(role="compliance").id
    plan(campaign)
    assert db.session.scalars(select(Run)).one().exclusions == {"second_check": 1}
    checked = make_campaign(state=State.RUNNING, product_risk=5)
    with unit_of_work() as session:
        session.add(
            SecondCheck(
                campaign_id=checked.id, client_id=old, product_risk=5, reason="spoke with her", checked_by_id=checker
            )
        )
    plan(checked)
    assert db.session.scalars(select(Run.eligible).where(Run.campaign_id == checked.id)).one() == 2


def test_a_private_product_is_for_qualified_investors() -> None:
    assessed(5)
    assessed(5, qualified_investor=True)
    launched(product_risk=2, product_private=True)
    assert db.session.scalars(select(Run.eligible)).one() == 1


# ---- Personalisation ----

NEUTRAL = {"all": [{"field": "status", "op": "is", "value": "client"}]}


@pytest.mark.parametrize(
    ("words", "personal"),
    [
        ("<p>Good morning</p>", False),
        ("<p>Dear {{ client.first_name | default: 'client' }}, your adviser {{ adviser.name }}</p>", False),
        ("<p>Clients in {{ client.city }}</p>", True),
        ("<p>{% if client.risk_level > 3 %}Growth{% endif %}</p>", True),
        ("<p>{{ custom.hobby }}</p>", True),
    ],
)
def test_words_about_the_client_make_a_message_personalised(words: str, personal: bool) -> None:
    content = make_content(source=f"<html><body>{words}</body></html>")
    assert is_personalised(make_campaign(content=content)) is personal


@pytest.mark.parametrize(
    ("rule", "personal"),
    [
        ({"all": []}, False),
        (NEUTRAL, False),
        ({"not": NEUTRAL}, False),
        ({"all": [NEUTRAL], "take": {"count": 5, "random": 1}}, False),
        ({"all": [NEUTRAL], "take": {"count": 5, "by": "total_assets", "order": "most"}}, True),
        ({"any": [NEUTRAL, {"field": "age", "op": "gt", "value": 40}]}, True),
        ({"related": "transactions", "where": {"all": []}, "op": "gte", "value": 1, "of": None}, True),
        ({"field": "segment", "op": "in", "value": [999_999]}, True),
    ],
)
def test_rules_about_more_than_plain_facts_make_a_campaign_personalised(rule: dict[str, Any], personal: bool) -> None:
    assert asks_personal_facts([rule], load_catalogue()) is personal


def test_a_segment_in_a_segment_counts_too() -> None:
    behaviour = make_segment("big", rule={"field": "total_assets", "op": "gt", "value": 5})
    assert asks_personal_facts([{"field": "segment", "op": "in", "value": [behaviour.id]}], load_catalogue())


def test_who_refused_personalised_marketing_gets_none_but_still_gets_service() -> None:
    make_client(personalisation_refused=True, city="Shanghai")
    make_client(city="Shanghai")
    segment = make_segment("Shanghai", rule={"field": "city", "op": "is", "value": "Shanghai"})
    launched(include=[segment])
    assert db.session.scalars(select(Run.exclusions)).one() == {"no_personalisation": 1}
    service = launched(include=[segment], purpose="service")
    assert db.session.scalars(select(Run.eligible).where(Run.campaign_id == service.id)).one() == 2


# ---- Frequency caps ----


def test_a_client_gets_no_more_marketing_in_a_day_than_the_cap() -> None:
    set_rules(caps={"email": {"day": 1}})
    make_clients(3)
    launched()
    send_all()
    launched()
    launched(purpose="service")
    send_all()
    assert states() == {"sent": 6, "skipped": 3}
    assert reasons() == {"capped": 3}


def test_the_market_profile_caps_where_the_firm_has_no_rules_of_its_own() -> None:
    make_client()
    for _ in range(3):
        launched()
        send_all()
    assert reasons() == {"capped": 1}


def test_the_higher_priority_wins_where_both_wait() -> None:
    set_rules(caps={"email": {"week": 1}})
    make_clients(2)
    low, high = launched(priority=1), launched(priority=3)
    send_all()
    by_campaign = dict(
        db.session.execute(select(Message.campaign_id, func.max(Message.state)).group_by(Message.campaign_id)).all()
    )
    assert by_campaign == {low.id: "skipped", high.id: "sent"}
    assert reasons() == {"outranked": 2}


def test_the_cap_holds_where_two_runs_hand_over_at_the_same_moment(app: Flask) -> None:
    set_rules(caps={"email": {"day": 1}})
    make_clients(40)
    launched()
    launched()
    first, second = db.session.scalars(select(Batch.id).order_by(Batch.id)).all()
    db.session.rollback()
    ready = threading.Barrier(2)

    def hand_out(batch_id: int) -> None:
        with app.app_context():
            work = claimed(batch_id)
            assert work is not None
            ready.wait(10)
            for _ in range(8):
                with unit_of_work():
                    hand_over(work, limit=5)

    workers = [threading.Thread(target=hand_out, args=(batch_id,)) for batch_id in (first, second)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    handed = db.session.execute(
        select(Message.client_id, func.count()).where(Message.state == "handing").group_by(Message.client_id)
    ).all()
    assert len(handed) == 40
    assert {count for _client, count in handed} == {1}


_days_ago = st.integers(0, 40)
_state = st.sampled_from(["sent", "sent", "unconfirmed", "failed", "planned", "handing"])
_other = st.tuples(_days_ago, _state, st.integers(1, 3), st.sampled_from(["marketing", "service"]), st.booleans())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    others=st.lists(_other, max_size=6),
    caps=st.fixed_dictionaries(
        {}, optional={"day": st.integers(1, 3), "week": st.integers(1, 4), "month": st.integers(1, 5)}
    ),
    priority=st.integers(1, 3),
)
def test_caps_agree_with_counting_by_hand(app: Flask, others: list[Any], caps: dict[str, int], priority: int) -> None:
    if not caps:
        return
    at = datetime(2026, 6, 17, 15, 0, tzinfo=UTC)
    try:
        client = Client(number="A1", name="A", email="a@example.com", branch_id=1)
        db.session.add(client)
        db.session.flush()

        def campaign(purpose: str, rank: int, code: str) -> Campaign:
            made = Campaign(code=code, name=code, purpose=purpose, priority=rank, state=State.RUNNING)
            db.session.add(made)
            db.session.flush()
            return made

        def message(of: Campaign, moment: datetime, state: str, channel: str) -> Message:
            run = Run(campaign_id=of.id, state="sending")
            db.session.add(run)
            db.session.flush()
            step = Step(campaign_id=of.id, position=0, channel=channel)
            db.session.add(step)
            db.session.flush()
            batch = Batch(run_id=run.id, step_id=step.id, channel=channel, size=1, due_at=moment)
            db.session.add(batch)
            db.session.flush()
            made = Message(
                run_id=run.id, campaign_id=of.id, step_id=step.id, client_id=client.id, batch_id=batch.id,
                channel=channel, state=MessageState(state), sent_at=moment if state == "sent" else None,
            )  # fmt: skip
            db.session.add(made)
            db.session.flush()
            return made

        mine = message(campaign("marketing", priority, "mine"), at, "planned", "email")
        for number, (days, state, rank, purpose, by_email) in enumerate(others):
            moment = at - timedelta(days=days) if state != "planned" else at + timedelta(days=days)
            message(campaign(purpose, rank, f"o{number}"), moment, state, "email" if by_email else "sms")
        found = db.session.scalar(
            select(cap_reason(contact="email", caps=caps, priority=priority, at=at)).where(Message.id == mine.id)
        )
        assert found == by_hand(others, caps, priority)
    finally:
        db.session.rollback()


def by_hand(others: list[Any], caps: dict[str, int], priority: int) -> str | None:
    """Days are whole days before or after today."""
    length = {"day": 1, "week": 7, "month": 30}
    gone: Counter[str] = Counter()
    ahead: Counter[str] = Counter()
    for days, state, rank, purpose, by_email in others:
        if purpose != "marketing" or not by_email:
            continue
        for period in caps:
            near = days < length[period]
            gone[period] += state == "handing" or (state in ("sent", "unconfirmed") and near)
            ahead[period] += state == "planned" and rank > priority and near
    if any(gone[period] >= limit for period, limit in caps.items()):
        return "capped"
    if any(gone[period] + ahead[period] >= limit for period, limit in caps.items()):
        return "outranked"
    return None


# ---- Waiting ----


def test_quiet_hours_of_each_client_hold_the_message_back_and_a_statutory_notice_goes() -> None:
    at = now().astimezone(UTC)
    set_rules(
        quiet_channels=["email"],
        quiet_from=(at - timedelta(hours=1)).time().replace(second=0, microsecond=0),
        quiet_until=(at + timedelta(hours=2)).time().replace(second=0, microsecond=0),
    )
    if (at - timedelta(hours=1)).time() < (at + timedelta(hours=2)).time():  # quiet hours run over the night
        set_rules(quiet_channels=["email"], quiet_from=time(0), quiet_until=time(23, 59))
    make_clients(3)
    launched()
    launched(purpose="statutory")
    send_all()
    assert states() == {"planned": 3, "sent": 3}
    waiting = db.session.scalars(select(Batch).where(Batch.state == "open")).one()
    assert (waiting.size, waiting.due_at > now()) == (3, True)


def test_a_spread_moves_many_messages_with_few_statements_and_loses_none() -> None:
    make_clients(300)
    launched(spread_hours=24)
    send_all()
    counts = states()
    assert counts.get("sent", 0) + counts["planned"] == 300
    assert counts["planned"] > 250
    waiting = db.session.scalars(select(Batch).where(Batch.state == "open")).all()
    assert sum(batch.size for batch in waiting) == counts["planned"]
    assert max(batch.due_at for batch in waiting) <= now() + timedelta(hours=24, minutes=5)
    with unit_of_work() as session:
        session.execute(update(Run).values(created_at=Run.created_at - timedelta(hours=25)))
        session.execute(update(Batch).values(due_at=now()))
        dispatch_due_batches()
    send_all()
    assert states() == {"sent": 300}


def test_what_waits_for_a_slow_domain_is_touched_only_when_its_turn_comes() -> None:
    make_clients(1200, email=lambda n: f"c{n}@slow.example")
    with unit_of_work() as session:
        session.add(ChannelLimit(domain="slow.example", rate_per_second=0.01, tokens=1))
    launched()
    send_all()
    sent = states()["sent"]
    assert sent <= 3
    queue = db.session.scalars(select(Batch).where(Batch.state == "open").order_by(Batch.due_at)).all()
    assert {batch.domain for batch in queue} == {"slow.example"}
    assert sum(batch.size for batch in queue) == 1200 - sent
    assert len(queue) <= 4
    assert queue[-1].due_at - queue[0].due_at >= timedelta(hours=13)
    places = dict(db.session.execute(select(Message.id, Message.batch_id).where(Message.state == "planned")).all())
    with unit_of_work() as session:
        session.execute(update(ChannelLimit).values(tokens=1))
    send_batch(queue[0].id)
    db.session.expire_all()
    still = dict(db.session.execute(select(Message.id, Message.batch_id).where(Message.state == "planned")).all())
    assert 1 <= len(places) - len(still) <= 3
    assert still.items() <= places.items()
    administrator = make_user(role="administrator")
    with unit_of_work() as session:
        limit = session.scalars(select(ChannelLimit).where(ChannelLimit.domain == "slow.example")).one()
        remove_throttle(limit=limit, actor=administrator)
    due = db.session.scalars(select(Batch.due_at).where(Batch.state == "open", Batch.size > 0)).all()
    assert max(due) <= now(), "without the throttle nobody waits for a turn"
    send_all()
    assert states()["sent"] == 1200
