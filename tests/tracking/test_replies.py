"""The inbox of replies: topics, due times, answers, complaints, search, and what is parked."""

from datetime import UTC, datetime

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, text, update

from app.advising.models import AdvisingRules
from app.campaigns.models import Campaign
from app.channels.email.models import MailboxMessage
from app.channels.sms.models import MailboxSms
from app.clients.contactability import exclusion_reason
from app.clients.models import Client
from app.core.extensions import db, links
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from app.tracking.mail.models import InboundMail
from app.tracking.mail.receiving import keep_mail, receive_reply
from app.tracking.mail.reply_text import language_of, new_part
from app.tracking.mail.time_limit import TookTooLong, at_most
from app.tracking.models import Reply
from app.tracking.replies.answering import send_answer
from app.tracking.replies.keeping import due_at
from app.tracking.replies.models import ReplyAnswer
from app.tracking.replies.topics import guess_topic
from app.tracking.sms import InboundSms, receive_sms
from tests.factories.clients import make_client
from tests.factories.delivery import do_due_jobs, plan, send_all
from tests.factories.sms import make_sms_campaign
from tests.factories.tracking import make_mail, make_sent_messages
from tests.factories.users import make_branch, make_user, sign_in


def a_reply(
    text: str = "Please call me.", *, clients: list[int] | None = None, sender: str = "", **headers: str
) -> Reply:
    """A committed reply to a new message."""
    (message,) = make_sent_messages(clients=clients)
    own = db.session.get_one(Client, message.client_id).email or ""
    address = links().reply_address(message.id)
    raw = make_mail(to=address, text=text, **headers).replace(b"client@example.com", (sender or own).encode())
    with unit_of_work():
        reply = receive_reply(raw=raw, recipient=address)
        assert reply is not None
    return reply


def again(reply: Reply) -> Reply:
    """The reply as the database has it now."""
    db.session.expire_all()
    return db.session.get_one(Reply, reply.id)


def client_of(reply: Reply) -> Client:
    db.session.expire_all()
    return db.session.get_one(Client, reply.client_id)


def post(client: FlaskClient, reply: Reply, act: str, **form: str | int) -> int:
    status = client.post(f"/replies/{reply.id}/{act}", data=form).status_code
    db.session.expire_all()
    return status


def answer(client: FlaskClient, reply: Reply, text: str, *, then: str = "stay", seen: int = 1) -> int:
    return post(client, reply, "answer", text=text, then=then, seen=seen)


@pytest.fixture
def officer(browser_client: FlaskClient) -> FlaskClient:
    return sign_in(browser_client, make_user(role=Role.MARKETING, name="Lin Mei"))


# ---- Topics and due times -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "topic"),
    [
        ("What does it cost?", "question"),
        ("请问手续费是多少", "question"),
        ("I am interested, please call me", "interested"),
        ("我想开户，请联系我", "interested"),
        ("This is unacceptable, I will complain to the regulator. Why?", "complaint"),
        ("我要投诉你们", "complaint"),
        ("The link does not work", "fault"),
        ("页面打不开", "fault"),
        ("I suggest that you add bonds", "suggestion"),
        ("建议增加基金", "suggestion"),
        ("Thank you", "question"),
    ],
)
def test_the_topic_is_guessed_by_words(text: str, topic: str) -> None:
    assert guess_topic(text) == topic


@pytest.mark.parametrize(
    ("received", "due"),
    [
        ("2026-11-16T10:00", "2026-11-18T23:59:59"),  # a Monday
        ("2026-11-19T10:00", "2026-11-23T23:59:59"),  # a Thursday: over the weekend
        ("2026-11-21T10:00", "2026-11-24T23:59:59"),  # a Saturday
        ("2026-11-25T10:00", "2026-11-30T23:59:59"),  # a holiday on Thursday
    ],
)
def test_a_reply_is_due_after_two_working_days(app: Flask, received: str, due: str) -> None:
    with unit_of_work() as session:
        session.add(AdvisingRules(id=1, daily_cap=25, grace_days=2, escalation_days=3,
                                  holidays=[datetime(2026, 11, 26, tzinfo=UTC).date()]))  # fmt: skip
    moment = datetime.fromisoformat(received).replace(tzinfo=UTC)
    assert due_at(moment).isoformat()[:19] == due


def test_one_tap_changes_the_topic(officer: FlaskClient) -> None:
    reply = a_reply("Hello")
    assert reply.topic == "question"
    assert post(officer, reply, "topic", topic="interested") == 302
    assert (again(reply).topic, reply.topic_by_id is not None) == ("interested", True)
    assert post(officer, reply, "topic", topic="nonsense") == 400


def test_a_person_may_say_that_it_is_a_wish_to_opt_out(officer: FlaskClient) -> None:
    reply = a_reply("I have had enough of you")
    post(officer, reply, "topic", topic="opt_out")
    assert client_of(reply).email_consent is False


# ---- Wishes to opt out ----------------------------------------------------------------------------------------------


def test_a_wish_with_more_to_read_is_honoured_and_stays_open(app: Flask) -> None:
    reply = a_reply("Unsubscribe me. But do call me about the fund.")
    assert (reply.kind, reply.state) == ("opt_out", "open")
    assert client_of(reply).email_consent is False
    done = a_reply("退订")
    assert (done.kind, done.state, done.topic) == ("opt_out", "closed", "opt_out")


def test_plain_words_opt_out_by_sms_too(app: Flask) -> None:
    client = make_client(mobile="+8613800138000", sms_consent=True)
    with unit_of_work():
        assert receive_sms(InboundSms("test", "1", "+8613800138000", "请不要再发短信")).meaning == "opt_out"
    db.session.expire_all()
    assert client.sms_consent is False


# ---- Answers --------------------------------------------------------------------------------------------------------


def test_an_answer_leaves_as_mail_to_who_wrote_and_keeps_the_thread(officer: FlaskClient) -> None:
    reply = a_reply("What does it cost?", Message_ID="<q1@example.com>")
    assert answer(officer, reply, "Nothing,\n<b>really</b>.", then="next") == 302
    do_due_jobs()
    mail = db.session.scalars(select(MailboxMessage)).one()
    mime = mail.mime.decode()
    assert mail.recipient == client_of(reply).email
    assert mail.subject == "Re: News"
    assert "In-Reply-To: <q1@example.com>" in mime
    assert f"Reply-To: {links().reply_address(reply.message_id)}" in mime
    assert "&lt;b&gt;really" in mime
    made = db.session.scalars(select(ReplyAnswer)).one()
    assert (made.state, made.sent_at is not None) == ("sent", True)
    assert (again(reply).state, reply.answered_at is not None) == ("closed", True)


def test_an_answer_to_an_sms_is_an_sms(officer: FlaskClient) -> None:
    client = make_client(mobile="+8613800138000", sms_consent=True)
    plan(make_sms_campaign(purpose="statutory"))
    send_all()
    with unit_of_work():
        receive_sms(InboundSms("test", "1", client.mobile or "", "What does it cost?"))
    reply = db.session.scalars(select(Reply)).one()
    assert answer(officer, reply, "x" * 501) == 400
    answer(officer, reply, "Nothing.")
    do_due_jobs()
    newest = db.session.scalars(select(MailboxSms).order_by(MailboxSms.id.desc()).limit(1)).one()
    assert (newest.recipient, newest.text.endswith("Nothing.")) == ("+8613800138000", True)


def test_a_form_that_is_sent_twice_answers_once(officer: FlaskClient) -> None:
    reply = a_reply()
    assert answer(officer, reply, "Yes") == 302
    assert answer(officer, reply, "Yes") == 409
    assert db.session.scalar(select(func.count(ReplyAnswer.id))) == 1


def test_an_answer_is_not_sent_twice_whatever_happens_to_the_worker(officer: FlaskClient) -> None:
    reply = a_reply()
    answer(officer, reply, "Yes")
    made = db.session.scalars(select(ReplyAnswer)).one()
    with unit_of_work() as session:
        session.execute(update(ReplyAnswer).values(state="handing"))  # the worker died while it was sending
    for _ in range(2):
        send_answer(made.id)
    db.session.expire_all()
    assert made.state == "unconfirmed"
    assert db.session.scalar(select(func.count(MailboxMessage.id))) == 0


def test_an_answer_that_did_not_leave_may_be_sent_again(officer: FlaskClient) -> None:
    reply = a_reply()
    answer(officer, reply, "Yes")
    with unit_of_work() as session:
        session.execute(update(ReplyAnswer).values(state="failed", reason="550 no"))
    made = db.session.scalars(select(ReplyAnswer)).one()
    assert "550 no" in officer.get(f"/replies/{reply.id}").text
    assert officer.post(f"/replies/answers/{made.id}/again").status_code == 302
    do_due_jobs()
    db.session.expire_all()
    assert made.state == "sent"
    assert officer.post(f"/replies/answers/{made.id}/again").status_code == 409


def test_it_is_said_where_another_address_wrote(officer: FlaskClient) -> None:
    stranger, known = a_reply(sender="stranger@example.com"), a_reply()
    words = "not the one that is known of the client"
    assert words in officer.get(f"/replies/{stranger.id}").text
    assert words not in officer.get(f"/replies/{known.id}").text
    assert "stranger@example.com" not in officer.get(f"/replies/{stranger.id}").text


@pytest.mark.parametrize("text", ["", "   ", "\0", "x" * 10_001, "x" * 30_000])
def test_an_answer_that_will_not_do_is_refused(officer: FlaskClient, text: str) -> None:
    assert answer(officer, a_reply(), text) in (400, 422)
    assert db.session.scalar(select(func.count(ReplyAnswer.id))) == 0


# ---- Assigning and closing ------------------------------------------------------------------------------------------


def test_a_reply_is_given_to_who_may_see_the_client(officer: FlaskClient) -> None:
    branch, other = make_branch(), make_branch()
    adviser = make_user(role=Role.ADVISER, branch=branch, name="Their adviser")
    stranger = make_user(role=Role.ADVISER, branch=other, name="Another adviser")
    client = make_client(branch=branch, adviser_id=adviser.id)
    reply = a_reply(clients=[client.id])
    page = officer.get(f"/replies/{reply.id}").text
    assert "Their adviser" in page
    assert "Another adviser" not in page
    assert post(officer, reply, "assign", user=stranger.id) == 400
    assert post(officer, reply, "assign", user=adviser.id) == 302
    assert again(reply).assigned_to_id == adviser.id
    assert post(officer, reply, "assign", user="") == 302
    assert again(reply).assigned_to_id is None


def test_an_adviser_works_on_replies_of_their_own_clients_only(browser_client: FlaskClient) -> None:
    adviser = make_user(role=Role.ADVISER)
    mine, other = make_client(adviser_id=adviser.id), make_client()
    theirs, not_theirs = a_reply("Mine", clients=[mine.id]), a_reply("Not mine", clients=[other.id])
    sign_in(browser_client, adviser)
    page = browser_client.get("/replies").text
    assert "Mine" in page
    assert "Not mine" not in page
    assert browser_client.get(f"/replies/{theirs.id}").status_code == 200
    for act in ("topic", "assign", "answer", "close", "reopen"):
        assert post(browser_client, not_theirs, act, topic="fault", text="x", seen=1) == 404
    assert browser_client.get("/replies/parked").status_code == 404


def test_closing_goes_on_to_the_reply_that_is_due_next(officer: FlaskClient) -> None:
    first, second = a_reply("one"), a_reply("two")
    answered = officer.post(f"/replies/{second.id}/close", data={"then": "next"})
    assert answered.headers["Location"].endswith(f"/replies/{first.id}")
    last = officer.post(f"/replies/{first.id}/close", data={"then": "next"})
    assert last.headers["Location"].endswith("/replies")
    assert post(officer, first, "reopen") == 302
    assert (again(first).state, first.closed_at) == ("open", None)


# ---- Complaints -----------------------------------------------------------------------------------------------------


def _excluded(reply: Reply) -> str | None:
    query = select(exclusion_reason(channel="email", purpose="marketing")).where(Client.id == reply.client_id)
    return db.session.scalar(query)


def test_a_complaint_keeps_the_client_out_of_marketing_until_compliance_closes_it(browser_client: FlaskClient) -> None:
    reply = a_reply("I want to make a complaint about this")
    assert reply.topic == "complaint"
    assert _excluded(reply) == "flagged"
    officer, checker = make_user(role=Role.MARKETING), make_user(role=Role.COMPLIANCE)
    sign_in(browser_client, officer)
    assert post(browser_client, reply, "close") == 403
    assert post(browser_client, reply, "topic", topic="question") == 403
    assert answer(browser_client, reply, "We are sorry", then="stay") == 302
    sign_in(browser_client, checker)
    assert "I want to make a complaint" in browser_client.get("/replies?view=complaints").text
    assert post(browser_client, reply, "close") == 302
    assert _excluded(reply) is None
    assert post(browser_client, reply, "reopen") == 302
    assert _excluded(reply) == "flagged"
    assert post(browser_client, reply, "topic", topic="question") == 302
    assert _excluded(reply) is None


def test_the_flag_goes_with_the_last_complaint(browser_client: FlaskClient) -> None:
    first = a_reply("A complaint")
    second = a_reply("Another complaint", clients=[first.client_id])
    sign_in(browser_client, make_user(role=Role.COMPLIANCE))
    post(browser_client, first, "close")
    assert _excluded(second) == "flagged"
    post(browser_client, second, "close")
    assert _excluded(second) is None


def test_a_flag_that_somebody_set_stays(browser_client: FlaskClient) -> None:
    client = make_client(flags=["open_complaint"])
    reply = a_reply("A complaint", clients=[client.id])
    sign_in(browser_client, make_user(role=Role.COMPLIANCE))
    post(browser_client, reply, "close")
    assert _excluded(reply) == "flagged"


# ---- Search and lists -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("mortgage", True), ("MORT", True), ("mortgage rate", True), ("rate mortgage", True), ("mortgage car", False),
        ("利率", True), ("房贷利率", True), ("贷利", True), ("利", True), ("利息", False), ("率", True),
        ("贷款", False),
        ("mortgage 利率", True), ("café", True), ("'; DROP TABLE reply; --", False), ("& | ! :*", False), ("   ", True),
        ("x" * 500, False), ("\0", True),
    ],
)  # fmt: skip
def test_replies_are_found_by_their_words(officer: FlaskClient, words: str, found: bool) -> None:
    a_reply("The Mortgage rate of the café: 房贷利率?")
    answered = officer.get("/replies", query_string={"q": words})
    assert answered.status_code == 200
    assert ("房贷利率?" in answered.text) is found


def test_the_search_reads_its_index(app: Flask) -> None:
    a_reply("one")
    db.session.execute(select(func.set_config("enable_seqscan", "off", True)))
    told = db.session.execute(text("EXPLAIN SELECT id FROM reply WHERE search @@ search_query('mortgage')"))
    assert "ix_reply_search" in " ".join(row[0] for row in told)


@pytest.mark.parametrize(
    "view", ["open", "mine", "unassigned", "overdue", "complaints", "closed", "automatic", "everything", "x"]
)
def test_every_list_can_be_asked_for(officer: FlaskClient, view: str) -> None:
    a_reply("Hello", Auto_Submitted="auto-replied")
    a_reply("A complaint")
    reply = a_reply("Late")
    with unit_of_work() as session:
        session.execute(update(Reply).where(Reply.id == reply.id).values(due_at=datetime(2026, 1, 1, tzinfo=UTC)))
    code = db.session.scalars(select(Campaign.code).limit(1)).one()
    page = officer.get(f"/replies?view={view}")
    assert page.status_code == 200
    assert ("Late" in page.text) == (view in ("open", "unassigned", "overdue", "everything", "x"))
    assert officer.get(f"/replies?view={view}&topic=fault&channel=sms&campaign={code}&q=x").status_code == 200
    assert officer.get(f"/replies?view={view}&topic=%00&channel=x&campaign=%00&newer=99999999999").status_code == 200


def test_the_thread_shows_all_of_a_client(officer: FlaskClient) -> None:
    first = a_reply("The first letter", clients=[make_client().id])
    answer(officer, first, "Our answer to it")
    second = a_reply("The second letter", clients=[first.client_id])
    page = officer.get(f"/replies/{second.id}").text
    assert page.index("The first letter") < page.index("Our answer to it") < page.index("The second letter")


# ---- Parked ---------------------------------------------------------------------------------------------------------


def parked(raw: bytes) -> InboundMail:
    with unit_of_work():
        mail = keep_mail(raw=raw, recipients=[], source="webhook")
        assert mail is not None
        mail_id = mail.id
    do_due_jobs()
    db.session.expire_all()
    return db.session.get_one(InboundMail, mail_id)


def test_parked_mail_is_given_to_a_client_or_put_aside(officer: FlaskClient) -> None:
    (message,) = make_sent_messages()
    client = db.session.get_one(Client, message.client_id)
    mail, other = parked(make_mail(to="x", text="Who am I?", subject="Hello")), parked(make_mail(to="y"))
    page = officer.get("/replies/parked").text
    assert "Hello" in page
    assert "answers nothing that was sent" in page
    assert "client@example.com" not in page  # masked
    assert officer.get(f"/replies/parked/{mail.id}/raw").data.endswith(b"Who am I?\n")
    assert officer.post(f"/replies/parked/{mail.id}/give", data={"number": "nobody"}).status_code == 404
    assert officer.post(f"/replies/parked/{mail.id}/give", data={"number": client.number}).status_code == 302
    reply = db.session.scalars(select(Reply)).one()
    assert (reply.text, reply.matched_by, reply.client_id) == ("Who am I?", "person", client.id)
    assert officer.post(f"/replies/parked/{mail.id}/give", data={"number": client.number}).status_code == 409
    assert officer.post(f"/replies/parked/{other.id}/settle").status_code == 302
    assert "Nothing is parked" in officer.get("/replies/parked").text


def test_parked_mail_may_be_read_again_when_its_sender_is_known(officer: FlaskClient) -> None:
    mail = parked(make_mail(to="x", text="It is me"))
    make_sent_messages(clients=[make_client(email="client@example.com").id])
    assert officer.post(f"/replies/parked/{mail.id}/read").status_code == 302
    do_due_jobs()
    assert db.session.scalars(select(Reply.text)).one() == "It is me"


def test_a_client_who_was_never_written_to_is_refused(officer: FlaskClient) -> None:
    mail, client = parked(make_mail(to="x")), make_client(number="77")
    assert officer.post(f"/replies/parked/{mail.id}/give", data={"number": client.number}).status_code == 400


# ---- Hostile mail ---------------------------------------------------------------------------------------------------


def _many_parts(number: int) -> bytes:
    head = b'From: a@b.c\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n'
    return head + b"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n" * number + b"--b--\r\n"


def _nested(depth: int) -> bytes:
    return b"From: a@b.c\r\n" + b"Content-Type: message/rfc822\r\n\r\n" * depth + b"x"


@pytest.mark.parametrize(
    "raw",
    [
        _many_parts(10_000),
        _nested(5_000),
        b"From: a@b.c\r\n\r\n" + b"> " * 1_000_000,
        b"From: a@b.c\r\n\r\n" + b"On x wrote:\n> y\n" * 200_000,
        b"From: a@b.c\r\nReferences: " + b"<a@b> " * 100_000 + b"\r\n\r\nx",
        b"From: " + b"a@b.c, " * 100_000 + b"\r\n\r\nx",
        b"From: a@b.c\r\nContent-Type: text/html\r\n\r\n" + b"<table><tr><td>" * 50_000,
        b"From: a@b.c\r\nContent-Type: text/plain; charset=utf-7\r\n\r\n" + b"+AAA" * 100_000,
        b"From: a@b.c\r\nSubject: " + b"=?utf-8?b?" * 20_000 + b"\r\n\r\nx",
        b"From: MAILER-DAEMON@x\r\n\r\n" + b"<a@b.c>: user unknown\r\n" * 100_000,
        b"From: a@b.c\r\n\r\n" + b"x" * (30 << 20),
        b"\0" * 1_000_000,
    ],
    ids=range(12),
)  # fmt: skip
def test_hostile_mail_is_parked_or_read_and_nothing_is_lost(app: Flask, raw: bytes) -> None:
    mail = parked(raw)
    assert (mail.state, mail.reason) in (
        ("parked", "answers_nothing"), ("parked", "took_too_long"), ("parked", "unreadable"),
        ("parked", "bounce_of_nothing"),
    )  # fmt: skip
    assert mail.size == len(raw)


def test_reading_is_given_up_in_time() -> None:
    with pytest.raises(TookTooLong), at_most(0.2):
        while True:
            pass


def test_text_in_a_wrong_charset_is_still_text(app: Flask) -> None:
    raw = b"From: a@b.c\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + "请问利率是多少".encode("gb18030")
    (message,) = make_sent_messages()
    with unit_of_work():
        reply = receive_reply(raw=raw, recipient=links().reply_address(message.id))
        assert reply is not None
        assert (reply.text, reply.language) == ("请问利率是多少", "zh")


def test_lines_of_phones_are_no_text() -> None:
    assert new_part("好的\n\n发自我的iPhone") == "好的"


@pytest.mark.parametrize(
    ("text", "language"),
    [("请退订", "zh"), ("Please call me", "en"), ("bitte nicht", "de"), ("123", None), ("ありがとう", "ja")],
)
def test_the_language_is_told_by_script_or_common_words(text: str, language: str | None) -> None:
    assert language_of(text) == language


def test_the_rules_are_the_head_offices(browser_client: FlaskClient) -> None:
    sign_in(browser_client, make_user(role=Role.HEAD_OFFICE))
    assert "None: replies come by the webhook" in browser_client.get("/replies/rules").text
    assert (
        browser_client.post("/replies/rules", data={"answer_days": 3, "soft_bounces": 5, "soft_days": 30}).status_code
        == 302
    )
    assert 'value="5"' in browser_client.get("/replies/rules").text
    assert browser_client.post("/replies/rules", data={"answer_days": 99, "soft_bounces": 0}).status_code == 422
