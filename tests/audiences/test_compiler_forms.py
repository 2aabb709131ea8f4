"""Related rows, metrics, classes, responses, segments in segments, top-N: SQL against a plain reading of the rule."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, insert, select, update

from app.audiences.compiler import condition
from app.audiences.lists.models import ListedNumber, NumberList
from app.audiences.models import Segment
from app.audiences.operators import PERIODS
from app.clients.classes.models import ClassChange, ClientClass
from app.clients.engagement.models import Engagement
from app.clients.holdings.models import Account, Balance, Position, Transaction
from app.clients.metrics.models import ClientMetrics
from app.clients.models import Client, Suppression
from app.clients.queries import visible_clients
from app.clients.relations.models import Household, HouseholdMember
from app.core.extensions import db
from app.core.partitions import ensure_months
from tests.audiences.plain_reading import in_period
from tests.factories.audiences import make_segment
from tests.factories.clients import head_office, make_client, make_clients, make_custom_field
from tests.factories.users import make_branch, make_user

TODAY = date(2026, 3, 10)
KINDS = ("contacted", "opened", "clicked")
Row = dict[str, Any]
Rule = dict[str, Any]

# ---- Random books ----

days = st.integers(-4, 70).map(lambda back: TODAY - timedelta(days=back))
maybe = st.none
amounts = st.integers(0, 30).map(lambda tens: Decimal(tens) * 10)
TRANSACTIONS = st.fixed_dictionaries(
    {
        "on_date": days,
        "kind": st.sampled_from(("buy", "deposit")),
        "amount": amounts,
        "order_channel": st.one_of(maybe(), st.just("web")),
    }
)
POSITIONS = st.fixed_dictionaries(
    {
        "product_kind": st.sampled_from(("fund", "share")),
        "product_risk": st.sampled_from((None, 1, 4)),
        "value": amounts,
        "cost": st.one_of(maybe(), amounts),
    }
)
CHANGES = st.fixed_dictionaries(
    {
        "model": st.sampled_from(("aum_tier", "contribution_turnover")),
        "was": st.sampled_from((None, "A", "B")),
        "is_now": st.sampled_from((None, "A", "B")),
        "on_date": days,
    }
)
ACCOUNTS = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(("cash", "fund")),
        "opened_on": st.one_of(maybe(), days),
        "closed_on": st.one_of(maybe(), days),
        "transactions": st.lists(TRANSACTIONS, max_size=3),
        "positions": st.lists(POSITIONS, max_size=2),
        "balances": st.dictionaries(days, amounts, max_size=2),
    }
)
CLIENTS = st.lists(
    st.fixed_dictionaries(
        {
            "city": st.sampled_from((None, "Wuhan", "Lhasa")),
            "total_assets": st.one_of(maybe(), amounts),
            "email": st.sampled_from((None, "", "good@example.com", "Blocked@example.com")),
            "email_consent": st.sampled_from((None, True, False)),
            "status": st.sampled_from(("client", "closed")),
            "risk_assessed_on": st.one_of(maybe(), st.dates(date(2024, 1, 1), TODAY)),
            "metrics": st.one_of(
                maybe(),
                st.fixed_dictionaries(
                    {
                        "trades_90": st.one_of(maybe(), st.integers(0, 3)),
                        "last_trade_on": st.one_of(maybe(), days),
                        "assets_change_30": st.one_of(maybe(), st.sampled_from((-0.5, -0.3, 0.0, 0.25))),
                        "product_kinds": st.one_of(maybe(), st.lists(st.sampled_from(("fund", "loan")), unique=True)),
                    }
                ),
            ),
            "class": st.one_of(maybe(), st.sampled_from((None, "A", "B"))),
            "household": st.booleans(),
            "changes": st.lists(CHANGES, max_size=2),
            "accounts": st.lists(ACCOUNTS, max_size=2),
            "engagement": st.dictionaries(st.tuples(st.sampled_from(KINDS), st.integers(1, 2)), days, max_size=3),
        }
    ),
    min_size=1,
    max_size=5,
)


OWN = ("city", "total_assets", "email", "email_consent", "status", "risk_assessed_on")
OF_CLIENTS = (ClientMetrics, ClientClass, ClassChange, HouseholdMember, Engagement)
OF_ACCOUNTS = (Transaction, Position, Balance)


def write(rows: list[Row]) -> None:
    """The clients with all they have, ids counted from 1, in the current transaction; those before are rolled back."""
    db.session.rollback()
    made: dict[Any, list[Row]] = {model: [] for model in (Client, *OF_CLIENTS, Account, *OF_ACCOUNTS)}
    branch_id, numbers = head_office().id, count(1)
    for client_id, row in enumerate(rows, 1):
        of = {"client_id": client_id}
        own = {key: row[key] for key in OWN}
        made[Client].append(own | {"id": client_id, "number": str(client_id), "branch_id": branch_id})
        if row["metrics"] is not None:
            made[ClientMetrics].append(of | {"as_of": TODAY} | row["metrics"])
        if row["class"] is not None or client_id % 2:
            made[ClientClass].append(of | {"contribution_turnover": row["class"]})
        if row["household"]:
            made[HouseholdMember].append(of | {"household_id": 1})
        made[ClassChange] += [of | change for change in row["changes"]]
        for (kind, campaign), day in row["engagement"].items():
            at = datetime.combine(day, time(23, 59), UTC)
            values = {"kind": kind, "campaign_id": campaign, "channel": "email", "first_at": at, "last_at": at}
            made[Engagement].append(of | values)
        for account in row["accounts"]:
            account_id = next(numbers)
            facts = {key: account[key] for key in ("kind", "opened_on", "closed_on")}
            made[Account].append(of | facts | {"id": account_id, "number": str(account_id)})
            key = of | {"account_id": account_id}
            for one in account["transactions"]:
                made[Transaction].append(key | one | {"source": "t", "external_id": str(next(numbers))})
            for one in account["positions"]:
                made[Position].append(key | one | {"product_code": str(next(numbers)), "on_date": TODAY})
            made[Balance] += [key | {"on_date": day, "amount": amount} for day, amount in account["balances"].items()]
    for model, values in made.items():
        if values:
            db.session.execute(insert(model), values)


# ---- A plain reading: the set of ids of a rule ----


class Reader:
    def __init__(self, rows: list[Row], segments: dict[int, Rule]) -> None:
        self.rows = dict(enumerate(rows, 1))
        self.segments = segments

    def ids(self, rule: Rule) -> set[int]:
        everyone = set(self.rows)
        if "not" in rule:
            return everyone - self.ids(rule["not"])
        if "related" in rule:
            return {number for number, row in self.rows.items() if self._counted(rule, row)}
        if "field" in rule:
            if rule["field"] == "segment":
                found = set().union(*(self.ids(self.segments[number]) for number in rule["value"]))
                return found if rule["op"] == "in" else everyone - found
            if rule["field"] == "number_list":
                found = {n for n in everyone if any(str(n) in LISTS[number] for number in rule["value"])}
                return found if rule["op"] == "in" else everyone - found
            return {number for number, row in self.rows.items() if holds(rule, facts(row))}
        key = "all" if "all" in rule else "any"
        sets = [self.ids(one) for one in rule[key]] or [everyone]
        found = set.intersection(*sets) if key == "all" else set.union(*sets)
        return self._taken(found, rule["take"]) if "take" in rule else found

    def _counted(self, rule: Rule, row: Row) -> bool:
        rows = [one for one in related(row, rule["related"]) if all(holds(each, one) for each in rule["where"]["all"])]
        number = sum(one[rule["of"]] or 0 for one in rows) if rule.get("of") else len(rows)
        return compare(rule["op"], number, rule["value"])

    def _taken(self, found: set[int], take: Rule) -> set[int]:
        if "by" in take:
            known = {n: v for n in found if (v := facts(self.rows[n])[take["by"]]) is not None}
            return set(sorted(known, key=lambda n: (known[n], n), reverse=take["order"] == "most")[: take["count"]])
        drawn = {n: db.session.execute(select(func.hashint8extended(n, take["random"]))).scalar_one() for n in found}
        if "percent" in take:
            return {n for n in found if (drawn[n] & (2**63 - 1)) < take["percent"] / 100 * 2**63}
        return set(sorted(found, key=lambda n: (drawn[n], n))[: take["count"]])


def facts(row: Row) -> Row:
    """What the fields of a client say."""
    metrics = row["metrics"] or dict.fromkeys(("trades_90", "last_trade_on", "assets_change_30", "product_kinds"))
    change = metrics["assets_change_30"]
    assessed = row["risk_assessed_on"]
    opened = [account for account in row["accounts"] if account["closed_on"] is None]

    def last(kind: str) -> date | None:
        return max((day for (one, _c), day in row["engagement"].items() if one == kind and day <= TODAY), default=None)

    return metrics | {
        "city": row["city"],
        "total_assets": row["total_assets"],
        "assets_change_30": None if change is None else change * 100,
        "products": metrics["product_kinds"] or None,
        "contribution_turnover": row["class"],
        "in_household": row["household"],
        "account_kinds": [account["kind"] for account in opened] or None,
        "open_accounts": len(opened),
        "last_contacted_on": last("contacted"),
        "last_opened_on": last("opened"),
        "risk_expires_on": assessed and year_later(assessed),
        "reachable_by_email": row["status"] != "closed"
        and row["email"] == "good@example.com"
        and row["email_consent"] is True,
    }


def year_later(day: date) -> date:
    """On 28 February of a common year one of 29 February still holds."""
    return date(day.year + 1, 3, 1) if (day.month, day.day) == (2, 29) else day.replace(year=day.year + 1)


def related(row: Row, kind: str) -> Iterator[Row]:
    if kind == "transactions":
        for account in row["accounts"]:
            yield from (one | {"trade": one["kind"] == "buy"} for one in account["transactions"])
    elif kind == "accounts":
        yield from (account | {"open": account["closed_on"] is None} for account in row["accounts"])
    elif kind == "positions":
        for account in row["accounts"]:
            for one in account["positions"]:
                yield one | {"profit": None if one["cost"] is None else one["value"] - one["cost"]}
    elif kind == "balances":
        for account in row["accounts"]:
            yield from ({"on_date": day, "amount": amount} for day, amount in account["balances"].items())
    elif kind == "class_changes":
        yield from row["changes"]
    else:
        for (one, campaign), day in row["engagement"].items():
            yield {"kind": one, "campaign": campaign, "last_at": day}


def holds(rule: Rule, values: Row) -> bool:
    op, have, value = rule["op"], values[rule["field"]], rule.get("value")
    if op in ("known", "missing"):
        return (have is None) == (op == "missing")
    opposite = {"is_not": "is", "not_in": "in", "ne": "eq", "has_not": "has"}
    if op in opposite:
        return not holds(rule | {"op": opposite[op]}, values)
    if have is None:
        return False
    if op.startswith("has"):
        wanted = value if isinstance(value, list) else [value]
        return (all if op == "has_all" else any)(one in have for one in wanted)
    if op in ("is_yes", "is_no"):
        return bool(have) == (op == "is_yes")
    if op in ("is", "in"):
        return str(have).lower() in [str(one).lower() for one in (value if isinstance(value, list) else [value])]
    if op == "in_period":
        return in_period(have, value, TODAY)
    if isinstance(have, date):
        back = (TODAY - have).days
        return {
            "in_last_days": 0 <= back <= value,
            "in_next_days": 0 <= -back <= value,
            "more_than_days_ago": back > value,
        }[op]
    return compare(op, have, value)


def compare(op: str, number: Any, value: Any) -> bool:
    if op == "between":
        return bool(value[0] <= number <= value[1])
    return bool(
        {
            "eq": number == value,
            "ne": number != value,
            "gt": number > value,
            "gte": number >= value,
            "lt": number < value,
            "lte": number <= value,
        }[op]
    )


# ---- Random rules ----

smalls = st.one_of(st.integers(-1, 4), st.sampled_from((0.5, 1.5)))
back = st.integers(0, 80)


def ask(field: str, **operators: st.SearchStrategy[Any] | None) -> st.SearchStrategy[Rule]:
    def of(op: str, values: st.SearchStrategy[Any] | None) -> st.SearchStrategy[Rule]:
        base = {"field": st.just(field), "op": st.just(op.rstrip("_"))}
        return st.fixed_dictionaries(base if values is None else base | {"value": values})

    return st.one_of(*(of(op, values) for op, values in operators.items()))


def numbers(values: st.SearchStrategy[Any]) -> dict[str, st.SearchStrategy[Any]]:
    ends = st.tuples(values, values).map(sorted)
    return dict.fromkeys(("eq", "ne", "gt", "gte", "lt", "lte"), values) | {"between": ends}


def dates(field: str, *, known: bool = True) -> st.SearchStrategy[Rule]:
    presence = {"known": None, "missing": None} if known else {}
    period = st.sampled_from(list(PERIODS))
    return ask(field, in_period=period, in_last_days=back, in_next_days=back, more_than_days_ago=back, **presence)


def some_of(*values: Any) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True)


def related_rule(kind: str, of: tuple[str, ...], *conditions: st.SearchStrategy[Rule]) -> st.SearchStrategy[Rule]:
    where = st.lists(st.one_of(*conditions), max_size=2).map(lambda rules: {"all": rules})
    forms = [
        st.fixed_dictionaries(
            {"related": st.just(kind), "where": where, "op": st.just(op), "value": values}
            | ({"of": st.sampled_from((None, *of))} if of else {})
        )
        for op, values in numbers(smalls).items()
    ]
    return st.one_of(*forms)


tens = st.integers(-1, 31).map(lambda number: number * 10)
CONDITIONS = st.one_of(
    ask("city", is_=st.sampled_from(("wuhan", "Lhasa")), is_not=st.just("Wuhan"), known=None, missing=None),
    ask("trades_90", known=None, missing=None, **numbers(smalls)),
    ask("assets_change_30", **numbers(st.sampled_from((-50, -30, -30.5, 0, 25)))),
    ask("products", has=st.just("fund"), has_not=st.just("loan"), has_any=some_of("fund", "loan"),
        has_all=some_of("fund", "loan"), known=None, missing=None),
    ask("contribution_turnover", is_=st.just("A"), is_not=st.just("B"), in_=some_of("A", "B"), known=None,
        missing=None),
    ask("account_kinds", has=st.just("fund"), has_not=st.just("cash"), has_any=some_of("fund", "cash"),
        has_all=some_of("fund", "cash"), known=None, missing=None),
    ask("open_accounts", **numbers(smalls)),
    ask("reachable_by_email", is_yes=None, is_no=None),
    dates("last_trade_on"),
    dates("last_contacted_on"),
    dates("last_opened_on"),
    dates("risk_expires_on"),
    related_rule("transactions", ("amount",), dates("on_date", known=False), ask("trade", is_yes=None, is_no=None),
                 ask("amount", **numbers(tens)),
                 ask("order_channel", is_=st.just("web"), is_not=st.just("web"), known=None)),
    related_rule("accounts", (), dates("opened_on"), ask("open", is_yes=None), ask("kind", is_=st.just("fund"))),
    related_rule("engagement", (), dates("last_at", known=False), ask("kind", is_=st.sampled_from(KINDS))),
    related_rule("positions", ("value", "cost", "profit"),
                 ask("product_kind", is_=st.just("fund"), is_not=st.just("fund"), in_=some_of("fund", "share")),
                 ask("product_risk", is_=st.just(4), is_not=st.just(1), in_=some_of(1, 4), known=None, missing=None),
                 ask("value", **numbers(tens)), ask("cost", known=None, missing=None, **numbers(tens)),
                 ask("profit", known=None, missing=None, **numbers(tens))),
    related_rule("balances", ("amount",), dates("on_date", known=False), ask("amount", **numbers(tens))),
    related_rule("class_changes", (), dates("on_date", known=False), ask("model", is_=st.just("aum_tier")),
                 ask("was", is_=st.just("A"), is_not=st.just("B"), known=None, missing=None),
                 ask("is_now", in_=some_of("A", "B"), not_in=some_of("A", "B"))),
    ask("in_household", is_yes=None, is_no=None),
    ask("number_list", in_=some_of(1, 2), not_in=some_of(1, 2)),
    ask("segment", in_=some_of(1, 2), not_in=some_of(1, 2)),
)  # fmt: skip
TAKES = st.one_of(
    st.fixed_dictionaries(
        {
            "count": st.integers(1, 3),
            "by": st.sampled_from(("total_assets", "trades_90", "last_trade_on")),
            "order": st.sampled_from(("most", "least")),
        }
    ),
    st.fixed_dictionaries({"count": st.integers(1, 3), "random": st.integers(0, 2**31 - 1)}),
    st.fixed_dictionaries({"percent": st.sampled_from((0.5, 30, 50.5, 100)), "random": st.integers(0, 2**31 - 1)}),
)


def groups(inner: st.SearchStrategy[Rule]) -> st.SearchStrategy[Rule]:
    members = st.lists(inner, max_size=3)
    plain = st.tuples(st.sampled_from(("all", "any")), members).map(lambda made: {made[0]: made[1]})
    taken = st.tuples(plain, TAKES).map(lambda made: made[0] | {"take": made[1]})
    return st.one_of(plain, taken, inner.map(lambda rule: {"not": rule}))


def depth(rule: Rule) -> int:
    inner = rule.get("all") or rule.get("any") or ([rule["not"]] if "not" in rule else [])
    return 1 + max((depth(one) for one in inner), default=0)


RULES = st.recursive(CONDITIONS, groups, max_leaves=5).filter(lambda rule: depth(rule) <= 4)
LISTS = {1: {"1", "4", "99"}, 2: {"2", "4"}}
SEGMENTS: dict[int, Rule] = {
    1: {"any": [{"field": "city", "op": "is", "value": "wuhan"}, {"field": "trades_90", "op": "gte", "value": 1}]},
    2: {"all": [{"field": "total_assets", "op": "known"}], "take": {"count": 2, "by": "total_assets", "order": "most"}},
}


def found(rule: Rule, **more: Any) -> set[int]:
    return set(db.session.scalars(select(Client.id).where(condition(rule, today=TODAY, **more))))


@pytest.fixture
def book(app: Flask) -> None:
    for table in ("transaction", "balance"):
        ensure_months(table, TODAY - timedelta(days=100), TODAY + timedelta(days=40))
    db.session.add(Household(id=1))
    for key, numbers_of in LISTS.items():
        db.session.add(NumberList(id=key, name=f"List {key}", size=len(numbers_of)))
        db.session.flush()
        db.session.add_all(ListedNumber(list_id=key, number=number) for number in numbers_of)
    db.session.add(Suppression(channel="email", address="blocked@example.com", reason="test", source="test"))
    for rule in SEGMENTS.values():
        make_segment(rule=rule)
    assert list(db.session.scalars(select(Segment.id).order_by(Segment.id))) == list(SEGMENTS)


@pytest.mark.usefixtures("book")
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=CLIENTS, rule=RULES)
def test_the_database_agrees_with_a_plain_reading_of_the_rule(rows: list[Row], rule: Rule) -> None:
    write(rows)
    expected = Reader(rows, SEGMENTS).ids(rule)
    assert found(rule) == expected
    assert found({"not": rule}) == set(range(1, len(rows) + 1)) - expected
    assert found({"any": [rule, {"field": "city", "op": "is", "value": "Lhasa"}]}) == expected | {
        number for number, row in enumerate(rows, 1) if row["city"] == "Lhasa"
    }
    db.session.rollback()


# ---- Form by form ----


def test_the_first_by_a_field_are_chosen_among_those_the_reader_may_see(app: Flask) -> None:
    branch = make_branch()
    ids = make_clients(4, total_assets=lambda position: Decimal(position * 100))
    mine = make_clients(3, branch_id=branch.id, total_assets=lambda position: Decimal(position))
    rule = {"all": [], "take": {"count": 2, "by": "total_assets", "order": "most"}}
    assert found(rule) == set(ids[2:])
    manager = make_user(role="branch_manager", branch=branch)
    assert found(rule, scope=visible_clients(manager)) == set(mine[1:])


def test_who_was_merged_away_takes_no_place_among_the_first(app: Flask) -> None:
    kept, merged = make_clients(2, total_assets=lambda position: Decimal(position))
    db.session.execute(update(Client).where(Client.id == merged).values(merged_into_id=kept))
    assert found({"all": [], "take": {"count": 1, "by": "total_assets", "order": "most"}}) == {kept}


def test_a_random_sample_stays_the_same_and_has_its_size(app: Flask) -> None:
    make_clients(400)
    rule = {"all": [], "take": {"count": 40, "random": 1}}
    assert len(found(rule)) == 40
    assert found(rule) == found(rule)
    assert found({"all": [], "take": {"count": 40, "random": 2}}) != found(rule)
    assert 60 <= len(found({"all": [], "take": {"percent": 20, "random": 1}})) <= 100


def test_a_list_of_numbers_finds_clients_by_number(app: Flask) -> None:
    first, second = make_clients(2)
    kept = NumberList(name="Guests", size=2)
    db.session.add(kept)
    db.session.flush()
    db.session.add_all(ListedNumber(list_id=kept.id, number=number) for number in ("1", "99"))
    db.session.flush()
    assert found({"field": "number_list", "op": "in", "value": [kept.id]}) == {first}
    assert found({"field": "number_list", "op": "not_in", "value": [kept.id]}) == {second}


def test_several_choices_of_a_custom_field_are_asked_like_tags(app: Flask) -> None:
    make_custom_field("interests", type="multichoice", slot="list_01", choices=["golf", "tea", "opera"])
    both, one, none = (make_client(list_01=value) for value in (["golf", "tea"], ["tea"], None))
    field = "custom.interests"
    assert found({"field": field, "op": "has", "value": "golf"}) == {both.id}
    assert found({"field": field, "op": "has_any", "value": ["golf", "tea"]}) == {both.id, one.id}
    assert found({"field": field, "op": "has_all", "value": ["golf", "tea"]}) == {both.id}
    assert found({"field": field, "op": "has_not", "value": "tea"}) == {none.id}
    assert found({"field": field, "op": "missing"}) == {none.id}


MALICE = ("'; DROP TABLE client; --", "%(x)s", ":name", "$1", "\\'", "{}", "' OR '1'='1")


@pytest.mark.parametrize("words", MALICE)
def test_no_value_of_a_related_row_is_read_as_sql(app: Flask, words: str) -> None:
    (client_id,) = make_clients(1)
    db.session.add(Account(client_id=client_id, number="A1", kind=words, partner_bank=words))
    db.session.flush()
    for field in ("kind", "partner_bank"):
        for op, value in (("is", words), ("in", [words, "x"])):
            where = {"field": field, "op": op, "value": value}
            assert found({"related": "accounts", "where": where, "op": "gte", "value": 1}) == {client_id}
    assert found({"field": "account_kinds", "op": "has", "value": words}) == {client_id}
