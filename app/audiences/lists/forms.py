"""The form of a new list."""

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from flask_wtf.file import FileField
from wtforms import StringField, TextAreaField
from wtforms.validators import InputRequired, Length

from app.audiences.lists.service import MAX_NAME


class NumberListForm(FlaskForm):  # type: ignore[misc]
    name = StringField(_l("Name"), [InputRequired(_l("Give the list a name.")), Length(max=MAX_NAME)])
    numbers = TextAreaField(
        _l("Client numbers"),
        description=_l("Paste them here, one a line or with commas between."),
    )
    file = FileField(
        _l("Or a file with them"),
        description=_l("CSV or Excel: the column of client numbers, else the first one. Up to a million numbers."),
    )
