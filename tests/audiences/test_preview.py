"""Whom a rule finds while it is being written, and how a question that nobody waits for any more is ended."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text

from app.audiences.fields import load_catalogue
from app.audiences.preview import Asker, Preview, Superseded, end_questions, preview
from app.audiences.queries import TooSlow
from app.audiences.rules import Rule, parse_rule
from app.clients.classes.models import ClientClass
from app.clients.models import Suppression
from app.core.extensions import db
from tests.e2e.waiting import wait_until
from tests.factories.clients import make_client, make_clients, make_custom_field
from tests.factories.users import make_branch, make_user

EVERYONE: dict[str, Any] = {"all": []}


def rule_of(data: dict[str, Any]) -> Rule:
    return parse_rule(data, load_catalogue())


def test_one_pass_tells_how_many_where_and_whom_each_channel_reaches(app: Flask) -> None:
    north = make_branch(name="North")
    ids = make_clients(3, city="Wuhan", branch_id=north.id)
    make_clients(2, city="Wuhan", email_consent=None, mobile="+8613800000000", sms_consent=True)
    make_clients(4, city="Beijing")
    listed = make_client(city="Wuhan", email="Listed@example.com", branch=north)
    db.session.add(Suppression(channel="email", address="listed@example.com", reason="unsubscribed", source="test"))
    db.session.add(ClientClass(client_id=ids[0], aum_tier="gold"))
    db.session.commit()
    found = preview(rule_of({"field": "city", "op": "is", "value": "Wuhan"}), user=None)
    assert (found.matched, found.book) == (6, 10)
    reach = {one.channel: (one.reachable, dict(one.excluded)) for one in found.reach}
    assert reach["email"] == (3, {"no_consent": 2, "suppressed": 1})
    assert reach["sms"] == (2, {"no_address": 4})
    assert reach["call"] == (0, {"no_address": 4, "no_consent": 2})
    assert list(found.branches) == [("North", 4), ("Head office", 2)]
    assert found.other_branches == 0
    assert dict(found.tiers) == {None: 5, "gold": 1}
    assert len(found.sample) == 6
    assert found.sample[0].number == listed.number
    assert all("example.com" in (client.email or "") and "•" in (client.email or "") for client in found.sample)


def test_the_largest_branches_are_named_and_the_rest_added_up(app: Flask) -> None:
    for size in range(1, 10):
        make_clients(size, branch_id=make_branch(name=f"With {size}").id)
    found = preview(rule_of(EVERYONE), user=None)
    assert [name for name, _clients in found.branches] == [f"With {size}" for size in (9, 8, 7, 6, 5, 4)]
    assert found.other_branches == 3 + 2 + 1
    assert sum(clients for _name, clients in found.branches) + found.other_branches == found.matched


def test_nothing_found_is_an_answer(app: Flask) -> None:
    make_clients(2)
    found = preview(rule_of({"not": EVERYONE}), user=None)
    assert (found.matched, found.book, list(found.sample), list(found.branches)) == (0, 2, [], [])


def test_a_person_is_shown_their_own_part_of_the_book(app: Flask) -> None:
    branch = make_branch(name="North")
    make_clients(2, branch_id=branch.id, total_assets=5)
    make_clients(3, total_assets=9)
    manager = make_user(role="branch_manager", branch=branch)
    found = preview(rule_of(EVERYONE), user=manager)
    assert (found.matched, found.book) == (2, 2)
    assert [name for name, _clients in found.branches] == ["North"]


def test_the_book_is_counted_anew_as_soon_as_it_grows(app: Flask) -> None:
    make_clients(2)
    assert preview(rule_of(EVERYONE), user=None).book == 2
    make_clients(3)
    assert preview(rule_of({"not": EVERYONE}), user=None).book == 5


# ---- Questions that take long --------------------------------------------------------------------------------------

PAUSE = 30  # seconds a slow question would take, were it not ended


@contextmanager
def slow_book() -> Iterator[None]:
    """A book that nobody can read as long as another transaction holds it."""
    with db.engine.connect() as other, other.begin():
        other.execute(text("LOCK TABLE client_class IN ACCESS EXCLUSIVE MODE"))
        yield


class Question(Thread):
    """A preview in a thread of its own, as in a request of its own."""

    def __init__(self, app: Flask, asker: Asker | None) -> None:
        super().__init__(daemon=True)
        self._app, self._asker = app, asker
        self.outcome: Preview | Exception | None = None
        self.start()

    def run(self) -> None:
        with self._app.app_context():
            try:
                self.outcome = preview(rule_of(EVERYONE), user=None, asker=self._asker, time_limit_ms=PAUSE * 1000)
            except (Superseded, TooSlow) as error:
                self.outcome = error

    def ended(self) -> Preview | Exception | None:
        self.join(timeout=PAUSE / 2)
        assert not self.is_alive()
        return self.outcome


def waiting_in_the_database(count: int = 1) -> Callable[[], bool]:
    query = text(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'preview:%' AND wait_event_type = 'Lock'"
    )

    def so() -> bool:
        with db.engine.connect() as connection:
            return connection.execute(query).scalar() == count

    return so


def test_the_next_question_of_a_page_ends_the_one_before(app: Flask) -> None:
    make_clients(2)
    with slow_book():
        first = Question(app, Asker(1, "page", 1))
        wait_until(waiting_in_the_database(), "the first question to be asked", seconds=PAUSE / 2)
        second = Question(app, Asker(1, "page", 2))
        assert isinstance(first.ended(), Superseded)
        wait_until(waiting_in_the_database(), "the second question to be asked", seconds=PAUSE / 2)
    answer = second.ended()
    assert isinstance(answer, Preview)
    assert answer.matched == 2


def test_an_older_question_that_arrives_late_ends_nothing(app: Flask) -> None:
    make_clients(2)
    with slow_book():
        newer = Question(app, Asker(1, "page", 2))
        wait_until(waiting_in_the_database(), "the newer question to be asked", seconds=PAUSE / 2)
        assert isinstance(Question(app, Asker(1, "page", 1)).ended(), Superseded)
    assert isinstance(newer.ended(), Preview)


def test_pages_and_people_do_not_end_each_others_questions(app: Flask) -> None:
    make_clients(2)
    with slow_book():
        others = [
            Question(app, Asker(1, "one", 1)),
            Question(app, Asker(2, "one", 1)),
            Question(app, Asker(1, "two", 1)),
        ]
        wait_until(waiting_in_the_database(3), "three questions to be asked", seconds=PAUSE / 2)
        end_questions(user_id=3, builder="one")
        end_questions(user_id=1, builder="on")
        fourth = Question(app, Asker(1, "three", 9))
        wait_until(waiting_in_the_database(4), "a fourth question to be asked", seconds=PAUSE / 2)
        end_questions(user_id=2, builder="one")
        assert isinstance(others[1].ended(), Superseded)
    assert isinstance(fourth.ended(), Preview)
    assert all(isinstance(question.ended(), Preview) for question in (others[0], others[2]))


def test_a_late_cancellation_finds_no_connection_that_others_use(app: Flask) -> None:
    make_clients(2)
    preview(rule_of(EVERYONE), user=None, asker=Asker(1, "page", 1))
    names = text("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'preview:%'")
    wait_until(lambda: db.session.execute(names).scalar() == 0, "the connection to be closed", seconds=5)


def test_a_question_that_takes_too_long_is_given_up(app: Flask) -> None:
    with slow_book(), pytest.raises(TooSlow):
        preview(rule_of(EVERYONE), user=None, asker=Asker(1, "page", 1), time_limit_ms=100)


def test_a_rule_over_the_firms_own_fields_is_previewed_too(app: Flask) -> None:
    make_custom_field("income", type="number", slot="number_01")
    make_clients(4, number_01=lambda n: n * 100)
    found = preview(rule_of({"all": [], "take": {"count": 2, "by": "custom.income", "order": "most"}}), user=None)
    assert found.matched == 2
