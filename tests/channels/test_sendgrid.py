"""The SendGrid channel, held to the vendor's own description of `POST /v3/mail/send`."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from app.channels.base import EmailBatch, EmailTemplate, Outcome
from app.channels.email.sendgrid import SendGridChannel, request_body
from app.core.embedded import free_port
from tests.factories.mail import ENVELOPE, TEMPLATE, make_email

DESCRIPTION = Path(__file__).resolve().parents[3] / "shared" / "data" / "sendgrid" / "openapi" / "tsg_mail_v3.json"


class Provider:
    """A stand-in for the vendor that answers as told and keeps the requests."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.answer: Callable[[BaseHTTPRequestHandler], None] = lambda handler: respond(handler, 202)
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.path == "/v3/mail/send"
                assert self.headers["Authorization"] == "Bearer key"
                provider.bodies.append(json.loads(body))
                provider.answer(self)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


def respond(handler: BaseHTTPRequestHandler, status: int) -> None:
    handler.send_response(status)
    handler.send_header("X-Message-Id", "vendor-1")
    handler.send_header("Content-Length", "0")
    handler.end_headers()


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider()
    threading.Thread(target=made.server.serve_forever, daemon=True).start()
    yield made
    made.server.shutdown()
    made.server.server_close()


def outcomes(provider: Provider, *recipients: str) -> list[Outcome]:
    channel = SendGridChannel("key", host=provider.url)
    emails = [make_email(number, recipient) for number, recipient in enumerate(recipients)]
    results = sorted(channel.send(EmailBatch(TEMPLATE, ENVELOPE), emails), key=lambda result: result.message_id)
    return [result.outcome for result in results]


@pytest.mark.skipif(not DESCRIPTION.exists(), reason="the vendor's description is not beside the project")
def test_the_request_is_what_the_vendor_describes() -> None:
    specification = json.loads(DESCRIPTION.read_text())
    schema = specification["components"]["requestBodies"]["PostMailSend"]["content"]["application/json"]["schema"]
    validator = Draft202012Validator({**schema, "components": specification["components"]})
    body = request_body(TEMPLATE, ENVELOPE, [make_email(n, f"c{n}@example.com") for n in range(1000)])
    assert [error.message for error in validator.iter_errors(body)] == []
    for broken in ({"from": {}}, {"personalizations": [{"to": "a@x.example"}]}, {"content": [{"type": ""}]}):
        assert list(validator.iter_errors(body | broken))


def test_one_request_carries_everybody_and_opaque_ids_only(provider: Provider) -> None:
    assert outcomes(provider, "a@x.example", "b@x.example") == [Outcome.SENT, Outcome.SENT]
    (body,) = provider.bodies
    assert body["subject"] == "A note for -slot0-"
    assert body["reply_to"] == {"email": "-reply-@reply.firm.example"}
    assert body["tracking_settings"]["open_tracking"] == {"enable": False}
    person = body["personalizations"][1]
    assert person["custom_args"] == {"bw": "token1"}
    assert person["substitutions"]["-reply-"] == "r1-tag"
    assert person["substitutions"]["-slot1-"] == "Ana"


def test_an_address_goes_into_a_request_once(provider: Provider) -> None:
    assert outcomes(provider, "a@x.example", "A@x.example", "b@x.example") == [Outcome.SENT] * 3
    assert [len(body["personalizations"]) for body in provider.bodies] == [2, 1]


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(429, Outcome.NOT_TAKEN), (500, Outcome.UNCONFIRMED), (400, Outcome.FAILED), (401, Outcome.NOT_TAKEN)],
)
def test_refusals_are_told_apart(provider: Provider, status: int, outcome: Outcome) -> None:
    provider.answer = lambda handler: respond(handler, status)
    assert outcomes(provider, "a@x.example") == [outcome]


def test_a_line_cut_after_the_request_is_unconfirmed(provider: Provider) -> None:
    provider.answer = lambda handler: handler.connection.close()
    assert outcomes(provider, "a@x.example") == [Outcome.UNCONFIRMED]


def test_a_vendor_that_cannot_be_reached_took_nothing(provider: Provider) -> None:
    provider.url = f"http://127.0.0.1:{free_port()}"
    assert outcomes(provider, "a@x.example") == [Outcome.NOT_TAKEN]


def test_merge_data_beyond_the_vendors_limit_fails_before_the_request(provider: Provider) -> None:
    email = make_email(1, name="x" * 4000)
    batch = EmailBatch(EmailTemplate(("s",), (1,), (2,)), ENVELOPE)
    results = SendGridChannel("key", host=provider.url).send(batch, [email])
    assert [result.outcome for result in results] == [Outcome.FAILED]
    assert provider.bodies == []
