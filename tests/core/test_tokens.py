"""Signed links: nothing altered passes, no kind passes for another."""

import re
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.tokens import BadToken, Kind, Links, Signer, click_target

SIGNER = Signer("a secret that is long enough for the tests")
LINKS = Links(SIGNER, "https://m.firm.example", "Reply.firm.example")
IDS = st.integers(min_value=1, max_value=2**63 - 1)
KINDS = st.sampled_from(Kind)


@given(kind=KINDS, message_id=IDS, extra=st.binary(max_size=60))
def test_a_token_reads_as_it_was_signed(kind: Kind, message_id: int, extra: bytes) -> None:
    token = SIGNER.sign(kind, message_id, extra)
    assert re.fullmatch("[A-Za-z0-9_-]+", token)
    read = SIGNER.read(token, kind)
    assert (read.kind, read.message_id, read.extra) == (kind, message_id, extra)


@given(kind=KINDS, message_id=IDS, extra=st.binary(max_size=20), data=st.data())
def test_a_token_with_any_character_altered_is_refused(
    kind: Kind, message_id: int, extra: bytes, data: st.DataObject
) -> None:
    token = SIGNER.sign(kind, message_id, extra)
    position = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters().filter(lambda character: character != token[position]))
    for altered in (
        token[:position] + other + token[position + 1 :],
        token[:position] + other + token[position:],
        token[:position] + token[position + 1 :],
        token + other,
    ):
        with pytest.raises(BadToken):
            SIGNER.read(altered, *Kind)


@given(text=st.text(max_size=80))
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(BadToken):
        SIGNER.read(text, *Kind)


@given(body=st.binary(max_size=60))
def test_bytes_with_a_made_up_tag_are_refused(body: bytes) -> None:
    with pytest.raises(BadToken):
        SIGNER.read(urlsafe_b64encode(body).rstrip(b"=").decode(), *Kind)


def test_kinds_are_kept_apart() -> None:
    for kind in Kind:
        token = SIGNER.sign(kind, 1)
        for other in set(Kind) - {kind}:
            with pytest.raises(BadToken):
                SIGNER.read(token, other)


def test_another_secret_makes_other_tokens() -> None:
    with pytest.raises(BadToken):
        Signer("another secret that is long enough for it").read(SIGNER.sign(Kind.OPEN, 1), Kind.OPEN)


@given(position=st.integers(0, 65535), target=st.text(min_size=1, max_size=200).filter(lambda text: text.isprintable()))
def test_a_click_carries_its_target(position: int, target: str) -> None:
    url = LINKS.click(7, position, f"https://例え.example/{target}")
    token = SIGNER.read(url.removeprefix("https://m.firm.example/c/"), Kind.CLICK)
    assert (token.message_id, click_target(token)) == (7, (position, f"https://例え.example/{target}"))


@given(message_id=IDS)
def test_reply_addresses_survive_the_folding_of_case(message_id: int) -> None:
    reply, leave = LINKS.reply_address(message_id), LINKS.unsubscribe_address(message_id)
    assert len(reply.partition("@")[0]) <= 64  # RFC 5321, 4.5.3.1.1
    for fold in (str, str.upper, str.lower, str.title, "  {} ".format):
        assert LINKS.read_mail_address(fold(reply)) == (Kind.REPLY, message_id)
        assert LINKS.read_mail_address(fold(leave)) == (Kind.UNSUBSCRIBE, message_id)


@given(message_id=IDS)
def test_a_bounce_comes_to_an_address_of_its_own(message_id: int) -> None:
    for made in (LINKS, Links(SIGNER, "https://m.firm.example", "reply.firm.example", "Bounce.firm.example")):
        address = made.bounce_address(message_id)
        assert made.read_mail_address(address.upper()) == (Kind.BOUNCE, message_id)
        assert made.read_mail_address(f"b{address[1:].partition('@')[0]}@other.example") is None
    assert address.endswith("@Bounce.firm.example")
    assert made.read_mail_address(address.replace("Bounce.", "reply.")) is None


@given(message_id=st.integers(1, 10**9), data=st.data())
def test_an_altered_reply_address_is_not_ours(message_id: int, data: st.DataObject) -> None:
    address = LINKS.reply_address(message_id)
    position = data.draw(st.integers(1, address.index("@") - 1))
    other = data.draw(st.sampled_from("0123456789abcdefxyz-é").filter(lambda character: character != address[position]))
    assert LINKS.read_mail_address(address[:position] + other + address[position + 1 :]) is None


@given(address=st.text(max_size=60))
def test_any_text_can_be_asked_about(address: str) -> None:
    assert LINKS.read_mail_address(address) is None
    assert LINKS.read_mail_address(f"r{address}@reply.firm.example") is None
