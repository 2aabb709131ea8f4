"""The SendGrid channel, held to the vendor's own description of `POST /v3/mail/send`."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from jsonschema import Draft202012Validator

from app.channels.base import EmailBatch, EmailTemplate, Outcome, Result
from app.channels.email.sendgrid import SendGridChannel, request_body
from app.core.clock import now
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


def respond(handler: BaseHTTPRequestHandler, status: int, *problems: tuple[str, str], **headers: str | int) -> None:
    """Answer; `problems` are field and message of the vendor's errors."""
    errors = [{"field": field, "message": message, "help": None} for field, message in problems]
    body = json.dumps({"errors": errors}).encode() if problems else b""
    handler.send_response(status)
    handler.send_header("X-Message-Id", "vendor-1")
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), str(value))
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider()
    threading.Thread(target=made.server.serve_forever, daemon=True).start()
    yield made
    made.server.shutdown()
    made.server.server_close()


def send(channel: SendGridChannel, *recipients: str) -> list[Result]:
    emails = [make_email(number, recipient) for number, recipient in enumerate(recipients)]
    return sorted(channel.send(EmailBatch(TEMPLATE, ENVELOPE), emails), key=lambda result: result.message_id)


def outcomes(provider: Provider, *recipients: str) -> list[Outcome]:
    return [result.outcome for result in send(SendGridChannel("key", host=provider.url), *recipients)]


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


PEOPLE = [f"c{number}@x.example" for number in range(8)]


def test_over_its_rate_the_account_rests_until_the_vendor_said(provider: Provider) -> None:
    reset = int(now().timestamp()) + 40
    provider.answer = lambda handler: respond(handler, 429, ("", "too many requests"), X_RateLimit_Reset=reset)
    channel = SendGridChannel("key", host=provider.url)
    (result,) = send(channel, "a@x.example")
    assert result == Result(
        0, Outcome.NOT_TAKEN, None, "HTTP 429 too many requests", True, datetime.fromtimestamp(reset, UTC)
    )
    assert send(channel, "a@x.example")[0].again_at == result.again_at
    assert len(provider.bodies) == 1


def test_the_last_request_of_the_rate_is_followed_by_none(provider: Provider) -> None:
    reset = int(now().timestamp()) + 40
    provider.answer = lambda handler: respond(handler, 202, X_RateLimit_Remaining=0, X_RateLimit_Reset=reset)
    results = send(SendGridChannel("key", host=provider.url), "a@x.example", "A@x.example")
    assert [result.outcome for result in results] == [Outcome.SENT, Outcome.NOT_TAKEN]
    assert results[1].again_at == datetime.fromtimestamp(reset, UTC)
    assert len(provider.bodies) == 1


@pytest.mark.parametrize("said", ["", "soon", "-1", "1", "99999999999", "9" * 400, "²"])
def test_a_senseless_reset_leaves_the_pause_to_us(provider: Provider, said: str) -> None:
    provider.answer = lambda handler: respond(handler, 429, **{"X-RateLimit-Reset": quote(said)})
    (result,) = send(SendGridChannel("key", host=provider.url), "a@x.example")
    assert (result.outcome, result.account_at_fault, result.again_at) == (Outcome.NOT_TAKEN, True, None)


def test_whom_the_vendor_names_fails_alone_with_its_words(provider: Provider) -> None:
    def refuse_two(handler: BaseHTTPRequestHandler) -> None:
        if len(provider.bodies) > 1:
            return respond(handler, 202)
        words = "Does not contain a valid address."
        return respond(handler, 400, *((f"personalizations.{place}.to.0.email", words) for place in (2, 5)))

    provider.answer = refuse_two
    results = send(SendGridChannel("key", host=provider.url), *PEOPLE)
    assert [result.message_id for result in results if result.outcome is Outcome.FAILED] == [2, 5]
    assert results[5].reason == "HTTP 400 Does not contain a valid address."
    assert [len(body["personalizations"]) for body in provider.bodies] == [8, 6]
    assert [result.outcome for result in results].count(Outcome.SENT) == 6


def test_what_all_share_fails_all_and_a_sender_is_the_accounts_matter(provider: Provider) -> None:
    channel = SendGridChannel("key", host=provider.url)
    provider.answer = lambda handler: respond(handler, 400, ("subject", "The subject is required."))
    assert {(result.outcome, result.reason) for result in send(channel, *PEOPLE)} == {
        (Outcome.FAILED, "HTTP 400 The subject is required.")
    }
    provider.answer = lambda handler: respond(handler, 403, ("from.email", "not a verified Sender Identity."))
    assert {(result.outcome, result.account_at_fault) for result in send(channel, *PEOPLE)} == {
        (Outcome.NOT_TAKEN, True)
    }


def test_requests_do_not_go_on_for_ever_when_one_person_is_named_at_a_time(provider: Provider) -> None:
    provider.answer = lambda handler: respond(handler, 400, ("personalizations.0.to.0.email", "no"))
    results = send(SendGridChannel("key", host=provider.url), *(f"c{number}@x.example" for number in range(60)))
    assert [result.outcome for result in results].count(Outcome.FAILED) == len(provider.bodies) == 41
    assert {result.account_at_fault for result in results if result.outcome is Outcome.NOT_TAKEN} == {False}


def test_a_request_that_is_too_large_is_halved(provider: Provider) -> None:
    def refuse_large(handler: BaseHTTPRequestHandler) -> None:
        people = [person["to"][0]["email"] for person in provider.bodies[-1]["personalizations"]]
        respond(handler, 413 if len(people) > 2 or PEOPLE[3] in people else 202)

    provider.answer = refuse_large
    results = send(SendGridChannel("key", host=provider.url), *PEOPLE)
    assert [result.message_id for result in results if result.outcome is not Outcome.SENT] == [3]
    assert (results[3].outcome, results[3].reason) == (Outcome.FAILED, "HTTP 413")


def test_an_answer_the_vendor_does_not_give_is_unconfirmed(provider: Provider) -> None:
    provider.answer = lambda handler: respond(handler, 200)
    assert outcomes(provider, "a@x.example") == [Outcome.UNCONFIRMED]


def test_a_key_that_cannot_be_one_is_refused() -> None:
    for key in ("a\nb", "ключ"):
        with pytest.raises(ValueError, match="characters"):
            SendGridChannel(key, host="https://api.sendgrid.com")


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
