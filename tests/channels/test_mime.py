"""Messages built from pieces read back as what was meant."""

from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from app.channels.base import EmailTemplate
from app.channels.email.mime import MimeBuilder, encode_piece, mail_address
from tests.factories.mail import ENVELOPE, TEMPLATE, make_email

DATE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def read(raw: bytes) -> EmailMessage:
    return cast(EmailMessage, message_from_bytes(raw, policy=default))


def part(message: EmailMessage, kind: str) -> str:
    body = message.get_body((kind,))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


def test_message_has_both_parts_and_the_headers_that_bulk_mail_needs() -> None:
    message = read(MimeBuilder(TEMPLATE, ENVELOPE).build(make_email(5, name="Zoë"), DATE))
    assert message["Subject"] == "A note for Zoë"
    assert message["From"] == "Firm 证券 <news@firm.example>"
    assert message["Message-ID"] == "<token5@firm.example>"
    assert message["List-Unsubscribe"] == "<https://firm.example/u/5>, <mailto:u5-tag@reply.firm.example>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message["Feedback-ID"] == "7:marketing:firm:bellwether"
    assert part(message, "plain").startswith("Dear Zoë,\n.a line")
    assert "<p>Dear Zoë,</p>" in part(message, "html")


def test_mail_that_no_person_sent_says_so() -> None:
    assert read(MimeBuilder(TEMPLATE, ENVELOPE).build(make_email(5), DATE))["Auto-Submitted"] is None
    automatic = read(MimeBuilder(TEMPLATE, replace(ENVELOPE, automatic=True)).build(make_email(5), DATE))
    assert automatic["Auto-Submitted"] == "auto-generated"


def test_an_international_domain_is_written_in_its_ascii_form() -> None:
    assert mail_address("ana@例え.example") == "ana@xn--r8jz45g.example"
    assert mail_address("josé@x.example") == "josé@x.example"
    assert mail_address("a@" + "ü" * 80 + ".example") == "a@" + "ü" * 80 + ".example"


def test_a_header_cannot_be_smuggled_in_through_a_name() -> None:
    message = read(MimeBuilder(TEMPLATE, ENVELOPE).build(make_email(5, name="x\r\nBcc: all@firm.example"), DATE))
    assert message["Bcc"] is None
    assert message["Subject"] == "A note for x Bcc: all@firm.example"


text = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n"), max_size=400)


@given(pieces=st.lists(text, min_size=1, max_size=6))
def test_pieces_and_slots_join_to_the_same_text_in_lines_of_at_most_76(pieces: list[str]) -> None:
    segments = tuple(piece if index % 2 else index // 2 for index, piece in enumerate(pieces))
    slots = [piece for index, piece in enumerate(pieces) if index % 2 == 0]
    template = EmailTemplate(subject=("x",), html=("x",), text=segments)
    email = make_email(1)._replace(slots=slots)
    raw = MimeBuilder(template, ENVELOPE).build(email, DATE)
    body = raw.partition(b"\r\n\r\n")[2]
    assert all(len(line) <= 76 for line in body.split(b"\r\n"))
    assert b"\n" not in body.replace(b"\r\n", b"")
    assert part(read(raw), "plain").rstrip("\n") == "".join(pieces).rstrip("\n")


@given(text)
def test_an_encoded_piece_leaves_room_for_a_soft_line_break(piece: str) -> None:
    assert len(encode_piece(piece).rpartition(b"\n")[2]) < 76
