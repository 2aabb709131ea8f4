"""Verbs of clients about what they want to get, and of administrators about the topics there are.

Every change that a client makes is kept as consent evidence with where it was made and the words they saw.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert as upsert

from app.audit.service import record
from app.clients.models import Client, Consent
from app.clients.preferences.models import MarketingPause, Topic, TopicRefusal
from app.clients.preferences.queries import paused_until, refused_topics, topic_name, topics
from app.clients.service import grant_consent, withdraw_consent
from app.core.clock import now
from app.core.errors import AppError, Conflict
from app.core.extensions import LANGUAGES, db
from app.core.permissions import Actor, Permission, require

PAUSE = timedelta(days=30)
SOURCE = "preference page"
LONGEST_TOPIC = 80
MOST_TOPICS = 50

# What clients read, and what is kept as the wording of their statement.
CHANNEL_WORDS: Mapping[str, object] = {
    "email": _l("Marketing by e-mail"),
    "sms": _l("Marketing by SMS"),
    "call": _l("Marketing calls"),
}
NO_PERSONALISATION = _l("No personalised marketing")


class TopicExists(Conflict):
    message = _l("There is a topic with this name already.")


@dataclass(frozen=True, slots=True)
class Choices:
    """What is ticked: channels, ids of topics, whether personalised marketing is refused; and the language."""

    channels: frozenset[str] = frozenset()
    topics: frozenset[int] = frozenset()
    no_personalisation: bool = False
    locale: str = ""


@dataclass(slots=True)
class Changed:
    """What a client changed; `channels_off` are those that they want no more."""

    channels_off: set[str] = field(default_factory=set)
    count: int = 0


def choices_of(client: Client) -> Choices:
    """What holds now. A topic that was never refused is wanted; a channel only where the client agreed to it."""
    refused = refused_topics(client.id)
    return Choices(
        channels=frozenset(name for name in CHANNEL_WORDS if getattr(client, f"{name}_consent") is True),
        topics=frozenset(topic.id for topic in topics() if topic.id not in refused),
        no_personalisation=client.personalisation_refused,
        locale=page_language(client.locale) or "",
    )


def page_language(locale: str | None) -> str | None:
    """The language of LANGUAGES that a client's locale stands for; None where it is none of them."""
    begins = (locale or "")[:2].lower()
    return next((name for name in LANGUAGES if begins and name.startswith(begins)), None)


def choose(*, client: Client, shown: Choices, chosen: Choices) -> Changed:
    """Write down what the client changed: the difference between what the page showed and what they ticked.

    What changed elsewhere while the page was open (an unsubscription, say) is not undone by what they left alone.
    """
    changed, at = Changed(), now()
    for channel, words in CHANNEL_WORDS.items():
        if (channel in chosen.channels) == (channel in shown.channels):
            continue
        wanted = channel in chosen.channels
        verb = grant_consent if wanted else withdraw_consent
        verb(client_ids=[client.id], channel=channel, source=SOURCE, wording=str(words), at=at, actor=None)
        changed.count += 1
        if not wanted:
            changed.channels_off.add(channel)
    for topic in topics():
        if (topic.id in chosen.topics) != (topic.id in shown.topics):
            _want_topic(client, topic, wanted=topic.id in chosen.topics, at=at)
            changed.count += 1
    if chosen.no_personalisation != shown.no_personalisation:
        client.personalisation_refused = chosen.no_personalisation
        _state(client, "personalisation", not chosen.no_personalisation, str(NO_PERSONALISATION), at)
        changed.count += 1
    if chosen.locale != shown.locale and chosen.locale in LANGUAGES:
        client.locale = chosen.locale
        client.updated_at = at
        _state(client, "language", True, LANGUAGES[chosen.locale], at)
        changed.count += 1
    return changed


def pause_marketing(*, client: Client) -> datetime:
    """No marketing on any channel for 30 days from now. Returns the end. Saying it again begins anew."""
    at = now()
    until = at + PAUSE
    db.session.execute(
        upsert(MarketingPause)
        .values(client_id=client.id, until=until, at=at)
        .on_conflict_do_update(index_elements=["client_id"], set_={"until": until, "at": at})
    )
    _state(client, "pause", False, _("No marketing for 30 days"), at)
    return until


def end_pause(*, client: Client) -> bool:
    """The client wants marketing again before the pause is over. Returns False where there was none."""
    if paused_until(client.id) is None:
        return False
    db.session.execute(delete(MarketingPause).where(MarketingPause.client_id == client.id))
    _state(client, "pause", True, _("Marketing again from now on"), now())
    return True


def _want_topic(client: Client, topic: Topic, *, wanted: bool, at: datetime) -> None:
    if wanted:
        db.session.execute(
            delete(TopicRefusal).where(TopicRefusal.client_id == client.id, TopicRefusal.topic_id == topic.id)
        )
    else:
        db.session.execute(
            upsert(TopicRefusal).values(client_id=client.id, topic_id=topic.id, at=at).on_conflict_do_nothing()
        )
    _state(client, "topic", wanted, topic_name(topic), at)


def _state(client: Client, purpose: str, granted: bool, wording: str, at: datetime) -> None:
    db.session.add(
        Consent(
            client_id=client.id,
            channel="all",
            purpose=purpose,
            granted=granted,
            source=SOURCE,
            wording=wording,
            at=at,
        )
    )


# ---- Topics ---------------------------------------------------------------------------------------------------------


def add_topic(*, name: str, name_zh: str, actor: Actor) -> Topic:
    """A further topic at the end of the list. Raises TopicExists, or AppError for a name that cannot be."""
    require(actor, Permission.ADMINISTER)
    name, name_zh = _checked(name), _checked(name_zh, needed=False)
    if (db.session.scalar(select(func.count(Topic.id)).where(Topic.archived_at.is_(None))) or 0) >= MOST_TOPICS:
        raise AppError(_l("There are at most %(most)s topics.", most=MOST_TOPICS))
    last = db.session.scalar(select(func.max(Topic.position))) or 0
    added: Topic | None = db.session.scalar(
        upsert(Topic)
        .values(name=name, name_zh=name_zh or None, position=last + 1)
        .on_conflict_do_nothing()
        .returning(Topic)
    )
    if added is None:
        raise TopicExists
    record(actor=actor, action="topic.add", subject="topic", subject_id=added.id, changes={"name": [None, name]})
    return added


def rename_topic(*, topic: Topic, name: str, name_zh: str, actor: Actor) -> None:
    """Change the words that clients read; who refused the topic refuses it under the new name too."""
    require(actor, Permission.ADMINISTER)
    name, name_zh = _checked(name), _checked(name_zh, needed=False)
    if db.session.scalar(select(Topic.id).where(Topic.name == name, Topic.id != topic.id)):
        raise TopicExists
    before = (topic.name, topic.name_zh)
    topic.name, topic.name_zh = name, name_zh or None
    if before != (topic.name, topic.name_zh):
        changes = {"name": [before[0], topic.name], "name_zh": [before[1], topic.name_zh]}
        record(actor=actor, action="topic.rename", subject="topic", subject_id=topic.id, changes=changes)


def archive_topic(*, topic: Topic, archived: bool, actor: Actor) -> None:
    """Take a topic off the pages, or put it back."""
    require(actor, Permission.ADMINISTER)
    if (topic.archived_at is not None) == archived:
        return
    topic.archived_at = now() if archived else None
    record(actor=actor, action="topic.archive" if archived else "topic.restore", subject="topic", subject_id=topic.id)


def _checked(name: str, *, needed: bool = True) -> str:
    name = " ".join(name.replace("\0", "").split())
    if needed and not name:
        raise AppError(_l("Give the topic a name."))
    if len(name) > LONGEST_TOPIC:
        raise AppError(_l("A topic's name has at most %(most)s characters.", most=LONGEST_TOPIC))
    return name
