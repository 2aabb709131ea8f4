"""What may stand in an exported list. Contact data and numbers of persons are masked unless that was allowed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import SQLColumnExpression

from app.clients.masking import mask_account, mask_email, mask_mobile
from app.clients.models import Client, CustomField
from app.core.spreadsheet_files import Cell
from app.users.models import Branch, User

CUSTOM = "custom."


@dataclass(frozen=True, slots=True)
class Column:
    """`mask` hides the value; columns without one are never hidden."""

    key: str
    label: object
    value: SQLColumnExpression[Any]
    mask: Callable[[str | None], str | None] | None = None


def columns(fields: Sequence[CustomField]) -> dict[str, Column]:
    """Every column an export may have, in the order they are written."""
    built_in = (
        Column("number", _l("Client number"), Client.number),
        Column("name", _l("Name"), Client.name),
        Column("status", _l("Status"), Client.status),
        Column("email", _l("E-mail address"), Client.email, mask_email),
        Column("mobile", _l("Mobile number"), Client.mobile, mask_mobile),
        Column("identity_number", _l("Identity number"), Client.identity_number, mask_account),
        Column("city", _l("City"), Client.city),
        Column("branch", _l("Branch"), Branch.name),
        Column("adviser", _l("Adviser"), User.name),
        Column("opened_on", _l("Client since"), Client.opened_on),
        Column("risk_level", _l("Risk level"), Client.risk_level),
        Column("total_assets", _l("Total assets"), Client.total_assets),
        Column("tags", _l("Tags"), Client.tags),
        Column("email_consent", _l("Marketing consent by e-mail"), Client.email_consent),
        Column("sms_consent", _l("Marketing consent by SMS"), Client.sms_consent),
        Column("call_consent", _l("Marketing consent by call"), Client.call_consent),
    )
    own = (Column(f"{CUSTOM}{field.key}", field.label, Client.__table__.c[field.slot]) for field in fields)
    return {column.key: column for column in (*built_in, *own)}


def cell(value: Any) -> Cell:
    """A value as a spreadsheet takes it: numbers as numbers, days as YYYY-MM-DD, lists with semicolons."""
    if isinstance(value, bool):
        return str(_("yes") if value else _("no"))
    if value is None or isinstance(value, int | str | Decimal):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else Decimal(repr(value))
    if isinstance(value, list):
        return "; ".join(map(str, value))
    return str(value.isoformat())
