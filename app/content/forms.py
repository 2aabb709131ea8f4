"""Forms of e-mails: what is written, and from what it starts. The service judges; forms only read."""

from typing import Any

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import HiddenField, SelectField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length

from app.content import starters
from app.content.models import EmailContent, Template
from app.content.personalisation import merge_fields
from app.core.extensions import db
from app.core.form_fields import options

_DEFAULTS = {
    "client.first_name": _l("client"),
    "client.last_name": _l("client"),
    "client.name": _l("client"),
    "adviser.name": _l("your adviser"),
    "branch.name": _l("your branch"),
}
_GROUPS = {"client": _l("Client"), "adviser": _l("Adviser"), "branch": _l("Branch"), "custom": _l("Custom fields")}


class MessageForm(FlaskForm):  # type: ignore[misc]
    """The words of an e-mail. `seen` is the id of the version the editor began from (0: none)."""

    seen = HiddenField(default="0")
    format = SelectField(_l("Written in"), choices=options({"mjml": "MJML", "html": "HTML"}))
    subject = StringField(_l("Subject"), [InputRequired(_l("Enter a subject.")), Length(max=500)])
    preheader = StringField(
        _l("Preheader"),
        [Length(max=500)],
        description=_l("The line that inboxes show after the subject."),
    )
    source = TextAreaField(_l("Body"), [InputRequired(_l("Write the body of the message."))])

    def fill(self, content: EmailContent | starters.Starter) -> None:
        """Show these words in the editor; stock ones are always MJML."""
        self.format.data = content.format if isinstance(content, EmailContent) else "mjml"
        self.subject.data, self.preheader.data = content.subject, content.preheader
        self.source.data = content.source

    def words(self) -> dict[str, str]:
        """The arguments that the verbs of the service take."""
        return {name: self[name].data or "" for name in ("format", "subject", "preheader", "source")}


class TemplateForm(MessageForm):
    name = StringField(_l("Name of the template"), [InputRequired(_l("Enter a name.")), Length(max=120)])


def start_from(key: str | None) -> EmailContent | starters.Starter | None:
    """What a new e-mail starts from: `stock:welcome` or `template:12`; None for anything else."""
    kind, _colon, which = (key or "").partition(":")
    if kind == "stock":
        return starters.starter(which)
    if kind == "template" and which.isdecimal():
        template = db.session.get(Template, int(which))
        return template.content if template and template.archived_at is None else None
    return None


def field_menu() -> list[dict[str, Any]]:
    """The merge fields as the editor's menu takes them."""
    return [
        {
            "key": field.key,
            "label": str(field.label),
            "example": str(field.example),
            "default": str(_DEFAULTS.get(field.key, "")),
            "group": str(_GROUPS[field.key.partition(".")[0]]),
        }
        for field in merge_fields()
    ]
