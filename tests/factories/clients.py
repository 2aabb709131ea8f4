"""Clients for tests: contactable by e-mail unless told otherwise."""

from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from itertools import count
from typing import Any

from sqlalchemy import func, insert, select

from app.clients.holdings.models import Account, Balance
from app.clients.models import Client, Consent, CustomField
from app.core.extensions import db
from app.core.partitions import ensure_months
from app.users.models import Branch

_CHUNK = 5_000


def head_office() -> Branch:
    """The branch that every database starts with."""
    return db.session.execute(select(Branch).where(Branch.code == "HO")).scalar_one()


def _numbers() -> Iterator[int]:
    return count((db.session.scalar(select(func.count(Client.id))) or 0) + 1)


def _defaults(position: int) -> dict[str, Any]:
    return {
        "number": str(position),
        "name": f"Client {position}",
        "email": f"c{position}@example.com",
        "email_consent": True,
        "status": "client",
    }


def make_client(**fields: Any) -> Client:
    """One committed client of the head office: number and name counted up, an address and e-mail consent."""
    values = _defaults(next(_numbers())) | fields
    if "branch" not in values and "branch_id" not in values:
        values["branch"] = head_office()
    client = Client(**values)
    db.session.add(client)
    db.session.commit()
    return client


def make_clients(n: int, **fields: Any | Callable[[int], Any]) -> list[int]:
    """Many committed clients; a callable field gets the client's position from 1. Returns their ids in order."""
    if "branch_id" not in fields:
        fields["branch_id"] = head_office().id
    start = next(_numbers())
    ids: list[int] = []
    for first in range(0, n, _CHUNK):
        rows = []
        for position in range(first + 1, min(first + _CHUNK, n) + 1):
            given = {name: value(position) if callable(value) else value for name, value in fields.items()}
            rows.append(_defaults(start + position - 1) | given)
        made = db.session.execute(insert(Client).returning(Client.id, sort_by_parameter_order=True), rows)
        ids += made.scalars()
    db.session.commit()
    return ids


def make_consent(client: Client, *, channel: str = "email", granted: bool = True, **fields: Any) -> Consent:
    """One committed piece of evidence. The client row is left as it is."""
    consent = Consent(client_id=client.id, channel=channel, granted=granted, **({"source": "test"} | fields))
    db.session.add(consent)
    db.session.commit()
    return consent


def make_custom_field(key: str, *, type: str, slot: str, **fields: Any) -> CustomField:
    """One committed field definition over a slot of the client table, e.g. slot="number_01"."""
    field = CustomField(key=key, type=type, slot=slot, **({"label": key.replace("_", " ").capitalize()} | fields))
    db.session.add(field)
    db.session.commit()
    return field


def make_account(client: Client, *, balance: Decimal | None = None, **fields: Any) -> Account:
    """One committed account, with today's balance where one is given."""
    values = {"number": f"A{client.number}-{client.id}", "kind": "cash", "opened_on": date(2024, 1, 2)} | fields
    account = Account(client_id=client.id, **values)
    db.session.add(account)
    db.session.flush()
    if balance is not None:
        on_date = date(2026, 1, 31)
        ensure_months("balance", on_date, on_date)
        db.session.add(Balance(account_id=account.id, client_id=client.id, on_date=on_date, amount=balance))
    db.session.commit()
    return account
