"""The SMTP channel against real SMTP servers on loopback: aiosmtpd, and the demo's pipelining sink."""

import subprocess
import sys
from collections.abc import Iterator
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from app.channels.base import EmailBatch, Outcome
from app.channels.email.smtp import SmtpChannel, next_window
from app.core.embedded import free_port
from app.demo.sink import read_messages
from tests.factories.mail import ENVELOPE, TEMPLATE, make_email


class Relay:
    """A relay that refuses, delays or drops what its recipients' names ask for."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, bytes]] = []
        self.sessions = 0

    async def handle_EHLO(self, server: SMTP, session: Session, envelope: Envelope, hostname: str, answers: Any) -> Any:
        self.sessions += 1
        session.host_name = hostname
        return answers

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith("refused"):
            return "550 5.1.1 no such user"
        if address.startswith("busy"):
            return "451 4.3.2 try again later"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        if envelope.rcpt_tos[0].startswith("spam"):
            assert server.transport is not None
            server.transport.write(b"554 5.7.1 content refused\r\n")
            server.transport.close()
            return ""
        if envelope.rcpt_tos[0].startswith("odd"):
            return "999 what"
        self.taken.append((envelope.rcpt_tos[0], envelope.content))
        if envelope.rcpt_tos[0].startswith("cut"):
            assert server.transport is not None
            server.transport.close()
        return "250 queued as 1"


@pytest.fixture
def relay() -> Iterator[tuple[Relay, str]]:
    handler = Relay()
    controller = Controller(handler, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield handler, f"smtp://127.0.0.1:{controller.port}"
    controller.stop()


def send(url: str, *recipients: str, connections: int = 1) -> list[tuple[Outcome, str | None]]:
    channel = SmtpChannel(url, connections=connections)
    emails = [make_email(number, recipient) for number, recipient in enumerate(recipients, start=1)]
    results = sorted(channel.send(EmailBatch(TEMPLATE, ENVELOPE), emails), key=lambda result: result.message_id)
    channel.close()
    return [(result.outcome, result.reason) for result in results]


def test_messages_arrive_over_one_kept_connection(relay: tuple[Relay, str]) -> None:
    handler, url = relay
    assert send(url, "a@x.example", "b@x.example", "c@x.example") == [(Outcome.SENT, None)] * 3
    assert handler.sessions == 1
    body = message_from_bytes(handler.taken[0][1], policy=default).get_body(("plain",))
    assert body is not None
    assert body.get_content().splitlines()[1] == ".a line that begins with a dot"


def test_a_refused_recipient_fails_alone(relay: tuple[Relay, str]) -> None:
    outcomes = send(relay[1], "a@x.example", "refused@x.example", "b@x.example")
    assert [outcome for outcome, _ in outcomes] == [Outcome.SENT, Outcome.FAILED, Outcome.SENT]
    assert outcomes[1][1] == "550 5.1.1 no such user"


def test_a_temporary_refusal_may_be_tried_again(relay: tuple[Relay, str]) -> None:
    outcomes = send(relay[1], "busy@x.example", "b@x.example")
    assert [outcome for outcome, _ in outcomes] == [Outcome.NOT_TAKEN, Outcome.SENT]


def test_a_line_cut_after_the_body_is_unconfirmed_and_the_rest_goes_on(relay: tuple[Relay, str]) -> None:
    outcomes = send(relay[1], "cut@x.example", "b@x.example")
    assert [outcome for outcome, _ in outcomes] == [Outcome.UNCONFIRMED, Outcome.SENT]


def test_a_refusal_stands_when_the_line_is_cut_after_it(relay: tuple[Relay, str]) -> None:
    outcomes = send(relay[1], "spam@x.example", "b@x.example")
    assert outcomes == [(Outcome.FAILED, "554 5.7.1 content refused"), (Outcome.SENT, None)]


def test_an_answer_that_says_nothing_leaves_the_message_unconfirmed(relay: tuple[Relay, str]) -> None:
    outcomes = send(relay[1], "odd@x.example", "b@x.example")
    assert [outcome for outcome, _ in outcomes] == [Outcome.UNCONFIRMED, Outcome.SENT]


def test_a_window_is_what_the_relay_takes_in_a_tenth_of_a_second() -> None:
    assert next_window(40, sent=40, seconds=0.2, connections=2) == 20
    assert next_window(16, sent=16, seconds=30, connections=2) == 10  # five for each connection at least
    assert next_window(16, sent=16, seconds=0.001, connections=2) == 32
    assert next_window(80, sent=80, seconds=0.001, connections=2) == 100


def test_a_relay_that_is_away_took_nothing() -> None:
    outcomes = send(f"smtp://127.0.0.1:{free_port()}", "a@x.example", "b@x.example")
    assert {outcome for outcome, _ in outcomes} == {Outcome.NOT_TAKEN}


def test_a_window_is_shared_out_over_several_connections(relay: tuple[Relay, str]) -> None:
    handler, url = relay
    assert [outcome for outcome, _ in send(url, *(f"{n}@x.example" for n in range(10)), connections=3)] == [
        Outcome.SENT
    ] * 10
    assert handler.sessions == 3
    assert len(handler.taken) == 10


def test_a_pipelining_server_gets_every_message_whole(tmp_path: Path) -> None:
    port, store = free_port(), tmp_path / "kept"
    command = [sys.executable, "-m", "app.demo.sink", "--port", str(port), "--store", str(store)]
    recipients = [f"c{number}@example.com" for number in range(1, 201)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as sink:
        assert sink.stdout is not None
        assert sink.stdout.readline() == b"listening\n"
        assert {outcome for outcome, _ in send(f"smtp://127.0.0.1:{port}", *recipients)} == {Outcome.SENT}
        sink.terminate()
    kept = list(read_messages(store))
    assert [recipient for recipient, _ in kept] == recipients
    assert all(message_from_bytes(raw, policy=default)["Subject"] == "A note for Ana" for _, raw in kept)
