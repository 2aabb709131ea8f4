"""The time line of a client: everything that happened, a page at a time."""

from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import update

from app.clients.models import Client, Consent
from app.clients.notes.models import ClientNote
from app.clients.timeline import Place, TimelineEntry, timeline
from app.core.clock import now
from app.core.extensions import db
from app.core.permissions import Role
from app.delivery.models import Message
from tests.factories.clients import make_client
from tests.factories.tracking import make_sent_messages
from tests.factories.users import make_branch, make_user, sign_in

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


def write_notes(client: Client, times: list[datetime]) -> None:
    author = make_user()
    notes = [
        ClientNote(client_id=client.id, author_id=author.id, text=f"note {number}", at=at)
        for number, at in enumerate(times)
    ]
    db.session.add_all(notes)
    db.session.commit()


def pages(client_ids: list[int], size: int) -> list[list[TimelineEntry]]:
    found, place = [], Place()
    while True:
        page = timeline(client_ids, place=place, size=size)
        found.append(page.entries)
        if page.older is None:
            return found
        place = page.older


def test_every_entry_is_on_one_page_in_the_order_of_time(app: Flask) -> None:
    client = make_client()
    write_notes(client, [NOON - timedelta(hours=hours) for hours in range(130)])
    for days in range(20):
        at = NOON - timedelta(days=days)
        db.session.add(Consent(client_id=client.id, channel="email", granted=True, source="test", at=at))
    db.session.commit()
    found = pages([client.id], 50)
    assert [len(page) for page in found] == [50, 50, 50]
    entries = [entry for page in found for entry in page]
    assert sorted((one.at for one in entries), reverse=True) == [one.at for one in entries]
    assert {one.text.rsplit(" ", 1)[1] for one in entries if one.kind == "note"} == {str(n) for n in range(130)}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
def test_what_happened_at_one_moment_is_told_once(app: Flask, size: int) -> None:
    client = make_client()
    write_notes(client, [NOON] * 9 + [NOON - timedelta(days=1)])
    for channel in ("email", "sms", "call"):
        db.session.add(Consent(client_id=client.id, channel=channel, granted=False, source="test", at=NOON))
    db.session.commit()
    texts = [entry.text for page in pages([client.id], size) for entry in page]
    assert len(texts) == len(set(texts)) == 13


def test_an_old_message_opened_lately_is_told_by_the_day_it_was_opened(app: Flask) -> None:
    messages = make_sent_messages(4)
    records = [message.client_id for message in messages]  # as if three had been merged into the first
    db.session.execute(update(Message).where(Message.id == messages[0].id).values(opened_at=now()))
    db.session.commit()
    assert [one.kind for one in timeline(records, size=2).entries] == ["opened", "sent"]
    assert [len(page) for page in pages(records, 2)] == [2, 2, 1]


def test_older_entries_are_fetched_from_the_page(app: Flask) -> None:
    client = make_client(number="K-1")
    write_notes(client, [NOON - timedelta(minutes=minute) for minute in range(60)])
    browser = sign_in(app.test_client(), make_user(role=Role.MARKETING))
    page = browser.get("/clients/K-1")
    assert "note 49" in page.text
    assert "note 50" not in page.text
    older = "/clients/K-1/timeline?until=2026-03-04T11:11:00%2B00:00&skip=1"
    assert older.replace("&", "&amp;") in page.text
    fragment = browser.get(older, headers={"HX-Request": "true"}).text
    assert "note 50" in fragment
    assert "note 49" not in fragment
    assert "Show older" not in fragment
    assert "<html" not in fragment
    assert "<html" in browser.get(older).text


@pytest.mark.parametrize("place", ["", "until=x", "until=2026-03-04", "until=2026-03-04T11:11:00%2B00:00&skip=-1",
                                   "until=0001-01-01T00:00:00%2B00:00&skip=9999999999999999", "until=%00"])  # fmt: skip
def test_a_strange_place_is_answered(app: Flask, place: str) -> None:
    make_client(number="K-1")
    browser = sign_in(app.test_client(), make_user(role=Role.MARKETING))
    assert browser.get(f"/clients/K-1/timeline?{place}").status_code == 200


def test_the_time_line_of_a_client_elsewhere_is_not_shown(app: Flask) -> None:
    make_client(number="S-1")
    browser = sign_in(app.test_client(), make_user(role=Role.BRANCH_MANAGER, branch=make_branch(code="N")))
    assert browser.get("/clients/S-1/timeline").status_code == 404
