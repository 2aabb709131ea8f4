"""The form that says how a campaign's results are counted."""

from collections.abc import Iterator
from typing import Any

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from sqlalchemy import select
from wtforms import (
    BooleanField,
    DecimalField,
    FieldList,
    Form,
    FormField,
    IntegerField,
    RadioField,
    SelectChoice,
    SelectField,
    StringField,
)
from wtforms.validators import Length, NumberRange, Optional

from app.audiences.choices import Directory, frequent
from app.campaigns.counting import MODEL_LABELS, MOST_FIXED, MOST_UNIT, Counting
from app.campaigns.effective_rule import (
    DEFAULT_WITHIN,
    KIND_LABELS,
    LONGEST_WITHIN,
    MAX_WORD,
    AccountNeeded,
    EffectiveRule,
    read_rule,
)
from app.campaigns.models import Campaign
from app.campaigns.step_kinds import step_name
from app.clients.holdings.models import Account
from app.clients.labels import holding_label
from app.core.extensions import db
from app.core.form_fields import CheckboxesField, options

ROWS = 4
USUAL_KINDS = ("cash", "a_share_shanghai", "a_share_shenzhen", "margin", "fund", "custody", "deposit", "loan", "card")
_NO_AMOUNT = _l("Enter an amount of zero or more.")


class NeededForm(Form):  # type: ignore[misc]
    """One account that has to exist."""

    kind = SelectField(_l("Kind of account"), validate_choice=False)
    designated = BooleanField(_l("Designated trading here"))
    partner_bank = StringField(_l("Partner bank"), [Length(max=MAX_WORD)])


class UnitCostForm(Form):  # type: ignore[misc]
    """What one message of a step costs."""

    cost = DecimalField(_l("Cost of one message"), [Optional(), NumberRange(0, MOST_UNIT, _NO_AMOUNT)], places=None)


class CountingForm(FlaskForm):  # type: ignore[misc]
    attribution_model = RadioField(
        _l("Which message is credited"),
        choices=options(MODEL_LABELS),
        description=_l(
            "Of those sent before the opening within the attribution window, on all channels. With “last click” the "
            "window counts from the last click by a person."
        ),
    )
    ruled = BooleanField(_l("An account opening is effective only if it meets these conditions"))
    kinds = CheckboxesField(_l("What counts"), choices=options(KIND_LABELS))
    accounts = FieldList(FormField(NeededForm), min_entries=ROWS, max_entries=ROWS)
    minimum = DecimalField(
        _l("At least this amount"), [Optional(), NumberRange(0, MOST_FIXED, _NO_AMOUNT)], places=None
    )
    minimum_kinds = CheckboxesField(
        _l("On accounts of these kinds"), validate_choice=False, description=_l("None chosen: total assets.")
    )
    within_days = IntegerField(
        _l("Within days of the opening"),
        [Optional(), NumberRange(0, LONGEST_WITHIN, _l("Enter 0 to 180 days."))],
        default=DEFAULT_WITHIN,
    )
    fixed_cost = DecimalField(
        _l("Fixed cost of the campaign"),
        [Optional(), NumberRange(0, MOST_FIXED, _NO_AMOUNT)],
        places=None,
        description=_l("In the firm's currency, on top of the cost of each message."),
    )
    unit_costs = FieldList(FormField(UnitCostForm))

    def prepare(self, campaign: Campaign) -> "CountingForm":
        """Offer the kinds of accounts there are, and a cost for each step."""
        kinds = _kinds_of_accounts(read_rule(campaign.effective_rule))
        labels = options((kind, holding_label(kind)) for kind in kinds)
        for row in self.accounts:
            row.form.kind.choices = [SelectChoice("", _l("No further account")), *labels]
        self.minimum_kinds.choices = labels
        while len(self.unit_costs) < len(campaign.steps):
            self.unit_costs.append_entry()
        for row, step in zip(self.unit_costs, campaign.steps, strict=False):
            row.form.cost.label.text = step_name(step)
        return self

    def fill(self, campaign: Campaign) -> "CountingForm":
        rule = read_rule(campaign.effective_rule)
        self.attribution_model.data, self.fixed_cost.data = campaign.attribution_model, campaign.fixed_cost
        self.ruled.data = rule is not None
        rule = rule or EffectiveRule()
        self.kinds.data, self.within_days.data = list(rule.kinds), rule.within_days
        self.minimum.data, self.minimum_kinds.data = rule.minimum, list(rule.minimum_kinds)
        for row, needed in zip(self.accounts, rule.accounts, strict=False):
            row.form.kind.data, row.form.designated.data = needed.kind, needed.designated
            row.form.partner_bank.data = needed.partner_bank
        for row, step in zip(self.unit_costs, campaign.steps, strict=False):
            row.form.cost.data = step.unit_cost
        return self

    def counting(self, campaign: Campaign) -> Counting:
        """What was entered. Raises BadRule."""
        costs = {step.id: row.form.cost.data for row, step in zip(self.unit_costs, campaign.steps, strict=False)}
        return Counting(
            attribution_model=self.attribution_model.data or "",
            effective_rule=read_rule(self._rule()) if self.ruled.data else None,
            fixed_cost=self.fixed_cost.data,
            unit_costs=costs,
        )

    def _rule(self) -> dict[str, Any]:
        return EffectiveRule(
            kinds=tuple(self.kinds.data or ()),
            accounts=tuple(self._needed()),
            minimum=self.minimum.data,
            minimum_kinds=tuple(self.minimum_kinds.data or ()),
            within_days=DEFAULT_WITHIN if self.within_days.data is None else self.within_days.data,
        ).to_json()

    def _needed(self) -> Iterator[AccountNeeded]:
        for row in self.accounts:
            if row.form.kind.data:
                yield AccountNeeded(
                    row.form.kind.data, bool(row.form.designated.data), row.form.partner_bank.data or None
                )


def _kinds_of_accounts(rule: EffectiveRule | None) -> list[str]:
    """Usual kinds, those the book has (as the database's statistics know, or a small book itself), and the rule's."""
    offered = frequent("kind", "account")
    known = [] if isinstance(offered, Directory) else [choice.value for choice in offered()]
    known += list(db.session.scalars(select(select(Account.kind).limit(500).subquery().c.kind).distinct()))
    named = [one.kind for one in rule.accounts] + list(rule.minimum_kinds) if rule else []
    return list(dict.fromkeys([*USUAL_KINDS, *sorted(map(str, known)), *named]))
