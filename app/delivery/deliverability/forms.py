"""The figures of the alarms and what is looked up in DNS."""

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import FloatField, IntegerField, TextAreaField
from wtforms.validators import InputRequired, Length, NumberRange

_NUMBER = _l("Please enter a number.")


class SettingsForm(FlaskForm):  # type: ignore[misc]
    """Rates are in percent here."""

    alarm_rate = FloatField(
        _l("Alarm from a complaint rate of (percent)"), validators=[InputRequired(_NUMBER), NumberRange(0.001, 100)]
    )
    pause_rate = FloatField(
        _l("Marketing stops by itself from (percent)"), validators=[InputRequired(_NUMBER), NumberRange(0.001, 100)]
    )
    window_days = IntegerField(
        _l("Counted over the last days"), validators=[InputRequired(_NUMBER), NumberRange(1, 90)]
    )
    minimum_sent = IntegerField(
        _l("Only from so many delivered messages on"),
        validators=[InputRequired(_NUMBER), NumberRange(1, 100_000_000)],
        description=_l("With fewer, a single complaint would make a rate that means nothing."),
    )
    sender_domains = TextAreaField(
        _l("Further sender domains"), validators=[Length(max=5_000)], description=_l("One a line.")
    )
    dkim_selectors = TextAreaField(
        _l("DKIM selectors"),
        validators=[Length(max=2_000)],
        description=_l("One a line; your relay or vendor names them."),
    )
