"""The comparison of both arms for a campaign, a segment or any other set of its clients."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from pyroaring import BitMap64

from app.reports.effect.costs import Costs
from app.reports.effect.strata import Strata, Stratum
from app.statistics.corrections import benjamini_hochberg
from app.statistics.intervals import Interval, wilson
from app.statistics.lift import Arm, Lift, p_values, stratified, variance
from app.statistics.means import Amounts, MeanLift, moments_of, stratified_bootstrap, stratified_welch
from app.statistics.shrinkage import shrunken
from app.statistics.split import SplitCheck, split_check_all

LEVEL = 0.05
FEWEST_CLIENTS = 100
FEWEST_OPENINGS = 10
HALVINGS = 24


class Judgement(StrEnum):
    """What may be said of a set of clients. Anything but the first two is no evidence of anything."""

    MORE = "more"
    FEWER = "fewer"
    INCONCLUSIVE = "inconclusive"
    TOO_FEW = "too_few"
    NO_CONTROL = "no_control"


@dataclass(frozen=True, slots=True)
class Effect:
    """Both arms of a set of clients: how many were assigned, opened an account, had an effective one.

    `brought_in` are the assets of its treated, `cost` what was spent on them (None where it is not known). `p` is that
    of the lift; `corrected` the same corrected for the number of sets it was looked at among, and `drawn_in` the
    absolute lift drawn towards that of all of them (None where there is nothing to compare).
    """

    name: str
    key: str
    treated: int
    control: int
    opened: int
    control_opened: int
    effective: int
    control_effective: int
    lift: Lift | None
    brought_in: Decimal = Decimal()
    cost: Decimal | None = None
    p: float | None = None
    corrected: float | None = None
    drawn_in: float | None = None

    @property
    def opened_interval(self) -> Interval | None:
        """Of the share of the treated who opened an account."""
        return wilson(self.opened, self.treated)

    @property
    def effective_share(self) -> float | None:
        """The treated who had an effective account, from 0 to 1."""
        return self.effective / self.treated if self.treated else None

    @property
    def effective_interval(self) -> Interval | None:
        """Of the share of the treated who had an effective account."""
        return wilson(self.effective, self.treated)

    @property
    def cost_per_account(self) -> Decimal | None:
        """Cost over accounts that the treated opened."""
        return self.cost / self.opened if self.cost is not None and self.opened else None

    @property
    def cost_per_effective(self) -> Decimal | None:
        """Cost over effective accounts of the treated."""
        return self.cost / self.effective if self.cost is not None and self.effective else None

    @property
    def too_few(self) -> bool:
        return min(self.treated, self.control) < FEWEST_CLIENTS or self.opened + self.control_opened < FEWEST_OPENINGS

    @property
    def judgement(self) -> Judgement:
        """By the corrected p-value where several sets were looked at, else by the interval, which says the same."""
        if not self.control or self.lift is None:
            return Judgement.NO_CONTROL
        if self.too_few:
            return Judgement.TOO_FEW
        p = self.p if self.corrected is None else self.corrected
        if p is None or p >= LEVEL:
            return Judgement.INCONCLUSIVE
        return Judgement.MORE if self.lift.absolute > 0 else Judgement.FEWER


def effect_of(strata: Strata, *, name: str, key: str = "", costs: Costs | None = None) -> Effect:
    """The comparison over all who were assigned."""
    effect, arms = _compared(strata, name, key, None, None)
    return replace(effect, p=_p_values([arms])[0], cost=None if costs is None else costs.in_all())


def _compared(
    strata: Strata, name: str, key: str, clients: BitMap64 | None, costs: Costs | None
) -> tuple[Effect, list[tuple[Arm, Arm]]]:
    """The comparison without its p-value, and its arms by stratum."""
    parts = [part.cut(clients) for part in strata.strata]
    arms = [_arms(part) for part in parts]
    treated = sum(len(part.treated) for part in parts)
    effect = Effect(
        name=name,
        key=key,
        treated=treated,
        control=sum(len(part.control) for part in parts),
        opened=sum(treated.successes for treated, _control in arms),
        control_opened=sum(control.successes for _treated, control in arms),
        effective=sum(part.effective.intersection_cardinality(part.treated) for part in parts),
        control_effective=sum(part.effective.intersection_cardinality(part.control) for part in parts),
        lift=stratified(arms),
        brought_in=_brought_by_treated(strata, parts),
        cost=None if costs is None or clients is None else costs.of(clients, treated),
    )
    return effect, arms


def effects_of(
    strata: Strata, sets: Iterable[tuple[str, str, BitMap64]], *, costs: Costs | None = None
) -> list[Effect]:
    """The comparison of each (key, name, clients), corrected for their number and drawn towards each other.

    Those with too few clients or openings are not corrected for: nothing is claimed of them.
    """
    cuts = [_compared(strata, name, key, clients, costs) for key, name, clients in sets]
    p_of = _p_values([arms for _effect, arms in cuts])
    judged = [place for place, (effect, _) in enumerate(cuts) if p_of[place] is not None and not effect.too_few]
    corrected = dict(zip(judged, benjamini_hochberg([p_of[place] or 0.0 for place in judged]), strict=True))
    known = [place for place, (effect, _) in enumerate(cuts) if effect.lift is not None]
    drawn = shrunken(
        [lift.absolute for place in known if (lift := cuts[place][0].lift)],
        [_variance(cuts[place][1]) for place in known],
    )
    drawn_in = dict(zip(known, drawn, strict=True))
    return [
        replace(effect, p=p_of[place], corrected=corrected.get(place), drawn_in=drawn_in.get(place))
        for place, (effect, _) in enumerate(cuts)
    ]


def split_of(strata: Strata) -> SplitCheck | None:
    """Whether both arms are as large as they were meant to be; None without a control group."""
    drawn = [part for part in strata.strata if 0 < part.share < 1]
    if not drawn:
        return None
    return split_check_all([(len(part.treated), len(part.control), part.share) for part in drawn])


@dataclass(frozen=True, slots=True)
class Assets:
    """Assets brought in by the treated, and how much of it the campaign caused: by Welch and by bootstrap.

    Both are None without a control group; the bootstrap also where nobody brought in anything. Both estimate the same
    amount; their intervals differ, and reports lead with the bootstrap's: Welch's trusts a small control group too much
    (docs/statistics.md).
    """

    brought_in: Decimal
    welch: MeanLift | None
    bootstrap: MeanLift | None


def assets_of(strata: Strata) -> Assets:
    """Over all who were assigned; those who brought nothing count as zero. Arms of several control shares are compared
    share by share, each weighing as much as it has treated clients: unlike clients must not be added up."""
    both = [part for part in strata.strata if min(len(part.treated), len(part.control)) > 1]
    arms = [(_amounts(strata, part.treated), _amounts(strata, part.control)) for part in both]
    return Assets(
        _brought_by_treated(strata, strata.strata),
        stratified_welch([(moments_of(treated), moments_of(control)) for treated, control in arms]),
        stratified_bootstrap(arms),
    )


def _brought_by_treated(strata: Strata, parts: Sequence[Stratum]) -> Decimal:
    return Decimal(f"{strata.brought_by(BitMap64().union(*(part.treated for part in parts))):.2f}")


def _amounts(strata: Strata, arm: BitMap64) -> Amounts:
    amounts = strata.amounts_of(arm)
    return Amounts(len(arm), amounts[amounts != 0])


def _arms(part: Stratum) -> tuple[Arm, Arm]:
    treated = Arm(part.opened.intersection_cardinality(part.treated), len(part.treated))
    return treated, Arm(part.opened.intersection_cardinality(part.control), len(part.control))


def _p_values(comparisons: Sequence[Sequence[tuple[Arm, Arm]]]) -> list[float | None]:
    """The level at which the interval of each just touches zero; those of one stratum all at once."""
    both = [[pair for pair in arms if pair[0].total and pair[1].total] for arms in comparisons]
    single = iter(p_values([pairs[0] for pairs in both if len(pairs) == 1]))
    return [next(single) if len(pairs) == 1 else _stratified_p(pairs) if pairs else None for pairs in both]


def _stratified_p(both: Sequence[tuple[Arm, Arm]]) -> float:
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        level = (low + high) / 2
        lift = stratified(both, confidence=1 - level)
        if lift is None or lift.low <= 0 <= lift.high:
            low = level
        else:
            high = level
    return high


def _variance(arms: Sequence[tuple[Arm, Arm]]) -> float:
    both = [(treated, control) for treated, control in arms if treated.total and control.total]
    total = sum(treated.total for treated, _control in both)
    return sum((pair[0].total / total) ** 2 * variance(*pair) for pair in both)
