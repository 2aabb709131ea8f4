"""Topics: the administrator's page, and a campaign's."""

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from app.campaigns.models import Campaign
from app.clients.preferences.models import MarketingPause, Topic, TopicRefusal
from app.core.clock import now
from app.core.extensions import db
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from tests.clients.test_merging import merge
from tests.factories.campaigns import make_campaign
from tests.factories.clients import make_client
from tests.factories.users import make_user, sign_in


def _add(client: FlaskClient, name: str, name_zh: str = "") -> int:
    return client.post("/settings/topics", data={"name": name, "name_zh": name_zh}).status_code


def test_topics_are_added_renamed_archived_and_restored(browser_client: FlaskClient) -> None:
    sign_in(browser_client, make_user(role=Role.ADMINISTRATOR))
    assert "No topics yet" in browser_client.get("/settings/topics").text
    assert _add(browser_client, " Funds ", "基金") == 302
    assert _add(browser_client, "Funds") == 409
    assert _add(browser_client, " ") == 400
    assert _add(browser_client, "x" * 81) == 422
    topic = db.session.scalars(select(Topic)).one()
    path = f"/settings/topics/{topic.id}"
    assert 'value="基金"' in browser_client.get(path).text
    assert browser_client.post(path, data={"name": "Fund news", "name_zh": ""}).status_code == 302
    browser_client.post(f"{path}/archive")
    db.session.expire_all()
    assert (topic.name, topic.name_zh, topic.archived_at is not None) == ("Fund news", None, True)
    browser_client.post(f"{path}/restore")
    db.session.expire_all()
    assert topic.archived_at is None
    assert browser_client.get("/settings/topics/999").status_code == 404


def test_a_campaign_is_given_a_topic_and_keeps_an_archived_one(browser_client: FlaskClient) -> None:
    sign_in(browser_client, make_user(role=Role.ADMINISTRATOR))
    _add(browser_client, "Funds")
    topic = db.session.scalars(select(Topic.id)).one()
    sign_in(browser_client, make_user(role=Role.MARKETING))
    code = make_campaign().code
    path = f"/campaigns/{code}/setup"
    form = {"name": "Spring", "purpose": "marketing", "tags": "", "window_days": "30"}
    assert browser_client.post(path, data=form | {"topic_id": str(topic)}).status_code == 302
    campaign = db.session.scalars(select(Campaign).where(Campaign.code == code)).one()
    assert campaign.topic_id == topic
    for hostile in ("x", "999", "\0"):
        assert browser_client.post(path, data=form | {"topic_id": hostile}).status_code == 422
    with unit_of_work():
        db.session.get_one(Topic, topic).archived_at = now()
    assert ">Funds<" in browser_client.get(path).text
    assert browser_client.post(path, data=form | {"topic_id": str(topic)}).status_code == 302
    assert browser_client.post(path, data=form | {"topic_id": ""}).status_code == 302
    db.session.expire_all()
    assert campaign.topic_id is None


def test_what_either_record_refused_stays_refused_after_a_merge(app: Flask) -> None:
    survivor, loser = make_client(), make_client()
    with unit_of_work() as session:
        topics = [Topic(name="Funds"), Topic(name="Seminars")]
        session.add_all(topics)
        session.flush()
        session.add(TopicRefusal(client_id=survivor.id, topic_id=topics[0].id))
        session.add_all(TopicRefusal(client_id=loser.id, topic_id=topic.id) for topic in topics)
        session.add(MarketingPause(client_id=loser.id, until=now()))
    merge(survivor, loser)
    refused = db.session.execute(select(TopicRefusal.client_id, TopicRefusal.topic_id)).all()
    assert sorted(map(tuple, refused)) == [(survivor.id, 1), (survivor.id, 2)]
    assert db.session.scalars(select(MarketingPause.client_id)).all() == [survivor.id]
