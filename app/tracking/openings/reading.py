"""An account opening as another system writes it in JSON: the fields, and what is wrong with them."""

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from app.clients.importing.values import BadValue, parse_email, parse_mobile
from app.core.extensions import settings
from app.tracking.openings.taking import Opening
from app.tracking.reported import CLOCKS_APART

MAX_TEXT = 200
EARLIEST_YEAR = 1900
MAX_AMOUNT = Decimal(10) ** 16
CENT = Decimal("0.01")
DEFAULT_SOURCE = "api"
KINDS = ("opening", "transfer_in")
SOURCE = re.compile(r"[A-Za-z0-9_.:-]{1,60}")
IDENTIFIERS = ("client_number", "tracking_code", "email", "mobile")
FIELDS = {"external_id", "opened_at", "account_number", "product", "amount", "kind", *IDENTIFIERS}

Problem = tuple[str, str]

_TEXT = {"type": "string", "minLength": 1, "maxLength": MAX_TEXT}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["external_id", "opened_at"],
    "anyOf": [{"required": [name]} for name in IDENTIFIERS],
    "additionalProperties": False,
    "properties": {
        "external_id": _TEXT
        | {"description": "The reporting system's own id; with the source it makes repeats known."},
        "client_number": _TEXT,
        "tracking_code": _TEXT | {"description": "The code that came along with a link of a message or lead form."},
        "email": _TEXT,
        "mobile": _TEXT | {"description": "With its country, such as +8613812345678."},
        "opened_at": {"type": "string", "format": "date-time"},
        "kind": {"enum": list(KINDS), "default": "opening"},
        "account_number": _TEXT,
        "product": _TEXT,
        "amount": {
            "type": ["number", "string"],
            "description": "First deposit, or what was transferred in, in the firm's currency; never negative.",
        },
        "source": {"type": "string", "pattern": SOURCE.pattern, "default": DEFAULT_SOURCE},
    },
}


def read_opening(row: Any, path: str, received_at: datetime, problems: list[Problem]) -> Opening | None:
    """The opening of a JSON value; None where it is none, with a (JSON pointer, sentence) for each thing wrong."""
    if not isinstance(row, dict):
        problems.append((path, "Must be an object."))
        return None
    before = len(problems)
    for name in sorted(map(str, row.keys() - FIELDS - (set() if path else {"source"}))):
        problems.append((f"{path}/{name[:MAX_TEXT]}", "Not a field of an opening."))
    external_id = _text(row, "external_id", path, problems, required=True)
    texts = {name: _text(row, name, path, problems) for name in (*IDENTIFIERS, "account_number", "product")}
    if not any(row.get(name) is not None for name in IDENTIFIERS):
        problems.append((f"{path}/client_number", "Is needed, or a tracking_code, an email or a mobile in its place."))
    kind = row.get("kind", "opening")
    if kind not in KINDS:
        problems.append((f"{path}/kind", "Must be opening or transfer_in."))
    opened_at = _time(row, path, received_at, problems)
    amount = _amount(row, path, problems)
    email = _parsed(parse_email, texts["email"], f"{path}/email", "Must be an e-mail address.", problems)
    mobile = _parsed(
        mobile_number, texts["mobile"], f"{path}/mobile", "Must be a telephone number with its country.", problems
    )
    if len(problems) > before or external_id is None or opened_at is None:
        return None
    return Opening(
        external_id=external_id,
        opened_at=opened_at,
        amount=amount,
        kind=kind,
        **texts | {"email": email, "mobile": mobile},
    )


def mobile_number(text: str) -> str:
    """In E.164 form; without a country it is one of the firm's market, where that is known. Raises BadValue."""
    return parse_mobile(text, region="CN" if settings().market_profile == "mainland_china" else None)


def _parsed(parse: Any, value: str | None, path: str, sentence: str, problems: list[Problem]) -> str | None:
    if value is None:
        return None
    try:
        return str(parse(value))
    except BadValue:
        problems.append((path, sentence))
        return None


def is_storable(value: str) -> bool:
    """False for what PostgreSQL cannot keep: NUL, and halves of surrogate pairs."""
    return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)


def _text(
    row: Mapping[str, Any], name: str, path: str, problems: list[Problem], *, required: bool = False
) -> str | None:
    value = row.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if abs(value) < 10**30 else None  # numbers of clients and accounts come as JSON numbers too
    if value is None and not required and row.get(name) is None:
        return None
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_TEXT or not is_storable(value):
        problems.append((f"{path}/{name}", f"Must be a text of 1 to {MAX_TEXT} characters."))
        return None
    return value.strip()


def _time(row: Mapping[str, Any], path: str, received_at: datetime, problems: list[Problem]) -> datetime | None:
    value = row.get("opened_at")
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        offset = moment.utcoffset() if moment else None
    except (ValueError, OverflowError):
        moment = offset = None
    if moment is None or offset is None:
        problems.append((f"{path}/opened_at", "Must be a time with its zone, such as 2026-03-01T09:30:00+08:00."))
    elif moment.year < EARLIEST_YEAR:
        problems.append((f"{path}/opened_at", f"Must not be before {EARLIEST_YEAR}."))
    elif moment > received_at + CLOCKS_APART:
        problems.append((f"{path}/opened_at", "Must not lie in the future."))
    else:
        return moment
    return None


def _amount(row: Mapping[str, Any], path: str, problems: list[Problem]) -> Decimal | None:
    value = row.get("amount")
    if value is None:
        return None
    amount = _cents(value)
    if amount is None or abs(amount) >= MAX_AMOUNT:
        problems.append((f"{path}/amount", "Must be a number below 10,000,000,000,000,000."))
        return None
    if amount < 0:
        problems.append((f"{path}/amount", "Must not be negative."))
        return None
    return amount


def _cents(value: Any) -> Decimal | None:
    """A number, or a text of one, to the cent, as amounts are kept; None for all else and for what has no end."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    if isinstance(value, int) and abs(value) >= MAX_AMOUNT:
        return None
    try:
        amount = Decimal(str(value))
        return amount.quantize(CENT) if amount.is_finite() else None
    except InvalidOperation:
        return None
