"""Messages that were sent, and what comes back: hits, mail, keys, vendor signatures."""

from base64 import b64encode
from collections.abc import Iterable
from datetime import datetime, timedelta
from email.message import EmailMessage
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flask.testing import FlaskClient
from sqlalchemy import insert, select
from werkzeug.test import TestResponse

from app.campaigns.models import Campaign
from app.core.clock import now
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work
from app.delivery.models import Message
from app.tracking.interpretation import interpret_pending
from app.tracking.mail import tasks as mail_tasks  # noqa: F401 - the jobs that read mail
from app.tracking.models import Event
from app.tracking.replies import tasks as reply_tasks  # noqa: F401 - the jobs that answer
from app.users.service import create_api_key
from tests.factories.clients import make_clients
from tests.factories.delivery import do_due_jobs
from tests.factories.ledger import make_launched_campaign, make_run

INBOUND_TOKEN = "inbound-token-of-the-tests"
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148"


def make_sent_messages(
    n: int = 1, *, sent_at: datetime | None = None, campaign: Campaign | None = None, clients: list[int] | None = None
) -> list[Message]:
    """Committed messages of one campaign, sent an hour ago unless told otherwise, to clients of their own."""
    client_ids = clients or make_clients(n)
    run = make_run(campaign or make_launched_campaign(), client_ids, launched_at=sent_at or now() - timedelta(hours=1))
    return list(db.session.scalars(select(Message).where(Message.run_id == run.id).order_by(Message.id)))


def make_events(rows: Iterable[dict[str, Any]]) -> None:
    """Committed raw events: `kind` and `message_id` are needed, the time is now unless given."""
    defaults = {"at": now(), "source": "test", "user_agent": PHONE, "method": "GET", "payload": None}
    filled = [defaults | row for row in rows]
    if filled:
        db.session.execute(insert(Event), filled)
        db.session.commit()


def interpret() -> int:
    """Interpret all pending events, as the tick does."""
    with unit_of_work():
        return interpret_pending()


def reload(message: Message) -> Message:
    """The message as the database has it now."""
    db.session.expire_all()
    return db.session.get_one(Message, message.id)


def make_mail(*, to: str, text: str = "Please call me.", subject: str = "Re: News", **headers: str) -> bytes:
    """A plain-text reply as MIME bytes; header names are given with underscores."""
    mail = EmailMessage()
    mail["From"] = "client@example.com"
    mail["To"] = to
    mail["Subject"] = subject
    for name, value in headers.items():
        mail[name.replace("_", "-")] = value
    mail.set_content(text)
    return mail.as_bytes()


def post_inbound(client: FlaskClient, *, path_token: str = INBOUND_TOKEN, **fields: str | bytes) -> TestResponse:
    """What Inbound Parse posts; put together here because the test client would turn bytes into text."""
    boundary = "inbound-parse-of-the-tests"
    body = b""
    for name, value in fields.items():
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
        body += head.encode() + (value if isinstance(value, bytes) else value.encode()) + b"\r\n"
    return client.post(
        f"/webhooks/sendgrid/inbound/{path_token}",
        data=body + f"--{boundary}--\r\n".encode(),
        content_type=f"multipart/form-data; boundary={boundary}",
    )


def take_in(client: FlaskClient, **fields: str | bytes) -> TestResponse:
    """Post a message as Inbound Parse does, and let a worker read it."""
    answer = post_inbound(client, **fields)
    do_due_jobs()
    db.session.expire_all()
    return answer


def make_key() -> str:
    """The secret of a committed API key."""
    with unit_of_work():
        return create_api_key(name="core system", actor=None)[1]


class Vendor:
    """SendGrid's signing key."""

    def __init__(self) -> None:
        self._key: EllipticCurvePrivateKey = generate_private_key(SECP256R1())

    @property
    def public_key(self) -> str:
        """As the vendor's page shows it: base64 of the DER form."""
        der = self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return b64encode(der).decode()

    def post(
        self, client: FlaskClient, body: bytes, *, at: datetime | None = None, signed: bytes | None = None
    ) -> TestResponse:
        """Post a body with its signature; `signed` is what was signed, where that differs."""
        timestamp = str(int((at or now()).timestamp()))
        signature = self._key.sign(timestamp.encode() + (body if signed is None else signed), ECDSA(SHA256()))
        return client.post(
            "/webhooks/sendgrid/events",
            data=body,
            content_type="application/json",
            headers={
                "X-Twilio-Email-Event-Webhook-Signature": b64encode(signature).decode(),
                "X-Twilio-Email-Event-Webhook-Timestamp": timestamp,
            },
        )
