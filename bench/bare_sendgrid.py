"""`python -m bench.bare_sendgrid FIRST LAST`: the letters of these messages rendered and sent, without the ledger.

Reads the rows at the start, waits for a line on standard input, then fills, signs and sends them as a worker does,
and writes nothing down.
"""

import sys

from sqlalchemy import select

from app import create_app
from app.campaigns.models import Campaign, Step
from app.channels.base import Outcome
from app.channels.registry import vendors
from app.clients.models import Client
from app.core.extensions import db, settings
from app.delivery.material import load_material
from app.delivery.models import Message


def main() -> None:
    first, last = int(sys.argv[1]), int(sys.argv[2])
    with create_app(web=False).app_context():
        step = db.session.scalars(select(Step)).one()
        material = load_material(step, db.session.get_one(Campaign, step.campaign_id))
        rows = db.session.execute(
            select(Message.id, Message.state, material.address.label("address"), *material.columns)
            .join(Client, Client.id == Message.client_id)
            .where(Message.id.between(first, last))
            .order_by(Message.id)
        ).all()
        db.session.rollback()
        channel = vendors()["sendgrid"].build({}, None, settings())
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        for start in range(0, len(rows), channel.window):
            results = material.send(channel, rows[start : start + channel.window])
            assert all(result.outcome is Outcome.SENT for result in results), results[0]


if __name__ == "__main__":
    main()
