"""Forms of the reports."""

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import SelectField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import Length

FORMATS = [SelectChoice("xlsx", "Excel"), SelectChoice("csv", "CSV")]


class ExportForm(FlaskForm):  # type: ignore[misc]
    """Taking a list of clients out: in which form, and what for."""

    format = SelectField(_l("File"), choices=FORMATS)
    purpose = StringField(_l("Purpose"), filters=[lambda text: (text or "").strip()], validators=[Length(max=300)])
