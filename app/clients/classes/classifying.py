"""The models as SQL: from a client's facts to scores, from scores to classes.

Two steps, both over many clients at once. `scores` reads `client`, `client_metrics` and who referred whom, one row a
client; `classes` turns such rows into the columns of `client_class`, with people's overrides on top. Money is exact
(numeric); scores are double precision from 0 to 100, rounded to two places, so that noise in the last bit moves nobody.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Date,
    Double,
    Numeric,
    Select,
    SmallInteger,
    Subquery,
    and_,
    case,
    cast,
    func,
    literal,
    null,
    or_,
    select,
)
from sqlalchemy.orm import aliased

from app.clients.classes.measures import ASSETS, Measures
from app.clients.classes.models import ClassOverride
from app.clients.classes.parameters import AllParameters, ProfitStability
from app.clients.classes.suitability import highest_risk
from app.clients.metrics.models import ClientMetrics
from app.clients.models import Client
from app.core.extensions import db

CLASSED = ("client", "dormant")  # the statuses that have tiers and scores; the life cycle knows all of them
RECENT, BEFORE = 90, 275  # days: the last quarter against the rest of the year
DAYS_A_MONTH = 30.4375
_SCORE: Double[float] = Double()


@dataclass(frozen=True, slots=True)
class CutPoints:
    """Where high begins, for cut points that are percentiles: clients above it are high. None: not a percentile."""

    contribution: float | None = None
    turnover: float | None = None
    profit: float | None = None
    stability: float | None = None

    def as_json(self) -> dict[str, float | None]:
        return asdict(self)


# ---- Step one: scores ----


def scores(parameters: AllParameters, today: date, *conditions: ColumnElement[bool]) -> Subquery:
    """One row a client, of those whom `conditions` over client name: all that the models ask about.

    OFFSET 0 keeps PostgreSQL from copying each expression to every place where it is used.
    """
    measures, tiers = Measures(), parameters.aum_tier
    matrix, stability = parameters.contribution_turnover, parameters.profit_stability
    referred = aliased(Client)
    # Looked up client by client: those who were referred are few, and lie in an index of their own.
    referrals = (
        select(func.count())
        .where(referred.referred_by_id == Client.id, referred.merged_into_id.is_(None))
        .correlate(Client)
        .scalar_subquery()
    )
    idle = literal(today, Date) - func.greatest(ClientMetrics.last_transaction_on, Client.opened_on)
    return (
        select(
            Client.id.label("client_id"),
            Client.status,
            Client.merged_into_id.is_(None).label("single"),
            and_(Client.merged_into_id.is_(None), Client.status.in_(CLASSED)).label("classed"),
            ClientMetrics.client_id.is_not(None).label("measured"),
            (literal(today, Date) - Client.opened_on).label("tenure"),
            idle.label("idle"),
            ASSETS.label("assets"),
            measures.amount(tiers.assets_from).label("tier_assets"),
            measures.amount(tiers.card_spend_from).label("card_spend"),
            measures.amount(tiers.loans_from).label("loans"),
            measures.amount(tiers.custody_margin_from).label("custody_margin"),
            cast(measures.amount(matrix.contribution_from), _SCORE).label("contribution"),
            cast(measures.amount(matrix.turnover_from), _SCORE).label("turnover"),
            _profit(stability, measures).label("profit"),
            _stability(stability, measures, today).label("stability"),
            _share(measures.amount(stability.credit_from), stability.credit_full).label("credit"),
            func.coalesce(ClientMetrics.assets_change_90, 0.0).label("change"),
            func.coalesce(ClientMetrics.trades_90, 0).label("trades_recent"),
            (func.coalesce(ClientMetrics.trades_365, 0) - func.coalesce(ClientMetrics.trades_90, 0)).label(
                "trades_before"
            ),
            func.coalesce(ClientMetrics.product_kind_count, 0).label("kinds"),
            func.coalesce(ClientMetrics.open_accounts, 0).label("open_accounts"),
            referrals.label("referrals"),
            highest_risk(parameters.suitability, today).label("highest_risk"),
        )
        .select_from(Client)
        .outerjoin(ClientMetrics, ClientMetrics.client_id == Client.id)
        .where(*conditions)
        .offset(0)
        .subquery("rows")
    )


def _profit(parameters: ProfitStability, measures: Measures) -> ColumnElement[Any]:
    """Deposit contribution + loan contribution + fees, exact to the cent.

    The rates are multiplied out beforehand, to twelve places, so that no division is left to the database.
    """
    share = Decimal(parameters.days) / Decimal(parameters.day_base) / 100
    deposit = round((parameters.transfer_price - parameters.deposit_rate) * share, 12)
    loan = round((parameters.loan_rate - parameters.transfer_price) * share, 12)
    return func.round(
        cast(measures.amount(parameters.balance_from), Numeric) * literal(deposit, Numeric)
        + cast(measures.amount(parameters.loan_from), Numeric) * literal(loan, Numeric)
        + cast(measures.amount(parameters.fees_from), Numeric),
        2,
    )


def _stability(parameters: ProfitStability, measures: Measures, today: date) -> ColumnElement[Any]:
    """The weighted mean of the parts, in points of 100, and points for a complaint on top; never above 100."""
    # In whole months: a score that rises by a hair every night would rewrite the whole table every night.
    months = func.floor(cast(literal(today, Date) - Client.opened_on, _SCORE) / DAYS_A_MONTH)
    parts = [
        (parameters.tenure_weight, _share(func.coalesce(months, 0.0), 12 * parameters.tenure_full)),
        (
            parameters.activity_weight,
            _share(func.coalesce(ClientMetrics.active_months_365, 0), parameters.activity_full),
        ),
        (parameters.kinds_weight, _share(func.coalesce(ClientMetrics.product_kind_count, 0), parameters.kinds_full)),
    ]
    if parameters.credit_from is not None:
        parts.append(
            (parameters.credit_weight, _share(measures.amount(parameters.credit_from), parameters.credit_full))
        )
    complained = or_(Client.flags.contains(["open_complaint"]), measures.amount(parameters.complaints_from) > 0)
    points = case((complained, float(parameters.complaint_points)), else_=0.0)
    return func.least(_rounded(_weighted(parts) + cast(points, _SCORE)), 100.0)


def _share(value: Any, full: Decimal | int) -> ColumnElement[Any]:
    """How much of `full` a value reaches, from 0 to 1."""
    return func.least(func.greatest(cast(value, _SCORE) / literal(float(full), _SCORE), 0.0), 1.0)


def _weighted(parts: Sequence[tuple[Decimal, ColumnElement[Any]]]) -> ColumnElement[Any]:
    """The weighted mean of shares, times 100."""
    whole = float(sum(weight for weight, _part in parts)) or 1.0
    total: ColumnElement[Any] = literal(0.0, _SCORE)
    for weight, part in parts:
        total = total + literal(float(weight), _SCORE) * part
    return total * 100.0 / literal(whole, _SCORE)


def _rounded(value: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.round(value * 100.0) / 100.0


# ---- Cut points ----


def find_cut_points(parameters: AllParameters, today: date, *conditions: ColumnElement[bool]) -> CutPoints:
    """The percentiles that the models ask for, over all clients they class (of those whom `conditions` name).

    One query, none where no percentile is asked for.
    """
    wanted = {
        name: float(getattr(model, f"{name}_cut")) / 100
        for model, names in (
            (parameters.contribution_turnover, ("contribution", "turnover")),
            (parameters.profit_stability, ("profit", "stability")),
        )
        for name in names
        if getattr(model, f"{name}_cut_by") == "percentile"
    }
    if not wanted:
        return CutPoints()
    rows = scores(parameters, today, *conditions)
    found = db.session.execute(
        select(
            *(
                func.percentile_disc(share).within_group(cast(rows.c[name], _SCORE)).label(name)
                for name, share in wanted.items()
            )
        ).where(rows.c.classed, rows.c.measured)
    ).one()
    return CutPoints(**found._asdict())


def _high(value: ColumnElement[Any], cut_by: str, cut: Decimal, cut_point: float | None) -> ColumnElement[bool]:
    """Above the percentile, or from the amount on."""
    if cut_by == "percentile":
        return cast(value, _SCORE) > literal(cut_point, _SCORE) if cut_point is not None else literal(False)
    return value >= literal(float(cut), _SCORE) if isinstance(value.type, Double) else value >= literal(cut, Numeric)


# ---- Step two: classes ----


def classes(rows: Subquery, parameters: AllParameters, cut_points: CutPoints, today: date) -> Select[Any]:
    """The columns of `client_class` for the rows of `scores`, overrides applied."""
    overrides = _overrides(parameters, today)
    rows = _marked(rows, parameters, cut_points)
    scored = and_(rows.c.classed, rows.c.measured)
    computed = {
        "aum_tier": case((rows.c.classed, _tier(rows, parameters)), else_=null()),
        "contribution_turnover": case((scored, _quadrant(rows)), else_=null()),
        "profit_stability": case((scored, _value(rows, parameters)), else_=null()),
        "life_cycle": case((rows.c.single, _stage(rows, parameters)), else_=null()),
        "scorecard": case((scored, _grade(rows.c.score, parameters)), else_=null()),
    }
    suitable = and_(rows.c.single, rows.c.status != "closed")
    return (
        select(
            rows.c.client_id,
            *(
                func.coalesce(case((rows.c.single, overrides.c[model]), else_=null()), value).label(model)
                for model, value in computed.items()
            ),
            case((suitable, cast(rows.c.highest_risk, SmallInteger)), else_=null()).label("suitability"),
            case((scored, cast(rows.c.profit, Numeric(18, 2))), else_=null()).label("contribution"),
            *(case((scored, rows.c[name]), else_=null()).label(name) for name in ("stability", "score", "potential")),
            rows.c.assets,
        )
        .select_from(rows)
        .outerjoin(overrides, overrides.c.client_id == rows.c.client_id)
    )


def _marked(rows: Subquery, parameters: AllParameters, cut_points: CutPoints) -> Subquery:
    """The rows with what several classes look at: which side of each cut a client is on, score and potential."""
    matrix, value = parameters.contribution_turnover, parameters.profit_stability
    high = {
        "contribution": _high(
            rows.c.contribution, matrix.contribution_cut_by, matrix.contribution_cut, cut_points.contribution
        ),
        "turnover": _high(rows.c.turnover, matrix.turnover_cut_by, matrix.turnover_cut, cut_points.turnover),
        "profit": _high(rows.c.profit, value.profit_cut_by, value.profit_cut, cut_points.profit),
        "stability": _high(rows.c.stability, value.stability_cut_by, value.stability_cut, cut_points.stability),
    }
    bought = _share(rows.c.kinds, value.kinds_full)
    potential = _weighted(
        [
            (value.cross_weight, _share(func.coalesce(rows.c.assets, 0), value.cross_assets) * (1.0 - bought)),
            (value.referral_weight, _share(rows.c.referrals, value.referral_full)),
        ]
    )
    return (
        select(
            *rows.c,
            *(is_high.label(f"high_{name}") for name, is_high in high.items()),
            _score(rows, parameters).label("score"),
            _rounded(potential).label("potential"),
        )
        .offset(0)
        .subquery("marked")
    )


def _overrides(parameters: AllParameters, today: date) -> Subquery:
    """The overrides in force, one row a client; one whose class no longer exists does not count."""
    models = ("aum_tier", "contribution_turnover", "profit_stability", "life_cycle", "scorecard")
    return (
        select(
            ClassOverride.client_id,
            *(
                func.max(ClassOverride.class_code)
                .filter(
                    ClassOverride.model == model,
                    ClassOverride.class_code.in_([one.code for one in getattr(parameters, model).classes]),
                )
                .label(model)
                for model in models
            ),
        )
        .where(ClassOverride.expires_on >= literal(today, Date))
        .group_by(ClassOverride.client_id)
        .subquery("overrides")
    )


def _tier(rows: Subquery, parameters: AllParameters) -> ColumnElement[Any]:
    whens = []
    for tier in parameters.aum_tier.classes:
        reached = [rows.c.tier_assets >= tier.assets]
        reached += [
            rows.c[name] >= getattr(tier, name)
            for name in ("card_spend", "loans", "custody_margin")
            if getattr(tier, name) is not None and getattr(parameters.aum_tier, f"{name}_from") is not None
        ]
        whens.append((or_(*reached), tier.code))
    return case(*whens, else_=null())


def _quadrant(rows: Subquery) -> ColumnElement[Any]:
    contribution, turnover = rows.c.high_contribution, rows.c.high_turnover
    return case((and_(contribution, turnover), "A"), (contribution, "B"), (turnover, "C"), else_="D")


def _value(rows: Subquery, parameters: AllParameters) -> ColumnElement[Any]:
    model, profitable, stable = parameters.profit_stability, rows.c.high_profit, rows.c.high_stability
    whens: list[tuple[ColumnElement[bool], str]] = []
    if model.negative_rule:
        whens.append(
            (
                and_(
                    rows.c.idle >= model.negative_days,
                    rows.c.open_accounts <= model.negative_accounts,
                    func.coalesce(rows.c.assets, 0) < model.negative_assets,
                ),
                "negative",
            )
        )
    whens += [(and_(profitable, stable), "vip"), (profitable, "potential"), (stable, "mass")]
    return case(*whens, else_="negative")


def _stage(rows: Subquery, parameters: AllParameters) -> ColumnElement[Any]:
    model = parameters.life_cycle
    # Trades per day fell by p %: recent / 90 <= (1 - p) x before / 275, multiplied out.
    kept = 1 - model.decline_trades / 100
    fewer_trades = and_(
        rows.c.trades_before >= model.decline_least,
        cast(rows.c.trades_recent, Numeric) * BEFORE
        <= literal(kept * RECENT, Numeric) * cast(rows.c.trades_before, Numeric),
    )
    return case(
        (rows.c.status == "closed", "lost"),
        (or_(rows.c.status.in_(("lead", "prospect")), rows.c.tenure.is_(None)), "prospect"),
        (rows.c.tenure <= model.new_days, "new"),
        (
            and_(rows.c.idle >= model.lost_days, func.coalesce(rows.c.assets, 0) < model.lost_assets),
            "lost",
        ),
        (or_(rows.c.status == "dormant", rows.c.idle >= model.dormant_days), "dormant"),
        (or_(rows.c.change <= -float(model.decline_assets) / 100, fewer_trades), "declining"),
        (
            or_(
                rows.c.tenure <= model.developing_days,
                rows.c.change >= float(model.growth_percent) / 100,
            ),
            "developing",
        ),
        else_="stable",
    )


def _score(rows: Subquery, parameters: AllParameters) -> ColumnElement[Any]:
    card = parameters.scorecard
    full = literal(float(card.growth_full) / 100, _SCORE)
    growth = func.least(func.greatest((rows.c.change + full) / (2.0 * full), 0.0), 1.0)
    parts = [
        (card.contribution_weight, _share(rows.c.profit, card.contribution_full)),
        (card.support_weight, rows.c.stability / 100.0),
        (card.growth_weight, growth),
        (card.influence_weight, _share(rows.c.referrals, card.influence_full)),
    ]
    if parameters.profit_stability.credit_from is not None:
        parts.append((card.credit_weight, rows.c.credit))
    return _rounded(_weighted(parts))


def _grade(score: ColumnElement[Any], parameters: AllParameters) -> ColumnElement[Any]:
    grades = parameters.scorecard.classes
    return case(*((score >= float(grade.from_score), grade.code) for grade in grades), else_=null())
