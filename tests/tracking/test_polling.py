"""A mailbox read over IMAP, from a real Dovecot."""

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from app.config import Config, ConfigError, load_config
from app.core.extensions import db, links
from app.core.jobs import Job
from app.core.unit_of_work import unit_of_work
from app.tracking.mail import polling
from app.tracking.mail.models import InboundMail, PolledMailbox
from app.tracking.mail.polling import poll
from app.tracking.mail.tasks import poll_mailboxes
from app.tracking.models import Reply
from tests.factories.delivery import do_due_jobs
from tests.factories.tracking import make_mail, make_sent_messages
from tests.tracking.dovecot import PASSWORD, PROGRAM, USER, Dovecot, dovecot

pytestmark = pytest.mark.skipif(not PROGRAM, reason="Dovecot is not installed")


@pytest.fixture(scope="module")
def running() -> Iterator[Dovecot]:
    with dovecot() as server:
        yield server


@pytest.fixture
def server(running: Dovecot, app: Flask, config: Config) -> Iterator[Dovecot]:
    """The server with an empty mailbox, which the settings name."""
    with running.client() as client:
        client.select_folder("INBOX")
        client.delete_messages(client.search())
        client.expunge()
    _settle_on(app, config, running)
    yield running
    app.extensions["bellwether_config"] = config


def _settle_on(app: Flask, config: Config, server: Dovecot, **values: str) -> None:
    url = f"imaps://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{server.port}"
    named = {"imap_url": url, "imap_ca_file": str(server.ca_file), "imap_after": "keep"} | values
    app.extensions["bellwether_config"] = replace(config, **named)


def _replies(n: int) -> list[bytes]:
    messages = make_sent_messages(n)
    return [make_mail(to=links().reply_address(one.id), text=f"Answer {one.id}") for one in messages]


def _look() -> int:
    taken = poll(renew=lambda: None)
    do_due_jobs()
    db.session.expire_all()
    return taken


def _state() -> PolledMailbox:
    db.session.expire_all()
    return db.session.scalars(select(PolledMailbox)).one()


def _count(model: type) -> int:
    return db.session.scalar(select(func.count()).select_from(model)) or 0


def test_what_was_delivered_becomes_replies_once(server: Dovecot) -> None:
    server.deliver(*_replies(3))
    assert _look() == 3
    assert sorted(db.session.scalars(select(Reply.text))) == ["Answer 1", "Answer 2", "Answer 3"]
    assert _look() == 0
    server.deliver(make_mail(to=links().reply_address(1), text="One more"))
    assert _look() == 1
    assert _count(Reply) == 4
    assert _state().taken == 4


def test_nothing_is_deleted_or_marked_unless_told(server: Dovecot, app: Flask, config: Config) -> None:
    server.deliver(*_replies(2))
    _look()
    assert server.flags() == [(b"\\Recent",), (b"\\Recent",)] or server.flags() == [(), ()]
    _settle_on(app, config, server, imap_after="mark")
    server.deliver(make_mail(to=links().reply_address(1), text="Mark me"))
    _look()
    assert [b"\\Seen" in flags for flags in server.flags()] == [False, False, True]
    _settle_on(app, config, server, imap_after="delete")
    server.deliver(make_mail(to=links().reply_address(1), text="Delete me"))
    _look()
    assert len(server.flags()) == 3
    assert _count(Reply) == 4


def test_after_a_lost_connection_it_goes_on_where_it_was(running: Dovecot, server: Dovecot) -> None:
    server.deliver(*_replies(5))
    turns = iter(range(100))

    def cut_at_the_third() -> None:
        if next(turns) == 3:  # the first is for the numbering of the mailbox
            running.stop()

    poll(renew=cut_at_the_third)
    assert _count(InboundMail) == 3
    assert _state().problem == "the connection was lost"
    running.start()
    assert _look() == 2
    assert _count(Reply) == 5
    assert _state().problem is None


def test_a_worker_that_dies_before_its_commit_loses_and_doubles_nothing(server: Dovecot) -> None:
    server.deliver(*_replies(3))
    turns = iter(range(100))

    def die_at_the_second() -> None:
        if next(turns) == 2:
            raise MemoryError

    with pytest.raises(MemoryError):
        poll(renew=die_at_the_second)
    db.session.rollback()
    assert _count(InboundMail) == 1
    assert _look() == 2
    assert _count(Reply) == 3


def test_a_mailbox_that_is_numbered_anew_is_read_again_and_nothing_doubled(
    server: Dovecot, app: Flask, config: Config
) -> None:
    mails = _replies(3)
    with server.client() as client:
        client.create_folder("Replies")
    _settle_on(app, config, server, imap_url=app.extensions["bellwether_config"].imap_url + "/Replies")
    server.deliver(*mails, folder="Replies")
    assert _look() == 3
    before = _state().uid_validity
    with server.client() as client:
        client.delete_folder("Replies")
        client.create_folder("Replies")
    server.deliver(make_mail(to=links().reply_address(2), text="New"), *mails, folder="Replies")
    _look()
    assert _state().uid_validity != before
    assert _state().last_uid == 4
    assert _count(Reply) == 4
    with server.client() as client:
        client.delete_folder("Replies")


def test_of_a_message_too_large_only_the_head_is_kept(server: Dovecot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "MAX_SIZE", 1 << 20)
    (small,) = _replies(1)
    server.deliver(make_mail(to="x", subject="Enormous", text="x" * 70 + "\n" + "long line\n" * 200_000), small)
    assert _look() == 2
    kept = db.session.scalars(select(InboundMail).where(InboundMail.state == "parked")).one()
    assert (kept.reason, kept.subject, kept.sender) == ("too_large", "Enormous", "client@example.com")
    assert kept.size > 2_000_000
    assert kept.raw is not None
    assert len(kept.raw) < 1_000
    assert _count(Reply) == 1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"imap_ca_file": ""}, "certificate is not valid"),
        ({"password": "wrong"}, "refused user or password"),
        ({"folder": "/Nowhere"}, "refused"),
        ({"port": "1"}, "cannot be reached"),
    ],
)
def test_what_is_wrong_is_told_and_seen_from_outside(
    server: Dovecot, app: Flask, config: Config, browser_client: FlaskClient, changes: dict[str, str], sentence: str
) -> None:
    password = quote(changes.get("password", PASSWORD), safe="")
    url = f"imaps://{USER}:{password}@127.0.0.1:{changes.get('port', server.port)}{changes.get('folder', '')}"
    _settle_on(app, config, server, imap_url=url, imap_ca_file=changes.get("imap_ca_file", str(server.ca_file)))
    assert _look() == 0
    problem = _state().problem
    assert problem is not None
    assert sentence in problem
    assert password not in problem
    assert browser_client.get("/readyz").get_json()["mailbox"] == "failing"


def test_one_look_is_ordered_at_a_time(server: Dovecot) -> None:
    for _ in range(2):
        with unit_of_work():
            poll_mailboxes()
    assert [one.state for one in db.session.scalars(select(Job))] == ["due"]
    do_due_jobs()
    with unit_of_work():
        poll_mailboxes()
    db.session.expire_all()
    assert [one.state for one in db.session.scalars(select(Job))] == ["due"]


def test_without_a_mailbox_nobody_looks(app: Flask, browser_client: FlaskClient) -> None:
    with unit_of_work():
        poll_mailboxes()
    assert _count(Job) == 0
    assert poll(renew=lambda: None) == 0
    assert browser_client.get("/readyz").get_json()["mailbox"] == "off"


@pytest.mark.parametrize(
    "url", ["pop3://a:b@host", "imaps://host", "imap://a:b@mail.example.com", "imaps://a:b@host:99999", "nonsense"]
)
def test_an_address_that_cannot_be_is_refused_at_the_start(servers: dict[str, str], url: str) -> None:
    with pytest.raises(ConfigError, match="IMAP_URL"):
        load_config(servers | {"IMAP_URL": url})
