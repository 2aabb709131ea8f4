"""The preference page: fewer instead of none, without signing in, and honoured by every launch."""

from collections.abc import Iterable
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, update
from werkzeug.test import TestResponse

from app.campaigns.gates import gates
from app.clients.contactability import exclusion_reason
from app.clients.models import Client, Consent
from app.clients.preferences.models import MarketingPause, Topic, TopicRefusal
from app.clients.preferences.queries import paused_until, refused_topics
from app.clients.preferences.service import add_topic, archive_topic
from app.core.clock import now
from app.core.extensions import db, links, signer
from app.core.tokens import Kind
from app.core.unit_of_work import unit_of_work
from app.delivery.models import Message
from app.tracking.models import Event
from tests.factories.clients import make_client
from tests.factories.ledger import make_launched_campaign
from tests.factories.tracking import interpret, make_sent_messages, reload
from tests.factories.users import make_user


def _path(message: Message) -> str:
    return links().preferences(message.id).removeprefix("http://localhost")


def _client(message: Message) -> Client:
    db.session.expire_all()
    return db.session.get_one(Client, message.client_id)


def _statements() -> list[tuple[str, str, bool, str, str | None]]:
    rows = db.session.scalars(select(Consent).order_by(Consent.id))
    return [(row.channel, row.purpose, row.granted, row.source, row.wording) for row in rows]


def _save(
    browser: FlaskClient, message: Message, *, shown: dict[str, Iterable[str]], chosen: dict[str, Iterable[str]]
) -> TestResponse:
    before = {f"shown_{name}": list(values) for name, values in shown.items()}
    data = {"act": "save", "shown": "1", **before, **{name: list(values) for name, values in chosen.items()}}
    return browser.post(_path(message), data=data)


def _topics() -> list[Topic]:
    admin = make_user(role="administrator")
    with unit_of_work():
        return [add_topic(name=name, name_zh=zh, actor=admin) for name, zh in (("Funds", "基金"), ("Seminars", ""))]


def test_a_get_shows_what_holds_and_changes_nothing(browser_client: FlaskClient) -> None:
    (message,) = make_sent_messages()
    _topics()
    answer = browser_client.get(_path(message))
    assert answer.status_code == 200
    assert answer.text.count(" checked") == 3  # e-mail and both topics
    assert "Set-Cookie" not in answer.headers
    assert (_statements(), db.session.scalar(select(func.count(Event.id)))) == ([], 0)


def test_what_is_unticked_and_ticked_is_kept_with_its_wording(browser_client: FlaskClient) -> None:
    (message,) = make_sent_messages()
    funds, seminars = (str(topic.id) for topic in _topics())
    answer = _save(
        browser_client,
        message,
        shown={"channel": ["email"], "topic": [funds, seminars], "locale": ["en"]},
        chosen={"channel": ["email", "sms"], "topic": [seminars], "no_personalisation": ["1"], "locale": ["zh_CN"]},
    )
    assert (answer.status_code, answer.headers["Location"]) == (303, f"{_path(message)}?done=save")
    client = _client(message)
    assert (client.email_consent, client.sms_consent, client.call_consent) == (True, True, None)
    assert (client.personalisation_refused, client.locale) == (True, "zh_CN")
    assert refused_topics(client.id) == {int(funds)}
    page = "preference page"
    assert _statements() == [
        ("sms", "marketing", True, page, "Marketing by SMS"),
        ("all", "topic", False, page, "Funds"),
        ("all", "personalisation", False, page, "No personalised marketing"),
        ("all", "language", True, page, "简体中文"),
    ]
    assert "你" in browser_client.get(_path(message)).text or "您" in browser_client.get(_path(message)).text


def test_saving_without_a_change_states_nothing(browser_client: FlaskClient) -> None:
    (message,) = make_sent_messages()
    same = {"channel": ["email"], "locale": ["en"]}
    assert _save(browser_client, message, shown=same, chosen=same).status_code == 303
    assert _statements() == []


def test_a_page_that_was_open_for_long_does_not_undo_an_unsubscription(browser_client: FlaskClient) -> None:
    (message,) = make_sent_messages()
    path = links().unsubscribe(message.id).removeprefix("http://localhost")
    browser_client.post(path, data={"List-Unsubscribe": "One-Click"})
    stale = {"channel": ["email"], "locale": ["en"]}
    _save(browser_client, message, shown=stale, chosen={**stale, "no_personalisation": ["1"]})
    assert _client(message).email_consent is False


def test_giving_up_email_counts_as_unsubscribing_through_the_message(browser_client: FlaskClient) -> None:
    (message,) = make_sent_messages()
    _save(browser_client, message, shown={"channel": ["email"]}, chosen={})
    assert _client(message).email_consent is False
    assert reload(message).unsubscribed_at is not None
    interpret()
    assert [statement[:3] for statement in _statements()] == [("email", "marketing", False)]


def test_nothing_at_all_ends_every_channel(browser_client: FlaskClient) -> None:
    (message,) = make_sent_messages()
    assert browser_client.post(_path(message), data={"act": "none"}).status_code == 303
    client = _client(message)
    assert (client.email_consent, client.sms_consent, client.call_consent) == (False, False, False)
    assert reload(message).unsubscribed_at is not None
    browser_client.post(_path(message), data={"act": "none"})
    assert len(_statements()) == 3


def _reason(client_id: int, *, purpose: str = "marketing") -> str | None:
    query = select(exclusion_reason(channel="email", purpose=purpose)).where(Client.id == client_id)
    return db.session.scalar(query)


def test_a_pause_keeps_marketing_away_until_it_ends(browser_client: FlaskClient) -> None:
    (message,) = make_sent_messages()
    assert _reason(message.client_id) is None
    browser_client.post(_path(message), data={"act": "pause"})
    until = paused_until(message.client_id)
    assert until is not None
    assert timedelta(days=29, hours=23) < until - now() < timedelta(days=30)
    assert _reason(message.client_id) == "paused"
    assert _reason(message.client_id, purpose="service") is None
    assert "End the pause" in browser_client.get(_path(message)).text
    browser_client.post(_path(message), data={"act": "resume"})
    assert _reason(message.client_id) is None
    assert [(statement[1], statement[2]) for statement in _statements()] == [("pause", False), ("pause", True)]


def test_a_pause_is_over_by_itself(browser_client: FlaskClient) -> None:
    (message,) = make_sent_messages()
    browser_client.post(_path(message), data={"act": "pause"})
    with unit_of_work() as session:
        session.execute(update(MarketingPause).values(until=now() - timedelta(seconds=1)))
    assert _reason(message.client_id) is None
    assert paused_until(message.client_id) is None


def test_a_refused_topic_shuts_the_gate_of_marketing_only(app: Flask) -> None:
    funds, seminars = _topics()
    client = make_client()
    with unit_of_work() as session:
        session.add(TopicRefusal(client_id=client.id, topic_id=funds.id))
    about = {
        purpose: make_launched_campaign(topic_id=topic, purpose=purpose)
        for purpose, topic in (("marketing", funds.id), ("service", funds.id))
    }
    other = make_launched_campaign(topic_id=seminars.id)

    def shut(campaign: object) -> list[str]:
        return [
            reason
            for condition, reason in gates(campaign)  # type: ignore[arg-type]
            if db.session.scalar(select(condition).where(Client.id == client.id))
        ]

    assert shut(about["marketing"]) == ["topic_refused"]
    assert shut(about["service"]) == []
    assert shut(other) == []


def test_an_archived_topic_is_on_no_page_and_stays_refused(browser_client: FlaskClient) -> None:
    (message,) = make_sent_messages()
    funds = _topics()[0].id
    _save(browser_client, message, shown={"topic": [str(funds)]}, chosen={})
    admin = make_user(role="administrator")
    with unit_of_work():
        archive_topic(topic=db.session.get_one(Topic, funds), archived=True, actor=admin)
    assert "Funds" not in browser_client.get(_path(message)).text
    assert refused_topics(message.client_id) == {funds}


def test_the_clients_language_goes_before_the_browsers(browser_client: FlaskClient) -> None:
    (message,) = make_sent_messages()
    _topics()
    with unit_of_work() as session:
        session.execute(update(Client).values(locale="zh_CN"))
    text = browser_client.get(_path(message), headers={"Accept-Language": "en"}).text
    assert 'lang="zh-CN"' in text
    assert "基金" in text
    assert "Seminars" in text  # there are no Chinese words for it
    unsubscribe = links().unsubscribe(message.id).removeprefix("http://localhost")
    assert 'lang="zh-CN"' in browser_client.get(unsubscribe, headers={"Accept-Language": "en"}).text


def test_the_unsubscribe_page_offers_fewer_instead_of_none(browser_client: FlaskClient) -> None:
    (message,) = make_sent_messages()
    text = browser_client.get(links().unsubscribe(message.id).removeprefix("http://localhost")).text
    assert links().preferences(message.id) in text
    assert 'value="pause"' in text


@pytest.mark.parametrize("kind", [Kind.UNSUBSCRIBE, Kind.VIEW, Kind.CLICK, Kind.OPEN, Kind.REPLY])
def test_a_token_of_another_kind_is_not_found(browser_client: FlaskClient, kind: Kind) -> None:
    (message,) = make_sent_messages()
    path = f"/p/{signer().sign(kind, message.id)}"
    assert browser_client.get(path).status_code == 404
    assert browser_client.post(path, data={"act": "none"}).status_code == 404
    assert _client(message).email_consent is True


def test_a_token_that_was_cut_or_altered_is_not_found(browser_client: FlaskClient) -> None:
    (message,) = make_sent_messages()
    path = _path(message)
    for forged in (path[:-3], path[:6] + ("A" if path[6] != "A" else "B") + path[7:], "/p/%00", "/p/" + "A" * 9000):
        assert browser_client.get(forged).status_code == 404
        assert browser_client.post(forged, data={"act": "none"}).status_code == 404


def test_a_test_messages_link_says_that_it_is_one(browser_client: FlaskClient) -> None:
    path = links().preferences(0).removeprefix("http://localhost")
    assert "test message" in browser_client.get(path).text
    assert "test message" in browser_client.post(path, data={"act": "none"}).text


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"act": "fly"},
        {"shown": "1", "topic": "x", "shown_topic": "9" * 30, "locale": "tlh", "channel": "pigeon"},
        {"shown": "1", "topic": "\0", "locale": "\0", "channel": "\0", "shown_locale": "\ud800"},
    ],
)
def test_a_form_made_by_hand_does_no_harm(browser_client: FlaskClient, data: dict[str, str]) -> None:
    (message,) = make_sent_messages()
    data = {name: value.encode("utf-8", "replace").decode() for name, value in data.items()}
    assert browser_client.post(_path(message), data=data).status_code == 303
    assert browser_client.post(_path(message), data=b"x" * 100_000).status_code == 413
    assert refused_topics(message.client_id) == set()


def test_the_change_needs_no_cookie(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(app.config, "WTF_CSRF_ENABLED", True)
    (message,) = make_sent_messages()
    answer = app.test_client(use_cookies=False).post(_path(message), data={"act": "pause"})
    assert answer.status_code == 303
    assert "Set-Cookie" not in answer.headers


def test_the_language_that_is_shown_is_the_pages_own(browser_client: FlaskClient) -> None:
    (message,) = make_sent_messages()
    text = browser_client.get(_path(message), headers={"Accept-Language": "zh-CN"}).text
    assert '<option value="zh_CN" lang="zh-CN" selected>' in text
    assert 'name="shown_locale" value="zh_CN"' in text
