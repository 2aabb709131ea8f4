"""Both SMS vendors against servers on loopback that answer as theirs are described."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest

from app.channels.base import Outcome
from app.channels.sms.http_gateway import HttpGatewayChannel
from app.channels.sms.message import OutgoingSms, SmsBatch
from app.channels.sms.twilio import TwilioChannel

Answer = tuple[int, object] | None
BATCH = SmsBatch("Firm", "SIG-1", "TPL-9")


def sms(number: int, text: str = "Hello") -> OutgoingSms:
    return OutgoingSms(
        number, f"token{number}", f"+1415555{number:04}", f"【Firm】{text}", text, [("client.city", "Xi'an")]
    )


@contextmanager
def vendor(answer: Callable[[str, bytes], Answer]) -> Iterator[tuple[str, list[tuple[str, dict[str, str], bytes]]]]:
    """A server on loopback; `answer(path, body)` gives status and JSON, None cuts the line unanswered."""
    seen: list[tuple[str, dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            seen.append((self.path, dict(self.headers), body))
            found = answer(self.path, body)
            if found is None:
                self.close_connection = True
                return
            data = json.dumps(found[1]).encode()
            self.send_response(found[0])
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def gateway(url: str, **settings: object) -> HttpGatewayChannel:
    return HttpGatewayChannel({"url": f"{url}/send", "headers": "X-Key: {secret}", **settings}, "s3cret")


def outcomes(channel: Any, *messages: OutgoingSms) -> list[Outcome]:
    return [result.outcome for result in channel.send(BATCH, messages)]


def test_a_gateway_gets_what_its_settings_describe_and_its_words_are_read() -> None:
    body = '{"to":"{to}","text":"{text}","sig":"{signature_id}","tpl":"{template_id}","vars":{variables}}'
    with vendor(lambda _path, _body: (200, {"data": {"sid": 7}, "code": 0})) as (url, seen):
        channel = gateway(
            url, body=body.replace("{variables}", '"{variables}"'), reference_path="data.sid", outcome_path="code"
        )
        (result,) = channel.send(BATCH, [sms(1, 'say "hi"\n')])
    assert (result.outcome, result.reference) == (Outcome.SENT, "7")
    path, headers, sent = seen[0]
    assert (path, headers["X-Key"]) == ("/send", "s3cret")
    told = json.loads(sent)
    assert (told["to"], told["text"], told["sig"], told["tpl"]) == (
        "+14155550001",
        '【Firm】say "hi"\n',
        "SIG-1",
        "TPL-9",
    )
    assert json.loads(told["vars"]) == {"client.city": "Xi'an"}


def test_a_form_is_escaped_as_a_form() -> None:
    with vendor(lambda _path, _body: (200, {})) as (url, seen):
        gateway(url, content_type="application/x-www-form-urlencoded", body="m={to}&c={text}").send(
            BATCH, [sms(1, "a&b=c 你")]
        )
    assert parse_qs(seen[0][2].decode()) == {"m": ["+14155550001"], "c": ["【Firm】a&b=c 你"]}


def test_a_batch_is_one_request_and_each_message_has_its_own_outcome() -> None:
    answer = {"list": [{"id": "a", "s": "ok"}, {"id": "b", "s": "blacklist"}, {"id": "c", "s": "busy"}, {"s": "??"}]}
    with vendor(lambda _path, _body: (200, answer)) as (url, seen):
        channel = gateway(
            url, batch_size=100, body='{"m": [{messages}]}', results_path="list", outcome_path="s",
            refused="blacklist", later="busy",
        )  # fmt: skip
        found = outcomes(channel, sms(1), sms(2), sms(3), sms(4))
    assert found == [Outcome.SENT, Outcome.FAILED, Outcome.NOT_TAKEN, Outcome.UNCONFIRMED]
    assert len(seen) == 1
    assert len(json.loads(seen[0][2])["m"]) == 4


@pytest.mark.parametrize(
    ("answer", "outcome", "at_fault"),
    [
        ((429, {}), Outcome.NOT_TAKEN, True),
        ((401, {}), Outcome.NOT_TAKEN, True),
        ((400, {}), Outcome.FAILED, False),
        ((404, {}), Outcome.NOT_TAKEN, True),
        ((302, {}), Outcome.UNCONFIRMED, True),
        ((503, {}), Outcome.UNCONFIRMED, True),
        (None, Outcome.UNCONFIRMED, True),
    ],
)
def test_what_a_gateways_refusal_means(answer: Answer, outcome: Outcome, at_fault: bool) -> None:
    with vendor(lambda _path, _body: answer) as (url, seen):
        (result,) = gateway(url).send(BATCH, [sms(1)])
    assert (result.outcome, result.account_at_fault) == (outcome, at_fault)
    assert len(seen) == 1  # never repeated


def test_a_gateway_that_is_not_there_took_nothing() -> None:
    with vendor(lambda _path, _body: (200, {})) as (url, _seen):
        pass
    (result,) = gateway(url).send(BATCH, [sms(1)])
    assert (result.outcome, result.account_at_fault) == (Outcome.NOT_TAKEN, True)


def test_wrong_settings_are_refused_with_a_sentence() -> None:
    with pytest.raises(ValueError, match="unknown placeholder"):
        gateway("http://127.0.0.1", body="{nonsense}")
    with pytest.raises(ValueError, match="messages"):
        gateway("http://127.0.0.1", batch_size=10)


def twilio(url: str) -> TwilioChannel:
    return TwilioChannel("AC" + "0" * 32, "auth", sender="+14155550100", public_url="https://p.example", host=url)


def created(number: int = 1) -> dict[str, object]:
    return {"sid": f"SM{number:032}", "status": "queued", "account_sid": "AC" + "0" * 32, "error_code": None}


def test_twilio_gets_the_form_of_its_reference_with_a_callback_that_leads_back() -> None:
    with vendor(lambda _path, _body: (201, created())) as (url, seen):
        (result,) = twilio(url).send(BATCH, [sms(1)])
    assert (result.outcome, result.reference) == (Outcome.SENT, created()["sid"])
    path, headers, body = seen[0]
    assert path == f"/2010-04-01/Accounts/AC{'0' * 32}/Messages.json"
    assert headers["Authorization"].startswith("Basic ")
    assert parse_qs(body.decode()) == {
        "To": ["+14155550001"],
        "From": ["+14155550100"],
        "Body": ["【Firm】Hello"],
        "StatusCallback": ["https://p.example/webhooks/twilio/status/token1"],
    }


@pytest.mark.parametrize(
    ("answer", "outcome", "at_fault"),
    [
        ((400, {"code": 21211, "message": "Invalid 'To' number", "status": 400}), Outcome.FAILED, False),
        ((400, {"code": 21610, "message": "unsubscribed recipient", "status": 400}), Outcome.FAILED, False),
        ((401, {"code": 20003, "message": "Authenticate", "status": 401}), Outcome.NOT_TAKEN, True),
        ((429, {"code": 20429, "message": "Too Many Requests", "status": 429}), Outcome.NOT_TAKEN, True),
        ((500, {"code": 20500, "message": "Internal Server Error", "status": 500}), Outcome.UNCONFIRMED, True),
        (None, Outcome.UNCONFIRMED, True),
    ],
)
def test_what_twilios_refusal_means(answer: Answer, outcome: Outcome, at_fault: bool) -> None:
    with vendor(lambda _path, _body: answer) as (url, seen):
        (result,) = twilio(url).send(BATCH, [sms(1)])
    assert (result.outcome, result.account_at_fault) == (outcome, at_fault)
    assert len(seen) == 1  # never repeated


def test_a_twilio_that_is_not_there_took_nothing() -> None:
    with vendor(lambda _path, _body: (200, {})) as (url, _seen):
        pass
    (result,) = twilio(url).send(BATCH, [sms(1)])
    assert (result.outcome, result.account_at_fault) == (Outcome.NOT_TAKEN, True)
