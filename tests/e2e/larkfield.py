"""`python -m tests.e2e.larkfield`: six clients of a town of their own with assets and trades, and a segment of them.

Clients 1 to 6 have 100,000 to 600,000; the fifth and the sixth have two trades over 10,000 in the last days, the
fourth has one.
"""

from datetime import timedelta
from decimal import Decimal

from sqlalchemy import func, select

from app import create_app
from app.audiences.service import create_segment
from app.clients.holdings.models import Account, Transaction
from app.clients.metrics.models import ClientMetrics
from app.clients.models import Client
from app.core.clock import today
from app.core.extensions import db
from app.core.partitions import ensure_months
from app.core.unit_of_work import unit_of_work
from app.users.models import Branch

CITY = "Larkfield"
SEGMENT = "People of Larkfield"


def make_larkfield() -> None:
    with unit_of_work():
        if db.session.scalar(select(func.count(Client.id)).where(Client.city == CITY)):
            return
        north = db.session.scalars(select(Branch).where(Branch.code == "NORTH")).one()
        recently = today() - timedelta(days=5)
        ensure_months("transaction", recently, recently)
        for number in range(1, 7):
            client = Client(
                number=f"L{number}",
                name=f"Lark {number}",
                city=CITY,
                branch=north,
                email=f"lark{number}@clients.example",
                email_consent=True,
                total_assets=Decimal(100_000 * number),
            )
            db.session.add(client)
            db.session.flush()
            db.session.add(ClientMetrics(client_id=client.id, as_of=recently, total_assets=client.total_assets))
            account = Account(client_id=client.id, number=f"LA{number}", kind="cash")
            db.session.add(account)
            db.session.flush()
            for trade in range(max(0, min(2, number - 3))):
                db.session.add(
                    Transaction(
                        source="test",
                        external_id=f"L{number}-{trade}",
                        on_date=recently,
                        account_id=account.id,
                        client_id=client.id,
                        kind="buy",
                        amount=Decimal(20_000),
                    )
                )
        create_segment(name=SEGMENT, rule={"field": "city", "op": "is", "value": CITY})


if __name__ == "__main__":
    with create_app(web=False).app_context():
        make_larkfield()
