"""The form that stops all marketing."""

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import TextAreaField
from wtforms.validators import InputRequired, Length

from app.delivery.stopping import LONGEST_REASON


class StopForm(FlaskForm):  # type: ignore[misc]
    reason = TextAreaField(_l("Why"), [InputRequired(_l("Say why marketing has to stop.")), Length(max=LONGEST_REASON)])
