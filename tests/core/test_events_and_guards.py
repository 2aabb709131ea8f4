"""Where data seems to flow back: events and guards."""

from collections.abc import Iterator

import pytest
from sqlalchemy import select

from app.core import events, guards
from app.core.errors import Conflict
from app.core.events import emit, listen
from app.core.extensions import db
from app.core.guards import check, guard
from app.core.jobs import Job
from app.core.queues import DEFAULT, REPORT
from app.core.unit_of_work import unit_of_work


@pytest.fixture(autouse=True)
def names_of_the_test() -> Iterator[None]:
    yield
    events._listeners.pop("test.happened", None)
    guards._guards.pop("test something", None)


def jobs() -> list[tuple[str, str, dict[str, int]]]:
    return [(job.name, job.queue, job.args) for job in db.session.scalars(select(Job).order_by(Job.id))]


@pytest.mark.usefixtures("app")
def test_an_event_becomes_one_job_for_each_listener() -> None:
    listen("test.happened", job="test.first", queue=DEFAULT)
    listen("test.happened", job="test.second", queue=REPORT)
    listen("test.happened", job="test.first", queue=DEFAULT)  # wired twice, listens once
    with unit_of_work():
        emit("test.happened", campaign_id=7)
    assert jobs() == [("test.first", DEFAULT, {"campaign_id": 7}), ("test.second", REPORT, {"campaign_id": 7})]


@pytest.mark.usefixtures("app")
def test_an_event_is_lost_with_the_change_it_tells_of_and_with_nothing_else() -> None:
    listen("test.happened", job="test.first", queue=DEFAULT)
    with pytest.raises(LookupError), unit_of_work():
        emit("test.happened", campaign_id=7)
        raise LookupError
    assert jobs() == []


@pytest.mark.usefixtures("app")
def test_an_event_that_nobody_listens_to_is_no_trouble() -> None:
    with unit_of_work():
        emit("test.happened", campaign_id=7)
    assert jobs() == []


def test_a_guard_forbids_with_its_sentence() -> None:
    def refuse_seven(subject_id: int) -> str | None:
        return "Seven is needed." if subject_id == 7 else None

    check("test something", 7)
    guard("test something", lambda subject_id: None)
    guard("test something", refuse_seven)
    guard("test something", refuse_seven)
    check("test something", 6)
    with pytest.raises(Conflict, match=r"^Seven is needed\.$"):
        check("test something", 7)
