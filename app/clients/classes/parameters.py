"""What can be set of each value model: its thresholds, rates and weights, and the classes with what they mean.

Every parameter is declared once, with how it is shown and checked; the form, the validation, the comparison of two
versions and the computing all come from here. The values a house begins with are data, in `presets.json`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any, ClassVar, get_type_hints

from flask_babel import get_locale
from flask_babel import lazy_gettext as _l

LARGEST = Decimal(10) ** 15
CUT_BY = {"percentile": _l("a percentile"), "amount": _l("a value")}


@dataclass(frozen=True, slots=True)
class Setting:
    """How one parameter is shown and checked.

    Kinds: money, percent (2.5 is 2.5 %), number and whole between `low` and `high`; yesno; choice of `choices`;
    measure (a key of `measures.py`, which becomes an amount per client); list_field (a custom field of several
    choices); code, line and text. An `optional` one may be left empty, which is None.
    """

    kind: str
    label: object
    group: object = ""
    help: object = ""
    low: Decimal = Decimal(0)
    high: Decimal = LARGEST
    optional: bool = False
    choices: Mapping[str, object] = field(default_factory=dict)


def _setting(kind: str, label: object, **more: Any) -> Setting:
    for end in ("low", "high"):
        if end in more:
            more[end] = Decimal(more[end])
    return Setting(kind, label, **more)


_read: dict[type, tuple[tuple[str, Setting], ...]] = {}


def settings_of(shape: type) -> tuple[tuple[str, Setting], ...]:
    """The parameters of a model or of a class, in the order they are shown."""
    if shape not in _read:
        declared = get_type_hints(shape, include_extras=True)
        _read[shape] = tuple(
            (name, note)
            for name, hint in declared.items()
            for note in getattr(hint, "__metadata__", ())
            if isinstance(note, Setting)
        )
    return _read[shape]


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueClass:
    """A class: what it is called, how its clients are treated, and how often they are to be contacted."""

    code: Annotated[str, _setting("code", _l("Code"))]
    label_en: Annotated[str, _setting("line", _l("Name in English"))]
    label_zh: Annotated[str, _setting("line", _l("Name in Chinese"))]
    treatment: Annotated[str, _setting("text", _l("Treatment"), optional=True)]
    cadence_days: Annotated[
        int | None,
        _setting(
            "whole", _l("Days between contacts"), low=1, high=3660, optional=True, help=_l("Empty: no contact is due.")
        ),
    ]

    @property
    def label(self) -> str:
        """The name in the reader's language."""
        return self.label_zh if str(get_locale() or "en").startswith("zh") else self.label_en


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier(ValueClass):
    """A client belongs to the highest tier that any of these amounts reaches."""

    assets: Annotated[Decimal, _setting("money", _l("Assets from"))]
    card_spend: Annotated[Decimal | None, _setting("money", _l("or card spend from"), optional=True)]
    loans: Annotated[Decimal | None, _setting("money", _l("or loans from"), optional=True)]
    custody_margin: Annotated[Decimal | None, _setting("money", _l("or custody margin from"), optional=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade(ValueClass):
    from_score: Annotated[Decimal, _setting("number", _l("Score from"), high=100)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """The parameters of one model. `classes` are in the order they are shown, the best first."""

    class_shape: ClassVar[type[ValueClass]] = ValueClass
    codes: ClassVar[tuple[str, ...] | None] = None  # where the computing knows the classes by their codes

    classes: tuple[Any, ...]

    def problems(self) -> Iterator[tuple[str, object]]:
        """What is wrong between parameters that are right each by itself: (path, sentence)."""
        return iter(())


# ---- Tiers by assets ----

_ALTERNATIVES = _l("What else may qualify")


@dataclass(frozen=True, slots=True, kw_only=True)
class AumTiers(Parameters):
    class_shape: ClassVar[type[ValueClass]] = Tier

    assets_from: Annotated[str, _setting("measure", _l("Assets are"))]
    card_spend_from: Annotated[str | None, _setting("measure", _l("Card spend is"), optional=True, group=_ALTERNATIVES)]
    loans_from: Annotated[str | None, _setting("measure", _l("Loans are"), optional=True, group=_ALTERNATIVES)]
    custody_margin_from: Annotated[
        str | None, _setting("measure", _l("Custody margin is"), optional=True, group=_ALTERNATIVES)
    ]

    def problems(self) -> Iterator[tuple[str, object]]:
        for position, (better, tier) in enumerate(zip(self.classes, self.classes[1:], strict=False), start=1):
            if tier.assets >= better.assets:
                yield f"classes.{position}.assets", _l("Each tier must begin below the one above it.")
        for position, tier in enumerate(self.classes):
            for name in ("card_spend", "loans", "custody_margin"):
                if getattr(tier, name) is not None and getattr(self, f"{name}_from") is None:
                    yield f"classes.{position}.{name}", _l("Say first, above, where this amount comes from.")


# ---- Contribution and turnover ----

_CONTRIBUTION, _TURNOVER = _l("Contribution"), _l("Turnover")
_CUT_HELP = _l("For a percentile a number from 0 to 100: clients above it are high. For a value: from it on.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ContributionTurnover(Parameters):
    codes: ClassVar[tuple[str, ...] | None] = ("A", "B", "C", "D")

    contribution_from: Annotated[str, _setting("measure", _l("Contribution is"), group=_CONTRIBUTION)]
    contribution_cut_by: Annotated[str, _setting("choice", _l("High is above"), choices=CUT_BY, group=_CONTRIBUTION)]
    contribution_cut: Annotated[
        Decimal, _setting("number", _l("Cut point"), low=-LARGEST, group=_CONTRIBUTION, help=_CUT_HELP)
    ]
    turnover_from: Annotated[str, _setting("measure", _l("Turnover is"), group=_TURNOVER)]
    turnover_cut_by: Annotated[str, _setting("choice", _l("High is above"), choices=CUT_BY, group=_TURNOVER)]
    turnover_cut: Annotated[Decimal, _setting("number", _l("Cut point"), low=-LARGEST, group=_TURNOVER, help=_CUT_HELP)]

    def problems(self) -> Iterator[tuple[str, object]]:
        return _percentile_problems(self, "contribution", "turnover")


def _percentile_problems(parameters: Any, *names: str) -> Iterator[tuple[str, object]]:
    for name in names:
        cut = getattr(parameters, f"{name}_cut")
        if getattr(parameters, f"{name}_cut_by") == "percentile" and not 0 <= cut <= 100:
            yield f"{name}_cut", _l("A percentile is a number from 0 to 100.")


# ---- Profit and stability ----

_PROFIT, _STABILITY = _l("Profit"), _l("Stability")
_NEGATIVE, _POTENTIAL = _l("Always negative value"), _l("Potential")
_WEIGHT_HELP = _l("Only the proportion between the weights counts.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfitStability(Parameters):
    """Profit = balance x (transfer price - deposit rate) + loan x (loan rate - transfer price), each / `day_base` x
    `days`, + fees. Stability is 0 to 100."""

    codes: ClassVar[tuple[str, ...] | None] = ("vip", "potential", "mass", "negative")

    balance_from: Annotated[str, _setting("measure", _l("Average daily balance is"), group=_PROFIT)]
    loan_from: Annotated[str, _setting("measure", _l("Average daily loan is"), group=_PROFIT)]
    fees_from: Annotated[str, _setting("measure", _l("Fees are"), group=_PROFIT)]
    transfer_price: Annotated[Decimal, _setting("percent", _l("Transfer price, % a year"), high=100, group=_PROFIT)]
    deposit_rate: Annotated[Decimal, _setting("percent", _l("Deposit rate, % a year"), high=100, group=_PROFIT)]
    loan_rate: Annotated[Decimal, _setting("percent", _l("Loan rate, % a year"), high=100, group=_PROFIT)]
    day_base: Annotated[int, _setting("whole", _l("Days of a year in the rates"), low=360, high=366, group=_PROFIT)]
    days: Annotated[int, _setting("whole", _l("Days that are counted"), low=1, high=366, group=_PROFIT)]
    profit_cut_by: Annotated[str, _setting("choice", _l("High is above"), choices=CUT_BY, group=_PROFIT)]
    profit_cut: Annotated[Decimal, _setting("number", _l("Cut point"), low=-LARGEST, group=_PROFIT, help=_CUT_HELP)]
    stability_cut_by: Annotated[str, _setting("choice", _l("High is above"), choices=CUT_BY, group=_STABILITY)]
    stability_cut: Annotated[Decimal, _setting("number", _l("Cut point"), high=100, group=_STABILITY, help=_CUT_HELP)]
    tenure_weight: Annotated[
        Decimal, _setting("number", _l("Weight of tenure"), high=1000, group=_STABILITY, help=_WEIGHT_HELP)
    ]
    tenure_full: Annotated[Decimal, _setting("number", _l("Full from years"), low="0.1", high=100, group=_STABILITY)]
    activity_weight: Annotated[Decimal, _setting("number", _l("Weight of active months"), high=1000, group=_STABILITY)]
    activity_full: Annotated[
        int, _setting("whole", _l("Full from months in the last year"), low=1, high=12, group=_STABILITY)
    ]
    kinds_weight: Annotated[Decimal, _setting("number", _l("Weight of kinds of products"), high=1000, group=_STABILITY)]
    kinds_full: Annotated[int, _setting("whole", _l("Full from kinds"), low=1, high=100, group=_STABILITY)]
    credit_from: Annotated[str | None, _setting("measure", _l("Credit grade is"), optional=True, group=_STABILITY)]
    credit_weight: Annotated[Decimal, _setting("number", _l("Weight of the credit grade"), high=1000, group=_STABILITY)]
    credit_full: Annotated[Decimal, _setting("number", _l("Full from grade"), low="0.01", group=_STABILITY)]
    complaint_points: Annotated[
        Decimal,
        _setting(
            "number",
            _l("Points for a complaint raised"),
            high=100,
            group=_STABILITY,
            help=_l("Who complains means to stay: silent clients leave."),
        ),
    ]
    complaints_from: Annotated[
        str | None,
        _setting(
            "measure",
            _l("Complaints are"),
            optional=True,
            group=_STABILITY,
            help=_l("Besides the flag of an open complaint."),
        ),
    ]
    negative_rule: Annotated[bool, _setting("yesno", _l("Use this rule"), group=_NEGATIVE)]
    negative_days: Annotated[int, _setting("whole", _l("No transaction for days"), low=1, high=36_600, group=_NEGATIVE)]
    negative_accounts: Annotated[int, _setting("whole", _l("and open accounts at most"), high=100, group=_NEGATIVE)]
    negative_assets: Annotated[Decimal, _setting("money", _l("and assets under"), group=_NEGATIVE)]
    cross_weight: Annotated[Decimal, _setting("number", _l("Weight of cross-buying"), high=1000, group=_POTENTIAL)]
    cross_assets: Annotated[Decimal, _setting("money", _l("Full from assets"), low=1, group=_POTENTIAL)]
    referral_weight: Annotated[Decimal, _setting("number", _l("Weight of referrals"), high=1000, group=_POTENTIAL)]
    referral_full: Annotated[
        int, _setting("whole", _l("Full from clients referred"), low=1, high=1000, group=_POTENTIAL)
    ]

    def problems(self) -> Iterator[tuple[str, object]]:
        yield from _percentile_problems(self, "profit", "stability")
        if not self.tenure_weight + self.activity_weight + self.kinds_weight:
            yield "tenure_weight", _l("At least one weight must be above 0.")
        if not self.cross_weight + self.referral_weight:
            yield "cross_weight", _l("At least one weight must be above 0.")


# ---- Life-cycle stage ----

_DECLINE, _SILENCE = _l("Declining"), _l("Dormant and lost")


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeCycle(Parameters):
    codes: ClassVar[tuple[str, ...] | None] = (
        "prospect", "new", "developing", "stable", "declining", "dormant", "lost",
    )  # fmt: skip

    new_days: Annotated[int, _setting("whole", _l("New for days"), low=1, high=3660)]
    developing_days: Annotated[int, _setting("whole", _l("Developing for days"), low=1, high=36_600)]
    growth_percent: Annotated[
        Decimal, _setting("percent", _l("or while assets rise in 90 days by %"), low="0.1", high=10_000)
    ]
    decline_assets: Annotated[
        Decimal, _setting("percent", _l("Assets fell in 90 days by %"), low="0.1", high=100, group=_DECLINE)
    ]
    decline_trades: Annotated[
        Decimal,
        _setting(
            "percent",
            _l("or trades fell by %"),
            low="0.1",
            high=100,
            group=_DECLINE,
            help=_l("The last 90 days against the 275 days before, per day."),
        ),
    ]
    decline_least: Annotated[
        int,
        _setting(
            "whole",
            _l("counted from trades"),
            low=1,
            high=1_000_000,
            group=_DECLINE,
            help=_l("In the 275 days before: one trade fewer than one trade means nothing."),
        ),
    ]
    dormant_days: Annotated[
        int, _setting("whole", _l("Dormant after days without a transaction"), low=1, group=_SILENCE)
    ]
    lost_days: Annotated[int, _setting("whole", _l("Lost after days without a transaction"), low=1, group=_SILENCE)]
    lost_assets: Annotated[Decimal, _setting("money", _l("and assets under"), group=_SILENCE)]

    def problems(self) -> Iterator[tuple[str, object]]:
        if self.developing_days < self.new_days:
            yield "developing_days", _l("This must be at least as long as a client counts as new.")
        if self.lost_days < self.dormant_days:
            yield "lost_days", _l("This must be at least as long as until a client counts as dormant.")


# ---- Suitability ----

_LEVELS, _SENIOR, _MORE = _l("Highest product risk per client risk level"), _l("Age"), _l("Term and kind of product")
_LEVEL_HELP = _l("May be lowered, never raised: the rule is the regulator’s.")


def _level(level: int) -> Setting:
    more: dict[str, Any] = {"group": _LEVELS, "high": level}
    if level == 1:
        more["help"] = _LEVEL_HELP
    return _setting("whole", _l("C%(level)s: R", level=level), **more)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suitability(Parameters):
    codes: ClassVar[tuple[str, ...] | None] = ("5", "4", "3", "2", "1", "0")

    valid_months: Annotated[int, _setting("whole", _l("An assessment is valid for months"), low=1, high=12)]
    level_1: Annotated[int, _level(1)]
    level_2: Annotated[int, _level(2)]
    level_3: Annotated[int, _level(3)]
    level_4: Annotated[int, _level(4)]
    level_5: Annotated[int, _level(5)]
    senior_age: Annotated[int, _setting("whole", _l("Second check from the age of"), low=50, high=65, group=_SENIOR)]
    senior_risk: Annotated[int, _setting("whole", _l("for products from R"), low=1, high=4, group=_SENIOR)]
    term_from: Annotated[
        str | None, _setting("measure", _l("Longest term in months the client accepts"), optional=True, group=_MORE)
    ]
    kinds_from: Annotated[
        str | None, _setting("list_field", _l("Kinds of products the client accepts"), optional=True, group=_MORE)
    ]


# ---- Scorecard ----

_PARTS = _l("Parts of the score")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorecard(Parameters):
    """Each part is 0 to 100. Profit, stability and credit grade are those of the profit and stability model."""

    class_shape: ClassVar[type[ValueClass]] = Grade

    contribution_weight: Annotated[
        Decimal, _setting("number", _l("Weight of contribution"), high=1000, group=_PARTS, help=_WEIGHT_HELP)
    ]
    contribution_full: Annotated[Decimal, _setting("money", _l("Full from profit"), low=1, group=_PARTS)]
    support_weight: Annotated[
        Decimal,
        _setting(
            "number", _l("Weight of support"), high=1000, group=_PARTS, help=_l("The stability of the relationship.")
        ),
    ]
    credit_weight: Annotated[
        Decimal,
        _setting(
            "number",
            _l("Weight of credit"),
            high=1000,
            group=_PARTS,
            help=_l("Left out of the score while no credit grade is set in the profit and stability model."),
        ),
    ]
    growth_weight: Annotated[Decimal, _setting("number", _l("Weight of growth"), high=1000, group=_PARTS)]
    growth_full: Annotated[
        Decimal,
        _setting(
            "percent",
            _l("Full where assets rose in 90 days by %"),
            low="0.1",
            high=10_000,
            group=_PARTS,
            help=_l("Nothing where they fell as much, half where they stayed."),
        ),
    ]
    influence_weight: Annotated[Decimal, _setting("number", _l("Weight of influence"), high=1000, group=_PARTS)]
    influence_full: Annotated[int, _setting("whole", _l("Full from clients referred"), low=1, high=1000, group=_PARTS)]

    def problems(self) -> Iterator[tuple[str, object]]:
        if not self.contribution_weight + self.support_weight + self.growth_weight + self.influence_weight:
            yield "contribution_weight", _l("At least one weight must be above 0.")
        for position, (better, grade) in enumerate(zip(self.classes, self.classes[1:], strict=False), start=1):
            if grade.from_score >= better.from_score:
                yield f"classes.{position}.from_score", _l("Each grade must begin below the one above it.")


SHAPES: Mapping[str, type[Parameters]] = {
    "aum_tier": AumTiers,
    "contribution_turnover": ContributionTurnover,
    "profit_stability": ProfitStability,
    "life_cycle": LifeCycle,
    "suitability": Suitability,
    "scorecard": Scorecard,
}


@dataclass(frozen=True, slots=True)
class AllParameters:
    """The parameters of every model: the computing of one may need those of another."""

    aum_tier: AumTiers
    contribution_turnover: ContributionTurnover
    profit_stability: ProfitStability
    life_cycle: LifeCycle
    suitability: Suitability
    scorecard: Scorecard
