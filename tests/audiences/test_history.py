"""The days of a segment: counted every night, compared as sets."""

from datetime import date, timedelta

import pytest
from flask import Flask
from pyroaring import BitMap64

from app.audiences import history, tasks
from app.audiences.models import Segment, SegmentDay
from app.audiences.service import archive_segment
from app.audiences.snapshots import overlap_matrix, regions
from app.clients.models import Client
from app.core.clock import today
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work
from tests.factories.audiences import make_segment
from tests.factories.clients import make_clients

LAKESIDE = {"all": [{"field": "city", "op": "is", "value": "Lakeside"}]}


def count_on(segment: Segment, day: date) -> int | None:
    with unit_of_work():
        return history.record_day(segment=segment, on_date=day)


def move(client_id: int, city: str) -> None:
    with unit_of_work():
        db.session.get_one(Client, client_id).city = city


def test_who_joined_and_who_left_is_the_difference_of_two_days(app: Flask) -> None:
    stays, leaves, joins = make_clients(3, city=lambda n: "Hilltop" if n == 3 else "Lakeside")
    segment = make_segment(rule=LAKESIDE)
    assert count_on(segment, today() - timedelta(days=30)) == 2
    move(leaves, "Hilltop")
    move(joins, "Lakeside")
    assert count_on(segment, today()) == 2
    change = history.change_since(segment.id, today() - timedelta(days=20))
    assert change is not None
    assert (set(change.joined), set(change.left), set(change.before & change.after)) == ({joins}, {leaves}, {stays})
    assert not change.rule_changed
    assert set(change.seen_by(BitMap64([joins]).intersection).left) == set()
    assert history.growth(segment.id) == [(today() - timedelta(days=30), 2), (today(), 2)]


def test_one_count_alone_is_no_change(app: Flask) -> None:
    segment = make_segment(rule=LAKESIDE)
    assert history.change_since(segment.id, today()) is None
    count_on(segment, today())
    assert history.change_since(segment.id, today() - timedelta(days=30)) is None


def test_a_changed_rule_is_said_beside_the_difference(app: Flask) -> None:
    make_clients(1, city="Lakeside")
    segment = make_segment(rule=LAKESIDE)
    count_on(segment, today() - timedelta(days=1))
    with unit_of_work():
        segment.rule, segment.version = {"all": []}, 2
    count_on(segment, today())
    change = history.change_since(segment.id, today() - timedelta(days=1))
    assert change is not None
    assert change.rule_changed


def test_every_segment_in_use_is_counted_once_a_day(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "FIRST_HOUR", 0)
    make_clients(2, city="Lakeside")
    first, second = make_segment(name="First", rule=LAKESIDE), make_segment(name="Second")
    broken = make_segment(name="Broken", rule={"all": [{"field": "custom.gone", "op": "is", "value": "x"}]})
    old = make_segment(name="Old")
    with unit_of_work():
        archive_segment(segment=old, actor=None)
    with unit_of_work():
        tasks.count_segments()
    assert history.uncounted_segments(today(), limit=10) == []
    sizes = {day.segment_id: day.size for day in db.session.query(SegmentDay)}
    assert sizes == {first.id: 2, second.id: 2, broken.id: None}
    assert db.session.get_one(Segment, first.id).last_count == 2


def test_old_sets_go_but_sizes_and_first_days_of_months_stay(app: Flask) -> None:
    make_clients(1)
    segment = make_segment()
    days = [date(2026, 6, 2), date(2026, 6, 3), date(2026, 6, 30), date(2026, 7, 20), date(2024, 1, 1)]
    for day in days:
        count_on(segment, day)
    with unit_of_work():
        assert history.forget_old_sets(date(2026, 8, 1)) == 2
    assert list(history.days_with_sets(segment.id)) == [date(2026, 7, 20), date(2026, 6, 30), date(2026, 6, 2)]
    assert db.session.query(SegmentDay).filter(SegmentDay.size == 1).count() == 5


def test_the_overlap_of_sets_and_the_fields_of_a_venn_diagram() -> None:
    a, b, c = BitMap64([1, 2, 3, 4]), BitMap64([3, 4, 5]), BitMap64([4])
    assert overlap_matrix([a, b, c]) == [[4, 2, 1], [2, 3, 1], [1, 1, 1]]
    assert regions([a, b, c]) == {(0,): 2, (1,): 1, (0, 1): 1, (0, 1, 2): 1}
    assert (len(a), len(b), len(c)) == (4, 3, 1)
    assert overlap_matrix([]) == []
    assert regions([]) == {}
