"""How the contract test talks to each vendor: what account it makes, the server it meets, and a message for it.

A vendor of ours that is not here fails the contract test; an outside package brings a kit of its own.
"""

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.channels.base import EmailBatch
from app.channels.sms.message import OutgoingSms, SmsBatch
from app.channels.webhook import OutgoingPost, WebhookBatch
from tests.contracts.misbehaving import MisbehavingServer, speak_http, speak_smtp
from tests.factories.mail import ENVELOPE, TEMPLATE, make_email


@dataclass(frozen=True)
class Kit:
    """`account(port)` gives settings and secret of an account that leads to loopback; `message(number)` one message,
    in which the text `mark(number)` stands and nowhere else. `speak` None: the vendor uses no network.

    `time_outs` are the module attributes that hold seconds to wait.
    """

    account: Callable[[int], tuple[Mapping[str, Any], str | None]]
    batch: Any
    message: Callable[[int], Any]
    speak: Callable[[socket.socket, MisbehavingServer], None] | None = None
    time_outs: tuple[str, ...] = ()
    answer: bytes = b""
    environ: Mapping[str, str] = field(default_factory=dict)


def mark(number: int) -> str:
    """What tells one message from all others; it stands for the client's address too."""
    return f"client{number:04}x"


def _email(number: int) -> Any:
    return make_email(number, f"{mark(number)}@example.com")


def _sms(number: int) -> Any:
    return OutgoingSms(
        number, f"token{number}", mark(number), "【Firm】Your statement is ready", "Your statement is ready"
    )


EMAIL = EmailBatch(TEMPLATE, ENVELOPE)
SMS = SmsBatch()
KITS: dict[str, Kit] = {
    "mailbox": Kit(lambda port: ({}, None), EMAIL, _email),
    "smtp": Kit(
        lambda port: ({"connections": 2}, f"smtp://127.0.0.1:{port}"),
        EMAIL,
        _email,
        speak_smtp,
        ("app.channels.email.smtp.TIMEOUT", "app.channels.email.pipeline.TIMEOUT"),
    ),
    "sendgrid": Kit(
        lambda port: ({"host": f"http://127.0.0.1:{port}"}, "key"),
        EMAIL,
        _email,
        speak_http,
        ("app.channels.email.sendgrid.TIMEOUT",),
    ),
    "webhook": Kit(
        lambda port: ({"url": f"http://127.0.0.1:{port}/hook"}, "a key that is long enough"),
        WebhookBatch("C1"),
        lambda number: OutgoingPost(number, f"token{number}", {"client": mark(number)}),
        speak_http,
        ("app.channels.webhook.TIMEOUT",),
        environ={"WEBHOOK_NETWORKS": "127.0.0.0/8"},
    ),
    "sms_mailbox": Kit(lambda port: ({}, None), SMS, _sms),
    "twilio": Kit(
        lambda port: (
            {"account_sid": "AC1", "sender": "+14155550100", "host": f"http://127.0.0.1:{port}"},
            "auth-token",
        ),
        SMS,
        _sms,
        speak_http,
        ("app.channels.sms.twilio.TIMEOUT",),
        b'{"sid": "SM1", "status": "queued"}',
    ),
    "http_gateway": Kit(
        lambda port: ({"url": f"http://127.0.0.1:{port}/send", "outcome_path": "code", "connections": 2}, "secret"),
        SMS,
        _sms,
        speak_http,
        ("app.channels.sms.http_gateway.TIMEOUT",),
        b'{"code": "ok", "id": "G1"}',
    ),
}
