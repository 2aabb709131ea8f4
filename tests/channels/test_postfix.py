"""Against a real Postfix: what it offers is used, what it refuses is told apart, what it keeps is what was written."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.channels.base import EmailBatch, Outcome, Result
from app.channels.email.smtp import SmtpChannel
from tests.factories.certificates import Authority
from tests.factories.mail import ENVELOPE, TEMPLATE, make_email
from tests.factories.postfix import Postfix, is_installed, postfix

pytestmark = pytest.mark.skipif(not is_installed(), reason="Postfix is not installed, or this is not root")


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Postfix, Path]]:
    folder = tmp_path_factory.mktemp("postfix")
    authority = Authority(folder)
    authority.server("relay.example.net", "localhost")
    with postfix(folder) as running:
        yield running, authority.ca_file


def send(relay: tuple[Postfix, Path], *recipients: str, name: str = "Maria") -> list[Result]:
    running, ca_file = relay
    channel = SmtpChannel(f"smtp+starttls://localhost:{running.port}", connections=2, ca_file=str(ca_file))
    emails = [make_email(number, recipient=recipient, name=name) for number, recipient in enumerate(recipients, 1)]
    results = channel.send(EmailBatch(TEMPLATE, ENVELOPE), emails)
    channel.close()
    return sorted(results, key=lambda result: result.message_id)


def test_many_messages_arrive_once_and_as_they_were_written(relay: tuple[Postfix, Path]) -> None:
    results = send(relay, *["kept@example.com"] * 60, name="玛丽亚")

    assert {result.outcome for result in results} == {Outcome.SENT}, relay[0].log()
    kept = relay[0].kept(60)
    assert {message["Message-ID"] for message in kept} == {f"<token{number}@firm.example>" for number in range(1, 61)}
    text, html = kept[0].get_payload()
    assert text.get_payload(decode=True).decode() == "Dear 玛丽亚,\n.a line that begins with a dot\n"
    assert ".a line that begins with a dot</p>" in html.get_payload(decode=True).decode()
    assert all("ESMTPS" in message["Received"] for message in kept)


def test_a_refusal_for_good_and_one_for_now_are_told_apart_and_the_others_go_on(relay: tuple[Postfix, Path]) -> None:
    results = send(
        relay, "never@example.com", "maria@example.com", "later@example.com", "unknown@example.com", "maria@example.com"
    )

    outcomes = [result.outcome for result in results]
    assert outcomes == [Outcome.FAILED, Outcome.SENT, Outcome.NOT_TAKEN, Outcome.FAILED, Outcome.SENT]
    assert "5.7.1" in (results[0].reason or "")
    assert "4.2.1" in (results[2].reason or "")
    assert not any(result.account_at_fault for result in results)
    assert all("queued as" in (result.reference or "") for result in (results[1], results[4]))


def test_an_international_address_is_sent_to(relay: tuple[Postfix, Path]) -> None:
    (result,) = send(relay, "josé@example.com")
    assert result.outcome is Outcome.SENT, (result, relay[0].log())


def test_a_message_larger_than_the_relay_takes_fails_before_it_leaves(relay: tuple[Postfix, Path]) -> None:
    large, small = send(relay, "kept@example.com", name="x" * 100_000), send(relay, "kept@example.com")
    assert large[0].outcome is Outcome.FAILED
    assert "larger than the 200000 bytes" in (large[0].reason or "")
    assert small[0].outcome is Outcome.SENT
