"""Rules as SQL: against an evaluator of its own, rule by rule, and against malice."""

from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import pytest
from cnlunar import Lunar
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from app.audiences.compiler import condition
from app.audiences.operators import PERIODS
from app.clients.models import Client
from app.core.extensions import db
from tests.audiences.plain_reading import in_period
from tests.factories.clients import head_office, make_account, make_client, make_clients, make_custom_field
from tests.factories.users import make_branch

TODAY = date(2026, 3, 1)
WORDS = ("student", "Student", "retired", "100%", "a_b", "it's", "50/50", "back\\slash", "李雷")


# ---- An evaluator of its own: one client (a dict of field key to value) at a time, in plain Python ----


def holds(rule: dict[str, Any], row: dict[str, Any]) -> bool:
    if "all" in rule:
        return all(holds(one, row) for one in rule["all"])
    if "any" in rule:
        return not rule["any"] or any(holds(one, row) for one in rule["any"])
    if "not" in rule:
        return not holds(rule["not"], row)
    return _compare(rule["op"], row[rule["field"]], rule.get("value"))


def _compare(op: str, have: Any, value: Any) -> bool:
    opposite = {"is_not": "is", "not_contains": "contains", "not_in": "in", "ne": "eq", "has_not": "has"}
    if op in opposite:
        return not _compare(opposite[op], have, value)
    if op in ("known", "missing"):
        return (have is None) == (op == "missing")
    if have is None:
        return False
    if isinstance(have, bool):
        return have == (op == "is_yes")
    if isinstance(have, date):
        return _compare_date(op, have, value)
    if isinstance(have, list):
        return value in have
    if isinstance(have, str):
        return _compare_text(op, have.lower(), value)
    return _compare_number(op, have, value)


def _compare_text(op: str, have: str, value: Any) -> bool:
    if op == "in":
        return have in [one.lower() for one in value]
    wanted = value.lower()
    return {"is": have == wanted, "contains": wanted in have, "starts_with": have.startswith(wanted)}[op]


def _compare_number(op: str, have: float, value: Any) -> bool:
    if op == "between":
        return bool(value[0] <= have <= value[1])
    if op == "in":
        return have in value
    return bool(
        {
            "is": have == value,
            "eq": have == value,
            "gt": have > value,
            "gte": have >= value,
            "lt": have < value,
            "lte": have <= value,
        }[op]
    )


def _compare_date(op: str, have: date, value: Any) -> bool:
    if op == "between":
        return date.fromisoformat(value[0]) <= have <= date.fromisoformat(value[1])
    if op in ("on", "before", "after"):
        other = date.fromisoformat(value)
        return {"on": have == other, "before": have < other, "after": have > other}[op]
    if op == "in_period":
        return in_period(have, value, TODAY)
    if op == "in_last_days":
        return 0 <= (TODAY - have).days <= value
    if op == "in_next_days":
        return 0 <= (have - TODAY).days <= value
    if op == "more_than_days_ago":
        return (TODAY - have).days > value
    coming = [TODAY + timedelta(days=offset) for offset in range(value + 1)]
    if op == "lunar_anniversary_in_next_days":
        return have <= TODAY and any(_is_lunar_anniversary(have, day) for day in coming)
    return any(_is_anniversary(have, day) for day in coming)


def _is_anniversary(born: date, day: date) -> bool:
    if (born.month, born.day) == (2, 29) and (day.year % 4 or (day.year % 100 == 0 and day.year % 400)):
        return (day.month, day.day) == (2, 28)
    return (born.month, born.day) == (day.month, day.day)


@cache
def _lunar(day: date) -> Lunar:
    return Lunar(datetime.combine(day, time(12)))


def _is_lunar_anniversary(born: date, day: date) -> bool:
    have, now = _lunar(born), _lunar(day)
    if now.isLunarLeapMonth or now.lunarMonth != have.lunarMonth:
        return False
    day_is_last = _lunar(day + timedelta(days=1)).lunarDay == 1
    return now.lunarDay == have.lunarDay or (day_is_last and have.lunarDay > now.lunarDay)


def age_of(born: date | None) -> int | None:
    if born is None:
        return None
    return TODAY.year - born.year - ((TODAY.month, TODAY.day) < (born.month, born.day))


# ---- Random clients and random rules over them ----

texts = st.sampled_from(WORDS)
dates = st.one_of(
    st.dates(date(1930, 1, 1), TODAY - timedelta(days=1)),
    st.sampled_from((date(2000, 2, 29), date(2001, 2, 28), date(1980, 3, 1), date(1999, 12, 31), TODAY)),
)
events = st.one_of(dates, st.dates(TODAY - timedelta(days=40), TODAY + timedelta(days=40)))
numbers = st.one_of(st.integers(-3, 3), st.floats(-3, 3, allow_nan=False), st.integers(-(10**15), 10**15))
cents = st.decimals(-100, 100, places=2, allow_nan=False, allow_infinity=False)
days = st.integers(0, 400)
maybe = st.none
CLIENTS = st.lists(
    st.fixed_dictionaries(
        {
            "city": st.one_of(maybe(), texts),
            "birth_date": st.one_of(maybe(), dates),
            "opened_on": st.one_of(maybe(), events),
            "total_assets": st.one_of(maybe(), cents),
            "risk_level": st.one_of(maybe(), st.integers(1, 5)),
            "email_consent": st.one_of(maybe(), st.booleans()),
            "tags": st.lists(texts, max_size=3),
            "text_01": st.one_of(maybe(), texts),
            "number_01": st.one_of(maybe(), st.integers(-3, 3), st.floats(-3, 3, allow_nan=False)),
            "date_01": st.one_of(maybe(), events),
            "yesno_01": st.one_of(maybe(), st.booleans()),
        }
    ),
    min_size=1,
    max_size=6,
)


def _condition(field: str, **operators: st.SearchStrategy[Any] | None) -> st.SearchStrategy[dict[str, Any]]:
    def of(op: str, values: st.SearchStrategy[Any] | None) -> st.SearchStrategy[dict[str, Any]]:
        base = {"field": st.just(field), "op": st.just(op.rstrip("_"))}
        return st.fixed_dictionaries(base if values is None else base | {"value": values})

    return st.one_of(*(of(op, values) for op, values in operators.items()))


def _text(field: str) -> st.SearchStrategy[dict[str, Any]]:
    some = st.lists(texts, min_size=1, max_size=3)
    part = st.one_of(texts, st.sampled_from(("s", "%", "_", "/", "\\", "'", "雷")))
    return _condition(
        field, is_=texts, is_not=texts, contains=part, not_contains=part, starts_with=part, in_=some, not_in=some,
        known=None, missing=None,
    )  # fmt: skip


def _number(field: str, values: st.SearchStrategy[Any] = numbers) -> st.SearchStrategy[dict[str, Any]]:
    ends = st.tuples(values, values).map(lambda pair: sorted(pair))
    return _condition(
        field, eq=values, ne=values, gt=values, gte=values, lt=values, lte=values, between=ends,
        known=None, missing=None,
    )  # fmt: skip


def _date(field: str) -> st.SearchStrategy[dict[str, Any]]:
    written = events.map(date.isoformat)
    ends = st.tuples(events, events).map(lambda pair: [day.isoformat() for day in sorted(pair)])
    return _condition(
        field, on=written, before=written, after=written, between=ends, in_period=st.sampled_from(list(PERIODS)),
        in_last_days=days, in_next_days=days,
        more_than_days_ago=days, anniversary_in_next_days=st.integers(0, 366),
        lunar_anniversary_in_next_days=st.integers(0, 400), known=None, missing=None,
    )  # fmt: skip


def _yesno(field: str) -> st.SearchStrategy[dict[str, Any]]:
    return _condition(field, is_yes=None, is_no=None, known=None, missing=None)


levels = st.integers(1, 5)
CONDITIONS = st.one_of(
    _text("city"),
    _text("custom.job"),
    _number("custom.balance"),
    _number("total_assets", st.one_of(cents.map(float), numbers)),
    _number("age", st.integers(-1, 100)),
    _date("birth_date"),
    _date("opened_on"),
    _date("custom.matures_on"),
    _yesno("email_consent"),
    _yesno("custom.housing"),
    _condition("risk_level", is_=levels, is_not=levels, in_=st.lists(levels, min_size=1), known=None, missing=None),
    _condition("tags", has=texts, has_not=texts),
)
RULES = st.recursive(
    CONDITIONS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda rules: {"all": rules}),
        st.lists(inner, max_size=3).map(lambda rules: {"any": rules}),
        inner.map(lambda rule: {"not": rule}),
    ),
    max_leaves=6,
).filter(lambda rule: _depth(rule) <= 8)


def _depth(rule: dict[str, Any]) -> int:
    inner = rule.get("all") or rule.get("any") or ([rule["not"]] if "not" in rule else [])
    is_group = rule.keys() & {"all", "any", "not"}
    return (1 if is_group else 0) + max((_depth(one) for one in inner), default=0)


@pytest.fixture
def own_fields(app: Flask) -> None:
    make_custom_field("job", type="text", slot="text_01")
    make_custom_field("balance", type="number", slot="number_01")
    make_custom_field("matures_on", type="date", slot="date_01")
    make_custom_field("housing", type="yesno", slot="yesno_01")


def matching(rule: dict[str, Any], *, today: date = TODAY) -> list[str]:
    """The numbers of the clients of a rule."""
    where = condition(rule, today=today)
    return list(db.session.scalars(select(Client.number).where(where).order_by(Client.id)))


def numbers_where(rows: Sequence[dict[str, Any]], test: Callable[[dict[str, Any]], bool]) -> list[str]:
    return [str(position) for position, row in enumerate(rows, 1) if test(row)]


@pytest.mark.usefixtures("own_fields")
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=CLIENTS, rule=RULES)
def test_the_database_agrees_with_a_plain_reading_of_the_rule(rows: list[dict[str, Any]], rule: dict[str, Any]) -> None:
    db.session.execute(delete(Client))
    branch_id = head_office().id
    db.session.add_all(Client(number=str(number), branch_id=branch_id, **row) for number, row in enumerate(rows, 1))
    db.session.flush()
    read = [
        row
        | {
            "age": age_of(row["birth_date"]),
            "total_assets": None if row["total_assets"] is None else float(row["total_assets"]),
            "custom.job": row["text_01"],
            "custom.balance": row["number_01"],
            "custom.matures_on": row["date_01"],
            "custom.housing": row["yesno_01"],
        }
        for row in rows
    ]
    assert matching(rule) == numbers_where(read, lambda row: holds(rule, row))
    assert matching({"not": rule}) == numbers_where(read, lambda row: not holds(rule, row))
    db.session.rollback()


# ---- Rule by rule ----


def test_an_empty_group_is_everyone_and_its_opposite_nobody(app: Flask) -> None:
    make_clients(2)
    assert matching({"all": []}) == matching({"any": []}) == ["1", "2"]
    assert matching({"not": {"all": []}}) == []


def test_a_birthday_is_found_over_the_end_of_the_year(app: Flask) -> None:
    make_client(birth_date=date(1990, 1, 2))
    make_client(birth_date=date(1990, 1, 5))
    make_client(birth_date=date(1990, 12, 27))
    rule = {"field": "birth_date", "op": "anniversary_in_next_days", "value": 7}
    assert matching(rule, today=date(2026, 12, 28)) == ["1"]


@pytest.mark.parametrize(
    ("today", "found"),
    [(date(2027, 2, 27), True), (date(2027, 2, 28), True), (date(2027, 3, 1), False), (date(2028, 2, 28), True)],
)
def test_29_february_is_kept_on_the_28th_of_a_common_year(app: Flask, today: date, found: bool) -> None:
    make_client(birth_date=date(2000, 2, 29))
    rule = {"field": "birth_date", "op": "anniversary_in_next_days", "value": 1}
    assert (matching(rule, today=today) == ["1"]) is found
    only_today = {"field": "birth_date", "op": "anniversary_in_next_days", "value": 0}
    assert matching(only_today, today=date(2028, 2, 28)) == []
    assert matching(only_today, today=date(2028, 2, 29)) == ["1"]


def test_age_is_in_completed_years(app: Flask) -> None:
    make_client(birth_date=date(1966, 3, 1))
    make_client(birth_date=date(1966, 3, 2))
    assert matching({"field": "age", "op": "gte", "value": 60}) == ["1"]


def test_a_branch_means_everything_below_it(app: Flask) -> None:
    north = make_branch(code="N")
    outlet = make_branch(code="N1", parent=north)
    south = make_branch(code="S")
    for branch in (north, outlet, south):
        make_client(branch_id=branch.id)
    assert matching({"field": "branch", "op": "is", "value": "N"}) == ["1", "2"]
    assert matching({"field": "branch", "op": "is_not", "value": "N"}) == ["3"]
    assert matching({"field": "branch", "op": "in", "value": ["N1", "S"]}) == ["2", "3"]
    assert matching({"field": "branch", "op": "is", "value": "HO"}) == ["1", "2", "3"]


def test_only_open_accounts_of_the_kind_count(app: Flask) -> None:
    with_fund, closed_fund, _none = (make_client() for _ in range(3))
    make_account(with_fund, kind="fund")
    make_account(with_fund, kind="cash", number="second")
    make_account(closed_fund, kind="fund", closed_on=date(2025, 1, 1))
    assert matching({"field": "account_kinds", "op": "has", "value": "fund"}) == ["1"]
    assert matching({"field": "account_kinds", "op": "has_not", "value": "fund"}) == ["2", "3"]
    assert matching({"field": "open_accounts", "op": "eq", "value": 0}) == ["2", "3"]
    assert matching({"field": "last_transaction_on", "op": "missing"}) == ["1", "2", "3"]


def test_reachable_is_what_a_launch_would_call_eligible(app: Flask) -> None:
    make_client()
    make_client(email=None)
    make_client(email_consent=None)
    make_client(flags=["deceased"])
    assert matching({"field": "reachable_by_email", "op": "is_yes"}) == ["1"]
    assert matching({"field": "email", "op": "missing"}) == ["2"]
    assert matching({"field": "flags", "op": "has", "value": "deceased"}) == ["4"]


def test_a_field_of_the_firm_may_be_called_like_a_built_in_one(app: Flask) -> None:
    make_custom_field("age", type="number", slot="number_02")
    make_client(birth_date=date(2000, 1, 1), number_02=61.0)
    assert matching({"field": "custom.age", "op": "gte", "value": 60}) == ["1"]
    assert matching({"field": "age", "op": "gte", "value": 60}) == []


@pytest.mark.parametrize("text", ["'; DROP TABLE client; --", "%(x)s", ":name", "\\'", "$1", "%", "' OR '1'='1"])
def test_a_value_is_never_read_as_sql(app: Flask, text: str) -> None:
    make_client(city="Wuhan")
    make_client(city=text)
    for op in ("is", "contains", "starts_with"):
        assert matching({"field": "city", "op": op, "value": text}) == ["2"]
    assert matching({"field": "city", "op": "in", "value": [text]}) == ["2"]
    assert matching({"field": "tags", "op": "has", "value": text}) == []
    compiled = condition({"field": "city", "op": "is", "value": text}).compile(db.engine)
    other = condition({"field": "city", "op": "is", "value": "Wuhan"}).compile(db.engine)
    assert str(compiled) == str(other)
    assert compiled.params == {"param_1": text}


def test_money_is_compared_to_the_cent(app: Flask) -> None:
    make_client(total_assets=Decimal("0.10"))
    make_client(total_assets=Decimal("0.30"))
    assert matching({"field": "total_assets", "op": "eq", "value": 0.3}) == ["2"]
    assert matching({"field": "total_assets", "op": "lte", "value": 0.1}) == ["1"]
