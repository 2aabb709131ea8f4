"""Verbs on segments."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, text

from app.audiences import queries, service
from app.audiences.fields import load_catalogue
from app.audiences.gallery import GALLERY
from app.audiences.models import Segment
from app.audiences.preview import preview
from app.audiences.rules import RuleError, parse_rule
from app.audit.models import AuditEntry
from app.core import guards
from app.core.errors import Conflict
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work
from tests.factories.audiences import make_segment
from tests.factories.clients import make_client, make_clients
from tests.factories.users import make_branch, make_user

EVERYONE: dict[str, Any] = {"all": []}
WUHAN: dict[str, Any] = {"field": "city", "op": "is", "value": "Wuhan"}


@pytest.fixture
def refuse() -> Iterator[Callable[[str, str], None]]:
    """Refuse an action with a sentence, as campaigns do; forgotten after the test."""
    registered: list[tuple[str, guards.Refusal]] = []

    def register(action: str, sentence: str) -> None:
        def refusal(segment_id: int) -> object | None:
            return sentence

        registered.append((action, refusal))
        guards.guard(action, refusal)

    yield register
    for action, refusal in registered:
        guards._guards[action].remove(refusal)


def audited() -> list[tuple[str, dict[str, Any]]]:
    return [(entry.action, entry.changes) for entry in db.session.scalars(select(AuditEntry).order_by(AuditEntry.id))]


def test_a_segment_is_made_edited_and_audited(app: Flask) -> None:
    user = make_user()
    with unit_of_work():
        segment = service.create_segment(name="  Wuhan   people ", rule=WUHAN, actor=user)
    assert (segment.name, segment.version, segment.owner_id) == ("Wuhan people", 1, user.id)
    with unit_of_work():
        service.edit_segment(segment=segment, name="Everyone", rule=EVERYONE, version=1, actor=user)
    assert (segment.name, segment.version, segment.rule) == ("Everyone", 2, EVERYONE)
    with unit_of_work():
        service.edit_segment(segment=segment, name="Everyone", rule=EVERYONE, version=2, actor=user)
    assert segment.version == 2
    assert audited() == [
        (
            "segment.created",
            {"name": [None, "Wuhan people"], "description": [None, None], "rule": [None, WUHAN]},
        ),
        ("segment.edited", {"name": ["Wuhan people", "Everyone"], "rule": [WUHAN, EVERYONE]}),
    ]


def test_names_are_unique_among_segments_in_use(app: Flask) -> None:
    old = make_segment(name="Savers")
    with pytest.raises(service.NameTaken), unit_of_work():
        service.create_segment(name="savers", rule=EVERYONE)
    with unit_of_work():
        service.archive_segment(segment=old, actor=None)
        service.create_segment(name="savers", rule=EVERYONE)
    with pytest.raises(service.NameTaken), unit_of_work():
        service.restore_segment(segment=old, actor=None)


@pytest.mark.parametrize(("name", "error"), [(" ", service.NameMissing), ("x" * 101, service.NameTooLong)])
def test_a_name_is_needed_and_not_endless(app: Flask, name: str, error: type[Exception]) -> None:
    with pytest.raises(error), unit_of_work():
        service.create_segment(name=name, rule=EVERYONE)


def test_a_rule_that_is_none_is_not_saved(app: Flask) -> None:
    with pytest.raises(RuleError), unit_of_work():
        service.create_segment(name="x", rule={"field": "nose", "op": "is", "value": 1})
    assert db.session.scalars(select(Segment)).all() == []


def test_the_second_of_two_editors_is_told(app: Flask) -> None:
    segment = make_segment()
    with unit_of_work():
        service.edit_segment(segment=segment, name="first", rule=EVERYONE, version=1)
    with pytest.raises(service.ChangedMeanwhile), unit_of_work():
        service.edit_segment(segment=segment, name="second", rule=EVERYONE, version=1)


def test_a_segment_that_a_campaign_needs_is_not_archived(app: Flask, refuse: Callable[[str, str], None]) -> None:
    segment = make_segment()
    refuse("archive segment", "Spring needs it.")
    with pytest.raises(Conflict) as caught, unit_of_work():
        service.archive_segment(segment=segment, actor=None)
    assert str(caught.value) == "Spring needs it."
    assert segment.archived_at is None
    assert audited() == []


def test_the_rule_of_a_segment_may_be_held_but_not_its_name(app: Flask, refuse: Callable[[str, str], None]) -> None:
    segment = make_segment()
    refuse("edit segment", "Spring is approved with this rule.")
    with pytest.raises(Conflict), unit_of_work():
        service.edit_segment(segment=segment, name=segment.name, rule=WUHAN)
    with unit_of_work():
        service.edit_segment(segment=segment, name="Better name", rule=EVERYONE)
    assert segment.name == "Better name"


def test_an_archived_segment_is_restored_before_it_is_changed(app: Flask) -> None:
    segment = make_segment()
    with unit_of_work():
        service.archive_segment(segment=segment, actor=None)
    with pytest.raises(service.Archived), unit_of_work():
        service.edit_segment(segment=segment, name="x", rule=EVERYONE)
    with unit_of_work():
        service.restore_segment(segment=segment, actor=None)
    assert segment.archived_at is None
    assert [action for action, _ in audited()] == ["segment.archived", "segment.restored"]


def test_copies_get_names_of_their_own(app: Flask) -> None:
    segment = make_segment(name="Savers", rule=WUHAN)
    with unit_of_work():
        copies = [service.duplicate_segment(segment=segment, actor=None) for _ in range(3)]
    assert [copy.name for copy in copies] == ["Savers (copy)", "Savers (copy 2)", "Savers (copy 3)"]
    assert copies[0].rule == WUHAN


def test_a_count_is_kept_until_the_rule_changes(app: Flask) -> None:
    make_clients(3)
    segment = make_segment()
    with unit_of_work():
        assert service.recount(segment=segment) == 3
    assert segment.last_count == 3
    with unit_of_work():
        service.edit_segment(segment=segment, name="x", rule=WUHAN)
    assert segment.last_count is None


def test_a_preview_counts_what_the_person_may_see(app: Flask) -> None:
    branch = make_branch()
    make_clients(20, branch_id=branch.id, city="Wuhan", email=lambda n: f"someone{n}@example.com")
    make_clients(2, branch_id=branch.id, city="Wuhan", email_consent=None)
    make_clients(8, branch_id=branch.id, city="Beijing")
    make_clients(5, city="Wuhan")
    rule = parse_rule(WUHAN, load_catalogue())
    manager = make_user(role="branch_manager", branch=branch)
    seen = preview(rule, user=manager)
    assert (seen.matched, seen.book, seen.reach[0].reachable) == (22, 30, 20)
    assert len(seen.sample) == 10
    assert {client.branch for client in seen.sample} == {branch.name}
    assert all("someone" not in (client.email or "") for client in seen.sample)
    everything = preview(rule, user=None)
    assert (everything.matched, everything.book) == (27, 35)
    segment = make_segment(rule=WUHAN)
    assert queries.segment_counts([segment], user=manager).by_segment == {segment.id: 22}
    adviser = make_user(role="adviser", branch=branch)
    make_client(adviser_id=adviser.id, city="Wuhan")
    assert queries.segment_counts([segment], user=adviser).by_segment == {segment.id: 1}


def test_a_count_that_takes_too_long_is_given_up(app: Flask) -> None:
    rule = parse_rule(EVERYONE, load_catalogue())
    with db.engine.connect() as other, other.begin():
        other.execute(text("LOCK TABLE client IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises(queries.TooSlow):
            preview(rule, user=None, time_limit_ms=50)
        with pytest.raises(queries.TooSlow):
            queries.count_whole_book(rule, time_limit_ms=50)
        segment = make_segment(last_count=7)
        manager = make_user(role="branch_manager", branch=make_branch())
        remembered = queries.segment_counts([segment], user=None, time_limit_ms=50)
        assert (remembered.by_segment, remembered.live) == ({segment.id: 7}, False)
        nothing = queries.segment_counts([segment], user=manager, time_limit_ms=50)
        assert nothing.by_segment == {segment.id: None}
    assert preview(rule, user=None).matched == 0
    assert db.session.scalar(text("SHOW statement_timeout")) == "0"


def test_the_clients_of_a_segment_are_read_page_by_page(app: Flask) -> None:
    make_clients(120, city=lambda n: "Wuhan" if n > 10 else None)
    rule = parse_rule(WUHAN, load_catalogue())
    first = queries.clients_page(rule, user=None)
    second = queries.clients_page(rule, user=None, after=first.after)
    third = queries.clients_page(rule, user=None, after=second.after)
    numbers = [client.number for page in (first, second, third) for client in page.clients]
    assert numbers == [str(number) for number in range(11, 121)]
    assert (first.before, third.after) == (None, None)
    assert queries.clients_page(rule, user=None, before=third.before) == second


def test_segments_are_listed_by_name_and_found_by_words(app: Flask) -> None:
    names = [f"Segment {number:03}" for number in range(120)]
    for name in names:
        db.session.add(Segment(name=name, rule=EVERYONE, description="about savers" if name.endswith("7") else None))
    db.session.commit()
    first = queries.segment_page()
    second = queries.segment_page(after=first.after)
    third = queries.segment_page(after=second.after)
    assert [one.name for page in (first, second, third) for one in page.segments] == names
    assert (first.total, first.before, third.after) == (120, None, None)
    assert queries.segment_page(before=third.before).segments == second.segments
    assert queries.segment_page(search="savers segment 01").total == 1
    assert queries.segment_page(search="100%").total == 0


def test_every_ready_segment_is_a_rule_of_today(app: Flask) -> None:
    make_client()
    catalogue = load_catalogue()
    for ready in GALLERY:
        preview(parse_rule(ready.rule, catalogue), user=None)
    assert len({ready.key for ready in GALLERY}) == len(GALLERY)
