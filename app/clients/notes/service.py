"""Verbs on notes."""

from datetime import timedelta

from flask_babel import lazy_gettext as _l

from app.audit.service import record
from app.clients.models import Client
from app.clients.notes.models import ClientNote
from app.core.clock import now
from app.core.errors import AppError, Forbidden
from app.core.extensions import db
from app.core.permissions import Actor

EDITABLE_FOR = timedelta(days=1)
MAX_NOTE = 4_000


class NoteEmpty(AppError):
    message = _l("Write something first.")


class NoteTooLong(AppError):
    message = _l("A note has %(count)s characters at most.", count=MAX_NOTE)


class NoteStands(Forbidden):
    message = _l("A note can be changed by who wrote it, for a day.")


def add_note(*, client: Client, text: str, actor: Actor) -> ClientNote:
    """Write a note about a client. Raises NoteEmpty or NoteTooLong."""
    note = ClientNote(client_id=client.id, text=_checked(text), author_id=actor.id)
    db.session.add(note)
    db.session.flush()
    record(actor=actor, action="client.add_note", subject="client", subject_id=client.id)
    return note


def edit_note(*, note: ClientNote, text: str, actor: Actor) -> None:
    """Change one's own note within a day. Raises NoteStands, NoteEmpty or NoteTooLong."""
    if not may_edit(note, actor):
        raise NoteStands
    note.text, note.edited_at = _checked(text), now()
    record(actor=actor, action="client.edit_note", subject="client", subject_id=note.client_id)


def may_edit(note: ClientNote, actor: Actor) -> bool:
    """True for the author in the first day."""
    return note.author_id == actor.id and now() < note.at + EDITABLE_FOR


def _checked(text: str) -> str:
    clean = text.replace("\x00", "").strip()
    if not clean:
        raise NoteEmpty
    if len(clean) > MAX_NOTE:
        raise NoteTooLong
    return clean
