"""Some of a group, for somebody who sees a part of the book: so many of that part, whichever page asks."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from app.audiences.compiler import condition
from app.audiences.exporting import _in_segment
from app.audiences.fields import load_catalogue
from app.audiences.handing_over import segment_clients
from app.audiences.history import record_day
from app.audiences.models import Segment
from app.audiences.overlap import chosen_sets, members_of
from app.audiences.preview import preview
from app.audiences.queries import clients_page, segment_counts
from app.audiences.rules import parse_rule, takes_by_number
from app.audiences.service import freeze_segment
from app.clients.models import Client
from app.clients.queries import visible_clients
from app.core.clock import today
from app.core.extensions import db
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from app.users.models import User
from app.users.service import create_api_key
from tests.factories.audiences import make_segment
from tests.factories.clients import make_clients
from tests.factories.users import make_branch, make_user, sign_in

TOP_3 = {"all": [], "take": {"count": 3, "by": "total_assets", "order": "most"}}
SOME_3 = {"all": [], "take": {"count": 3, "random": 7}}


def numbers_where(where: Any) -> set[str]:
    return set(db.session.scalars(select(Client.number).where(where)))


def asked_by_sets(segment: Segment, user: User) -> set[str]:
    (chosen,) = chosen_sets([f"segment-{segment.id}"], user=user)
    assert chosen.ids == members_of(segment, user=user)[0]
    return numbers_where(Client.id.in_(list(chosen.ids)))


def asked_by_freezing(segment: Segment, user: User) -> set[str]:
    with unit_of_work():
        return numbers_where(Client.id.in_(list(freeze_segment(segment=segment, actor=user).client_ids)))


def asked_by_list(segment: Segment, user: User) -> set[str]:
    rule = parse_rule(segment.rule, load_catalogue())
    found = {client.number for client in clients_page(rule, user=user).clients}
    assert preview(rule, user=user).matched == len(found)
    assert segment_counts([segment], user=user).by_segment == {segment.id: len(found)}
    return found


def asked_by_others(segment: Segment, user: User) -> set[str]:
    """An export, and handing clients over; both add whom the person may see."""
    exported = numbers_where(_in_segment(segment.id, user) & visible_clients(user))
    assert exported == numbers_where(segment_clients(segment.id, user) & visible_clients(user))
    return exported


PAGES = (asked_by_sets, asked_by_freezing, asked_by_list, asked_by_others)


@pytest.fixture
def manager(app: Flask) -> User:
    """Of a branch whose clients have less than all the others."""
    north = make_branch(code="N")
    make_clients(6, number=lambda n: f"south {n}", total_assets=lambda n: Decimal(1_000 + n))
    make_clients(5, number=lambda n: f"north {n}", total_assets=lambda n: Decimal(n), branch_id=north.id)
    return make_user(role=Role.BRANCH_MANAGER, branch=north)


@pytest.mark.parametrize("counted", [False, True])
@pytest.mark.parametrize("rule", [TOP_3, SOME_3])
def test_every_page_takes_the_same_clients_of_a_part_of_the_book(
    manager: User, rule: dict[str, Any], counted: bool
) -> None:
    inner = make_segment(rule=rule)
    outer = make_segment(rule={"all": [{"field": "segment", "op": "in", "value": [inner.id]}]})
    if counted:
        with unit_of_work():
            for segment in (inner, outer):
                assert record_day(segment=segment, on_date=today()) == 3
    expected = numbers_where(condition(rule, scope=visible_clients(manager)) & visible_clients(manager))
    assert (len(expected), {number.split()[0] for number in expected}) == (3, {"north"})
    for page in PAGES:
        for segment in (inner, outer):
            assert page(segment, manager) == expected, page.__name__


def test_the_api_takes_them_too(app: Flask, manager: User) -> None:
    segment = make_segment(rule=TOP_3)
    with unit_of_work():
        _key, secret = create_api_key(name="k", resources=["segments"], actor=manager)
    headers = {"Authorization": f"Bearer {secret}"}
    told = app.test_client().get(f"/api/v1/segments/{segment.id}/clients", headers=headers).json
    assert (set(told["items"]), told["total"]) == ({"north 3", "north 4", "north 5"}, 3)


def test_growth_of_a_number_taken_is_told_over_the_whole_book_only(app: Flask, manager: User) -> None:
    segment = make_segment(rule=TOP_3)
    with unit_of_work():
        for back in (7, 0):
            record_day(segment=segment, on_date=today() - timedelta(days=back))
    address = f"/segments/{segment.id}/history"
    of_branch = sign_in(app.test_client(), manager)
    assert "No growth of this segment for you" in of_branch.get(address).text
    assert of_branch.get(f"{address}/joined").status_code == 404
    whole = sign_in(app.test_client(), make_user(role=Role.MARKETING))
    assert "growth-option" in whole.get(address).text
    assert whole.get(f"{address}/joined").status_code == 200


def test_what_takes_no_number_is_counted_once_for_everybody(manager: User) -> None:
    percent = {"any": [{"not": {"all": [], "take": {"percent": 50, "random": 1}}}]}

    def read(rule: dict[str, Any]) -> bool:
        return takes_by_number(parse_rule(rule, load_catalogue()))

    assert not read(percent)
    assert not read({"related": "accounts", "op": "gte", "value": 1})
    assert read({"any": [percent, {"not": SOME_3}]})
    segment = make_segment(rule=percent)
    with unit_of_work():
        record_day(segment=segment, on_date=today())
    assert asked_by_sets(segment, manager) == asked_by_list(segment, manager)
