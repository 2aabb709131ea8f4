"""Forms of the pages about account openings."""

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from flask_wtf.file import FileField, FileRequired


class OpeningsFileForm(FlaskForm):  # type: ignore[misc]
    """A file of account openings."""

    file = FileField(
        _l("File"),
        validators=[FileRequired(_l("Please choose a file."))],
        description=_l(
            "CSV or Excel with a row of column names: client_number and opened_at are needed; external_id, "
            "account_number, product and amount are used where they are there."
        ),
    )
