"""Forms of the pages about account openings."""

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from flask_wtf.file import FileField, FileRequired
from wtforms import TextAreaField
from wtforms.validators import DataRequired, Length


class OpeningsFileForm(FlaskForm):  # type: ignore[misc]
    """A file of account openings."""

    file = FileField(
        _l("File"),
        validators=[FileRequired(_l("Please choose a file."))],
        description=_l(
            "CSV or Excel with a row of column names: opened_at is needed, and one of client_number, tracking_code, "
            "email and mobile; external_id, account_number, kind, product and amount are used where they are there. "
            "Dates, and times without an offset such as +08:00, are those of the firm's time zone."
        ),
    )


class SetAsideForm(FlaskForm):  # type: ignore[misc]
    """Why an opening is nobody's."""

    reason = TextAreaField(
        _l("Reason"),
        validators=[DataRequired(_l("Please give a reason; it is kept in the audit trail.")), Length(max=500)],
    )
