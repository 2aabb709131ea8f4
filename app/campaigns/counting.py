"""How a campaign's results are counted: who is credited with an opening, which are effective, what sending costs."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from flask_babel import format_decimal
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app.campaigns.effective_rule import EffectiveRule, read_rule, rule_sentences
from app.campaigns.models import ATTRIBUTION_MODELS, Campaign
from app.campaigns.service import note_act, open_for_editing
from app.core.errors import AppError
from app.core.extensions import db
from app.core.permissions import Actor

MODEL_LABELS = {
    "last_touch": _l("Last message"),
    "first_touch": _l("First message"),
    "last_click": _l("Last click"),
    "even": _l("All messages alike"),
}
MOST_FIXED, MOST_UNIT = Decimal(10) ** 15, Decimal(10) ** 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Counting:
    """`unit_costs` is {step id: what one message of it costs}, in the firm's currency like `fixed_cost`."""

    attribution_model: str
    effective_rule: EffectiveRule | None
    fixed_cost: Decimal | None
    unit_costs: Mapping[int, Decimal | None]


def set_counting(*, campaign: Campaign, counting: Counting, actor: Actor | None) -> None:
    """Decide how results are counted. Settled by the launch, so that no result can choose its own measure."""
    if counting.attribution_model not in ATTRIBUTION_MODELS:
        raise AppError(_l("Choose who is credited: the last message, the first, the last click, or all alike."))
    rule = counting.effective_rule.to_json() if counting.effective_rule else None
    read_rule(rule)
    fixed = _amount(counting.fixed_cost, MOST_FIXED, "0.01")
    values = {"attribution_model": counting.attribution_model, "effective_rule": rule, "fixed_cost": fixed}
    changes: dict[str, Any] = {
        key: [_plain(getattr(campaign, key)), _plain(value)]
        for key, value in values.items()
        if getattr(campaign, key) != value
    }
    costs = {
        step: _amount(counting.unit_costs[step.id], MOST_UNIT, "0.0001")
        for step in campaign.steps
        if step.id in counting.unit_costs
    }
    for step, cost in costs.items():
        if step.unit_cost != cost:
            changes[f"unit_cost_{step.id}"] = [_plain(step.unit_cost), _plain(cost)]
    if not changes:
        return
    open_for_editing(campaign, actor)
    for key, value in values.items():
        setattr(campaign, key, value)
    for step, cost in costs.items():
        step.unit_cost = cost
    db.session.flush()
    note_act(campaign, "counting_changed", actor, changes=changes)


def counting_sentences(campaign: Campaign) -> list[str]:
    """How results are counted, as people read it."""
    lines = [_("Credited: %(model)s.", model=MODEL_LABELS[campaign.attribution_model])]
    lines += rule_sentences(read_rule(campaign.effective_rule))
    if campaign.fixed_cost is not None:
        lines.append(_("Fixed cost: %(amount)s.", amount=format_decimal(campaign.fixed_cost)))
    return lines


def _amount(value: Decimal | None, most: Decimal, unit: str) -> Decimal | None:
    if value is None:
        return None
    if not value.is_finite() or not 0 <= value < most:
        raise AppError(_l("A cost is an amount of zero or more."))
    return value.quantize(Decimal(unit))


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Decimal) else value
