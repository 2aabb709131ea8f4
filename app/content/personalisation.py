"""What a message may say about its reader: the merge fields and how their values are read.

A merge field is written `{{ client.first_name | default: "friend" }}`. The names before the dot are `client`,
`adviser`, `branch` and `custom` (the firm's own fields). Values come from the client row in the same statement
that hands the messages over, so no query is made per recipient.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from math import isfinite
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import ColumnElement, select

from app.clients.models import Client, CustomField
from app.core.extensions import db
from app.users.models import Branch, User

# Signed for each message: addresses of ours, and the code by which an account opening is traced back to it.
URL_VARIABLES = ("unsubscribe_url", "preferences_url", "view_url", "form_url", "tracking_code")


@dataclass(frozen=True, slots=True)
class MergeField:
    """`key` as written in a message, e.g. `client.first_name`; `column` reads it from the client row."""

    key: str
    label: object
    example: object
    column: ColumnElement[Any]


_ADVISER_NAME = select(User.name).where(User.id == Client.adviser_id).correlate(Client).scalar_subquery()
_BRANCH_NAME = select(Branch.name).where(Branch.id == Client.branch_id).correlate(Client).scalar_subquery()

MERGE_FIELDS: tuple[MergeField, ...] = (
    MergeField("client.first_name", _l("First name"), "Maria", Client.first_name.expression),
    MergeField("client.last_name", _l("Last name"), "Lopez", Client.last_name.expression),
    MergeField("client.name", _l("Full name"), "Maria Lopez", Client.name.expression),
    MergeField("client.number", _l("Client no."), "100482", Client.number.expression),
    MergeField("client.gender", _l("Gender"), "female", Client.gender.expression),
    MergeField("client.city", _l("City"), "Shanghai", Client.city.expression),
    MergeField("client.birth_date", _l("Birth date"), date(1984, 5, 17), Client.birth_date.expression),
    MergeField("client.opened_on", _l("Client since"), date(2019, 3, 4), Client.opened_on.expression),
    MergeField("client.risk_level", _l("Client risk level"), 3, Client.risk_level.expression),
    MergeField("adviser.name", _l("Adviser's name"), "Chen Wei", _ADVISER_NAME),
    MergeField("branch.name", _l("Branch"), "Harbour branch", _BRANCH_NAME),
)
_EXAMPLES: Mapping[str, object] = {
    "text": "text", "choice": "choice", "number": 42, "money": 1250.5, "date": date(2026, 1, 31), "yesno": True,
    "multichoice": "choice",
}  # fmt: skip


def merge_fields() -> list[MergeField]:
    """The built-in merge fields and one per custom field of the firm (`custom.<key>`)."""
    fields = list(MERGE_FIELDS)
    for field in db.session.scalars(
        select(CustomField).where(CustomField.archived_at.is_(None)).order_by(CustomField.label)
    ):
        column: ColumnElement[Any] = getattr(Client, field.slot).expression
        example = field.choices[0] if field.choices else _EXAMPLES[field.type]
        fields.append(MergeField(f"custom.{field.key}", field.label, example, column))
    return fields


def columns_for(keys: Iterable[str]) -> list[ColumnElement[Any]]:
    """The columns of these merge fields, labelled by key. Unknown keys are left out (they render empty)."""
    wanted = set(keys)
    return [field.column.label(field.key) for field in merge_fields() if field.key in wanted]


def nest(keys: Sequence[str], row: Sequence[object]) -> dict[str, dict[str, object]]:
    """{"client": {"first_name": ...}, ...} from a row in the order of the keys; missing values stay missing."""
    values: dict[str, dict[str, object]] = {"client": {}, "adviser": {}, "branch": {}, "custom": {}}
    for key, value in zip(keys, row, strict=True):
        if value is None or value == "" or value == []:
            continue
        group, _, name = key.partition(".")
        values[group][name] = _presentable(value)
    return values


def example_values() -> dict[str, dict[str, object]]:
    """The values a preview shows where no client is chosen."""
    fields = merge_fields()
    return nest([field.key for field in fields], [field.example for field in fields])


def client_values(client: Client) -> dict[str, dict[str, object]]:
    """The values of one client, for a preview or a test send."""
    fields = merge_fields()
    row = db.session.execute(select(*(field.column for field in fields)).where(Client.id == client.id)).one()
    return nest([field.key for field in fields], list(row))


def _presentable(value: object) -> object:
    """Numbers without a needless fraction, dates in ISO form, several choices joined by commas; filters do the rest."""
    if type(value) is str:  # as nearly all are
        return value
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, Decimal | float):
        return int(value) if isfinite(value) and value == int(value) else float(value)
    if isinstance(value, date):
        return value.isoformat()
    return value
