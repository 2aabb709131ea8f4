"""What is known of a client, field by field: of which kind it is, and who may change it by hand.

Three kinds of information are kept apart: *static* facts are typed in, *dynamic* ones come from feeds, *derived* ones
are computed here. Only static facts are ever editable; the firm's own fields say by their definition whether they are.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import partial
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app.clients.importing import values
from app.clients.importing.values import BadValue
from app.clients.labels import FLAG_LABELS, GENDER_LABELS, KIND_LABELS, STATUS_LABELS
from app.clients.masking import mask_account, mask_email, mask_mobile
from app.clients.models import CustomField
from app.core.clock import today
from app.core.extensions import LANGUAGES, settings
from app.core.permissions import Actor, Permission, allows

CUSTOM = "custom."
Parser = Callable[[str], Any]


class ChangedBy(StrEnum):
    """Who may change a field by hand."""

    STAFF = "staff"
    CONFIRMED = "confirmed"
    MANAGERS = "managers"
    FEEDS = "feeds"
    NOBODY = "nobody"


CHANGED_BY_LABELS = {
    ChangedBy.STAFF: _l("Everyone who edits clients"),
    ChangedBy.CONFIRMED: _l("Managers and officers; an adviser’s correction waits for their confirmation"),
    ChangedBy.MANAGERS: _l("Managers and officers"),
    ChangedBy.FEEDS: _l("Feeds and imports only"),
    ChangedBy.NOBODY: _l("Nobody: computed here"),
}


@dataclass(frozen=True, slots=True)
class Fact:
    """A static fact. `key` is the client's column (or custom.<key>, with `slot` its column); `kind` the way it is
    typed: text, date, choice, choices, yesno, number, email, mobile, identity, branch."""

    key: str
    label: object
    kind: str
    changed_by: ChangedBy
    parse: Parser
    choices: Mapping[str, object] | None = None
    group: str = "person"
    help: object | None = None
    slot: str | None = None

    @property
    def column(self) -> str:
        return self.slot or self.key

    @property
    def secret(self) -> bool:
        """True where the value is masked on screen and never repeated in a form."""
        return self.kind in ("email", "mobile", "identity")


_FUTURE_BIRTH = _l("“%(value)s” lies in the future.")
_LONG = _l("This is longer than %(count)s characters.", count=200)
_NOT_IDENTITY = _l("An identity number has 5 to 30 letters and digits.")


def _line(text: str) -> str:
    if len(text) > 200:
        raise BadValue(_LONG)
    return " ".join(text.split())


def _past_date(text: str) -> date:
    found = values.parse_date(text)
    if found > today():
        raise BadValue(_FUTURE_BIRTH)
    return found


def _identity(text: str) -> str:
    """Letters and digits, capital, without the spaces and strokes that people write between them."""
    clean = "".join(sign for sign in text if sign not in " -–").upper()
    if not (5 <= len(clean) <= 30 and clean.isascii() and clean.isalnum()):
        raise BadValue(_NOT_IDENTITY)
    return clean


def _mobile(text: str) -> str:
    region = "CN" if settings().time_zone == "Asia/Shanghai" else None
    return values.parse_mobile(text, region=region)


def _yesno(text: str) -> bool:
    return values.parse_yesno(text)


RISK_LABELS = {str(level): f"C{level}" for level in range(1, 6)}

FACTS: tuple[Fact, ...] = (
    Fact("name", _l("Name"), "text", ChangedBy.STAFF, _line),
    Fact("last_name", _l("Last name"), "text", ChangedBy.STAFF, _line),
    Fact("first_name", _l("First name"), "text", ChangedBy.STAFF, _line),
    Fact("kind", _l("Person or company"), "choice", ChangedBy.STAFF, values.parse_kind, KIND_LABELS),
    Fact("status", _l("Status"), "choice", ChangedBy.STAFF, values.parse_status, STATUS_LABELS),
    Fact("gender", _l("Gender"), "choice", ChangedBy.STAFF, values.parse_gender, GENDER_LABELS),
    Fact("birth_date", _l("Birth date"), "date", ChangedBy.STAFF, _past_date),
    Fact("identity_number", _l("Identity number"), "identity", ChangedBy.MANAGERS, _identity),
    Fact("email", _l("E-mail"), "email", ChangedBy.CONFIRMED, values.parse_email, group="contact"),
    Fact(
        "mobile",
        _l("Mobile"),
        "mobile",
        ChangedBy.CONFIRMED,
        _mobile,
        group="contact",
        help=_l("With the country code, such as +86 138 0013 8000."),
    ),
    Fact("city", _l("City"), "text", ChangedBy.STAFF, _line, group="contact"),
    Fact("locale", _l("Language"), "choice", ChangedBy.STAFF, values.parse_locale, LANGUAGES, group="contact"),
    Fact(
        "time_zone",
        _l("Time zone"),
        "text",
        ChangedBy.STAFF,
        values.parse_time_zone,
        group="contact",
        help=_l("Such as Asia/Shanghai. Empty: that of the firm."),
    ),
    Fact("source", _l("Source"), "text", ChangedBy.STAFF, _line, group="firm"),
    Fact("branch_id", _l("Branch"), "branch", ChangedBy.MANAGERS, int, group="firm"),
    Fact("opened_on", _l("Client since"), "date", ChangedBy.MANAGERS, _past_date, group="firm"),
    Fact(
        "risk_level",
        _l("Risk level"),
        "choice",
        ChangedBy.MANAGERS,
        values.parse_risk_level,
        RISK_LABELS,
        group="risk",
    ),
    Fact("risk_assessed_on", _l("Assessed on"), "date", ChangedBy.MANAGERS, _past_date, group="risk"),
    Fact("qualified_investor", _l("Qualified investor"), "yesno", ChangedBy.MANAGERS, _yesno, group="risk"),
    Fact("professional_investor", _l("Professional investor"), "yesno", ChangedBy.MANAGERS, _yesno, group="risk"),
)
# Facts that files fill as well and people change elsewhere than in the form of facts: what the history calls them.
BY_FILES: tuple[Fact, ...] = (
    Fact("flags", _l("Flags against contact"), "choices", ChangedBy.MANAGERS, values.parse_flags, FLAG_LABELS),
    Fact("tags", _l("Tags"), "choices", ChangedBy.STAFF, values.parse_tags),
    Fact(
        "personalisation_refused", _l("Wants no personalised marketing"), "yesno", ChangedBy.STAFF, values.parse_yesno
    ),
)
# Facts that cannot be emptied.
NEEDED = {"kind", "status", "branch_id", "qualified_investor", "professional_investor"}
GROUP_LABELS = {
    "person": _l("Identity"),
    "contact": _l("Contact"),
    "firm": _l("With the firm"),
    "risk": _l("Risk and suitability"),
    "custom": _l("Fields of your firm"),
}
# For the page that tells who may change what: fields of the other two kinds, which are never typed in.
DYNAMIC = (_l("Total assets"), _l("Accounts, balances, transactions and positions"))
DERIVED = (_l("Metrics"), _l("Value classes"), _l("Age, tenure and other reckoned figures"))


def own_fact(field: CustomField) -> Fact:
    """A field of the firm as a fact."""
    kinds = {"money": "number", "choice": "choice" if field.choices else "text", "multichoice": "choices"}
    parsers: dict[str, Parser] = {
        "text": values.parse_text,
        "choice": values.parse_text,
        "number": values.parse_number,
        "money": values.parse_number,
        "date": values.parse_date,
        "yesno": _yesno,
        "multichoice": values.parse_choices,
    }
    return Fact(
        key=f"{CUSTOM}{field.key}",
        label=field.label,
        kind=kinds.get(field.type, field.type),
        changed_by=ChangedBy(field.edited_by),
        parse=partial(parsers[field.type]),
        choices={choice: choice for choice in field.choices or ()} or None,
        group="custom",
        help=field.description,
        slot=field.slot,
    )


def may_change(fact: Fact, actor: Actor) -> bool:
    """True where the actor may change the fact, at once or by a correction that waits."""
    if fact.changed_by in (ChangedBy.STAFF, ChangedBy.CONFIRMED):
        return allows(actor, Permission.EDIT_CLIENTS)
    return fact.changed_by == ChangedBy.MANAGERS and allows(actor, Permission.CONFIRM_CLIENT_DATA)


def waits(fact: Fact, actor: Actor) -> bool:
    """True where the actor's change of the fact is a correction that somebody else has to confirm."""
    return fact.changed_by == ChangedBy.CONFIRMED and not allows(actor, Permission.CONFIRM_CLIENT_DATA)


def masked_value(fact: Fact, value: Any) -> str | None:
    """A secret value as it may be shown."""
    if fact.kind == "email":
        return mask_email(value)
    return mask_mobile(value) if fact.kind == "mobile" else mask_account(value)


def stored_words(fact: Fact, value: Any) -> str | None:
    """A value as the history keeps it: plain, the same in every language, and masked where it is secret."""
    if value is None or value in ("", []):
        return None
    if fact.secret:
        return masked_value(fact, value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return "; ".join(map(str, value))
    if isinstance(value, float):
        return f"{value:.15g}"
    return value.isoformat() if isinstance(value, date) else str(value)


def shown_words(fact: Fact | None, stored: str | None) -> str:
    """What `stored_words` kept, in the reader's language."""
    if stored is None:
        return "–"
    if fact is None:
        return stored
    if fact.kind == "yesno":
        return str(_("Yes") if stored == "yes" else _("No"))
    listed = stored.split("; ") if fact.kind == "choices" else [stored]
    return str(_(", ")).join(str((fact.choices or {}).get(one, one)) for one in listed)


def typed(value: Any) -> str:
    """A value as it is put into a form field to be edited."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float | Decimal):
        return f"{value:.15g}" if isinstance(value, float) else f"{value:f}"
    return value.isoformat() if isinstance(value, date) else str(value)
