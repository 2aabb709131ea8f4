"""Forms of SMS, signatures and templates. The service judges; forms only read."""

from typing import Any

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import HiddenField, SelectField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length

from app.content.sms.models import REGISTRATION_LABELS, SmsContent, SmsSignature, SmsTemplate
from app.content.sms.queries import signatures, templates
from app.core.form_fields import options

_STATES = options((state.value, label) for state, label in REGISTRATION_LABELS.items())


class SmsForm(FlaskForm):  # type: ignore[misc]
    """The words of an SMS. `seen` is the id of the version the editor began from (0: none)."""

    seen = HiddenField(default="0")
    signature = SelectField(_l("Signature"))
    template = SelectField(_l("Registered template"), description=_l("With a template the words are the template's."))
    text = TextAreaField(_l("Text"), [Length(max=1_600)])

    def offer(self, content: SmsContent | None) -> None:
        """Offer what is in use, and what the content has although it is not any more."""
        used_signature = [content.signature] if content and content.signature else []
        used_template = [content.template] if content and content.template else []
        self.signature.choices = options(
            {"": _l("None")} | {str(one.id): one.name for one in [*signatures(), *used_signature]}
        )
        self.template.choices = options(
            {"": _l("None: write your own")} | {str(one.id): one.name for one in [*templates(), *used_template]}
        )

    def fill(self, content: SmsContent | None) -> None:
        """Show these words in the editor; where there are none, the first signature."""
        if content is not None:
            self.signature.data = str(content.signature_id or "")
            self.template.data = str(content.template_id or "")
            self.text.data = content.text
        elif len(self.signature.choices) > 1:
            self.signature.data = self.signature.choices[1].value
        self.seen.data = str(content.id if content else 0)

    def words(self) -> dict[str, Any]:
        """The arguments that the verb of the service takes."""
        return {
            "text": self.text.data or "",
            "signature_id": _number(self.signature.data),
            "template_id": _number(self.template.data),
        }


class SignatureForm(FlaskForm):  # type: ignore[misc]
    name = StringField(
        _l("Name"), [InputRequired(_l("Enter a name.")), Length(max=40)], description=_l("Shown as 【name】.")
    )
    vendor_reference = StringField(_l("Id of the vendor"), [Length(max=200)])
    state = SelectField(_l("Registration"), choices=_STATES)
    note = StringField(_l("Note"), [Length(max=200)])

    def fill(self, signature: SmsSignature) -> None:
        self.name.data, self.vendor_reference.data = signature.name, signature.vendor_reference
        self.state.data, self.note.data = signature.state, signature.note

    def facts(self) -> dict[str, str]:
        return {name: self[name].data or "" for name in ("name", "vendor_reference", "state", "note")}


class SmsTemplateForm(FlaskForm):  # type: ignore[misc]
    name = StringField(_l("Name"), [InputRequired(_l("Enter a name.")), Length(max=40)])
    text = TextAreaField(_l("Text"), [InputRequired(_l("Write what the SMS says.")), Length(max=1_600)])
    variables = StringField(
        _l("Variables"),
        [Length(max=1_000)],
        description=_l("The merge fields registered, in the vendor's order, with commas: client.first_name"),
    )
    vendor_reference = StringField(_l("Id of the vendor"), [Length(max=200)])
    state = SelectField(_l("Registration"), choices=_STATES)
    note = StringField(_l("Note"), [Length(max=200)])

    def fill(self, template: SmsTemplate) -> None:
        self.name.data, self.text.data = template.name, template.text
        self.variables.data = ", ".join(template.variables)
        self.vendor_reference.data, self.state.data = template.vendor_reference, template.state
        self.note.data = template.note

    def facts(self) -> dict[str, Any]:
        words = {name: self[name].data or "" for name in ("name", "text", "vendor_reference", "state", "note")}
        return {**words, "variables": (self.variables.data or "").replace("，", ",").split(",")}


def _number(value: str | None) -> int | None:
    return int(value) if value and value.isdecimal() and len(value) < 16 else None
