"""Pipelined sending against a relay on loopback that refuses, cuts and keeps count of what it accepted."""

import socketserver
import threading
from collections.abc import Iterator

import pytest

from app.channels.base import EmailBatch, Outcome
from app.channels.email.smtp import SmtpChannel
from tests.factories.mail import ENVELOPE, TEMPLATE, make_email


class Relay(socketserver.ThreadingTCPServer):
    """The recipient says what becomes of a message: refused, busy, closing, cut (after the body), kept-and-cut."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Session)
        self.accepted: list[str] = []
        self.sessions = 0
        self.last_before_end = 10**9  # how many messages a session takes before it ends without a word

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.server_address[1]}"


class Session(socketserver.StreamRequestHandler):
    server: Relay

    def say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())

    def handle(self) -> None:
        self.server.sessions += 1
        self.say("220 relay.example ESMTP")
        recipient, taken = "", 0
        for raw in self.rfile:
            line = raw.decode().strip()
            verb = line[:4].upper()
            if verb == "EHLO":
                self.say("250-relay.example\r\n250 PIPELINING")
            elif verb == "RCPT":
                name = line[9:-1]
                if name.startswith("closing"):
                    self.say("421 too many messages")
                    return
                recipient = "" if name.startswith(("refused", "busy")) else name
                self.say("250 ok" if recipient else "550 no such user" if name.startswith("refused") else "451 later")
            elif verb == "DATA":
                if taken >= self.server.last_before_end:
                    return
                if not recipient:
                    self.say("554 no valid recipients")
                    continue
                self.say("354 go on")
                for body in self.rfile:
                    if body == b".\r\n":
                        break
                if recipient.startswith("cut"):
                    return
                taken += 1
                self.server.accepted.append(recipient)
                if recipient.startswith("kept-and-cut"):
                    return
                self.say("250 kept")
            else:
                self.say("250 ok")
                recipient = ""


@pytest.fixture
def relay() -> Iterator[Relay]:
    made = Relay()
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def send(relay: Relay, names: list[str], *, connections: int = 1) -> dict[str, Outcome]:
    channel = SmtpChannel(relay.url, connections=connections)
    emails = [make_email(number, f"{name}@x.example") for number, name in enumerate(names)]
    results = channel.send(EmailBatch(TEMPLATE, ENVELOPE), emails)
    channel.close()
    assert len(results) == len(names)
    return {names[result.message_id]: result.outcome for result in results}


def test_refusals_in_the_pipeline_leave_their_neighbours_alone(relay: Relay) -> None:
    names = ["a", "refused1", "refused2", "b", "busy1", "c"]
    outcomes = send(relay, names)
    assert outcomes == {
        "a": Outcome.SENT, "refused1": Outcome.FAILED, "refused2": Outcome.FAILED, "b": Outcome.SENT,
        "busy1": Outcome.NOT_TAKEN, "c": Outcome.SENT,
    }  # fmt: skip
    assert relay.accepted == ["a@x.example", "b@x.example", "c@x.example"]
    assert relay.sessions == 1


def test_a_cut_after_the_body_is_unconfirmed_and_what_was_offered_behind_it_is_sent_once(relay: Relay) -> None:
    outcomes = send(relay, ["a", "cut", "b", "kept-and-cut", "c"])
    assert outcomes == {
        "a": Outcome.SENT, "cut": Outcome.UNCONFIRMED, "b": Outcome.SENT, "kept-and-cut": Outcome.UNCONFIRMED,
        "c": Outcome.SENT,
    }  # fmt: skip
    assert sorted(relay.accepted) == sorted(f"{name}@x.example" for name in ("a", "b", "kept-and-cut", "c"))


def test_sessions_that_end_before_a_body_lose_nothing(relay: Relay) -> None:
    relay.last_before_end = 3
    names = [f"c{number}" for number in range(20)]
    assert set(send(relay, names, connections=2).values()) == {Outcome.SENT}
    assert sorted(relay.accepted) == sorted(f"{name}@x.example" for name in names)


def test_a_relay_that_takes_nothing_is_left_alone(relay: Relay) -> None:
    relay.last_before_end = 0
    assert set(send(relay, ["a", "b", "c"]).values()) == {Outcome.NOT_TAKEN}
    assert relay.sessions == 3


def test_a_relay_that_closes_at_a_recipient_has_not_taken_it(relay: Relay) -> None:
    assert send(relay, ["a", "closing", "b"]) == {"a": Outcome.SENT, "closing": Outcome.NOT_TAKEN, "b": Outcome.SENT}
