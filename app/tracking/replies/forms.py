"""Forms of the inbox."""

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import HiddenField, IntegerField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length, NumberRange

from app.tracking.replies.service import MAX_ANSWER


class AnswerForm(FlaskForm):  # type: ignore[misc]
    """What staff write back."""

    text = TextAreaField(
        _l("Your answer"), validators=[InputRequired(_l("Please write something.")), Length(max=2 * MAX_ANSWER)]
    )
    seen = HiddenField()


class GiveForm(FlaskForm):  # type: ignore[misc]
    """Whose mail it is that was parked."""

    number = StringField(
        _l("Client number"), validators=[InputRequired(_l("Please give a client number.")), Length(max=100)]
    )


class InboxRulesForm(FlaskForm):  # type: ignore[misc]
    """The firm's figures."""

    answer_days = IntegerField(
        _l("Working days to answer a reply"),
        validators=[InputRequired(_l("Please give a number.")), NumberRange(0, 30)],
        description=_l("Weekends and the firm's holidays do not count."),
    )
    soft_bounces = IntegerField(
        _l("Soft bounces after which an address is suppressed"),
        validators=[InputRequired(_l("Please give a number.")), NumberRange(1, 100)],
        description=_l(
            "A full mailbox, or a system that could not be reached. An address that does not exist is "
            "suppressed at once."
        ),
    )
    soft_days = IntegerField(
        _l("… within so many days"), validators=[InputRequired(_l("Please give a number.")), NumberRange(1, 365)]
    )
