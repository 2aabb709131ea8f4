"""The form of a switch."""

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from flask_wtf.file import FileField, FileRequired
from wtforms import BooleanField, SelectChoice, SelectField, StringField, TextAreaField
from wtforms.validators import Length

from app.clients.switching.products import PRODUCTS


class SwitchForm(FlaskForm):  # type: ignore[misc]
    file = FileField(
        _l("Export file"),
        validators=[FileRequired(_l("Please choose a file."))],
        description=_l("CSV, or the ZIP archive that Mailchimp exports. Up to 500 MB."),
    )
    product = SelectField(
        _l("Exported from"),
        default="",
        choices=[
            SelectChoice("", _l("Tell it by the columns")),
            *(SelectChoice(product.key, product.name) for product in PRODUCTS.values()),
        ],
    )
    everyone_out = BooleanField(
        _l("Everyone in this file opted out"),
        description=_l("For a list filtered before it was exported, such as those who unsubscribed from a list."),
    )
    wording = TextAreaField(
        _l("What those who agreed were asked"),
        validators=[Length(max=2000)],
        description=_l("The words of the sign-up form. Leave empty to take over opt-outs and bounces only."),
    )
    legal_basis = StringField(
        _l("Legal basis"),
        validators=[Length(max=300)],
        description=_l("For example: consent given on the web form of 2023. Both are kept as evidence."),
    )
