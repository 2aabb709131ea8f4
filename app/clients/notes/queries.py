"""Reads of notes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from flask_babel import gettext as _
from sqlalchemy import select

from app.clients.models import Client
from app.clients.notes.models import ClientNote
from app.clients.queries import visible_clients
from app.clients.timeline import END, TimelineEntry
from app.core.errors import NotFound
from app.core.extensions import db
from app.users.models import User

SHOWN = 50
_WORDS = 120


@dataclass(frozen=True, slots=True)
class NoteLine:
    """A note with the name of who wrote it."""

    note: ClientNote
    author: str


def notes_of(client_ids: Sequence[int], *, limit: int = SHOWN, until: datetime = END) -> list[NoteLine]:
    """The newest notes about a client up to a moment. The caller has made sure that the reader may see the client."""
    rows = db.session.execute(
        select(ClientNote, User.name)
        .join(User, User.id == ClientNote.author_id)
        .where(ClientNote.client_id.in_(client_ids), ClientNote.at <= until)
        .order_by(ClientNote.at.desc(), ClientNote.id.desc())
        .limit(limit)
    )
    return [NoteLine(*row) for row in rows]


def find_note(note_id: int, *, user: User) -> ClientNote:
    """The note, where the person may see its client; else NotFound."""
    found = db.session.scalar(
        select(ClientNote)
        .join(Client, Client.id == ClientNote.client_id)
        .where(ClientNote.id == note_id, visible_clients(user))
    )
    if found is None:
        raise NotFound
    return found


def note_timeline(client_ids: Sequence[int], limit: int, until: datetime) -> list[TimelineEntry]:
    """Notes, for the client's time line: their beginning."""
    return [
        TimelineEntry(
            at=line.note.at,
            kind="note",
            text=_("Note by %(name)s: %(text)s", name=line.author, text=_beginning(line.note.text)),
        )
        for line in notes_of(client_ids, limit=limit, until=until)
    ]


def _beginning(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _WORDS else words[:_WORDS].rstrip() + "…"
