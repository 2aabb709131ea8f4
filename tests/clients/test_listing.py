"""Searching, filtering and paging the client list."""

from base64 import urlsafe_b64encode
from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from itertools import product
from json import dumps
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, text

from app.clients import listing
from app.clients.listing import (
    SORTS,
    Cursor,
    Filters,
    Page,
    clients_count,
    clients_page,
    decode_cursor,
)
from app.core.extensions import db
from app.core.permissions import Role
from app.users.models import User
from tests.factories.clients import make_client, make_clients
from tests.factories.users import make_branch, make_user


def page(user: User, *, sort: str = "number", at: str | None = None, backwards: bool = False, **filters: str) -> Page:
    cursor = decode_cursor(sort.removeprefix("-"), at, backwards=backwards) if at else None
    return clients_page(user=user, filters=Filters(**filters), sort=sort, cursor=cursor, size=4)


def numbers(found: Page) -> list[str]:
    return [client.number for client in found.clients]


def walk(user: User, sort: str, search: str = "") -> list[list[str]]:
    """All pages from the first to the last, having gone back from the last to the first the same way."""
    pages = [page(user, sort=sort, search=search)]
    while pages[-1].after:
        pages.append(page(user, sort=sort, at=pages[-1].after, search=search))
    back = [pages[-1]]
    while back[-1].before:
        back.append(page(user, sort=sort, at=back[-1].before, backwards=True, search=search))
    assert [numbers(one) for one in reversed(back)] == [numbers(one) for one in pages]
    return [numbers(one) for one in pages]


@pytest.mark.parametrize("total", [0, 4, 5, 13])
@pytest.mark.parametrize("direction", ["", "-"])
@pytest.mark.parametrize("sort", SORTS)
def test_every_client_is_met_once_in_both_directions(app: Flask, sort: str, direction: str, total: int) -> None:
    make_clients(
        total,
        name=lambda i: None if i % 3 == 0 else f"Same {i % 2}",
        total_assets=lambda i: None if i % 4 == 0 else Decimal(i % 3),
        opened_on=lambda i: None if i % 5 == 0 else date(2026, 1, 1) + timedelta(days=i % 2),
    )
    pages = walk(make_user(), direction + sort)
    flat = [number for one in pages for number in one]
    assert sorted(flat, key=int) == [str(i) for i in range(1, total + 1)]
    if sort == "number":
        assert flat == sorted(flat, key=int, reverse=bool(direction))


def test_clients_without_the_value_come_last_either_way(app: Flask) -> None:
    make_clients(3, total_assets=lambda i: [None, Decimal(5), Decimal(9)][i - 1])
    user = make_user()
    assert numbers(page(user, sort="assets")) == ["2", "3", "1"]
    assert numbers(page(user, sort="-assets")) == ["3", "2", "1"]


def test_a_place_that_somebody_made_up_is_the_start(app: Flask) -> None:
    for nonsense in ("", "x", "e30", "W10", "WzEsMl0", "WyJ4IiwgInkiXQ"):
        assert decode_cursor("assets", nonsense, backwards=False) in (
            None,
            decode_cursor("assets", "WzEsMl0", backwards=False),
        )
    for value in ("[" * 100_000, "[Infinity, 1]", "[NaN, 1]", "[1, Infinity]"):
        assert decode_cursor("number", _coded(value), backwards=False) in (None, Cursor(1, "inf"))


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("A1", ["A1", "A10"]),
        ("wang", ["A1"]),
        ("WANG F", ["A1"]),
        ("ang", []),
        ("W@Example.com", ["A1"]),
        ("w@example", []),
        ("138 1234 5678", ["B2"]),
        ("+8613812345678", ["B2"]),
        ("%", []),
        ("李", ["B2"]),
        ("a\x00b", []),
    ],
)
def test_search_finds_beginnings_of_names_and_whole_addresses(app: Flask, search: str, found: list[str]) -> None:
    make_client(number="A1", name="Wang Fang", email="w@example.com")
    make_client(number="A10", name="Zhao")
    make_client(number="B2", name="李雷", mobile="+8613812345678")
    assert numbers(page(make_user(), search=search)) == found


@pytest.mark.parametrize("sort", [*SORTS, *(f"-{sort}" for sort in SORTS)])
def test_what_a_search_finds_is_paged_in_the_order_of_the_list(app: Flask, sort: str) -> None:
    wanted = {"total_assets": lambda i: None if i % 4 == 0 else Decimal(i % 3), "opened_on": date(2026, 1, 1)}
    make_clients(9, number=lambda i: f"W{i:02}", name=lambda i: f"Wei {i % 2}", **wanted)
    make_clients(5, number=lambda i: f"Z{i:02}", name="Anna", **wanted)
    user = make_user()
    pages = walk(user, sort)
    found = walk(user, sort, search="wei")
    in_order = [number for one in pages for number in one if number.startswith("W")]
    assert [number for one in found for number in one] == in_order
    assert [len(one) for one in found] == [4, 4, 1]


def test_filters_narrow_together(app: Flask) -> None:
    north = make_branch()
    outlet, adviser = make_branch(parent=north), make_user(role=Role.ADVISER)
    make_client(number="1", branch=outlet, adviser_id=adviser.id, tags=["vip"], risk_level=3)
    make_client(number="2", branch=north, status="lead", email_consent=False)
    make_client(number="3", email_consent=None)
    user = make_user()
    expected: dict[str, dict[str, list[str]]] = {
        "branch": {str(north.id): ["1", "2"], str(outlet.id): ["1"], "999": [], "x": []},
        "adviser": {str(adviser.id): ["1"], "none": ["2", "3"], "x": []},
        "status": {"lead": ["2"], "client": ["1", "3"], "x": []},
        "tag": {"vip": ["1"], "x": []},
        "consent": {"email": ["1"], "none": ["2", "3"], "withdrawn": ["2"], "x": []},
        "risk_level": {"3": ["1"], "5": [], "x": []},
    }
    for name, cases in expected.items():
        for value, found in cases.items():
            narrowed: dict[str, Any] = {name: value}
            assert numbers(page(user, **narrowed)) == found, narrowed
            assert clients_count(user=user, filters=Filters(**narrowed)).number == len(found)
    assert numbers(page(user, branch=str(north.id), status="client")) == ["1"]


def test_the_list_ends_where_the_readers_part_of_the_firm_ends(app: Flask) -> None:
    adviser = make_user(role=Role.ADVISER)
    make_client(number="1", adviser_id=adviser.id)
    make_client(number="2")
    assert numbers(page(adviser)) == ["1"]
    assert numbers(page(adviser, search="2")) == []
    assert clients_count(user=adviser, filters=Filters()).number == 1


def test_a_large_count_is_an_estimate_and_says_so(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "COUNTED", 1_000)
    make_clients(1_500, city="Shanghai")
    db.session.execute(text("ANALYZE client"))
    user = make_user()
    large = clients_count(user=user, filters=Filters())
    assert not large.exact
    assert 1_001 <= large.number < 2_000
    assert clients_count(user=user, filters=Filters(search="149")).exact


def test_a_page_deep_in_a_large_book_is_read_from_an_index(app: Flask) -> None:
    make_clients(
        20_000,
        name=lambda i: None if i % 50 == 0 else f"Name {i * 7919 % 20_000}",
        total_assets=lambda i: None if i % 50 == 0 else Decimal(i * 7919 % 20_000),
        opened_on=lambda i: None if i % 50 == 0 else date(2000, 1, 1) + timedelta(days=i % 9000),
    )
    db.session.execute(text("ANALYZE client"))
    user = make_user()
    places: dict[str, list[list[Any]]] = {
        "number": [[5, "15000"]],
        "name": [["Name 5", 9], [None, 5000]],
        "assets": [["9000", 7], [None, 5000]],
        "opened": [["2015-01-01", 3], [None, 5000]],
    }
    looked_at = [(sort, place) for sort in SORTS for place in places[sort]]
    for (sort, place), direction, backwards in product(looked_at, ("", "-"), (False, True)):
        cursor = decode_cursor(sort, _encode(place), backwards=backwards)
        assert cursor is not None
        read = partial(clients_page, user=user, filters=Filters(), sort=direction + sort, cursor=cursor)
        for plan in _plans(read):
            assert "Seq Scan on client" not in plan, plan
            assert "Sort" not in plan, plan


def _encode(place: list[Any]) -> str:
    return _coded(dumps(place))


def _coded(written: str) -> str:
    return urlsafe_b64encode(written.encode()).decode().rstrip("=")


def _plans(read: Any) -> list[str]:
    """The plans of the queries over clients that `read` makes."""
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        seen.append((statement, parameters))

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        read()
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
    plans = []
    connection: Any = db.session.connection().connection
    for statement, parameters in seen:
        if "FROM client" in statement:
            with connection.cursor() as cursor:
                cursor.execute("EXPLAIN " + statement, parameters)
                plans.append("\n".join(row[0] for row in cursor.fetchall()))
    assert plans
    return plans
