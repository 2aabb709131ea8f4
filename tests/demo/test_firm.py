"""The synthetic firm, small: consistent with the rules of the ledger, the same for the same seed, never twice."""

import pytest
from flask import Flask
from sqlalchemy import func, select, text

from app.campaigns.models import Campaign, State
from app.clients.models import Client, Suppression
from app.core.extensions import db
from app.delivery.models import Batch, Message, Run
from app.demo.firm import FirmExists, build_firm, demo_sign_ins
from app.reports.response import DENOMINATORS, campaign_response
from app.tracking.models import Event
from app.users.models import Branch, User
from app.users.passwords import check_password, verify_password
from app.users.queries import find_user


def count(query: str) -> int:
    return int(db.session.execute(text(query)).scalar_one())


def test_the_firm_is_whole_and_consistent(app: Flask) -> None:
    build_firm(clients=1_500, seed=3)
    assert db.session.scalar(select(func.count(Client.id))) == 1_500
    assert db.session.scalar(select(func.count(Branch.id))) == 17
    states = db.session.scalars(select(Campaign.state).order_by(Campaign.code)).all()
    assert states == [State.COMPLETE] * 4 + [State.IN_REVIEW, State.DRAFT]

    # holdings: what a client owns is the sum of the newest balances
    assert not count(
        "SELECT count(*) FROM client JOIN (SELECT client_id, sum(amount) AS total FROM account JOIN LATERAL (SELECT "
        "amount FROM balance WHERE account_id = account.id ORDER BY on_date DESC LIMIT 1) AS newest ON true "
        "GROUP BY client_id) AS held ON held.client_id = client.id WHERE abs(held.total - total_assets) > 0.05"
    )
    # metrics: a row each, with what they hold; positions lie within what their account holds
    assert count("SELECT count(*) FROM client_metrics") == 1_500
    assert count("SELECT count(*) FROM client_metrics WHERE product_kind_count > 0 AND profit_loss <> 0") > 500
    assert not count(
        "SELECT count(*) FROM client_metrics JOIN client ON client.id = client_id "
        "WHERE client_metrics.total_assets IS DISTINCT FROM client.total_assets OR position_ratio > 1.0001"
    )
    # what was paid into new accounts is what campaigns brought in; some stay empty (whether one of these is not
    # effective depends on what else its client holds, so on the draws)
    assert count("SELECT count(*) FROM counted_opening WHERE brought_in > 0") > 0
    assert count(
        "SELECT count(*) FROM account WHERE number LIKE 'FDEMO-%' "
        "AND NOT EXISTS (SELECT FROM balance WHERE account_id = account.id)"
    )
    # consent on the row is the newest statement
    assert not count(
        "SELECT count(*) FROM client JOIN LATERAL (SELECT granted FROM consent WHERE client_id = client.id AND "
        "channel = 'email' ORDER BY at DESC, id DESC LIMIT 1) AS said ON true "
        "WHERE email_consent IS DISTINCT FROM granted"
    )
    assert not count("SELECT count(*) FROM client WHERE email !~ '@example\\.(com|org|net)$'")
    assert not count("SELECT count(*) FROM transaction WHERE on_date > current_date")

    # ledger: batches tally with their rows, nothing is left open, nobody who may not be contacted was
    runs = db.session.scalars(select(Run)).all()
    for run in runs:
        assert run.state == "complete"
        assert run.matched == run.eligible + sum(run.exclusions.values())
        assert run.audience is not None
        assert run.eligible == run.audience.size
    assert not count(
        "SELECT count(*) FROM batch JOIN LATERAL (SELECT count(*) FILTER (WHERE state = 'sent') AS sent, "
        "count(*) FILTER (WHERE state = 'failed') AS failed, count(*) AS size "
        "FROM message WHERE batch_id = batch.id) AS rows ON true "
        "WHERE (batch.sent, batch.failed, batch.size) <> (rows.sent, rows.failed, rows.size) OR batch.state <> 'done'"
    )
    assert db.session.scalar(select(func.count(Message.id))) == db.session.scalar(select(func.sum(Batch.size)))
    # answers: every event has been interpreted and none lies in the future or before its message
    assert not db.session.scalar(select(func.count(Event.id)).where(Event.interpreted_at.is_(None)))
    assert not count(
        "SELECT count(*) FROM event JOIN message ON message.id = message_id "
        "WHERE event.at > now() OR event.at < sent_at"
    )
    assert not count(
        "SELECT count(*) FROM message JOIN client ON client.id = client_id WHERE sent_at < client.created_at"
    )
    assert not count(
        "SELECT count(*) FROM message JOIN client ON client.id = client_id WHERE unsubscribed_at IS NOT NULL "
        "AND email_consent IS NOT FALSE"
    )
    assert db.session.scalar(select(func.count(Suppression.id)))
    assert count("SELECT count(*) FROM attribution") > 0

    # reports: figures nest, and the segments differ
    for campaign in db.session.scalars(select(Campaign).where(Campaign.state == State.COMPLETE)):
        response = campaign_response(campaign)
        assert response.total.opened > 0
        for row in response.rows:
            for outcome, whole in DENOMINATORS.items():
                assert row.count(outcome) <= row.count(whole)
        assert len({row.rate(outcome).share for row in response.segments for outcome in DENOMINATORS}) > 5


def test_every_role_can_sign_in_and_it_is_never_built_beside_clients(app: Flask) -> None:
    build_firm(clients=100)
    roles = set()
    for _label, email, password in demo_sign_ins():
        user = find_user(email)
        assert user is not None
        check_password(password, personal=(user.name, user.email))
        assert verify_password(user.password_hash, password)
        roles.update(user.roles)
    assert len(roles) == 6
    nobody = db.session.scalars(select(User).where(User.password_hash == "!").limit(1)).one()
    assert not verify_password(nobody.password_hash, "!")
    with pytest.raises(FirmExists):
        build_firm(clients=10)
    assert db.session.scalar(select(func.count(Client.id))) == 100


def test_the_same_seed_gives_the_same_clients(app: Flask) -> None:
    def fingerprint() -> list[tuple[str | None, str | None, int | None]]:
        rows = db.session.execute(select(Client.name, Client.email, Client.risk_level).order_by(Client.id)).all()
        return [tuple(row) for row in rows]  # type: ignore[misc]

    build_firm(clients=120, seed=5)
    first = fingerprint()
    tables = "client, user_account, segment, campaign, custom_field, template, suppression, event"
    db.session.execute(text(f"TRUNCATE {tables} RESTART IDENTITY CASCADE"))
    db.session.execute(text("DELETE FROM branch WHERE code <> 'HO'"))
    db.session.commit()
    build_firm(clients=120, seed=5)
    assert fingerprint() == first
