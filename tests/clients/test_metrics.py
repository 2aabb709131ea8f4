"""The metrics in SQL are those that plain Python gives over the same rows."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import inspect, select, text

from app.clients.engagement.models import Engagement
from app.clients.holdings.models import INFLOWS, OUTFLOWS, TRADES, Account, Balance, Position, Transaction
from app.clients.metrics.models import ClientMetrics, MetricsRun, StaleClient
from app.clients.metrics.service import COMPUTE, default_as_of, mark_stale, refresh_metrics, refresh_stale
from app.clients.models import Client
from app.core import clock
from app.core.extensions import db
from app.core.jobs import Job
from app.core.partitions import ensure_months
from app.core.unit_of_work import unit_of_work
from tests.factories.clients import make_client

AS_OF = date(2026, 3, 31)
CENT = Decimal("0.01")


@dataclass
class Held:
    """An account with what lies and moves on it, as a test draws it. Days are counted back from AS_OF."""

    kind: str = "cash"
    opened: int | None = 500
    closed: int | None = None
    balances: Mapping[int, Decimal] = field(default_factory=dict)
    transactions: Sequence[tuple[int, str, Decimal, Decimal, str | None]] = ()
    positions: Sequence[tuple[str, str, Decimal, Decimal | None]] = ()


def ago(days: int) -> date:
    return AS_OF - timedelta(days=days)


def write(client: Client, accounts: Sequence[Held]) -> None:
    """Write the accounts and all that is on them."""
    ensure_months("balance", ago(900), ago(-60))
    ensure_months("transaction", ago(900), ago(-60))
    for position, held in enumerate(accounts):
        account = Account(
            client_id=client.id,
            number=f"A{client.id}-{position}",
            kind=held.kind,
            opened_on=None if held.opened is None else ago(held.opened),
            closed_on=None if held.closed is None else ago(held.closed),
        )
        db.session.add(account)
        db.session.flush()
        ours = {"account_id": account.id, "client_id": client.id}
        db.session.add_all(Balance(on_date=ago(day), amount=amount, **ours) for day, amount in held.balances.items())
        db.session.add_all(
            Transaction(
                source="test",
                external_id=f"{account.id}-{number}",
                on_date=ago(day),
                kind=kind,
                amount=amount,
                fee=fee,
                order_channel=channel,
                **ours,
            )
            for number, (day, kind, amount, fee, channel) in enumerate(held.transactions)
        )
        db.session.add_all(
            Position(product_code=code, product_kind=kind, value=value, cost=cost, on_date=AS_OF, **ours)
            for code, kind, value, cost in held.positions
        )
    db.session.commit()


def amount_on(held: Held, day: int) -> Decimal:
    """What an account holds at the end of a day (counted back): its newest balance, nothing once it is closed."""
    known = [back for back in held.balances if back >= day]
    if not known:
        return Decimal(0)
    newest = min(known)
    if held.closed is not None and held.closed >= day and newest > held.closed:
        return Decimal(0)
    return held.balances[newest]


def money(value: Decimal) -> Decimal:
    return value.quantize(CENT, ROUND_HALF_UP)


def naive(accounts: Sequence[Held], *, known_total: Decimal | None, book_start: int | None) -> dict[str, Any]:
    """The metrics of one client, computed day by day."""
    has_balance = any(back >= 0 for held in accounts for back in held.balances)
    assets = {day: sum((max(amount_on(held, day), Decimal(0)) for held in accounts), Decimal(0)) for day in range(366)}
    debts = {day: sum((max(-amount_on(held, day), Decimal(0)) for held in accounts), Decimal(0)) for day in range(366)}
    row: dict[str, Any] = {"total_assets": assets[0] if has_balance else known_total}
    row["debt"] = debts[0] if has_balance else None
    days = {window: max(1, min(window, 1 + (book_start or 0))) for window in (30, 90, 365)}
    moves = [move for held in accounts for move in held.transactions if move[0] >= 0]
    for window in (30, 90, 365):
        mean = money(sum((assets[day] for day in range(window)), Decimal(0)) / days[window])
        row[f"average_balance_{window}"] = mean if has_balance else None
        recent = [move for move in moves if move[0] < window]
        trades = [move for move in recent if move[1] in TRADES]
        row[f"trades_{window}"] = len(trades)
        row[f"traded_value_{window}"] = sum((move[2] for move in trades), Decimal(0))
        row[f"fees_{window}"] = sum((move[3] for move in recent), Decimal(0))
        row[f"net_inflow_{window}"] = sum((move[2] for move in recent if move[1] in INFLOWS), Decimal(0)) - sum(
            (move[2] for move in recent if move[1] in OUTFLOWS), Decimal(0)
        )
    for window in (30, 90):
        before = assets[window]
        row[f"assets_change_{window}"] = float((assets[0] - before) / before) if has_balance and before else None
    debt = money(sum((debts[day] for day in range(365)), Decimal(0)) / days[365])
    row["average_debt_365"] = debt if has_balance else None
    mean = row["average_balance_365"]
    row["turnover_rate_365"] = float(row["traded_value_365"] / mean) if mean else None
    trades = [move for move in moves if move[1] in TRADES]
    active = [move for move in moves if move[1] not in ("interest", "dividend", "fee", "tax")]
    row["last_trade_on"] = max((ago(move[0]) for move in trades), default=None)
    row["last_transaction_on"] = max((ago(move[0]) for move in active), default=None)
    row["active_months_365"] = len({ago(move[0]).month for move in active if move[0] < 365})
    channels = Counter(move[4] for move in trades if move[0] < 365 and move[4])
    row["order_channel"] = min(channels, key=lambda name: (-channels[name], name)) if channels else None
    is_open = [
        held
        for held in accounts
        if (held.opened is None or held.opened >= 0) and (held.closed is None or held.closed < 0)
    ]
    row["open_accounts"] = len(is_open)
    positions = [position for held in accounts for position in held.positions]
    kinds = {position[1] for position in positions if position[2]}
    kinds |= {held.kind for held in is_open if held.kind in ("deposit", "loan", "card")}
    row["product_kinds"], row["product_kind_count"] = sorted(kinds), len(kinds)
    value = sum((position[2] for position in positions), Decimal(0))
    row["position_value"] = value
    row["position_ratio"] = float(value / row["total_assets"]) if row["total_assets"] else None
    costed = [(worth, cost) for _code, _kind, worth, cost in positions if cost is not None]
    row["profit_loss"] = sum((worth - cost for worth, cost in costed), Decimal(0)) if costed else None
    whole = sum((worth for worth, _cost in costed), Decimal(0))
    under = sum((worth for worth, cost in costed if worth < cost), Decimal(0))
    row["underwater_share"] = float(under / whole) if whole else None
    return row


def computed(client_id: int) -> dict[str, Any]:
    metrics = db.session.get_one(ClientMetrics, client_id)
    return {column.key: getattr(metrics, column.key) for column in inspect(ClientMetrics).columns}


def assert_same(got: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    for name, value in expected.items():
        if isinstance(value, float):
            assert got[name] == pytest.approx(value, rel=1e-9), name
        else:
            assert got[name] == value, name


amounts = st.decimals(min_value=-20_000, max_value=2_000_000, places=2)
positive = st.decimals(min_value=0, max_value=500_000, places=2)
days = st.one_of(st.integers(-40, 40), st.integers(-40, 850), st.sampled_from((29, 30, 31, 89, 90, 91, 364, 365, 366)))
kinds = st.sampled_from((*TRADES, *INFLOWS, *OUTFLOWS, "interest", "fee", "payment"))
channels = st.sampled_from((None, "web", "phone", "Branch", "手机"))
products = st.tuples(
    st.sampled_from(("P1", "P2", "P3")), st.sampled_from(("fund", "bond")), positive, st.none() | positive
)
held_accounts = st.builds(
    Held,
    kind=st.sampled_from(("cash", "fund", "loan", "deposit")),
    opened=st.none() | days,
    closed=st.none() | st.none() | days,
    balances=st.dictionaries(days, amounts, max_size=6),
    transactions=st.lists(st.tuples(days, kinds, positive, positive, channels), max_size=6),
    positions=st.lists(products, max_size=3, unique_by=lambda product: product[0]),
)
clients = st.lists(st.tuples(st.lists(held_accounts, max_size=3), st.none() | positive), min_size=2, max_size=9)


@settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.generate],  # each example writes a table anew: to shrink one would take minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(drawn=clients)
def test_every_column_is_what_a_naive_computation_gives(
    app: Flask, drawn: list[tuple[list[Held], Decimal | None]]
) -> None:
    for table in ("transaction", "balance", "position", "account", "client"):
        db.session.execute(text(f"DELETE FROM {table}"))  # noqa: S608
    starts = [back for held_list, _total in drawn for held in held_list for back in held.balances]
    made = []
    for held_list, total in drawn:
        client = make_client(total_assets=total)
        write(client, held_list)
        made.append(client.id)
    with unit_of_work():
        assert refresh_metrics(as_of=AS_OF) == len(drawn)
    whole = {client_id: computed(client_id) for client_id in made}
    for client_id, (held_list, total) in zip(made, drawn, strict=True):
        expected = naive(held_list, known_total=total, book_start=max(starts, default=None))
        assert_same(whole[client_id], expected)
        newer = any(back < 0 for held in held_list for back in held.balances)
        assert db.session.get_one(Client, client_id).total_assets == (total if newer else expected["total_assets"])
    with unit_of_work():  # some clients give the same rows as the whole book
        assert refresh_metrics(as_of=AS_OF, client_ids=made[:2]) == len(made[:2])
    for client_id in made:
        again = computed(client_id)
        assert {**again, "computed_at": None} == {**whole[client_id], "computed_at": None}


def test_an_empty_book_gives_no_rows(app: Flask) -> None:
    with unit_of_work():
        assert refresh_metrics() == 0
    assert db.session.scalars(select(MetricsRun.clients)).all() == [0]


def test_monthly_and_daily_balances_of_the_same_money_give_the_same_averages(app: Flask) -> None:
    monthly, daily = make_client(), make_client()
    write(monthly, [Held(balances={120: Decimal(1_000), 59: Decimal(2_000), 10: Decimal(5_000)})])
    steps = {day: Decimal(1_000 if day > 59 else 2_000 if day > 10 else 5_000) for day in range(121)}
    write(daily, [Held(balances=steps)])
    with unit_of_work():
        refresh_metrics(as_of=AS_OF)
    one, other = computed(monthly.id), computed(daily.id)
    assert {**one, "client_id": 0} == {**other, "client_id": 0}
    assert one["average_balance_30"] == money(Decimal(2_000 * 19 + 5_000 * 11) / 30)


def test_an_account_opened_yesterday_counts_for_its_one_day(app: Flask) -> None:
    old, new = make_client(), make_client()
    write(old, [Held(balances={400: Decimal(10)})])
    write(new, [Held(opened=0, balances={0: Decimal("365.00")})])
    with unit_of_work():
        refresh_metrics(as_of=AS_OF)
    row = computed(new.id)
    assert row["average_balance_365"] == Decimal("1.00")
    assert row["assets_change_30"] is None
    assert row["open_accounts"] == 1


def test_debt_is_not_set_off_against_assets(app: Flask) -> None:
    client = make_client()
    write(
        client,
        [
            Held(balances={400: Decimal(50_000)}),
            Held(kind="loan", balances={400: Decimal(-300_000), 5: Decimal(-250_000)}),
        ],
    )
    with unit_of_work():
        refresh_metrics(as_of=AS_OF)
    row = computed(client.id)
    assert (row["total_assets"], row["debt"]) == (Decimal(50_000), Decimal(250_000))
    assert row["average_debt_365"] == money(Decimal(300_000 * 359 + 250_000 * 6) / 365)
    assert row["product_kinds"] == ["loan"]


def test_a_closed_account_holds_nothing_from_its_closing_on(app: Flask) -> None:
    client = make_client(total_assets=Decimal(9))
    write(client, [Held(closed=9, balances={600: Decimal(300)})])
    with unit_of_work():
        refresh_metrics(as_of=AS_OF)
    row = computed(client.id)
    assert row["total_assets"] == 0
    assert row["average_balance_30"] == Decimal(200)
    assert (row["assets_change_30"], row["open_accounts"]) == (-1.0, 0)
    assert db.session.get_one(Client, client.id).total_assets == 0


def test_imported_total_assets_stay_where_there_are_no_balances(app: Flask) -> None:
    client = make_client(total_assets=Decimal("120000.50"))
    with unit_of_work():
        refresh_metrics()
    assert computed(client.id)["total_assets"] == Decimal("120000.50")
    assert db.session.get_one(Client, client.id).total_assets == Decimal("120000.50")
    assert computed(client.id)["average_balance_30"] is None


def test_the_last_contact_is_the_newest_of_all_campaigns(app: Flask) -> None:
    client = make_client()
    times = [datetime(2026, 3, day, 9, tzinfo=UTC) for day in (1, 20)]
    for campaign, at in enumerate(times):
        contact = {"client_id": client.id, "campaign_id": campaign, "channel": "email", "first_at": at, "last_at": at}
        db.session.add(Engagement(kind="contacted", **contact))
    late = datetime(2026, 3, 29, tzinfo=UTC)
    db.session.add(
        Engagement(client_id=client.id, campaign_id=1, kind="opened", channel="email", first_at=late, last_at=late)
    )
    db.session.commit()
    with unit_of_work():
        refresh_metrics(as_of=AS_OF)
    assert computed(client.id)["last_contact_at"] == times[1]


def test_yesterday_is_that_of_the_firm(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half past six in the evening of 1 March in UTC is 2 March in Shanghai."""
    evening = datetime(2026, 3, 1, 18, 30, tzinfo=UTC)
    monkeypatch.setattr(clock, "now", lambda: evening)
    zone = app.extensions["bellwether_config"].time_zone
    assert default_as_of() == (date(2026, 3, 1) if zone == "Asia/Shanghai" else clock.today() - timedelta(days=1))


def test_the_table_keeps_its_shape_and_its_grants(app: Flask) -> None:
    def shape() -> tuple[Any, ...]:
        found = inspect(db.engine)
        grants = db.session.scalars(
            text("SELECT relacl::text FROM pg_class WHERE oid = 'client_metrics'::regclass")
        ).all()
        return (
            [(c["name"], str(c["type"]), c["nullable"], c["default"]) for c in found.get_columns("client_metrics")],
            found.get_pk_constraint("client_metrics"),
            found.get_indexes("client_metrics"),
            grants,
        )

    db.session.execute(text("GRANT SELECT ON client_metrics TO PUBLIC"))
    db.session.commit()
    before = shape()
    make_client()
    for _time in range(2):
        with unit_of_work():
            refresh_metrics()
    assert shape() == before
    db.session.execute(text("REVOKE SELECT ON client_metrics FROM PUBLIC"))
    db.session.commit()


def test_readers_see_the_old_rows_until_the_new_ones_are_there(app: Flask) -> None:
    client = make_client(total_assets=Decimal(1))
    with unit_of_work():
        refresh_metrics(as_of=ago(1))
    query = text("SELECT as_of FROM client_metrics")
    with unit_of_work():
        db.session.execute(text("SET LOCAL lock_timeout = '1s'"))
        refresh_metrics(as_of=AS_OF, client_ids=[client.id])
        with db.engine.connect() as other:
            assert other.scalar(query) == ago(1)
    with db.engine.connect() as other:
        assert other.scalar(query) == AS_OF


def test_stale_clients_are_computed_and_forgotten(app: Flask) -> None:
    clients_made = [make_client() for _number in range(20)]
    with unit_of_work():
        refresh_metrics(as_of=AS_OF)
    write(clients_made[3], [Held(balances={3: Decimal(700)})])
    with unit_of_work():
        mark_stale(select(Balance.client_id))
        mark_stale([clients_made[3].id, clients_made[4].id, 10**12])
    with unit_of_work():
        assert len(refresh_stale()) == 2
    assert computed(clients_made[3].id)["total_assets"] == Decimal(700)
    assert computed(clients_made[3].id)["as_of"] == AS_OF
    assert db.session.scalars(select(StaleClient)).all() == []
    with unit_of_work():
        assert refresh_stale() == []


def test_a_mark_whose_change_is_not_committed_yet_waits(app: Flask) -> None:
    ids = [make_client().id for _number in range(12)]
    with unit_of_work():
        refresh_metrics(as_of=AS_OF)
        mark_stale(ids[:2])
    with db.engine.begin() as feed:  # changes the first client's holdings and finds the mark there
        feed.execute(
            text("INSERT INTO stale_client VALUES (:id) ON CONFLICT (client_id) DO UPDATE SET client_id = :id"),
            {"id": ids[0]},
        )
        with unit_of_work():
            assert len(refresh_stale()) == 1
    assert db.session.scalars(select(StaleClient.client_id)).all() == ids[:1]


def test_many_stale_clients_ask_for_the_whole_book(app: Flask) -> None:
    ids = [make_client().id for _number in range(4)]
    with unit_of_work():
        refresh_metrics(as_of=AS_OF)
        mark_stale(ids[:3])
    with unit_of_work():
        assert refresh_stale() == []
    assert db.session.scalars(select(Job.state).where(Job.name == COMPUTE)).all() == ["due"]
