"""Verbs on the ledger that other features call."""

from collections.abc import Sequence

from flask_babel import lazy_gettext as _l
from sqlalchemy import func, select, update

from app.audit.service import record
from app.campaigns.models import Campaign
from app.clients.engagement.service import CONTACTED, Happening, note
from app.clients.models import Client
from app.clients.queries import visible_clients
from app.core.clock import now
from app.core.errors import AppError
from app.core.extensions import db
from app.core.jobs import enqueue
from app.core.queues import SEND_EMAIL
from app.delivery.models import Batch, Message, MessageState, move
from app.delivery.sending import DONE_BY_PEOPLE, refresh_tally
from app.users.models import User

MAX_TEST_ADDRESSES = 10


def settle_unconfirmed(message_ids: Sequence[int]) -> int:
    """Messages of which something came back (a receipt, open, click or reply) were sent after all.

    Moves those of them that await a receipt to sent, in the caller's transaction; returns how many.
    """
    rows = db.session.execute(
        update(Message)
        .where(Message.id.in_(message_ids), Message.state == MessageState.UNCONFIRMED)
        .values(
            state=move(MessageState.UNCONFIRMED, MessageState.SENT),
            sent_at=func.coalesce(Message.sent_at, now()),
            reason=None,
        )
        .returning(Message.batch_id, Message.client_id, Message.campaign_id, Message.channel, Message.sent_at)
        .execution_options(synchronize_session=False)
    ).all()
    note(
        Happening(CONTACTED, row.client_id, row.campaign_id, row.channel, row.sent_at)
        for row in rows
        if row.channel not in DONE_BY_PEOPLE
    )
    batch_ids = {row.batch_id for row in rows}
    for batch_id in db.session.scalars(select(Batch.id).where(Batch.id.in_(batch_ids)).order_by(Batch.id)):
        refresh_tally(batch_id)
    return len(rows)


def request_test(*, campaign: Campaign, addresses: Sequence[str], client_number: str, actor: User) -> int:
    """Send the campaign's message to members of staff or its seed list; returns to how many.

    With a client number the message is filled with that client's values, so tests go to no other addresses.
    Raises AppError with the reason where an address or the client number is not acceptable.
    """
    wanted = sorted({address.strip().lower() for address in addresses if address.strip()})
    if not wanted:
        raise AppError(_l("Give at least one address to send the test to."))
    if len(wanted) > MAX_TEST_ADDRESSES:
        raise AppError(_l("A test goes to at most %(count)s addresses.", count=MAX_TEST_ADDRESSES))
    if not any(step.content_id for step in campaign.steps):
        raise AppError(_l("Write and save the message first."))
    staff = select(func.lower(User.email)).where(func.lower(User.email).in_(wanted), User.active)
    known = set(db.session.scalars(staff)) | {seed.email.lower() for seed in campaign.seeds}
    for address in wanted:
        if address not in known:
            raise AppError(_l("%(address)s is neither staff nor on the seed list.", address=address))
    if client_number and not db.session.scalar(
        select(Client.id).where(Client.number == client_number, visible_clients(actor))
    ):
        raise AppError(_l("There is no client with this number."))
    for address in wanted:
        enqueue(
            "delivery.send_test",
            queue=SEND_EMAIL,
            campaign_id=campaign.id,
            address=address,
            client_number=client_number,
        )
    record(actor=actor, action="test_sent", subject="campaign", subject_id=campaign.id)
    return len(wanted)
