"""The value models: worked examples, and SQL against a naive evaluation, client by client."""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from math import ceil, floor
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select

from app.clients.classes.models import ClassChange, ClientClass
from app.clients.classes.parameters import AllParameters
from app.clients.classes.presets import preset
from app.clients.classes.suitability import may_be_offered, needs_second_check
from app.clients.classes.versions import all_parameters
from app.clients.metrics.models import ClientMetrics
from app.clients.models import Client
from app.core import clock
from app.core.extensions import db
from tests.factories.clients import head_office, make_client, make_custom_field
from tests.factories.value_models import changed, computed, make_metrics, put_in_force

# ---- A naive evaluation: one client (a dict of what is known) at a time, in plain Python ----


@dataclass
class Given:
    """The measures of a client that the default parameters name, with what the cut points are taken from."""

    row: dict[str, Any]
    contribution: float
    turnover: float
    profit: Decimal
    stability: float

    @property
    def classed(self) -> bool:
        return self.row["status"] in ("client", "dormant")

    @property
    def scored(self) -> bool:
        return self.classed and bool(self.row["metrics"])


def share(value: float, full: float) -> float:
    return min(max(value / full, 0.0), 1.0)


def rounded(value: float) -> float:
    return round(value * 100.0) / 100.0


def evaluate(row: dict[str, Any], parameters: AllParameters, today: date) -> Given:
    metrics, model = row["metrics"], parameters.profit_stability
    known = {name: value for name, value in metrics.items() if value is not None}
    part = Decimal(model.days) / Decimal(model.day_base) / 100
    profit = (
        Decimal(known.get("average_balance_365", 0)) * round((model.transfer_price - model.deposit_rate) * part, 12)
        + Decimal(known.get("average_debt_365", 0)) * round((model.loan_rate - model.transfer_price) * part, 12)
        + Decimal(known.get("fees_365", 0))
    ).quantize(Decimal("0.01"), ROUND_HALF_UP)
    tenure = (today - row["opened_on"]).days if row["opened_on"] else None
    months = floor(tenure / 30.4375) if tenure is not None else 0
    weights = float(model.tenure_weight + model.activity_weight + model.kinds_weight)
    points = float(model.tenure_weight) * share(float(months), float(12 * model.tenure_full))
    points = points + float(model.activity_weight) * share(known.get("active_months_365", 0), model.activity_full)
    points = points + float(model.kinds_weight) * share(known.get("product_kind_count", 0), model.kinds_full)
    bonus = float(model.complaint_points) if "open_complaint" in row["flags"] else 0.0
    return Given(
        row,
        contribution=float(known.get("fees_365", 0)),
        turnover=known.get("turnover_rate_365", 0.0),
        profit=profit,
        stability=min(rounded(points * 100.0 / weights + bonus), 100.0),
    )


def percentile(values: list[float], percent: Decimal) -> float | None:
    ordered = sorted(values)
    return ordered[max(ceil(float(percent) / 100 * len(ordered)), 1) - 1] if ordered else None


def is_high(value: float | Decimal, cut_by: str, cut: Decimal, cut_point: float | None) -> bool:
    if cut_by == "percentile":
        return cut_point is not None and float(value) > cut_point
    return value >= (cut if isinstance(value, Decimal) else float(cut))


def naive_classes(rows: list[dict[str, Any]], parameters: AllParameters, today: date) -> list[dict[str, Any]]:
    matrix, value = parameters.contribution_turnover, parameters.profit_stability
    everyone = [evaluate(row, parameters, today) for row in rows]
    scored = [one for one in everyone if one.scored]
    cuts = {
        "contribution": percentile([one.contribution for one in scored], matrix.contribution_cut),
        "turnover": percentile([one.turnover for one in scored], matrix.turnover_cut),
        "profit": percentile([float(one.profit) for one in scored], value.profit_cut),
        "stability": percentile([one.stability for one in scored], value.stability_cut),
    }
    return [naive_class(one, parameters, cuts, today) for one in everyone]


def naive_class(one: Given, parameters: AllParameters, cuts: dict[str, float | None], today: date) -> dict[str, Any]:
    row, metrics = one.row, one.row["metrics"]
    matrix, value, cycle = parameters.contribution_turnover, parameters.profit_stability, parameters.life_cycle
    assets = metrics.get("total_assets") if metrics.get("total_assets") is not None else row["total_assets"]
    tenure = (today - row["opened_on"]).days if row["opened_on"] else None
    active = [day for day in (metrics.get("last_transaction_on"), row["opened_on"]) if day]
    idle = (today - max(active)).days if active else None
    result: dict[str, Any] = dict.fromkeys(("aum_tier", "contribution_turnover", "profit_stability", "scorecard"))
    if one.classed:
        tiers = [tier.code for tier in parameters.aum_tier.classes if (assets or 0) >= tier.assets]
        result["aum_tier"] = tiers[0] if tiers else None
    if one.scored:
        contribution = is_high(
            one.contribution, matrix.contribution_cut_by, matrix.contribution_cut, cuts["contribution"]
        )
        turnover = is_high(one.turnover, matrix.turnover_cut_by, matrix.turnover_cut, cuts["turnover"])
        result["contribution_turnover"] = ("A" if turnover else "B") if contribution else ("C" if turnover else "D")
        profitable = is_high(one.profit, value.profit_cut_by, value.profit_cut, cuts["profit"])
        stable = is_high(one.stability, value.stability_cut_by, value.stability_cut, cuts["stability"])
        worthless = (
            idle is not None
            and idle >= value.negative_days
            and (metrics.get("open_accounts") or 0) <= value.negative_accounts
            and (assets or 0) < value.negative_assets
        )
        if worthless:
            result["profit_stability"] = "negative"
        elif profitable:
            result["profit_stability"] = "vip" if stable else "potential"
        else:
            result["profit_stability"] = "mass" if stable else "negative"
        result["scorecard"] = naive_grade(one, parameters)
    change = metrics.get("assets_change_90") or 0.0
    recent = metrics.get("trades_90") or 0
    before = (metrics.get("trades_365") or 0) - recent
    falling = before >= cycle.decline_least and recent / 90 <= float(1 - cycle.decline_trades / 100) * before / 275
    if row["status"] == "closed":
        stage = "lost"
    elif row["status"] in ("lead", "prospect") or tenure is None:
        stage = "prospect"
    elif tenure <= cycle.new_days:
        stage = "new"
    elif idle is not None and idle >= cycle.lost_days and (assets or 0) < cycle.lost_assets:
        stage = "lost"
    elif row["status"] == "dormant" or (idle is not None and idle >= cycle.dormant_days):
        stage = "dormant"
    elif change <= -float(cycle.decline_assets) / 100 or falling:
        stage = "declining"
    elif tenure <= cycle.developing_days or change >= float(cycle.growth_percent) / 100:
        stage = "developing"
    else:
        stage = "stable"
    result["life_cycle"] = stage
    assessed = row["risk_assessed_on"]
    valid = assessed is not None and assessed <= today and today < same_day_next_year(assessed)
    result["suitability"] = None if row["status"] == "closed" else (row["risk_level"] or 0) if valid else 0
    return result


def same_day_next_year(day: date) -> date:
    """29 February + a year is 28 February; so is 28 February."""
    return date(day.year + 1, day.month, 28 if (day.month, day.day) == (2, 29) else day.day)


def naive_grade(one: Given, parameters: AllParameters) -> str | None:
    card = parameters.scorecard
    full = float(card.growth_full) / 100
    change = one.row["metrics"].get("assets_change_90") or 0.0
    parts = [
        (card.contribution_weight, share(float(one.profit), float(card.contribution_full))),
        (card.support_weight, one.stability / 100.0),
        (card.growth_weight, min(max((change + full) / (2.0 * full), 0.0), 1.0)),
        (card.influence_weight, share(one.row["referrals"], card.influence_full)),
    ]
    total = 0.0
    for weight, part in parts:
        total = total + float(weight) * part
    score = rounded(total * 100.0 / float(sum(weight for weight, _part in parts)))
    grades = [grade.code for grade in card.classes if score >= float(grade.from_score)]
    return grades[0] if grades else None


# ---- Random clients ----

maybe = st.none
amounts = st.one_of(
    st.sampled_from([Decimal(n) for n in (0, 299, 300, 50_000, 99_999, 100_000, 200_000, 1_000_000, 2_000_000)]),
    st.decimals(0, 10_000_000, places=2, allow_nan=False, allow_infinity=False),
)
days_ago = st.one_of(st.sampled_from((0, 89, 90, 91, 179, 180, 181, 365, 366, 730)), st.integers(0, 4_000))
METRICS = st.fixed_dictionaries(
    {
        "total_assets": maybe() | amounts,
        "average_balance_365": maybe() | amounts,
        "average_debt_365": maybe() | amounts,
        "fees_365": maybe() | amounts,
        "turnover_rate_365": maybe() | st.floats(0, 20, allow_nan=False),
        "assets_change_90": maybe() | st.sampled_from((-1.0, -0.3, -0.29, 0.0, 0.2, 0.19, 5.0)),
        "trades_90": maybe() | st.integers(0, 20),
        "trades_365": st.integers(20, 60),
        "active_months_365": maybe() | st.integers(0, 12),
        "product_kind_count": maybe() | st.integers(0, 6),
        "open_accounts": maybe() | st.integers(0, 3),
        "last_transaction_on": maybe() | days_ago,
    }
)
CLIENTS = st.lists(
    st.fixed_dictionaries(
        {
            "status": st.sampled_from(("client", "client", "client", "dormant", "lead", "prospect", "closed")),
            "opened_on": maybe() | days_ago,
            "total_assets": maybe() | amounts,
            "risk_level": maybe() | st.integers(1, 5),
            "risk_assessed_on": maybe() | st.sampled_from((-1, 0, 200, 364, 365, 366, 367, 900)),
            "flags": st.sampled_from(([], [], ["open_complaint"], ["frozen"])),
            "referred_by": maybe() | st.integers(0, 5),
            "metrics": st.one_of(METRICS, METRICS, METRICS, st.just({})),
        }
    ),
    min_size=1,
    max_size=25,
)
cut_by = st.sampled_from(("percentile", "amount"))
MATRIX = st.fixed_dictionaries(
    {
        "contribution_cut_by": cut_by,
        "contribution_cut": st.integers(0, 100).map(str),
        "turnover_cut_by": cut_by,
        "turnover_cut": st.integers(0, 100).map(str),
    }
)
PROFIT = st.fixed_dictionaries(
    {
        "transfer_price": st.decimals(0, 6, places=2).map(str),
        "deposit_rate": st.decimals(0, 6, places=2).map(str),
        "profit_cut_by": cut_by,
        "profit_cut": st.integers(0, 100).map(str),
        "stability_cut_by": cut_by,
        "stability_cut": st.integers(0, 100).map(str),
        "negative_rule": st.just(True),
        "tenure_weight": st.integers(1, 60).map(str),
    }
)


def write(clients: list[dict[str, Any]], today: date) -> tuple[list[int], list[dict[str, Any]]]:
    """Write the clients. Returns their ids and what the naive evaluation reads."""
    for table in (ClassChange, ClientClass, ClientMetrics, Client):
        db.session.execute(delete(table))
    branch_id, ids, rows = head_office().id, [], []
    for position, given_client in enumerate(clients):
        row = dict(given_client)
        for name in ("opened_on", "risk_assessed_on"):
            row[name] = None if row[name] is None else today - timedelta(days=row[name])
        metrics = dict(row.pop("metrics"))
        if metrics:
            last = metrics["last_transaction_on"]
            metrics["last_transaction_on"] = None if last is None else today - timedelta(days=last)
        referrer = row.pop("referred_by")
        row["referred_by_id"] = ids[referrer] if referrer is not None and referrer < len(ids) else None
        values = row | {"number": str(position), "branch_id": branch_id}
        ids.append(db.session.execute(insert(Client).values(values).returning(Client.id)).scalar_one())
        if metrics:
            db.session.execute(insert(ClientMetrics).values(client_id=ids[-1], as_of=today, **metrics))
        rows.append(row | {"metrics": metrics})
    for client_id, row in zip(ids, rows, strict=True):
        row["referrals"] = sum(other["referred_by_id"] == client_id for other in rows)
    db.session.commit()
    return ids, rows


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(clients=CLIENTS, matrix=MATRIX, profit=PROFIT)
def test_sql_gives_what_a_naive_evaluation_gives(
    app: Flask, clients: list[dict[str, Any]], matrix: dict[str, Any], profit: dict[str, Any]
) -> None:
    today = clock.today()
    ids, rows = write(clients, today)
    put_in_force("contribution_turnover", changed("contribution_turnover", **matrix))
    put_in_force("profit_stability", changed("profit_stability", **profit))
    computed()
    expected = naive_classes(rows, all_parameters(), today)
    found = {row.client_id: row for row in db.session.scalars(select(ClientClass))}
    for client_id, row, classes in zip(ids, rows, expected, strict=True):
        assert {model: getattr(found[client_id], model) for model in classes} == classes, row


# ---- Worked examples ----


def class_of(client: Client) -> ClientClass:
    db.session.expire_all()
    return db.session.get_one(ClientClass, client.id)


@pytest.mark.parametrize(
    ("assets", "tier"),
    [
        (49_999, None),
        (50_000, "developing"),
        (100_000, "outlet_manager"),
        (199_999.99, "outlet_manager"),
        (200_000, "wealth_manager"),
        (2_000_000, "private_banking"),
    ],
)
def test_tiers_of_the_practice(app: Flask, assets: float, tier: str | None) -> None:
    put_in_force("aum_tier", preset("aum_tier", "manager_tiers"))
    client = make_client(total_assets=Decimal(str(assets)))
    computed()
    assert class_of(client).aum_tier == tier


def test_card_spend_may_qualify_instead_of_assets(app: Flask) -> None:
    make_custom_field("card_spend", type="money", slot="number_01")
    tiers = [
        {"code": "gold", "label_en": "Gold", "label_zh": "金卡", "assets": "100000", "card_spend": "50,000"},
    ]
    put_in_force("aum_tier", changed("aum_tier", card_spend_from="custom.card_spend", classes=tiers))
    spender, saver = make_client(number_01=50_000.0), make_client(number_01=49_999.0, total_assets=99_999)
    computed()
    assert (class_of(spender).aum_tier, class_of(saver).aum_tier) == ("gold", None)


def test_deposit_and_loan_contribution(app: Flask) -> None:
    """100,000 x (2 % - 1.2 %) / 360 x 365 = 811.11; 50,000 x (4 % - 2 %) / 360 x 365 = 1,013.89; fees 300."""
    client = make_client()
    make_metrics(client.id, average_balance_365=100_000, average_debt_365=50_000, fees_365=300)
    computed()
    assert class_of(client).contribution == Decimal("2125.00")


def test_a_complaint_counts_for_loyalty(app: Flask) -> None:
    silent, loud = make_client(), make_client(flags=["open_complaint"])
    for client in (silent, loud):
        make_metrics(client.id, active_months_365=6)
    computed()
    assert class_of(loud).stability == class_of(silent).stability + 5  # type: ignore[operator]


def test_six_months_of_silence_and_one_small_account_are_negative_value(app: Flask) -> None:
    """However profitable and stable the year was."""
    put_in_force(
        "profit_stability",
        changed("profit_stability", profit_cut_by="amount", profit_cut="0", stability_cut_by="amount", stability_cut=0),
    )
    long_ago = clock.today() - timedelta(days=180)
    given_metrics = {"last_transaction_on": long_ago, "total_assets": 299, "fees_365": 5_000}
    silent, owner = make_client(opened_on=date(2015, 1, 1)), make_client(opened_on=date(2015, 1, 1))
    make_metrics(silent.id, open_accounts=1, **given_metrics)
    make_metrics(owner.id, open_accounts=2, **given_metrics)
    computed()
    assert (class_of(silent).profit_stability, class_of(owner).profit_stability) == ("negative", "vip")


def test_a_merged_client_has_no_classes(app: Flask) -> None:
    kept = make_client(total_assets=500_000)
    gone = make_client(total_assets=500_000, merged_into_id=kept.id)
    computed()
    assert class_of(kept).aum_tier is not None
    assert (class_of(gone).aum_tier, class_of(gone).life_cycle, class_of(gone).suitability) == (None, None, None)


def test_cross_buying_potential_is_assets_without_products_and_referrals(app: Flask) -> None:
    """200,000 and nothing bought: 70 of 100; one client referred of three that count: 10 of 30."""
    client = make_client(total_assets=200_000)
    make_metrics(client.id, product_kind_count=0)
    make_client(referred_by_id=client.id)
    computed()
    assert class_of(client).potential == 80.0


# ---- Suitability ----


def offered(**product: Any) -> set[str]:
    return set(db.session.scalars(select(Client.number).where(may_be_offered(**product))))


def test_a_product_reaches_clients_of_its_risk_level_and_above(app: Flask) -> None:
    for level in range(1, 6):
        make_client(number=f"C{level}", risk_level=level, risk_assessed_on=clock.today())
    assert offered(product_risk=1) == {"C1", "C2", "C3", "C4", "C5"}
    assert offered(product_risk=2) == {"C2", "C3", "C4", "C5"}
    assert offered(product_risk=5) == {"C5"}


def test_a_missing_or_old_assessment_is_unsuitable_for_everything(app: Flask) -> None:
    today = clock.today()
    make_client(number="none", risk_level=5)
    make_client(number="old", risk_level=5, risk_assessed_on=today - timedelta(days=366))
    make_client(number="future", risk_level=5, risk_assessed_on=today + timedelta(days=1))
    make_client(number="fresh", risk_level=5, risk_assessed_on=today - timedelta(days=364))
    assert offered(product_risk=1) == {"fresh"}


def test_private_products_reach_qualified_investors_only(app: Flask) -> None:
    make_client(number="q", risk_level=5, risk_assessed_on=clock.today(), qualified_investor=True)
    make_client(number="n", risk_level=5, risk_assessed_on=clock.today())
    assert offered(product_risk=3, private=True) == {"q"}


def test_term_and_kind_count_once_the_model_knows_the_fields(app: Flask) -> None:
    make_custom_field("longest_term", type="number", slot="number_01")
    make_custom_field("kinds", type="multichoice", slot="list_01")
    able = {"risk_level": 5, "risk_assessed_on": clock.today()}
    make_client(number="both", number_01=24.0, list_01=["fund", "bond"], **able)
    make_client(number="short", number_01=6.0, list_01=["fund"], **able)
    make_client(number="silent", **able)
    product = {"product_risk": 3, "term_months": 12, "product_kind": "bond"}
    assert offered(**product) == {"both", "short", "silent"}
    put_in_force("suitability", changed("suitability", term_from="custom.longest_term", kinds_from="custom.kinds"))
    assert offered(**product) == {"both"}


def test_older_clients_need_a_second_check_for_risky_products(app: Flask) -> None:
    today = clock.today()
    make_client(number="old", birth_date=date(today.year - 65, 1, 1))
    make_client(number="young", birth_date=date(today.year - 60, 1, 1))
    make_client(number="unknown")

    def checked(risk: int) -> set[str]:
        return set(db.session.scalars(select(Client.number).where(needs_second_check(product_risk=risk))))

    assert checked(3) == set()
    assert checked(4) == {"old", "unknown"}
