"""The webhook channel: what a receiver is given, and what its answers mean."""

import hmac
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from email.utils import format_datetime
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from typing import Any

import pytest

from app.channels import webhook
from app.channels.base import Outcome, Result
from app.channels.webhook import OutgoingPost, WebhookBatch, WebhookChannel
from app.core.clock import now
from tests.factories.certificates import Authority

KEY = "a signing key of the tests"
LOOPBACK = (ip_network("127.0.0.0/8"),)
BATCH = WebhookBatch("SPRING")


class Receiver:
    """Keeps what was posted, and answers as told."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.posts: list[tuple[dict[str, str], bytes]] = []
        self.connections: set[tuple[str, int]] = set()
        self.answer: Callable[[int], tuple[int, dict[str, str], bytes]] = lambda _count: (202, {}, b"")
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                receiver.connections.add(self.client_address)
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.posts.append(({name.lower(): value for name, value in self.headers.items()}, body))
                status, headers, said = receiver.answer(len(receiver.posts))
                self.send_response(status)
                for name, value in {"Content-Length": str(len(said)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.block_on_close = False
        if tls is not None:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_port


def serve(receiver: Receiver) -> Iterator[Receiver]:
    threading.Thread(target=receiver.server.serve_forever, args=(0.02,), daemon=True).start()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    yield from serve(Receiver())


def channel(receiver: Receiver, **options: Any) -> WebhookChannel:
    url = f"http://127.0.0.1:{receiver.port}/in?from=bellwether"
    return WebhookChannel(url, key=KEY, **({"networks": LOOPBACK, "connections": 1} | options))


def post(number: int, data: Any = None) -> OutgoingPost:
    return OutgoingPost(number, f"token{number}", data or {"name": "张伟 \ud800", "level": 3})


def send(made: WebhookChannel, count: int = 1) -> list[Result]:
    results = made.send(BATCH, [post(number) for number in range(1, count + 1)])
    return sorted(results, key=lambda result: result.message_id)


def test_a_post_is_signed_and_says_which_message_it_is(receiver: Receiver) -> None:
    receiver.answer = lambda _count: (201, {"X-Request-Id": "abc"}, b'{"ok": true}')
    assert send(channel(receiver)) == [Result(1, Outcome.SENT, "abc")]
    ((headers, body),) = receiver.posts
    content = json.loads(body)
    assert content == {"message": "token1", "campaign": "SPRING", "data": {"name": "张伟 ?", "level": 3}}
    assert headers["content-type"] == "application/json"
    assert headers["idempotency-key"] == "token1"
    signed = headers["bellwether-timestamp"].encode() + b"." + body
    assert headers["bellwether-signature"] == f"v1={hmac.new(KEY.encode(), signed, sha256).hexdigest()}"
    assert abs(int(headers["bellwether-timestamp"]) - now().timestamp()) < 60


def test_messages_go_over_kept_connections(receiver: Receiver) -> None:
    made = channel(receiver, connections=3)
    for _ in range(2):
        assert [result.outcome for result in send(made, 30)] == [Outcome.SENT] * 30
    assert len(receiver.connections) <= 3
    made.close()
    assert send(made)[0].outcome is Outcome.SENT


@pytest.mark.parametrize(
    ("status", "headers", "outcome", "at_fault"),
    [
        (200, {}, Outcome.SENT, False),
        (204, {}, Outcome.SENT, False),
        (302, {"Location": "http://127.0.0.1:1/"}, Outcome.UNCONFIRMED, True),
        (307, {"Location": "http://127.0.0.1:1/"}, Outcome.NOT_TAKEN, True),
        (401, {}, Outcome.NOT_TAKEN, True),
        (404, {}, Outcome.FAILED, False),
        (410, {}, Outcome.FAILED, False),
        (422, {}, Outcome.FAILED, False),
        (429, {}, Outcome.NOT_TAKEN, True),
        (500, {}, Outcome.UNCONFIRMED, True),
        (503, {}, Outcome.UNCONFIRMED, True),
        (503, {"Retry-After": "30"}, Outcome.NOT_TAKEN, True),
        (503, {"Retry-After": "soon"}, Outcome.UNCONFIRMED, True),
    ],
)
def test_answers_are_told_apart(
    receiver: Receiver, status: int, headers: dict[str, str], outcome: Outcome, at_fault: bool
) -> None:
    receiver.answer = lambda _count: (status, headers, b"" if status == 204 else b"the\n\x00reason")
    (result,) = send(channel(receiver))
    assert (result.outcome, result.account_at_fault) == (outcome, at_fault)
    assert result.reason == (None if outcome is Outcome.SENT else f"HTTP {status} the reason")
    assert len(receiver.posts) == 1  # no redirect is followed


def test_a_receiver_under_strain_is_left_alone_until_it_said(receiver: Receiver) -> None:
    later = (now() + timedelta(minutes=3)).replace(microsecond=0)
    waits: list[tuple[str, datetime | None]] = [
        ("90", None),
        (format_datetime(later, usegmt=True), later),
        ("999999", None),
    ]
    for said, exactly in waits:
        receiver.posts.clear()
        receiver.answer = lambda count, said=said: (202, {}, b"") if count < 3 else (429, {"Retry-After": said}, b"")
        results = send(channel(receiver), 6)
        assert [result.outcome for result in results] == [Outcome.SENT] * 2 + [Outcome.NOT_TAKEN] * 4
        assert len(receiver.posts) == 3
        times = {result.again_at for result in results[2:]}
        assert len(times) == 1
        again_at = times.pop()
        assert again_at is not None
        assert now() < again_at <= now() + timedelta(hours=24)
        assert exactly is None or again_at == exactly


def test_a_receiver_that_does_not_answer_is_not_asked_for_every_message(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "TIMEOUT", 0.2)
    release = threading.Event()

    def wait(_count: int) -> tuple[int, dict[str, str], bytes]:
        release.wait(10)
        return 202, {}, b""

    receiver.answer = wait
    results = send(channel(receiver), 6)
    release.set()
    assert [result.outcome for result in results] == [Outcome.UNCONFIRMED] + [Outcome.NOT_TAKEN] * 5
    assert all(result.account_at_fault for result in results)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_private_addresses_need_leave_of_the_configuration(receiver: Receiver, host: str) -> None:
    made = WebhookChannel(f"https://{host}:{receiver.port}/", key=KEY)
    (result,) = send(made)
    assert (result.outcome, result.account_at_fault) == (Outcome.NOT_TAKEN, True)
    assert result.reason == "the address leads into a network that the configuration does not allow"
    assert receiver.connections == set()


@pytest.mark.parametrize(
    ("place", "reachable"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.1", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.1.2.3", False),
        ("64:ff9b::a01:203", False),
        ("10.9.0.7", True),
        ("::ffff:10.9.0.7", True),
    ],
)
def test_only_public_and_allowed_addresses_are_reached(place: str, reachable: bool) -> None:
    made = WebhookChannel("https://hooks.firm.example/", key=KEY, networks=(ip_network("10.9.0.0/16"),))
    assert made._may_reach(place) is reachable


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.firm.example/",
        "ftp://hooks.firm.example/",
        "https://",
        "https://user:secret@hooks.firm.example/",
        "https://hooks.firm.example:0/",
        "https://hooks.firm.example/a b",
        "https://hooks.firm.example/\x00",
        "https://hooks.firm.example/路",
        "hooks.firm.example",
        "",
    ],
)
def test_an_address_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="address") as refusal:
        WebhookChannel(url, key=KEY)
    assert "secret" not in str(refusal.value)


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 16"):
        WebhookChannel("https://hooks.firm.example/", key="short")


def test_the_receivers_certificate_is_verified(tmp_path_factory: pytest.TempPathFactory) -> None:
    authority = Authority(tmp_path_factory.mktemp("authority"))
    for receiver in serve(Receiver(authority.server("localhost"))):
        url = f"https://localhost:{receiver.port}/in"
        made = WebhookChannel(url, key=KEY, networks=LOOPBACK, ca_file=str(authority.ca_file))
        for _ in range(2):
            assert [result.outcome for result in send(made, 3)] == [Outcome.SENT] * 3
        (result,) = send(WebhookChannel(url, key=KEY, networks=LOOPBACK))
        assert (result.outcome, result.account_at_fault) == (Outcome.NOT_TAKEN, True)
        assert "certificate is not valid" in (result.reason or "")
