"""The form of an export."""

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import BooleanField, RadioField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length

from app.clients.exporting.columns import Column
from app.clients.exporting.service import MAX_PURPOSE
from app.core.form_fields import CheckboxesField, options

FIRST_CHOSEN = ("number", "name", "branch", "adviser", "status")


class ExportForm(FlaskForm):  # type: ignore[misc]
    columns = CheckboxesField(
        _l("Columns"),
        [InputRequired(_l("Choose at least one column."))],
        default=FIRST_CHOSEN,
    )
    format = RadioField(_l("Format"), choices=options({"xlsx": "Excel", "csv": "CSV"}), default="xlsx")
    unmasked = BooleanField(_l("With e-mail addresses, mobile and identity numbers in full"))
    purpose = StringField(
        _l("What the list is for"),
        [InputRequired(_l("Say what the list is for; it is kept with the export.")), Length(max=MAX_PURPOSE)],
    )

    def offer(self, known: dict[str, Column]) -> "ExportForm":
        """Let these columns be chosen; returns the form."""
        self.columns.choices = [SelectChoice(key, column.label) for key, column in known.items()]
        return self
