"""Forms of the control group and of the comparison of variants."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import BooleanField, DecimalField, IntegerField, SelectField
from wtforms.validators import InputRequired, NumberRange, Optional

from app.campaigns.experiments.control import Shares
from app.campaigns.models import LONGEST_TEST_HOURS, MOST_CONTROL, MOST_GLOBAL_CONTROL, Campaign, Step
from app.campaigns.step_kinds import all_words, step_kind
from app.core.form_fields import options

METRIC_LABELS = {
    "opened": _l("Opened"),
    "clicked": _l("Clicked"),
    "accounts": _l("Accounts opened"),
}
UNITS = {"hours": (_l("hours"), 1), "days": (_l("days"), 24)}
_NUMBER = _l("Enter a number.")


def _plain(percent: float) -> Decimal:
    """As people would type it: 10, not 10.0."""
    return Decimal(f"{percent:.10g}")


def _percent(label: object, most: float, *more: Any, **facts: Any) -> DecimalField:
    limits = NumberRange(0, most, _l("Enter 0 to %(most)s percent.", most=most))
    return DecimalField(label, [*more, limits], places=None, **facts)


class ControlForm(FlaskForm):  # type: ignore[misc]
    """The share of a campaign; one of a segment each is added by `control_form`."""

    percent = _percent(
        _l("Control group (percent)"),
        MOST_CONTROL,
        InputRequired(_NUMBER),
        description=_l(
            "So many percent of those who may get the campaign are drawn at the launch and not contacted by it."
        ),
    )

    def shares(self) -> Shares:
        """What was entered."""
        segments = {}
        for name, entered in self._fields.items():
            if name.startswith("segment_"):
                segments[int(name.removeprefix("segment_"))] = None if entered.data is None else float(entered.data)
        return Shares(float(self.percent.data), segments)


def control_form(campaign: Campaign, source: Any = None) -> ControlForm:
    """The form with a field for each included segment, filled with what is chosen. `source`: read that instead of what
    was posted."""
    included = [link for link in campaign.segments if link.role == "include"]
    fields = {f"segment_{link.segment_id}": _percent(link.segment.name, MOST_CONTROL, Optional()) for link in included}
    chosen: dict[str, Any] = {"percent": _plain(campaign.control_percent)}
    for link in included:
        own = link.control_percent
        chosen[f"segment_{link.segment_id}"] = None if own is None else _plain(own)
    made = type("ControlFormOfCampaign", (ControlForm,), fields)
    return made(source, data=chosen) if source is not None else made(data=chosen)  # type: ignore[no-any-return]


class ComparisonForm(FlaskForm):  # type: ignore[misc]
    """How variants are compared; a share of each is added by `comparison_form`."""

    metric = SelectField(_l("Compared by"))
    length = IntegerField(
        _l("Verdict after"),
        [InputRequired(_NUMBER), NumberRange(1, LONGEST_TEST_HOURS, _l("Enter 1 or more."))],
        description=_l("Counted from the launch. There is one verdict, at this time and not before."),
    )
    unit = SelectField(_l("Unit"), choices=options((key, label) for key, (label, _hours) in UNITS.items()))
    test_percent = DecimalField(
        _l("Try on so many percent first"),
        [Optional(), NumberRange(0.01, 99.99, _l("Enter more than 0 and less than 100, or nothing."))],
        places=None,
        description=_l("The rest waits until somebody chooses, after the verdict, what it gets. Empty: all at once."),
    )

    def shares(self) -> dict[str, float]:
        """{letter: percent} as entered."""
        return {
            name.removeprefix("share_"): float(entered.data)
            for name, entered in self._fields.items()
            if name.startswith("share_")
        }

    def facts(self) -> dict[str, Any]:
        """The arguments of `set_test`."""
        return {
            "shares": self.shares(),
            "test_percent": None if self.test_percent.data is None else float(self.test_percent.data),
            "metric": self.metric.data,
            "hours": self.length.data * UNITS[self.unit.data][1],
        }


def comparison_form(step: Step, source: Any = None) -> ComparisonForm:
    """The form with the share of each variant, filled with what is chosen."""
    shares = shares_of_variants(step)
    fields = {
        f"share_{letter}": DecimalField(
            _l("Variant %(letter)s", letter=letter),
            [InputRequired(_NUMBER), NumberRange(0.01, 99.99, _l("Enter more than 0 and less than 100."))],
            places=None,
        )
        for letter in shares
    }
    whole_days = step.test_hours % 24 == 0
    chosen = {
        "metric": step.test_metric,
        "length": step.test_hours // 24 if whole_days else step.test_hours,
        "unit": "days" if whole_days else "hours",
        "test_percent": None if step.test_percent is None else _plain(step.test_percent),
    } | {f"share_{letter}": _plain(share) for letter, share in shares.items()}
    made = type("ComparisonFormOfStep", (ComparisonForm,), fields)
    form = made(source, data=chosen) if source is not None else made(data=chosen)
    form.metric.choices = options((metric, METRIC_LABELS[metric]) for metric in step_kind(step.channel).metrics)
    return form  # type: ignore[no-any-return]


def shares_of_variants(step: Step) -> Mapping[str, float]:
    """{letter: percent} of every variant; A has what the others leave."""
    others = {variant.letter: variant.share for variant in step.variants}
    letters = [letter or "A" for letter, _words in all_words(step)]
    return {letter: others.get(letter, 100 - sum(others.values())) for letter in letters}


class GlobalControlForm(FlaskForm):  # type: ignore[misc]
    percent = _percent(
        _l("Percent of all clients"), MOST_GLOBAL_CONTROL, InputRequired(_NUMBER), description=_l("0: nobody.")
    )
    anew = BooleanField(_l("Draw the group anew"))
