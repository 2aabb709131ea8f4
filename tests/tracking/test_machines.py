"""Machines' hits: found out, kept with their reasons, counted apart, and never acted upon."""

import random
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, text

from app.clients.engagement.models import Engagement
from app.content.models import EmailContent
from app.content.rendering import Footer, MessageLinks, compile_email
from app.core.clock import now
from app.core.extensions import db, links, signer
from app.core.tokens import Kind
from app.core.unit_of_work import unit_of_work
from app.delivery.models import Message, MessageState
from app.tracking.hits import TRAP
from app.tracking.machines.models import MachineRules
from app.tracking.machines.rules import DEFAULT_AGENTS
from app.tracking.models import Event
from app.tracking.service import reinterpret
from tests.factories.clients import make_clients
from tests.factories.ledger import make_launched_campaign, make_run
from tests.factories.tracking import PHONE, interpret, make_events, make_sent_messages, reload

SCANNER = {"ip": "198.51.100.7", "user_agent": "Mozilla/5.0 (Windows NT 10.0) Chrome/120"}
PERSON = {"ip": "203.0.113.9", "user_agent": PHONE}


def make_rules(**fields: Any) -> MachineRules:
    values: dict[str, Any] = {
        "agents": list(DEFAULT_AGENTS),
        "networks": [],
        "too_fast_seconds": 2.0,
        "all_links_seconds": 5.0,
    }
    with unit_of_work() as session:
        rules = MachineRules(**(values | fields))
        session.add(rules)
    return rules


def make_message(*targets: str) -> Message:
    """A sent message whose HTML has these links."""
    (message,) = make_sent_messages(sent_at=now() - timedelta(hours=1))
    html = "".join(f'<a href="{target}">x</a>' for target in targets)
    with unit_of_work() as session:
        content = EmailContent(format="html", subject="News", source=html, html=html, text="Hello")
        session.add(content)
        session.flush()
        session.execute(
            text("UPDATE batch SET content_id = :content WHERE id = :batch"),
            {"content": content.id, "batch": message.batch_id},
        )
    return message


def hit(message: Message, kind: str, seconds: float, visitor: dict[str, str], **fields: Any) -> dict[str, Any]:
    at = message.sent_at + timedelta(minutes=10, seconds=seconds)  # type: ignore[operator]
    return {"kind": kind, "message_id": message.id, "at": at, **visitor, **fields}


def verdicts() -> dict[tuple[str, str | None], str | None]:
    """(kind, link) > why a machine; None for a person."""
    db.session.expire_all()
    return {
        (one.kind, one.link): one.machine_reasons if one.machine else None for one in db.session.scalars(select(Event))
    }


def engaged() -> set[tuple[str, int]]:
    return {(row.kind, row.client_id) for row in db.session.scalars(select(Engagement)) if row.kind != "contacted"}


LINKS = ("https://a.example/", "https://b.example/", "https://c.example/")


def test_the_message_carries_one_link_that_people_do_not_see(app: Flask) -> None:
    content = EmailContent(id=7, subject="", html="<body><a href='https://a.example/'>x</a></body>", text="")
    compiled = compile_email(content, Footer("Firm", "Road", "Unsubscribe"))
    assert compiled.link_count == 1

    def html(message_links: MessageLinks) -> str:
        slots = compiled.fill({}, message_links)
        return "".join(piece if isinstance(piece, str) else slots[piece] for piece in compiled.template.html)

    sent = html(MessageLinks(links(), 5, trap=True))
    address = links().trap(5)
    assert sent.count(f'<a href="{address}" style="display:none" tabindex="-1" aria-hidden="true"></a>') == 1
    assert sent.index(address) > sent.index(links().click(5, 0, "https://a.example/"))
    assert sent.rstrip().endswith("</body>")
    for shown in (MessageLinks(None, trap=True), MessageLinks(links(), 5, pixel=False), MessageLinks(links(), 5)):
        assert address not in html(shown)


def test_who_follows_that_link_is_told_nothing_and_noted(browser_client: FlaskClient) -> None:
    (message,) = make_sent_messages()
    answer = browser_client.get(links().trap(message.id).removeprefix("http://localhost"))
    assert (answer.status_code, "Location" in answer.headers) == (200, False)
    event = db.session.scalars(select(Event)).one()
    assert (event.kind, event.source, event.link) == ("click", TRAP, None)
    assert browser_client.get(f"/o/{signer().sign(Kind.TRAP, message.id)}.gif").status_code == 404


def test_all_hits_of_who_follows_the_trap_are_a_machines_and_other_peoples_are_not(app: Flask) -> None:
    message = make_message(*LINKS)
    make_events(
        [
            hit(message, "open", 0, SCANNER, link="pixel"),
            hit(message, "click", 20, SCANNER, link=LINKS[0]),
            hit(message, "click", 30, SCANNER, link=None, source=TRAP),
            hit(message, "click", 35, PERSON, link=LINKS[1]),
            hit(message, "click", 500, SCANNER, link=LINKS[2]),
        ]
    )
    interpret()
    assert verdicts() == {
        ("open", "pixel"): "trap",
        ("click", LINKS[0]): "trap",
        ("click", None): "trap",
        ("click", LINKS[1]): None,
        ("click", LINKS[2]): None,
    }
    reload(message)
    assert message.clicked_at == message.sent_at + timedelta(minutes=10, seconds=35)  # type: ignore[operator]
    assert message.machine_opened_at == message.sent_at + timedelta(minutes=10)  # type: ignore[operator]
    assert message.machine_clicked_at == message.sent_at + timedelta(minutes=10, seconds=20)  # type: ignore[operator]


def test_all_links_within_seconds_are_a_machines(app: Flask) -> None:
    fast, slow, part = make_message(*LINKS), make_message(*LINKS), make_message(*LINKS)
    make_events(
        [hit(fast, "click", number * 1.2, PERSON, link=link) for number, link in enumerate(LINKS)]
        + [hit(slow, "click", number * 4, PERSON, link=link) for number, link in enumerate(LINKS)]
        + [hit(part, "click", number, PERSON, link=link) for number, link in enumerate(LINKS[:2])]
    )
    interpret()
    assert reload(fast).clicked_at is None
    assert fast.machine_clicked_at is not None
    assert reload(slow).clicked_at is not None
    assert reload(part).clicked_at is not None
    assert {row.client_id for row in db.session.scalars(select(Engagement))} >= {slow.client_id, part.client_id}
    assert fast.client_id not in {client for _kind, client in engaged()}


def test_a_message_with_one_link_is_not_suspected_of_all_its_links(app: Flask) -> None:
    message = make_message(LINKS[0])
    make_events([hit(message, "click", 0, PERSON, link=LINKS[0])])
    interpret()
    assert reload(message).clicked_at is not None


def test_a_later_hit_that_gives_a_machine_away_takes_back_what_followed(app: Flask) -> None:
    message = make_message(*LINKS)
    make_events([hit(message, "open", 0, SCANNER), hit(message, "click", 1, SCANNER, link=LINKS[0])])
    interpret()
    assert engaged() == {("opened", message.client_id), ("clicked", message.client_id)}
    make_events([hit(message, "click", 2, SCANNER, link=None, source=TRAP)])
    interpret()
    reload(message)
    assert (message.opened_at, message.clicked_at) == (None, None)
    assert message.machine_opened_at is not None
    assert engaged() == set()
    make_events([hit(message, "open", 900, PERSON)])
    interpret()
    assert reload(message).opened_at == message.sent_at + timedelta(minutes=25)  # type: ignore[operator]
    assert engaged() == {("opened", message.client_id)}


def test_a_network_of_scanners_is_a_list_of_the_firm(app: Flask) -> None:
    make_rules(networks=["198.51.100.0/24", "2001:db8::/32"])
    messages = make_sent_messages(5)
    addresses = ("198.51.100.7", "::ffff:198.51.100.8", "2001:db8::1", "203.0.113.9", "no address at all")
    make_events(
        {"kind": "open", "message_id": message.id, "ip": ip} for message, ip in zip(messages, addresses, strict=True)
    )
    interpret()
    reasons = {one.ip: one.machine_reasons for one in db.session.scalars(select(Event))}
    assert reasons == dict(zip(addresses, ("network", "network", "network", None, None), strict=True))


def test_a_proxy_that_fetches_when_a_person_opens_is_that_person(app: Flask) -> None:
    (message,) = make_sent_messages()
    agent = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
    make_events([{"kind": "open", "message_id": message.id, "user_agent": agent}])
    interpret()
    event = db.session.scalars(select(Event)).one()
    assert (event.machine, event.machine_reasons) == (False, "image proxy")
    assert reload(message).opened_at is not None


@pytest.mark.parametrize(
    ("agent", "machine"),
    [
        ("Mozilla/5.0", True),
        ("Mozilla/5.0 (iPhone)", False),
        ("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", True),
        ("a scanner", True),
        ("A+B scan.ner", False),
        ("CUBOT NOTE 7", False),
        ("Corp.Gate (v2)", True),
        ("CorpXGate (v2)", False),
    ],
)
def test_patterns_of_agents_mean_what_they_say(app: Flask, agent: str, machine: bool) -> None:
    make_rules(agents=[*DEFAULT_AGENTS, "corp.gate*"])
    (message,) = make_sent_messages()
    make_events([{"kind": "open", "message_id": message.id, "user_agent": agent}])
    interpret()
    assert (reload(message).opened_at is None) is machine


def test_without_agents_nobody_is_a_machine_by_agent(app: Flask) -> None:
    make_rules(agents=[], too_fast_seconds=0, all_links_seconds=0)
    (message,) = make_sent_messages()
    make_events([{"kind": "open", "message_id": message.id, "user_agent": "scanner", "at": message.sent_at}])
    interpret()
    assert reload(message).opened_at is not None


def test_a_machine_settles_nothing(app: Flask) -> None:
    clients = make_clients(2)
    make_run(make_launched_campaign(), clients, unconfirmed=clients)
    by_machine, by_person = db.session.scalars(select(Message).order_by(Message.id))
    make_events(
        [
            {"kind": "open", "message_id": by_machine.id, "method": "HEAD"},
            {"kind": "open", "message_id": by_person.id},
        ]
    )
    interpret()
    assert reload(by_machine).state == MessageState.UNCONFIRMED
    assert reload(by_person).state == MessageState.SENT
    assert engaged() == {("opened", by_person.client_id)}


def state_of_all() -> list[tuple[Any, ...]]:
    db.session.expire_all()
    return [
        (one.id, one.opened_at, one.clicked_at, one.machine_opened_at, one.machine_clicked_at)
        for one in db.session.scalars(select(Message).order_by(Message.id))
    ] + sorted((row.kind, row.client_id, row.first_at, row.last_at) for row in db.session.scalars(select(Engagement)))


def test_in_whatever_order_and_portions_the_verdicts_are_the_same(app: Flask) -> None:
    random.seed(11)
    messages = [make_message(*LINKS) for _number in range(4)]
    hits = [
        hit(
            random.choice(messages),
            random.choice(["open", "click", "click"]),
            random.randrange(0, 120),
            random.choice([SCANNER, PERSON]),
            link=random.choice(LINKS),
            source=random.choice(["test"] * 9 + [TRAP]),
        )
        for _number in range(120)
    ]
    make_events(hits)
    interpret()
    expected = state_of_all()
    assert any(one[3] for one in expected[:4])
    assert any(one[1] for one in expected[:4])
    for size in (1, 7, 40):
        random.shuffle(hits)
        with unit_of_work() as session:
            session.execute(text("DELETE FROM event"))
            session.execute(text("DELETE FROM engagement WHERE kind <> 'contacted'"))
            session.execute(
                text(
                    "UPDATE message SET opened_at = NULL, clicked_at = NULL, "
                    "machine_opened_at = NULL, machine_clicked_at = NULL"
                )
            )
        for first in range(0, len(hits), size):
            make_events(hits[first : first + size])
            interpret()
        assert state_of_all() == expected
    with unit_of_work():
        reinterpret(campaign=None)
    assert state_of_all() == expected
