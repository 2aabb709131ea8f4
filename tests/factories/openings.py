"""Accounts with balances by day, and openings that are matched and credited."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from sqlalchemy import insert

from app.clients.holdings.models import Account, Balance
from app.clients.models import Client
from app.core.extensions import db
from app.core.partitions import ensure_months
from app.core.unit_of_work import unit_of_work
from app.tracking.models import AccountOpening
from app.tracking.openings.attribution import credit_pending
from app.tracking.openings.matching import match_waiting
from app.tracking.openings.taking import Opening, insert_openings


def noon(day: date) -> datetime:
    return datetime.combine(day, time(12), UTC)


def make_holding(client: Client, kind: str, *, balances: Mapping[date, int] | None = None, **fields: Any) -> Account:
    """One committed account of a kind, with what it held at the end of some days."""
    account = Account(client_id=client.id, number=f"{kind}-{client.id}", kind=kind, **fields)
    db.session.add(account)
    db.session.flush()
    if balances:
        ensure_months("balance", min(balances), max(balances))
        rows = [
            {"account_id": account.id, "client_id": client.id, "on_date": day, "amount": Decimal(amount)}
            for day, amount in balances.items()
        ]
        db.session.execute(insert(Balance), rows)
    db.session.commit()
    return account


def report_opening(*, external_id: str = "1", opened_at: datetime, **fields: Any) -> AccountOpening:
    """A committed opening as a source reports it, matched and credited as far as it can be."""
    fields.setdefault("client_number", None)
    with unit_of_work() as session:
        insert_openings(source="test", openings=[Opening(external_id=external_id, opened_at=opened_at, **fields)])
        match_waiting()
        credit_pending()
        return session.query(AccountOpening).filter_by(external_id=external_id).one()
