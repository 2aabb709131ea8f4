"""Forms of tracking's pages."""

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import TextAreaField
from wtforms.validators import InputRequired, Length


class AnswerForm(FlaskForm):  # type: ignore[misc]
    """What the client answers, in the local mailbox."""

    text = TextAreaField(
        _l("Answer as the client"), validators=[InputRequired(_l("Please write something.")), Length(max=20_000)]
    )
