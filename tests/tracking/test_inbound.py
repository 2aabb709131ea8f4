"""Mail that comes in: what is new in it, who wrote it, and that nothing in it can do harm."""

import json
import time
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from app.clients.models import Client
from app.core.extensions import db, links
from app.core.unit_of_work import unit_of_work
from app.tracking.mail.models import InboundMail
from app.tracking.mail.receiving import raw_mail_of, receive_reply
from app.tracking.mail.reply_text import new_part
from app.tracking.models import Event, Reply
from tests.factories.tracking import interpret, make_mail, make_sent_messages, post_inbound, reload, take_in
from tests.tracking.samples import sample_files

REPLIES = "replies/github-email_reply_parser/emails/*.txt"
BEGINNINGS = {
    "correct_sig.txt": ("this is an email with a correct -- signature.", ""),
    "email_1_1.txt": ("Hi folks", "rvm"),
    "email_1_2.txt": ("Hi,", "wrote:"),
    "email_1_3.txt": ("Oh thanks.", "wrote:"),
    "email_1_4.txt": ("Awesome! I haven't had another problem with it.", "wrote:"),
    "email_1_5.txt": ("One: Here's what I've got.", "wrote:"),
    "email_1_6.txt": ("I get proper rendering as well.", "wrote:"),
    "email_1_7.txt": (":+1:", "wrote:"),
    "email_1_8.txt": ("I will reply under this one", "wrote:"),
    "email_2_1.txt": ("Outlook with a reply", "From:"),
    "email_2_2.txt": ("Outlook with a reply directly above line", "From:"),
    "email_2_3.txt": ("Outlook with a reply directly above line", "From:"),
    "email_BlackBerry.txt": ("Here is another email", "BlackBerry"),
    "email_bullets.txt": ("test 2 this should list second", "wrote:"),
    "email_iPhone.txt": ("Here is another email", "iPhone"),
    "email_long_quote.txt": ("Hi folks", "wrote:"),
    "email_multi_word_sent_from_my_mobile_device.txt": ("Here is another email", "Verizon"),
    "email_one_is_not_on.txt": ("Thank, this is really helpful.", "wrote:"),
    "email_sent_from_my_not_signature.txt": ("Here is another email", "wrote:"),
    "email_sig_delimiter_in_middle_of_line.txt": ("Hi there!", "wrote:"),
    "greedy_on.txt": ("On your remote host you can run:", "wrote:"),
    "pathological.txt": ("I think you're onto something. I will try to fix the problem as soon as I", "wrote:"),
}


def received(raw: bytes) -> Reply:
    """What becomes of a message to the reply address of a new message of ours."""
    (message,) = make_sent_messages()
    with unit_of_work():
        reply = receive_reply(raw=raw, recipient=links().reply_address(message.id))
    assert reply is not None
    return reply


def kind_of(raw: bytes) -> str:
    return received(raw).kind


@pytest.mark.parametrize("path", sample_files(REPLIES))
def test_every_sample_is_cut_to_what_its_writer_added(path: Path) -> None:
    beginning, absent = BEGINNINGS[path.name]
    started = time.perf_counter()
    text = new_part(path.read_text())
    assert time.perf_counter() - started < 1
    assert text.startswith(beginning)
    assert not absent or absent not in text


@pytest.mark.parametrize("path", sample_files(REPLIES))
def test_every_sample_arrives_as_a_reply(browser_client: FlaskClient, path: Path) -> None:
    (message,) = make_sent_messages()
    address = links().reply_address(message.id)
    answer = take_in(browser_client, email=make_mail(to=address, text=path.read_text()), to=address)
    assert answer.status_code == 200
    assert db.session.scalars(select(Reply.kind)).one() == "reply"


@pytest.mark.parametrize(
    "text",
    [
        "On " * 20_000,
        "On a wrote\n" * 10_000,
        "> " * 30_000,
        "_" * 60_000,
        "Sent from my " + "a " * 30_000,
        "\n" * 60_000,
        "From: x\nyes\n" * 5_000,
        "在" * 60_000,
        "On x\n" * 20_000 + "wrote:",
    ],
)
def test_hostile_text_takes_no_long_time(text: str) -> None:
    started = time.perf_counter()
    new_part(text)
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize(
    "text",
    [
        "好的，请给我打电话。\n\n在 2026年3月2日，张三 <a@example.com> 写道：\n> 你好\n> 再见",
        "好的，请给我打电话。\n\n------------------ 原始邮件 ------------------\n发件人: 张三\n你好",
        "好的，请给我打电话。\n\n发件人：张三\n发送时间：2026年3月2日\n你好",
        "好的，请给我打电话。\r\n\r\n-----Original Message-----\r\nFrom: x\r\n你好",
    ],
)
def test_quotes_of_chinese_mail_programs_are_cut(text: str) -> None:
    assert new_part(text) == "好的，请给我打电话。"


def test_a_reply_is_kept_once_and_counts_for_its_message(app: Flask) -> None:
    (message,) = make_sent_messages()
    address = links().reply_address(message.id)
    raw = make_mail(to=address, Message_ID="<1@example.com>")
    with unit_of_work():
        reply = receive_reply(raw=raw, recipient=address.upper())
        assert reply is not None
        assert (reply.kind, reply.text, reply.campaign_id) == ("reply", "Please call me.", message.campaign_id)
    with unit_of_work():
        assert receive_reply(raw=raw, recipient=address) is None
    assert db.session.scalar(select(func.count(Event.id))) == 1
    interpret()
    assert reload(message).replied_at is not None


def test_without_message_id_the_same_mail_is_still_kept_once(app: Flask) -> None:
    first, second = make_sent_messages(2)
    raw = make_mail(to="someone")
    for message in (first, first, second):
        with unit_of_work():
            receive_reply(raw=raw, recipient=links().reply_address(message.id))
    assert db.session.scalar(select(func.count(Reply.id))) == 2


@pytest.mark.parametrize(
    "headers",
    [
        {"Auto_Submitted": "auto-replied (vacation)"},
        {"Auto_Submitted": "Auto-Generated; x=y"},
        {"Precedence": "bulk"},
        {"X_Auto_Response_Suppress": "All"},
        {"X_Autoreply": "yes"},
        {"Return_Path": "<>"},
    ],
)
def test_an_automatic_answer_is_set_apart(app: Flask, headers: dict[str, str]) -> None:
    (message,) = make_sent_messages()
    address = links().reply_address(message.id)
    with unit_of_work():
        reply = receive_reply(raw=make_mail(to=address, text="unsubscribe", **headers), recipient=address)
        assert reply is not None
        assert reply.kind == "auto_reply"
    interpret()
    assert reload(message).replied_at is None
    assert db.session.get_one(Client, message.client_id).email_consent is True


def test_a_person_may_say_that_no_program_wrote_this(app: Flask) -> None:
    assert kind_of(make_mail(to="x", Auto_Submitted="no")) == "reply"


@pytest.mark.parametrize("word", ["unsubscribe", "STOP", " Stop.\n", "退订", "退订！", "拒收", "“Unsubscribe”"])
def test_an_opt_out_word_as_the_whole_message_withdraws_consent(app: Flask, word: str) -> None:
    (message,) = make_sent_messages()
    address = links().reply_address(message.id)
    text = f"{word}\n\nOn Monday, Firm <news@example.com> wrote:\n> Our news\n"
    with unit_of_work():
        reply = receive_reply(raw=make_mail(to=address, text=text), recipient=address)
        assert reply is not None
        assert reply.kind == "opt_out"
    interpret()
    assert db.session.get_one(Client, message.client_id).email_consent is False
    assert reload(message).unsubscribed_at is not None
    assert message.replied_at is None


@pytest.mark.parametrize("text", ["Please do not stop.", "n", "How do I unsubscribe?", "stopwatch"])
def test_an_opt_out_word_inside_a_sentence_is_a_reply(app: Flask, text: str) -> None:
    assert kind_of(make_mail(to="x", text=text)) == "reply"


def test_a_report_of_a_permanent_failure_is_a_bounce(app: Flask) -> None:
    (message,) = make_sent_messages()
    address = links().reply_address(message.id)
    raw = (
        b"From: MAILER-DAEMON@example.com\r\nTo: " + address.encode() + b"\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        b"--b\r\nContent-Type: text/plain\r\n\r\nNo such user\r\n"
        b"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.com\r\n\r\n"
        b"Final-Recipient: rfc822; c1@example.com\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n--b--\r\n"
    )
    with unit_of_work():
        receive_reply(raw=raw, recipient=address)
    interpret()
    assert reload(message).bounced_at is not None


def test_html_only_mail_is_read_as_text(app: Flask) -> None:
    raw = (
        b"Subject: =?utf-8?b?5Zue5aSN?=\r\nContent-Type: text/html; charset=gb2312\r\n\r\n"
        + "<p>好的<script>x".encode("gb18030")
    )
    reply = received(raw)
    assert reply.subject == "回复"
    assert reply.text.startswith("好的")
    assert (reply.language, reply.charset) == ("zh", "gb2312")


def test_raw_mail_in_another_charset_survives_the_form(browser_client: FlaskClient) -> None:
    (message,) = make_sent_messages()
    address = links().reply_address(message.id)
    raw = b"Content-Type: text/plain; charset=gbk\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + "好的".encode("gbk")
    take_in(browser_client, to=address, email=raw)
    assert db.session.scalars(select(Reply.text)).one() == "好的"


def test_parsed_fields_are_understood_too(browser_client: FlaskClient) -> None:
    (message,) = make_sent_messages()
    address = links().reply_address(message.id)
    answer = take_in(
        browser_client,
        headers="Message-ID: <9@example.com>\nPrecedence: normal",
        to="Firm <elsewhere@example.com>",
        **{"from": "C <c1@example.com>"},
        subject="Re: News",
        text="Yes please\n\nOn Monday someone <x@example.com>\nwrote:\n> News",
        html="<p>Yes please</p>",
        envelope=json.dumps({"to": [address], "from": "c1@example.com"}),
        charsets=json.dumps({"text": "utf-8", "to": "UTF-8"}),
    )
    assert answer.status_code == 200
    reply = db.session.scalars(select(Reply)).one()
    assert (reply.text, reply.message_id_header) == ("Yes please", "<9@example.com>")


@pytest.mark.parametrize(
    "recipient", ["nobody@reply.bellwether.example", "r1-00000000000000000000@reply.bellwether.example", "", "@", "é@x"]
)
def test_mail_for_nobody_is_accepted_and_not_kept(browser_client: FlaskClient, recipient: str) -> None:
    make_sent_messages()
    answer = take_in(browser_client, email=make_mail(to="x"), to=recipient)
    assert answer.status_code == 200
    assert db.session.scalar(select(func.count(Reply.id))) == 0


def test_mail_about_a_message_that_is_gone_is_accepted_and_not_kept(browser_client: FlaskClient) -> None:
    address = links().reply_address(12345)
    assert take_in(browser_client, email=make_mail(to=address), to=address).status_code == 200


def test_the_token_in_the_address_is_needed(browser_client: FlaskClient) -> None:
    for token in ("x", "inbound-token-of-the-tests2", "é"):
        assert post_inbound(browser_client, path_token=token, email="x").status_code == 403


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\0\0\0",
        b"\xff" * 100,
        b"Subject: =?utf-8?q?=00?=\r\n\r\nhello",
        b"Subject: =?nocharset?b?////?=\r\n\r\nhello",
        b"Content-Type: text/plain; charset=nonsense\r\n\r\n\xff\xfe",
        b"Content-Type: text/plain; charset=\xff\r\n\r\nx",
        b"Content-Type: multipart/mixed\r\n\r\nno boundary",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n--x\r\n--x--",
        b"Content-Transfer-Encoding: base64\r\n\r\n!!!!",
        b"From: " + b"<" * 5000 + b"\r\n\r\nx",
        b"Message-ID: " + b"a" * 5000 + b"\r\n\r\nx",
        b"Content-Type: text/html\r\n\r\n" + b"<div>" * 5000,
        b"Content-Type: text/html\r\n\r\n<!--",
        b"Content-Type: message/rfc822\r\n\r\n" * 200,
    ],
)
def test_hostile_mail_is_never_an_error(browser_client: FlaskClient, raw: bytes) -> None:
    (message,) = make_sent_messages()
    address = links().reply_address(message.id)
    assert take_in(browser_client, email=raw, to=address, subject="x").status_code == 200


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"{}"),
        ("multipart/form-data", b""),
        ("multipart/form-data; boundary=x", b""),
        ("multipart/form-data; boundary=x", b"--x\r\nnonsense"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=other\r\n\r\n1\r\n--x--\r\n"),
    ],
)
def test_what_is_no_inbound_mail_is_refused(browser_client: FlaskClient, content_type: str, body: bytes) -> None:
    answer = browser_client.post(
        "/webhooks/sendgrid/inbound/inbound-token-of-the-tests", data=body, content_type=content_type
    )
    assert answer.status_code == 400


def test_a_large_mail_is_taken(browser_client: FlaskClient) -> None:
    (message,) = make_sent_messages()
    address = links().reply_address(message.id)
    answer = take_in(browser_client, email=make_mail(to=address, text="yes\n" + "> quoted\n" * 300_000), to=address)
    assert answer.status_code == 200
    reply = db.session.scalars(select(Reply)).one()
    assert reply.text == "yes"
    kept = db.session.get_one(InboundMail, reply.mail_id)
    assert kept.raw is None
    assert len(raw_mail_of(kept)) == kept.size > 2_700_000
