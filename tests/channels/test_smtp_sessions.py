"""What an SMTP session agrees on before a message goes: encryption, sign-in, sizes, characters, return paths."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from socket import create_connection
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from app.channels.base import EmailBatch, Outcome, OutgoingEmail, Result
from app.channels.email.smtp import SmtpChannel
from app.core.embedded import free_port
from tests.factories.certificates import Authority
from tests.factories.mail import ENVELOPE, TEMPLATE, make_email


class Keeper:
    """Keeps the senders, options and recipients of what it was offered."""

    def __init__(self) -> None:
        self.mails: list[tuple[str, list[str]]] = []
        self.taken: list[tuple[str, bytes]] = []

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        self.mails.append((address, options))
        return "250 ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        self.taken.append((envelope.rcpt_tos[0], envelope.content))
        return "250 2.0.0 queued as 7"


@contextmanager
def relay(*, implicit: Any = None, **options: Any) -> Iterator[tuple[Keeper, int]]:
    keeper = Keeper()
    controller = Controller(keeper, hostname="127.0.0.1", port=free_port(), ssl_context=implicit, **options)
    if implicit is not None:
        # It would knock with TLS and not trust the certificate.
        controller._trigger_server = lambda: create_connection(("127.0.0.1", controller.port)).close()
    controller.start()
    try:
        yield keeper, controller.port
    finally:
        controller.stop()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def send(url: str, *emails: OutgoingEmail, ca_file: Path | None = None) -> list[Result]:
    channel = SmtpChannel(url, ca_file=None if ca_file is None else str(ca_file))
    results = channel.send(EmailBatch(TEMPLATE, ENVELOPE), emails or [make_email(1), make_email(2)])
    channel.close()
    return sorted(results, key=lambda result: result.message_id)


def assert_account_is_at_fault(results: list[Result], words: str) -> None:
    assert {(result.outcome, result.account_at_fault) for result in results} == {(Outcome.NOT_TAKEN, True)}
    assert all(words in (result.reason or "") for result in results), results


@pytest.mark.parametrize("scheme", ["smtps", "smtp+starttls"])
def test_a_relay_with_a_certificate_of_the_firms_authority_is_trusted(authority: Authority, scheme: str) -> None:
    context = authority.server("localhost")
    how = {"implicit": context} if scheme == "smtps" else {"tls_context": context, "require_starttls": True}
    with relay(**how) as (keeper, port):
        results = send(f"{scheme}://localhost:{port}", ca_file=authority.ca_file)
        assert [result.outcome for result in results] == [Outcome.SENT] * 2
        assert len(keeper.taken) == 2


@pytest.mark.parametrize("scheme", ["smtps", "smtp+starttls"])
@pytest.mark.parametrize(
    ("name", "trusted", "words"),
    [
        ("relay.elsewhere.example", True, "certificate is not valid: Hostname mismatch"),
        ("localhost", False, "certificate is not valid: unable to get local issuer certificate"),
    ],
)
def test_a_certificate_that_does_not_verify_is_the_accounts_fault(
    authority: Authority, scheme: str, name: str, trusted: bool, words: str
) -> None:
    context = authority.server(name)
    with relay(**({"implicit": context} if scheme == "smtps" else {"tls_context": context})) as (keeper, port):
        results = send(f"{scheme}://localhost:{port}", ca_file=authority.ca_file if trusted else None)
        assert_account_is_at_fault(results, words)
        assert keeper.mails == []


def test_a_relay_that_does_not_offer_encryption_gets_nothing() -> None:
    with relay() as (keeper, port):
        assert_account_is_at_fault(send(f"smtp+starttls://user:secret@localhost:{port}"), "STARTTLS")
        assert keeper.mails == []


def signed_in(_server: SMTP, _session: Session, _envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    assert isinstance(data, LoginPassword)
    return AuthResult(success=data == LoginPassword(b"firm@relay", b"p:ss/word"), handled=False)


def test_user_and_password_are_given_over_the_encrypted_session(authority: Authority) -> None:
    options = {"tls_context": authority.server("localhost"), "authenticator": signed_in, "auth_required": True}
    with relay(**options) as (keeper, port):
        url = f"smtp+starttls://firm%40relay:p%3Ass%2Fword@localhost:{port}"
        assert [result.outcome for result in send(url, ca_file=authority.ca_file)] == [Outcome.SENT] * 2
        wrong = send(f"smtp+starttls://firm%40relay:other@localhost:{port}", ca_file=authority.ca_file)
        assert_account_is_at_fault(wrong, "the relay refused user or password: 535 5.7.8")
        without = send(f"smtp+starttls://localhost:{port}", ca_file=authority.ca_file)
        assert_account_is_at_fault(without, "the relay wants another sign-in: 530")
        assert len(keeper.taken) == 2


@pytest.mark.parametrize(
    "url",
    [
        "smtp://user:secret@relay.firm.example",
        "relay.firm.example",
        "http://user:secret@relay.firm.example",
        "smtps://user:sec/ret@relay.firm.example",
        "smtps://",
        "",
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_telling_the_password(url: str) -> None:
    with pytest.raises(ValueError, match="relay's") as refusal:
        SmtpChannel(url)
    assert "sec" not in str(refusal.value)


def test_a_file_without_authorities_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    for name in ("empty.pem", "none.pem"):
        with pytest.raises(ValueError, match="certificate authorities"):
            SmtpChannel("smtps://relay.firm.example", ca_file=str(tmp_path / name))


def test_a_message_bounces_to_an_address_of_its_own() -> None:
    emails = [make_email(number)._replace(return_path=f"b{number}-tag@bounce.firm.example") for number in (1, 2)]
    with relay() as (keeper, port):
        assert [result.outcome for result in send(f"smtp://127.0.0.1:{port}", *emails)] == [Outcome.SENT] * 2
        assert [sender for sender, _ in keeper.mails] == ["b1-tag@bounce.firm.example", "b2-tag@bounce.firm.example"]


def test_an_international_address_needs_a_relay_that_takes_it() -> None:
    emails = [make_email(1, "josé@x.example"), make_email(2, "ana@例え.example"), make_email(3, "ana@x.example")]
    with relay(enable_SMTPUTF8=True) as (keeper, port):
        assert [result.outcome for result in send(f"smtp://127.0.0.1:{port}", *emails)] == [Outcome.SENT] * 3
        assert [recipient for recipient, _ in keeper.taken] == [
            "josé@x.example",
            "ana@xn--r8jz45g.example",
            "ana@x.example",
        ]
        assert {"SMTPUTF8", "BODY=8BITMIME"} <= set(keeper.mails[0][1])
        assert "To: josé@x.example\r\n".encode() in keeper.taken[0][1]
        assert not {"SMTPUTF8", "BODY=8BITMIME"} & set(keeper.mails[1][1])
    with relay(enable_SMTPUTF8=False) as (keeper, port):
        results = send(f"smtp://127.0.0.1:{port}", *emails)
        assert [result.outcome for result in results] == [Outcome.FAILED, Outcome.SENT, Outcome.SENT]
        assert results[0].reason == "the address needs SMTPUTF8, which the relay does not offer"


def test_a_message_larger_than_the_relay_takes_fails_alone() -> None:
    emails = [make_email(1), make_email(2, name="x" * 5_000), make_email(3)]
    with relay(data_size_limit=4_000) as (keeper, port):
        results = send(f"smtp://127.0.0.1:{port}", *emails)
        assert [result.outcome for result in results] == [Outcome.SENT, Outcome.FAILED, Outcome.SENT]
        assert results[1].reason == "the message is larger than the 4000 bytes that the relay takes"
        assert keeper.mails[0][1] == [f"SIZE={len(keeper.taken[0][1])}"]
        assert len(keeper.mails) == 2


def test_a_session_that_finds_nothing_left_to_send_is_kept_and_not_waited_for() -> None:
    with relay(data_size_limit=4_000) as (_keeper, port):
        channel = SmtpChannel(f"smtp://127.0.0.1:{port}", connections=2)
        emails = [make_email(1, name="x" * 5_000), make_email(2)]
        results = channel.send(EmailBatch(TEMPLATE, ENVELOPE), emails)
        assert {result.outcome for result in results} == {Outcome.SENT, Outcome.FAILED}
        assert len(channel._idle) == 2  # one that waited for a reply would have been given up
        channel.close()


def test_the_message_id_is_the_same_through_every_relay() -> None:
    with ExitStack() as stack:
        kept = []
        for _ in range(2):
            keeper, port = stack.enter_context(relay())
            send(f"smtp://127.0.0.1:{port}", make_email(9))
            kept.append(keeper.taken[0][1])
    heads = [[line for line in raw.splitlines() if line.startswith(b"Message-ID:")] for raw in kept]
    assert heads[0] == heads[1] == [b"Message-ID: <token9@firm.example>"]
