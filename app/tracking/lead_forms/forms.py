"""The forms about lead forms: designing one, opening and closing it; and what a visitor sends."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import BooleanField, DateField, SelectField, StringField, TextAreaField
from wtforms.validators import DataRequired, Length, Optional

from app.campaigns.sending_rules import CHANNEL_LABELS
from app.clients.importing.values import BadValue, parse_email
from app.core.extensions import settings
from app.core.form_fields import CheckboxesField, options
from app.tracking.lead_forms.models import LeadForm
from app.tracking.lead_forms.service import FIELDS, LONGEST, Design, Said
from app.tracking.openings.reading import is_storable, mobile_number

ASKED_LABELS = {"required": _l("Required"), "optional": _l("Optional"), "off": _l("Not asked")}
LONGEST_SAID = {"name": 100, "mobile": 40, "email": 254, "message": 2_000}
TRAP = "website"  # a field that people do not see: who fills it in is a machine


def _asked(label: object) -> SelectField:
    return SelectField(label, choices=options(ASKED_LABELS))


class DesignForm(FlaskForm):  # type: ignore[misc]
    title = StringField(_l("Title"), [DataRequired(_l("Enter a title.")), Length(max=LONGEST["title"])])
    introduction = TextAreaField(_l("Introduction"), [Length(max=LONGEST["introduction"])])
    ask_name, ask_mobile = _asked(_l("Your name")), _asked(_l("Mobile number"))
    ask_email, ask_message = _asked(_l("E-mail address")), _asked(_l("Your message"))
    consent_text = TextAreaField(
        _l("Words of the consent"),
        [DataRequired(_l("Enter the words that people agree to.")), Length(max=LONGEST["consent_text"])],
        description=_l("Each change is a new version. Every form sent in keeps the words that were agreed to."),
    )
    consent_channels = CheckboxesField(_l("The consent is for"), choices=options(CHANNEL_LABELS))
    thanks = TextAreaField(_l("Words of thanks"), [Length(max=LONGEST["thanks"])])
    next_url = StringField(
        _l("Address to go on to"),
        [Optional(), Length(max=LONGEST["next_url"])],
        description=_l("Such as your page for opening an account. It gets a tracking code along as “code”."),
    )

    def fill(self, form: LeadForm | None) -> "DesignForm":
        if form is None:
            return self._propose()
        for name in ("title", "introduction", "consent_text", "consent_channels", "thanks", "next_url"):
            self[name].data = getattr(form, name)
        for name in FIELDS:
            self[f"ask_{name}"].data = form.fields.get(name, "off")
        return self

    def _propose(self) -> "DesignForm":
        self.title.data = _("Shall we call you back?")
        self.introduction.data = _("Leave your name and how to reach you. An adviser will be in touch.")
        self.ask_name.data = self.ask_mobile.data = "required"
        self.ask_email.data = self.ask_message.data = "optional"
        self.consent_text.data = _(
            "I agree that %(firm)s uses these details to contact me about its services. I can withdraw this at any "
            "time.",
            firm=settings().firm_name,
        )
        self.consent_channels.data = list(CHANNEL_LABELS)
        self.thanks.data = _("We have received your details and will be in touch soon.")
        return self

    def design(self) -> Design:
        return Design(
            title=self.title.data or "",
            introduction=self.introduction.data or "",
            fields={name: self[f"ask_{name}"].data for name in FIELDS},
            consent_text=self.consent_text.data or "",
            consent_channels=self.consent_channels.data or (),
            thanks=self.thanks.data or "",
            next_url=self.next_url.data or None,
        )


class OpenForm(FlaskForm):  # type: ignore[misc]
    enabled = BooleanField(_l("The form takes entries"))
    closes_on = DateField(
        _l("Last day"), [Optional()], description=_l("Empty: until it is switched off. It opens with the campaign.")
    )


# ---- What a visitor sends -------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Entry:
    """A form as it was sent: what was typed, what is wrong with it, and what was said where nothing is."""

    typed: dict[str, str]
    problems: dict[str, str] = field(default_factory=dict)
    said: Said | None = None
    trapped: bool = False


def read_entry(sent: Mapping[str, Any], asked: Mapping[str, str]) -> Entry:
    """Read what a visitor sent. `asked` says of each field whether it is required, optional or off."""
    shown = [name for name in FIELDS if asked.get(name, "off") != "off"]
    entry = Entry({name: str(sent.get(name, ""))[: LONGEST_SAID[name] + 1].strip() for name in shown})
    entry.trapped = bool(sent.get(TRAP))
    values: dict[str, str | None] = dict.fromkeys(FIELDS)
    for name, typed in entry.typed.items():
        try:
            values[name] = _read(name, typed)
        except BadValue as problem:
            entry.problems[name] = str(problem.message)
        else:
            if values[name] is None and asked[name] == "required":
                entry.problems[name] = _("Please fill this in.")
    if not entry.problems and not values["mobile"] and not values["email"]:
        name = "mobile" if "mobile" in shown else "email"
        entry.problems[name] = _("Please say how we can reach you.")
    nonce = str(sent.get("nonce", ""))
    if not entry.problems:
        entry.said = Said(
            **values,
            consented=bool(sent.get("consent")),
            nonce=nonce if nonce.isalnum() and nonce.isascii() and len(nonce) <= 64 else "",
        )
    return entry


def _read(name: str, typed: str) -> str | None:
    if not typed:
        return None
    if len(typed) > LONGEST_SAID[name] or not is_storable(typed):
        raise BadValue(_("This is too long, or holds signs that cannot be kept."))
    try:
        if name == "email":
            return parse_email(typed).lower()
        if name == "mobile":
            return mobile_number(typed)
    except BadValue:
        words = {
            "email": _("Please enter a complete e-mail address."),
            "mobile": _("Please enter a mobile number, with its country where it is abroad."),
        }
        raise BadValue(words[name]) from None
    return typed if name == "message" else " ".join(typed.split())
