"""The form of an account: what every account has, and what its vendor asks for."""

from typing import Any

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import (
    BooleanField,
    DateField,
    FloatField,
    IntegerField,
    SelectField,
    StringField,
    TextAreaField,
)
from wtforms.validators import InputRequired, Length, NumberRange, Optional

from app.channels.base import Setting, Vendor
from app.channels.models import ChannelAccount
from app.core.extensions import settings
from app.core.form_fields import options
from app.delivery.accounts.words import LOCATION_LABELS

PREFIX = "setting_"


class AccountForm(FlaskForm):  # type: ignore[misc]
    name = StringField(_l("Name"), validators=[InputRequired(_l("Please enter a name.")), Length(max=60)])
    secret_name = StringField(
        _l("Environment variable of the secret"),
        validators=[Optional(), Length(max=80)],
        description=_l("Only its name, such as RELAY_TWO_URL. The secret itself is set where the workers run."),
    )
    weight = IntegerField(
        _l("Weight"),
        validators=[InputRequired(), NumberRange(0, 100)],
        default=1,
        description=_l("Its share of the messages beside the other accounts of the channel, 0 to 100. 0: none."),
    )
    rate_per_second = FloatField(
        _l("Messages a second at most"),
        validators=[Optional(), NumberRange(0.01, 100_000)],
        description=_l("Empty: no limit."),
    )
    daily_limit = IntegerField(
        _l("Messages a day at most"),
        validators=[Optional(), NumberRange(1, 2_000_000_000)],
        description=_l("Empty: no limit."),
    )
    warm_up_from = DateField(_l("Warm-up from"), validators=[Optional()])
    warm_up_first = IntegerField(_l("Messages on the first day"), validators=[Optional(), NumberRange(1, 10_000_000)])
    warm_up_factor = FloatField(
        _l("Times as many each day"), validators=[Optional(), NumberRange(1, 10)], description=_l("Such as 1.5.")
    )
    location = SelectField(_l("Where the data goes"), choices=options(LOCATION_LABELS))

    def facts(self) -> dict[str, Any]:
        """What the service takes."""
        own = {field.name.removeprefix(PREFIX): field.data for field in self if field.name.startswith(PREFIX)}
        names = (
            "name", "secret_name", "weight", "rate_per_second", "daily_limit", "warm_up_from", "warm_up_first",
            "warm_up_factor", "location",
        )  # fmt: skip
        return {name: self[name].data for name in names} | {"settings": own}

    def refuse(self, field: str, sentence: str) -> None:
        """Put the service's sentence where it belongs."""
        target = self._fields.get(field) or self._fields.get(PREFIX + field) or self._fields["name"]
        target.errors = [*target.errors, sentence]


class ThrottleForm(FlaskForm):  # type: ignore[misc]
    domain = StringField(
        _l("Receiving domain"), validators=[InputRequired(_l("Please fill this in.")), Length(max=253)]
    )
    rate_per_second = FloatField(
        _l("Messages a second at most"), validators=[InputRequired(_l("Please enter a number."))]
    )


def account_form(vendor: Vendor, account: ChannelAccount | None = None) -> AccountForm:
    """The form of an account of this vendor, filled in with an account."""
    fields = {PREFIX + setting.name: _field(setting) for setting in vendor.settings}
    made = type("AccountFormOfVendor", (AccountForm,), fields)
    if account is None:
        return made(location="foreign" if vendor.abroad({}, settings()) else "domestic")  # type: ignore[no-any-return]
    values = {name: getattr(account, name) for name in AccountForm.__dict__ if hasattr(account, name)}
    return made(data=values | {PREFIX + name: value for name, value in account.settings.items()})  # type: ignore[no-any-return]


def _field(setting: Setting) -> Any:
    needed = [InputRequired(_l("Please fill this in."))] if setting.required else [Optional()]
    common = {"label": setting.label, "description": setting.description, "default": setting.default}
    if setting.kind == "yesno":
        return BooleanField(**common)
    if setting.kind == "number":
        return FloatField(**common, validators=[*needed, NumberRange(0, 1_000_000)])
    if setting.kind == "choice":
        return SelectField(**common, choices=options(setting.choices))
    if setting.kind == "long_text":
        return TextAreaField(**common, validators=[*needed, Length(max=20_000)])
    return StringField(**common, validators=[*needed, Length(max=2_000)])
