"""Reads of what clients chose."""

from collections.abc import Sequence
from datetime import datetime

from flask_babel import get_locale
from sqlalchemy import ColumnElement, func, select

from app.clients.contactability import client_among
from app.clients.preferences.models import MarketingPause, Topic, TopicRefusal
from app.core.errors import NotFound
from app.core.extensions import db


def topics() -> Sequence[Topic]:
    """The topics in use, in the order the firm chose."""
    return db.session.scalars(select(Topic).where(Topic.archived_at.is_(None)).order_by(Topic.position, Topic.id)).all()


def all_topics() -> Sequence[Topic]:
    """Those in use first."""
    return db.session.scalars(select(Topic).order_by(Topic.archived_at.is_not(None), Topic.position, Topic.id)).all()


def find_topic(topic_id: int) -> Topic:
    found = db.session.get(Topic, topic_id)
    if found is None:
        raise NotFound
    return found


def topic_name(topic: Topic) -> str:
    """In the language of the page."""
    chinese = str(get_locale() or "en").startswith("zh")
    return (topic.name_zh if chinese else None) or topic.name


def refused_topics(client_id: int) -> set[int]:
    return set(db.session.scalars(select(TopicRefusal.topic_id).where(TopicRefusal.client_id == client_id)))


def refusals_by_topic() -> dict[int, int]:
    """How many clients refuse each topic."""
    counted = select(TopicRefusal.topic_id, func.count().label("clients")).group_by(TopicRefusal.topic_id)
    return {row.topic_id: row.clients for row in db.session.execute(counted)}


def paused_until(client_id: int) -> datetime | None:
    """Until when the client wants no marketing, where that is still to come."""
    return db.session.scalar(
        select(MarketingPause.until).where(MarketingPause.client_id == client_id, MarketingPause.until > func.now())
    )


def refuses_topic(topic_id: int, *, of_many: bool = False) -> ColumnElement[bool]:
    """For WHERE on client: who refuses the topic; never NULL. For `of_many` see `contactability`."""
    refusals = select(TopicRefusal.client_id).where(TopicRefusal.topic_id == topic_id)
    return client_among(refusals, TopicRefusal.client_id.expression, of_many=of_many)
