"""Forms of the partner's report."""

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import SelectField, StringField
from wtforms.validators import DataRequired, Length, Regexp

from app.reports.forms import FORMATS


class PartnerForm(FlaskForm):  # type: ignore[misc]
    """Whom the report is given to."""

    partner = StringField(
        _l("Partner bank"),
        filters=[lambda text: (text or "").strip()],
        validators=[
            DataRequired(_l("Say whom the report is for.")),
            Length(max=100),
            Regexp(r"^[^\x00-\x1f]*$", message=_l("Say whom the report is for.")),
        ],
    )
    format = SelectField(_l("File"), choices=FORMATS)
