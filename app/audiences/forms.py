"""The form of a segment. The rule comes from the builder as JSON; the service judges it."""

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import HiddenField, IntegerField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length, Optional
from wtforms.widgets import HiddenInput

from app.audiences.service import MAX_NAME


class SegmentForm(FlaskForm):  # type: ignore[misc]
    name = StringField(_l("Name"), [InputRequired(_l("Give the segment a name.")), Length(max=MAX_NAME)])
    description = TextAreaField(
        _l("Description"),
        [Length(max=1000)],
        description=_l("What it is for, so that colleagues can find and trust it. May stay empty."),
    )
    rule = HiddenField()
    version = IntegerField(validators=[Optional()], widget=HiddenInput())
