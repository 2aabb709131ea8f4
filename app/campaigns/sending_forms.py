"""The forms about when and how messages leave: of one campaign, and of the firm."""

from datetime import time
from decimal import Decimal
from typing import Any

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import (
    BooleanField,
    DecimalField,
    IntegerField,
    RadioField,
    SelectField,
    StringField,
    TextAreaField,
    TimeField,
)
from wtforms.validators import InputRequired, Length, NumberRange, Optional

from app.campaigns.gates import awaiting_second_check
from app.campaigns.models import LONGEST_SPREAD_HOURS, PRIORITY_LABELS, Campaign
from app.campaigns.sending_plan import LONGEST_NAME, LONGEST_TERM_MONTHS, SendingPlan, plan_of, sending_sentences
from app.campaigns.sending_rules import CHANNEL_LABELS, MOST, PERIOD_DAYS, PERIOD_LABELS, Rules, rules_in_force
from app.core.form_fields import CheckboxesField, options

WEEKDAYS = {
    1: _l("Monday"),
    2: _l("Tuesday"),
    3: _l("Wednesday"),
    4: _l("Thursday"),
    5: _l("Friday"),
    6: _l("Saturday"),
    7: _l("Sunday"),
}
_NO_TIME = _l("Enter a time such as 10:00.")
RISKS = options({"": _l("No product")} | {str(level): f"R{level}" for level in range(1, 6)})


class SendingForm(FlaskForm):  # type: ignore[misc]
    """When and how a campaign leaves, and what it offers."""

    priority = RadioField(
        _l("Priority"),
        choices=options(PRIORITY_LABELS),
        coerce=int,
        description=_l("Where a client may get only one of two campaigns that wait, the higher priority wins."),
    )
    local_time = TimeField(
        _l("At this time of each client"),
        [Optional()],
        description=_l("By the clock of the client's own time zone. Empty: as soon as it is launched."),
    )
    spread_hours = IntegerField(
        _l("Spread over hours"),
        [Optional(), NumberRange(1, LONGEST_SPREAD_HOURS, _l("Enter 1 to 168 hours."))],
        description=_l("Evenly, so that calls and visits that follow can be handled. Empty: as fast as possible."),
    )
    send_from = TimeField(_l("Not before"), [Optional()])
    send_until = TimeField(
        _l("Not after"), [Optional()], description=_l("Each day, by the client's clock. Quiet hours hold besides.")
    )
    send_days = CheckboxesField(_l("Only on these days"), choices=options(WEEKDAYS), coerce=int)
    product_name = StringField(_l("Product"), [Length(max=LONGEST_NAME)])
    product_risk = SelectField(
        _l("Product risk"),
        choices=RISKS,
        description=_l("Only clients for whom this is suitable get the campaign. Nobody can waive that."),
    )
    product_private = BooleanField(_l("Private product: for confirmed qualified investors only"))
    product_kind = StringField(_l("Kind of product"), [Length(max=LONGEST_NAME)])
    product_term_months = IntegerField(
        _l("Term (months)"), [Optional(), NumberRange(1, LONGEST_TERM_MONTHS, _l("Enter 1 to 600 months."))]
    )

    def fill(self, campaign: Campaign) -> None:
        plan = plan_of(campaign)
        for name in SendingPlan.__dataclass_fields__:
            self[name].data = getattr(plan, name)
        self.product_risk.data = str(plan.product_risk or "")
        self.send_days.data = list(plan.send_days)

    def plan(self) -> SendingPlan:
        values: dict[str, Any] = {name: self[name].data for name in SendingPlan.__dataclass_fields__}
        values["product_risk"] = int(self.product_risk.data) if self.product_risk.data else None
        return SendingPlan(**values)


class SecondCheckForm(FlaskForm):  # type: ignore[misc]
    reason = TextAreaField(
        _l("What you looked at and why it is right for them"),
        [InputRequired(_l("Say what you looked at.")), Length(max=2000)],
    )


class RulesForm(FlaskForm):  # type: ignore[misc]
    """The firm's rules of sending; a field for each channel and period is added below."""

    quiet_from = TimeField(_l("Quiet from"), [InputRequired(_NO_TIME)])
    quiet_until = TimeField(_l("until"), [InputRequired(_NO_TIME)])
    quiet_channels = CheckboxesField(
        _l("Quiet hours hold for"),
        choices=options(CHANNEL_LABELS),
        description=_l("By the clock of the client's own time zone. Statutory notices are exempt."),
    )
    launch_tolerance = DecimalField(
        _l("Tolerance at the launch (percent)"),
        [InputRequired(_l("Enter a number.")), NumberRange(0, 100, _l("Enter 0 to 100."))],
        description=_l("A launch waits for a decision where it would reach so many more or fewer than were approved."),
    )

    def fill(self, rules: Rules) -> None:
        self.quiet_from.data, self.quiet_until.data = rules.quiet_from, rules.quiet_until
        self.quiet_channels.data = sorted(rules.quiet_channels)
        self.launch_tolerance.data = Decimal(repr(rules.launch_tolerance)).normalize()
        for channel in CHANNEL_LABELS:
            for period in PERIOD_DAYS:
                self[cap_field(channel, period)].data = rules.caps.get(channel, {}).get(period)

    def facts(self) -> dict[str, Any]:
        """The arguments of `change_rules`."""
        caps: dict[str, dict[str, int]] = {channel: {} for channel in CHANNEL_LABELS}
        for channel, limits in caps.items():
            for period in PERIOD_DAYS:
                limit = self[cap_field(channel, period)].data
                if limit is not None:
                    limits[period] = limit
        quiet_from: time = self.quiet_from.data
        return {
            "caps": caps,
            "quiet_from": quiet_from,
            "quiet_until": self.quiet_until.data,
            "quiet_channels": self.quiet_channels.data,
            "launch_tolerance": float(self.launch_tolerance.data),
        }


def cap_field(channel: str, period: str) -> str:
    """The name of the form's field for a cap."""
    return f"cap_{channel}_{period}"


for _channel, _channel_label in CHANNEL_LABELS.items():
    for _period, _period_label in PERIOD_LABELS.items():
        setattr(
            RulesForm,
            cap_field(_channel, _period),
            IntegerField(
                _l("%(channel)s %(period)s", channel=_channel_label, period=_period_label),
                [Optional(), NumberRange(1, MOST, _l("Enter 1 to 1000, or nothing for no cap."))],
            ),
        )


def sending_facts(campaign: Campaign, form: SendingForm | None = None) -> dict[str, Any]:
    """What the section "When and how" of a campaign's page shows."""
    if form is None:
        form = SendingForm(formdata=None)
        form.fill(campaign)
    return {
        "sending_form": form,
        "sending_words": sending_sentences(campaign, rules_in_force()),
        "second_checks": awaiting_second_check(campaign) is not None,
    }
