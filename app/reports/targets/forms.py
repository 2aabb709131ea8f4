"""Forms of the targets."""

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from flask_wtf.file import FileField, FileRequired
from wtforms import DateField, DecimalField, SelectField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length, NumberRange, Optional

from app.core.extensions import db
from app.reports.targets.models import MEASURE_LABELS, Measure
from app.reports.targets.queries import Choices
from app.reports.targets.service import LONGEST_ITEM, MOST_AMOUNT, Wanted
from app.users.models import Branch, User


class TargetForm(FlaskForm):  # type: ignore[misc]
    """One target. `whose` is "" (the whole campaign), branch:ID, adviser:ID or tier:CODE."""

    measure = SelectField(
        _l("What is measured"), choices=[SelectChoice(one.value, MEASURE_LABELS[one]) for one in Measure]
    )
    partner_item = StringField(
        _l("What the partner counts"),
        filters=[lambda text: (text or "").replace("\x00", "").strip()],
        validators=[Length(max=LONGEST_ITEM)],
        description=_l("Only for the partner’s own targets: cards, e-banking…"),
    )
    whose = SelectField(_l("Whose target"))
    week = DateField(_l("Week of"), validators=[Optional()], description=_l("Any day of the week; empty: all of it."))
    amount = DecimalField(
        _l("Target"),
        validators=[
            InputRequired(_l("Enter a number.")),
            NumberRange(min=0, max=MOST_AMOUNT, message=_l("A target is a number from 0 to 99,999,999,999,999.")),
        ],
        places=None,
    )
    reported = DecimalField(
        _l("Reached, as the partner reports"),
        validators=[
            Optional(),
            NumberRange(min=0, max=MOST_AMOUNT, message=_l("A target is a number from 0 to 99,999,999,999,999.")),
        ],
        places=None,
    )

    def offer(self, choices: Choices) -> None:
        """Fill in whose targets the person may set."""
        groups = (
            (_l("Campaign"), [("", _l("The whole campaign"))] if choices.whole else []),
            (_l("Branch"), choices.branches),
            (_l("Adviser"), choices.advisers),
            (_l("Tier"), choices.tiers),
        )
        self.whose.choices = [
            SelectChoice(value, label, optgroup=str(group)) for group, options in groups for value, label in options
        ]

    def wanted(self) -> Wanted:
        """The target as typed in."""
        kind, _colon, key = (self.whose.data or "").partition(":")
        return Wanted(
            measure=Measure(self.measure.data),
            amount=self.amount.data,
            partner_item=self.partner_item.data or None,
            branch=db.session.get_one(Branch, int(key)) if kind == "branch" else None,
            adviser=db.session.get_one(User, int(key)) if kind == "adviser" else None,
            tier=key if kind == "tier" else None,
            week=self.week.data,
            reported=self.reported.data,
        )


class PeriodForm(FlaskForm):  # type: ignore[misc]
    """From when to when."""

    first = DateField(_l("First day"), validators=[InputRequired(_l("Enter a date."))])
    last = DateField(_l("Last day"), validators=[InputRequired(_l("Enter a date."))])


class FileForm(FlaskForm):  # type: ignore[misc]
    file = FileField(_l("File"), validators=[FileRequired(_l("Choose a file."))])
