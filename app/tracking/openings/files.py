"""A file of account openings: which column is what, and each row as an opening or the reason why not."""

import csv
import io
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from hashlib import sha256
from typing import BinaryIO, TypeVar
from zoneinfo import ZoneInfo

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app.clients.importing.reading import RowProblem, column_names, data_rows, detect
from app.clients.importing.values import BadValue, parse_date, parse_email, parse_money
from app.core.errors import AppError
from app.core.extensions import settings
from app.core.spreadsheets import neutralise
from app.tracking.openings.reading import EARLIEST_YEAR, IDENTIFIERS, MAX_AMOUNT, mobile_number
from app.tracking.openings.taking import Opening
from app.tracking.reported import CLOCKS_APART

MAX_TEXT = 200

T = TypeVar("T")

# The names by which a column is recognised, folded: small letters, no spaces, dots, hyphens or underscores.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "client_number": ("clientnumber", "clientno", "client", "customernumber", "customerno", "客户号", "客户编号"),
    "opened_at": ("openedat", "openedon", "opened", "openingdate", "opendate", "date", "开户日期", "开户时间", "日期"),
    "external_id": ("externalid", "openingid", "openingnumber", "id", "reference", "流水号", "编号", "开户编号"),
    "account_number": ("accountnumber", "accountno", "account", "capitalaccount", "资金账号", "账号", "账户"),
    "product": ("product", "accounttype", "产品", "账户类型"),
    "amount": ("amount", "firstdeposit", "deposit", "金额", "首次入金"),
    "kind": ("kind", "openingkind", "业务类型", "开户方式"),
    "email": ("email", "mail", "emailaddress", "邮箱", "电子邮箱"),
    "mobile": ("mobile", "mobilephone", "phone", "手机", "手机号", "手机号码"),
    "tracking_code": ("trackingcode", "code", "追踪码", "跟踪码"),
}
# What a cell of the column "kind" may say, folded; another word is the product, as files wrote it before.
KINDS: Mapping[str, str] = {
    "": "opening", "opening": "opening", "accountopening": "opening", "开户": "opening", "新开户": "opening",
    "transferin": "transfer_in", "transfer": "transfer_in", "转入": "transfer_in", "转托管转入": "transfer_in",
}  # fmt: skip


class ColumnsMissing(AppError):
    message = _l(
        "The file needs a column with the date of opening (opened_at), and one that says whose it is: the client "
        "number (client_number), or tracking_code, email or mobile."
    )


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that was not taken: its number counts from 1 below the header."""

    row: int
    reason: str
    cells: list[str]


def read_openings(stream: BinaryIO, *, received_at: datetime) -> Iterator[Opening | Refused]:
    """The rows of a CSV, TSV or Excel file. Raises NotATable or ColumnsMissing before the first row."""
    dialect = detect(stream)
    names = column_names(stream, dialect)
    places = find_columns(names)
    if "opened_at" not in places or not places.keys() & set(IDENTIFIERS):
        raise ColumnsMissing
    return _rows(data_rows(stream, dialect, width=len(names)), places, received_at)


def find_columns(names: list[str]) -> dict[str, int]:
    """Which column (from 0) holds what, by its name; the first of several."""
    folded = [_fold(name) for name in names]
    return {
        field: next(place for place, name in enumerate(folded) if name in known)
        for field, known in COLUMNS.items()
        if any(name in known for name in folded)
    }


def _fold(name: str) -> str:
    return "".join(name.lower().translate(str.maketrans("", "", " ._-")).split())


def _rows(
    rows: Iterator[list[str] | RowProblem], places: Mapping[str, int], received_at: datetime
) -> Iterator[Opening | Refused]:
    for number, row in enumerate(rows, start=1):
        if isinstance(row, RowProblem):
            yield Refused(number, str(row.message), row.cells)
            continue
        try:
            yield _opening({field: row[place].strip() for field, place in places.items()}, received_at)
        except BadValue as problem:
            yield Refused(number, str(problem.message) % {"value": problem.text[:60]}, row)


def _opening(cells: Mapping[str, str], received_at: datetime) -> Opening:
    given = {name: cells.get(name, "") for name in IDENTIFIERS}
    if not any(given.values()):
        raise BadValue(
            _l("Nothing says whose it is: no client number, tracking code, e-mail address or mobile number.")
        )
    if len(given["client_number"]) > MAX_TEXT or len(given["tracking_code"]) > MAX_TEXT:
        raise BadValue(_l("The client number or the tracking code is too long."))
    opened_at = _moment(cells["opened_at"], received_at)
    account_number = cells.get("account_number", "")[:MAX_TEXT] or None
    kind, product = KINDS.get(_fold(cells.get("kind", ""))), cells.get("product", "")
    return Opening(
        external_id=cells.get("external_id", "")[:MAX_TEXT] or _identity(given, account_number, cells),
        client_number=given["client_number"] or None,
        opened_at=opened_at,
        account_number=account_number,
        product=(product or (cells["kind"] if kind is None else ""))[:MAX_TEXT] or None,
        amount=_amount(cells.get("amount", "")),
        kind=kind or "opening",
        email=_read(parse_email, given["email"]) if given["email"] else None,
        mobile=_read(mobile_number, given["mobile"]) if given["mobile"] else None,
        tracking_code=given["tracking_code"] or None,
    )


def _amount(text: str) -> Decimal | None:
    amount = _read(parse_money, text) if text else None
    if amount is not None and amount < 0:
        raise _named(BadValue(_l("“%(value)s” is below zero.")), text)
    if amount is not None and amount >= MAX_AMOUNT:  # it was rounded up to it
        raise _named(BadValue(_l("“%(value)s” is too large a number.")), text)
    return amount


def _identity(given: Mapping[str, str], account_number: str | None, cells: Mapping[str, str]) -> str:
    """Where the file gives the openings no id: what makes the same opening the same row of the next file."""
    parts = [given["client_number"], account_number or "", cells.get("product", ""), cells["opened_at"]]
    if not given["client_number"]:
        parts += [given["tracking_code"], given["email"], given["mobile"]]
    return "row:" + sha256("\0".join(parts).encode()).hexdigest()[:32]


# A time behind a date that is not in ISO 8601: "9:30", "09:30:15.5", "9:30 PM", "09:30+08:00".
_CLOCK = re.compile(r"[ T](\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d{1,9})?)?(?:\s?([AaPp])[Mm])?(Z|[+-]\d{2}:?\d{2})?$")


def _moment(text: str, received_at: datetime) -> datetime:
    """When the account was opened; a time without an offset is that of the firm's zone.

    A bare date is the last moment of that day in the firm's zone, where openings are judged by the day: one on the day
    of a message then counts as after it, and still as that day's. Of today it is the moment of reading: the last
    moment lies in the future, where no account is opened yet.
    """
    zone = ZoneInfo(settings().time_zone)
    moment, bare_date = _read(_written, text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    if bare_date:
        moment = max(moment, min(datetime.combine(moment, time.max, zone), received_at))
    if moment.year < EARLIEST_YEAR or moment > received_at + CLOCKS_APART:
        raise _named(BadValue(_l("“%(value)s” lies in the future or too far back.")), text)
    return moment.astimezone(UTC)


def _written(text: str) -> tuple[datetime, bool]:
    """The time in a cell as it is written, and whether it is a bare date (then at 0:00). Raises BadValue."""
    with suppress(ValueError):
        return datetime.combine(date.fromisoformat(text), time.min), True
    with suppress(ValueError):
        return datetime.fromisoformat(text), False
    day = parse_date(text)
    clock = _CLOCK.search(unicodedata.normalize("NFKC", text))
    if clock is None:
        return datetime.combine(day, time.min), True
    hour, minute, second, half, offset = clock.groups(default="")
    of_day = int(hour) % 12 + 12 * (half in "Pp") if half else int(hour)
    try:
        return datetime.fromisoformat(f"{day}T{of_day:02}:{minute}:{second or '00'}{offset}"), False
    except ValueError:
        raise BadValue(_l("“%(value)s” is not a date.")) from None


def _read(parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except BadValue as problem:
        raise _named(problem, text) from None


def _named(problem: BadValue, text: str) -> BadValue:
    problem.text = text
    return problem


def refused_csv(refused: list[tuple[int, str, list[str]]]) -> str:
    """The refused rows with their reasons, for a spreadsheet; formulas neutralised."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([_("Row"), _("Reason"), _("The row as it came")])
    for row, reason, cells in refused:
        writer.writerow([row, neutralise(reason), *map(neutralise, cells)])
    return "\ufeff" + out.getvalue()
