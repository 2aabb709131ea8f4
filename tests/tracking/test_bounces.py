"""Returned mail, refusals and complaints: found, classed, and what follows for the address."""

import csv
import sys
from collections import defaultdict
from datetime import timedelta
from itertools import permutations

import pytest
from flask import Flask
from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from app.clients.editing.models import ClientChange
from app.clients.models import Client, Suppression
from app.clients.reachability.service import refresh_problems
from app.core.clock import now
from app.core.extensions import db, links, signer
from app.core.tokens import Kind
from app.core.unit_of_work import unit_of_work
from app.delivery.models import Batch, Message, MessageState
from app.tracking.interpretation import hold_lock, interpret_round, reset
from app.tracking.mail.bounce_classes import classify
from app.tracking.mail.models import Bounce, InboundMail
from app.tracking.mail.reading import parse
from app.tracking.mail.receiving import keep_mail
from app.tracking.mail.reports import DELAYED, failures
from app.tracking.mail.rules import change_inbox_rules
from app.tracking.mail.suppression import note_refusals
from app.tracking.models import Event, Reply
from tests.factories.delivery import do_due_jobs
from tests.factories.tracking import interpret, make_events, make_mail, make_sent_messages, reload
from tests.factories.users import make_user
from tests.tracking.samples import DATA

CORPUS = DATA / "bounces-flufl"
NO_SUCH_USER = "smtp; 550 5.1.1 <c1@example.com>: Recipient address rejected: User unknown"


def report(
    *, to: str, recipient: str = "c1@example.com", action: str = "failed", status: str = "5.1.1",
    words: str = NO_SUCH_USER, returned: str = "",
) -> bytes:  # fmt: skip
    """A delivery status notification as RFC 3464 has it."""
    return (
        f"Return-Path: <>\r\nFrom: MAILER-DAEMON@mx.example.com\r\nTo: {to}\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nYour message could not be delivered.\r\n"
        "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.com\r\n\r\n"
        f"Final-Recipient: rfc822; {recipient}\r\nAction: {action}\r\nStatus: {status}\r\nDiagnostic-Code: {words}\r\n"
        f"\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\nSubject: News\r\n{returned}\r\n--b--\r\n"
    ).encode()


def complaint(*, returned: str = "", recipient: str = "", kind: str = "abuse") -> bytes:
    """A report of the feedback loop of a mailbox provider, as RFC 5965 has it."""
    named = f"Original-Rcpt-To: {recipient}\r\n" if recipient else ""
    return (
        "From: feedback@provider.example\r\nTo: abuse@firm.example\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=feedback-report; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nThis is an abuse report.\r\n"
        f"--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: {kind}\r\nVersion: 1\r\n{named}\r\n"
        f"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: News\r\n{returned}\r\nHello\r\n--b--\r\n"
    ).encode()


def take_in(raw: bytes, *recipients: str) -> InboundMail:
    """Keep and read a message, and interpret what came of it."""
    with unit_of_work():
        mail = keep_mail(raw=raw, recipients=recipients, source="webhook")
        assert mail is not None
        mail_id = mail.id
    do_due_jobs()
    interpret()
    db.session.expire_all()
    return db.session.get_one(InboundMail, mail_id)


def suppressed() -> dict[str, str]:
    rows = db.session.execute(select(Suppression.address, Suppression.reason))
    return {row.address: row.reason for row in rows}


# ---- Real reports ---------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not CORPUS.exists(), reason=f"the samples are not here: {CORPUS}")
def test_the_failed_addresses_of_real_reports_are_found(capsys: pytest.CaptureFixture[str]) -> None:
    expected: dict[str, dict[str, str]] = defaultdict(dict)
    with (CORPUS / "expected.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            expected[row["file"]] |= {address.lower(): row["kind"] for address in row["expected_addresses"].split()}
    found, false = 0, []
    for path in sorted((CORPUS / "data").iterdir()):
        wanted = expected[f"data/{path.name}"]
        told = {failure.address: failure.action for failure in failures(parse(path.read_bytes()))}
        found += len(wanted.keys() & told.keys())
        false += [(path.name, address) for address in told.keys() - wanted.keys()]
        assert {address: action == DELAYED for address, action in told.items() if address in wanted} == {
            address: kind == "temporary" for address, kind in wanted.items() if address in told
        }
    total = sum(len(wanted) for wanted in expected.values())
    with capsys.disabled():
        sys.stdout.write(f"\nbounces: {found} of {total} expected addresses found, {len(false)} false\n")
    assert found >= 0.95 * total
    assert false == []


# ---- Which message --------------------------------------------------------------------------------------------------


def test_a_report_to_the_return_path_is_about_its_message(app: Flask) -> None:
    first, second = make_sent_messages(2)
    mail = take_in(report(to="x"), links().bounce_address(second.id))
    assert (mail.state, mail.meaning) == ("read", "bounce")
    assert reload(second).bounced_at is not None
    assert first.bounced_at is None
    bounce = db.session.scalars(select(Bounce)).one()
    assert (bounce.bounce_class, bounce.status, bounce.message_id) == ("hard", "5.1.1", second.id)
    assert db.session.scalar(select(func.count(Reply.id))) == 0


def test_an_address_that_does_not_exist_is_suppressed_at_once(app: Flask) -> None:
    (message,) = make_sent_messages()
    take_in(report(to="x"), links().bounce_address(message.id))
    client = db.session.get_one(Client, message.client_id)
    assert suppressed() == {(client.email or ""): "hard bounce"}


@pytest.mark.parametrize(
    "evidence", ["Reply-To: <{reply}>", "Return-Path: <{bounce}>", "List-Unsubscribe: <mailto:{out}>"]
)
def test_without_the_return_path_the_headers_of_what_was_returned_tell(app: Flask, evidence: str) -> None:
    (message,) = make_sent_messages()
    made = links()
    line = evidence.format(
        reply=made.reply_address(message.id),
        bounce=made.bounce_address(message.id),
        out=made.unsubscribe_address(message.id),
    )
    take_in(report(to="news@firm.example", recipient="elsewhere@forwarded.example", returned=line))
    assert reload(message).bounced_at is not None
    # the address that failed is where our client's mail was passed on to; what we write to is theirs
    assert list(suppressed()) == [db.session.get_one(Client, message.client_id).email]


def test_at_last_the_address_tells(app: Flask) -> None:
    (message,) = make_sent_messages()
    email = db.session.get_one(Client, message.client_id).email or ""
    take_in(report(to="news@firm.example", recipient=email.upper()))
    assert reload(message).bounced_at is not None


def test_a_report_about_nobody_is_parked(app: Flask) -> None:
    make_sent_messages()
    mail = take_in(report(to="news@firm.example", recipient="nobody@elsewhere.example"))
    assert (mail.state, mail.reason) == ("parked", "bounce_of_nothing")


def test_a_made_up_return_path_is_not_believed(app: Flask) -> None:
    (message,) = make_sent_messages()
    local, _, domain = links().bounce_address(message.id).partition("@")
    forged = f"{local[:-1]}{'0' if local[-1] != '0' else '1'}@{domain}"
    mail = take_in(report(to="x", recipient="nobody@elsewhere.example"), forged)
    assert mail.state == "parked"
    assert reload(message).bounced_at is None


def test_a_delay_is_no_bounce(app: Flask) -> None:
    (message,) = make_sent_messages()
    take_in(report(to="x", action="delayed", status="4.4.1"), links().bounce_address(message.id))
    assert reload(message).bounced_at is None
    assert message.deferred_at is not None
    assert suppressed() == {}


def test_words_that_people_quote_are_no_bounce(app: Flask) -> None:
    (message,) = make_sent_messages()
    quoted = (
        "I got this from a friend:\nThe following addresses had permanent fatal errors\n<c1@example.com>\nUser unknown"
    )
    mail = take_in(make_mail(to="x", subject="Re: Undelivered mail", text=quoted), links().reply_address(message.id))
    assert mail.meaning == "reply"
    assert suppressed() == {}


def test_an_absence_note_to_the_return_path_is_kept_apart(app: Flask) -> None:
    (message,) = make_sent_messages()
    mail = take_in(
        make_mail(to="x", subject="Out of office", text="Back on Monday", Auto_Submitted="auto-replied"),
        links().bounce_address(message.id),
    )
    assert mail.meaning == "auto_reply"
    assert db.session.scalars(select(Reply.kind)).one() == "auto_reply"
    assert reload(message).bounced_at is None


def test_the_same_report_again_changes_nothing(app: Flask) -> None:
    (message,) = make_sent_messages()
    raw = report(to="x")
    take_in(raw, links().bounce_address(message.id))
    with unit_of_work():
        assert keep_mail(raw=raw, recipients=[links().bounce_address(message.id)], source="webhook") is None
    assert db.session.scalar(select(func.count(Event.id))) == 1


# ---- Classes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "words", "expected"),
    [
        ("5.1.1", "", "hard"),
        ("5.1.10", "", "hard"),
        ("5.2.1", "550 5.2.1 The email account that you tried to reach is disabled", "hard"),
        ("5.2.2", "", "full"),
        ("4.2.2", "", "full"),
        ("5.0.0", "552 Mailbox full", "full"),
        ("", "452 4.2.2 The email account that you tried to reach is over quota", "full"),
        ("5.7.1", "550 5.7.1 Message rejected due to content restrictions: spam", "block"),
        ("5.7.1", "550 5.7.1 recipient unknown", "hard"),
        ("5.7.26", "550-5.7.26 This mail is unauthenticated", "block"),
        ("", "554 5.7.1 Service unavailable; client host blocked using zen.spamhaus.org", "block"),
        ("", "550 Requested action not taken: mailbox unavailable", "hard"),
        ("", "550 no such user here", "hard"),
        ("", "550 User not found: someone", "hard"),
        ("", "553 sorry, that recipient is not in my list", "hard"),
        ("", "550 收件人不存在", "hard"),
        ("", "552 邮箱已满", "full"),
        ("", "550 rejected", "unknown"),
        ("", "451 4.7.1 Greylisting in action, please come back later", "block"),
        ("", "451 no such user for now", "soft"),
        ("4.4.1", "connection timed out", "soft"),
        ("5.4.7", "", "soft"),
        ("5.4.4", "Host not found", "hard"),
        ("5.3.0", "user does not exist", "hard"),
        ("5.6.0", "", "block"),
        ("", "", "unknown"),
    ],
)
def test_what_a_receiving_system_says_has_a_class(status: str, words: str, expected: str) -> None:
    assert (
        classify(kind="bounce", source="mail", payload={"status": status, "diagnostic": words}).bounce_class == expected
    )


@pytest.mark.parametrize(
    ("kind", "payload", "expected"),
    [
        ("bounce", {}, "hard"),
        ("bounce", {"bounce_classification": "Invalid Address", "status": "5.0.0"}, "hard"),
        ("bounce", {"bounce_classification": "Reputation", "reason": "550 blocked"}, "block"),
        ("bounce", {"status": "5.2.2", "reason": "552 5.2.2 full"}, "full"),
        ("blocked", {"reason": "Message rejected"}, "block"),
        ("dropped", {"reason": "Bounced Address"}, "hard"),
        ("dropped", {"reason": "Spam Content"}, "block"),
        ("dropped", {"reason": "something new"}, "unknown"),
        ("bounce", {"bounce_classification": "A New Word", "status": "5.1.1"}, "hard"),
        ("bounce", {"status": None, "reason": ["x"], "response": {}}, "hard"),
    ],
)
def test_what_a_vendor_says_has_a_class(kind: str, payload: dict[str, object], expected: str) -> None:
    assert classify(kind=kind, source="sendgrid", payload=payload).bounce_class == expected


# ---- The rule -------------------------------------------------------------------------------------------------------


@pytest.fixture
def one_client(app: Flask) -> list[Message]:
    """Four messages to one client, by four campaigns."""
    (first,) = make_sent_messages()
    return [first, *(make_sent_messages(clients=[first.client_id])[0] for _ in range(3))]


def full(message: Message, *, days_ago: float = 0) -> None:
    """The mailbox was full when this message came."""
    at = now() - timedelta(days=days_ago)
    make_events([{"kind": "bounce", "message_id": message.id, "at": at, "payload": {"status": "5.2.2"}}])
    interpret()


def test_three_soft_bounces_in_fourteen_days_suppress(one_client: list[Message]) -> None:
    full(one_client[0], days_ago=13)
    full(one_client[1], days_ago=5)
    assert suppressed() == {}
    full(one_client[2])
    assert list(suppressed().values()) == ["soft bounces"]
    with unit_of_work():
        refresh_problems()
    assert db.session.get_one(Client, one_client[0].client_id).email_problem == "bounced"


@pytest.mark.parametrize("order", list(permutations((13.5, 5, 0))))
def test_soft_bounces_suppress_in_whatever_order_they_arrive(
    one_client: list[Message], order: tuple[float, ...]
) -> None:
    for message, days_ago in zip(one_client, order, strict=False):
        assert suppressed() == {}
        full(message, days_ago=days_ago)
    assert list(suppressed().values()) == ["soft bounces"]


@pytest.mark.parametrize("order", list(permutations((29, 14.5, 13, 0))))
def test_any_fourteen_days_are_no_more_than_fourteen(one_client: list[Message], order: tuple[float, ...]) -> None:
    for message, days_ago in zip(one_client, order, strict=True):
        full(message, days_ago=days_ago)
    assert suppressed() == {}


def test_soft_bounces_told_together_and_again_are_the_same(one_client: list[Message]) -> None:
    at = now() - timedelta(days=30)
    rows = [
        {"kind": "bounce", "message_id": message.id, "at": at + timedelta(days=days), "payload": {"status": "5.2.2"},
         "source": "test", "external_id": f"bounce {message.id}"}
        for message, days in zip(one_client, (20, 4, 13, 0), strict=True)
    ]  # fmt: skip
    make_events(rows[:2])
    interpret()
    with unit_of_work() as session:
        session.execute(upsert(Event).values(rows[:2]).on_conflict_do_nothing())
    interpret()
    assert suppressed() == {}
    make_events(rows[2:])
    interpret()
    assert list(suppressed().values()) == ["soft bounces"]


def test_soft_bounces_of_longer_ago_do_not_count(one_client: list[Message]) -> None:
    full(one_client[0], days_ago=15)
    full(one_client[1], days_ago=5)
    full(one_client[2])
    assert suppressed() == {}


def test_one_message_that_is_reported_thrice_counts_once(one_client: list[Message]) -> None:
    for days_ago in (3, 2, 1):
        full(one_client[0], days_ago=days_ago)
    assert suppressed() == {}


def test_the_firm_may_change_the_rule(one_client: list[Message]) -> None:
    administrator = make_user(role="administrator")
    with unit_of_work():
        change_inbox_rules(soft_bounces=2, soft_days=3, answer_days=2, actor=administrator)
    full(one_client[0], days_ago=2)
    full(one_client[1])
    assert list(suppressed().values()) == ["soft bounces"]


def test_mail_refused_for_what_it_says_says_nothing_of_the_address(one_client: list[Message]) -> None:
    for message in one_client:
        make_events([{"kind": "bounce", "message_id": message.id, "payload": {"status": "5.7.1", "reason": "spam"}}])
    interpret()
    assert set(db.session.scalars(select(Bounce.bounce_class))) == {"block"}
    assert suppressed() == {}


def test_the_rule_is_the_same_for_every_way_a_bounce_is_told(one_client: list[Message]) -> None:
    """A vendor's event, a report by mail, and the answer of a relay."""
    full(one_client[0])
    take_in(report(to="x", status="5.2.2", words="smtp; 552 mailbox full"), links().bounce_address(one_client[1].id))
    assert suppressed() == {}
    refuse(one_client[2], "552 5.2.2 Mailbox full")
    assert set(db.session.scalars(select(Bounce.source))) == {"test", "mail", "smtp"}
    assert list(suppressed().values()) == ["soft bounces"]


def refuse(message: Message, answer: str) -> None:
    """The relay refused the message for good, as the send path records it."""
    with unit_of_work() as session:
        session.execute(
            update(Message).where(Message.id == message.id).values(state=MessageState.FAILED, reason=answer)
        )
        session.execute(update(Batch).where(Batch.id == message.batch_id).values(failed=Batch.failed + 1))
    with unit_of_work():
        note_refusals()
    interpret()


def test_an_answer_of_the_relay_is_noted_once(one_client: list[Message]) -> None:
    refuse(one_client[0], "550 5.1.1 No such user")
    with unit_of_work():
        assert note_refusals() == 0
    event = db.session.scalars(select(Event)).one()
    assert (event.kind, event.source, event.message_id) == ("refused", "smtp", one_client[0].id)
    assert reload(one_client[0]).bounced_at is None  # it never left
    assert list(suppressed().values()) == ["hard bounce"]


def test_a_failure_without_an_answer_is_no_bounce(one_client: list[Message]) -> None:
    refuse(one_client[0], "the message could not be filled in")
    assert db.session.scalar(select(func.count(Event.id))) == 0


def test_interpreted_again_the_class_is_new_and_what_was_done_stays(one_client: list[Message]) -> None:
    make_events([{"kind": "bounce", "message_id": one_client[0].id, "payload": {"status": "5.1.1"}}])
    interpret()
    with unit_of_work() as session:
        session.execute(Suppression.__table__.delete())  # somebody knows better
        session.execute(update(Bounce).values(bounce_class="soft"))
    with unit_of_work():
        hold_lock()
        reset(campaign_id=None)
        interpret_round()
    assert db.session.scalars(select(Bounce.bounce_class)).one() == "hard"
    assert suppressed() == {}


# ---- Complaints -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["headers", "address"])
def test_a_complaint_withdraws_the_consent_and_suppresses(app: Flask, how: str) -> None:
    (message,) = make_sent_messages()
    client = db.session.get_one(Client, message.client_id)
    email = client.email or ""
    headers = f"Reply-To: {links().reply_address(message.id)}"
    mail = take_in(complaint(returned=headers) if how == "headers" else complaint(recipient=f"<{email}>"))
    assert (mail.state, mail.meaning) == ("read", "complaint")
    assert reload(message).complained_at is not None
    assert db.session.get_one(Client, message.client_id).email_consent is False
    assert suppressed() == {email: "complaint"}


def move(message: Message, address: str) -> str:
    """The client of a message has another address by now. Returns the one it was sent to."""
    with unit_of_work() as session:
        client = session.get_one(Client, message.client_id)
        before, client.email = client.email or "", address
        session.add(ClientChange(client_id=client.id, changes={"email": ["c***", "n***"]}))
    return before


@pytest.mark.parametrize("address", ["new@other.example", "new@example.com"])
@pytest.mark.parametrize("kind", ["complaint", "bounce"])
def test_the_address_it_was_sent_to_is_suppressed_and_never_the_new_one(app: Flask, kind: str, address: str) -> None:
    told, untold = make_sent_messages(2)
    for message in (told, untold):
        before = move(message, f"{message.id}.{address}")
        payload = {"email": before.upper()} if message is told else {}
        make_events([{"kind": kind, "message_id": message.id, "payload": payload | {"status": "5.1.1"}}])
        interpret()
        if message is told:
            assert set(suppressed()) == {before}
    assert len(suppressed()) == 1
    if kind == "complaint":
        assert db.session.get_one(Client, untold.client_id).email_consent is False


def test_a_complaint_by_mail_names_the_address_it_was_sent_to(app: Flask) -> None:
    (message,) = make_sent_messages()
    before = move(message, "new@other.example")
    with unit_of_work() as session:
        session.execute(update(Message).values(domain=before.partition("@")[2]))
    headers = f"Reply-To: {links().reply_address(message.id)}"
    take_in(complaint(returned=headers, recipient=f"<{before}>"))
    assert suppressed() == {before: "complaint"}


def test_an_address_changed_before_the_message_was_sent_is_the_one(app: Flask) -> None:
    (first,) = make_sent_messages()
    move(first, "new@example.com")
    (later,) = make_sent_messages(clients=[first.client_id], sent_at=now() + timedelta(seconds=1))
    make_events([{"kind": "complaint", "message_id": later.id}])
    interpret()
    assert suppressed() == {"new@example.com": "complaint"}


def test_a_wish_to_opt_out_by_feedback_is_no_complaint(app: Flask) -> None:
    (message,) = make_sent_messages()
    take_in(complaint(returned=f"Reply-To: {links().reply_address(message.id)}", kind="opt-out"))
    assert reload(message).complained_at is None
    assert message.unsubscribed_at is not None


@pytest.mark.parametrize("kind", ["not-spam", "a new word", ""])
def test_other_feedback_changes_nothing(app: Flask, kind: str) -> None:
    (message,) = make_sent_messages()
    take_in(complaint(returned=f"Reply-To: {links().reply_address(message.id)}", kind=kind))
    assert reload(message).complained_at is None
    assert suppressed() == {}


def test_a_complaint_about_nothing_that_can_be_told_is_parked(app: Flask) -> None:
    make_sent_messages()
    assert take_in(complaint(recipient="nobody@elsewhere.example")).reason == "complaint_of_nothing"


# ---- Threads --------------------------------------------------------------------------------------------------------


def test_a_reference_to_our_message_leads_to_it(app: Flask) -> None:
    first, _second = make_sent_messages(2)
    token = signer().sign(Kind.REPLY, first.id)
    raw = make_mail(to="news@bellwether.example", In_Reply_To=f"<{token}@bellwether.example>")
    take_in(raw)
    reply = db.session.scalars(select(Reply)).one()
    assert (reply.message_id, reply.matched_by) == (first.id, "reference")


def test_a_made_up_reference_is_not_believed(app: Flask) -> None:
    make_sent_messages()
    assert take_in(make_mail(to="x", In_Reply_To="<AQUAAAAAAAAAAQ@bellwether.example>")).reason == "answers_nothing"


def test_the_senders_address_leads_to_their_last_message_as_a_guess(app: Flask) -> None:
    (first,) = make_sent_messages()
    (last,) = make_sent_messages(clients=[first.client_id])
    email = db.session.get_one(Client, first.client_id).email or ""
    raw = make_mail(to="news@firm.example").replace(b"client@example.com", email.upper().encode())
    take_in(raw)
    reply = db.session.scalars(select(Reply)).one()
    assert (reply.message_id, reply.matched_by) == (last.id, "sender")
