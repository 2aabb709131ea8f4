"""A file of contact results: which column is what, and each row as a contact or the reason why not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from hashlib import sha256
from itertools import islice
from typing import BinaryIO
from zoneinfo import ZoneInfo

from flask_babel import lazy_gettext as _l

from app.advising.models import OUTCOMES, ResultImport
from app.advising.service import Contact, check_contact, client_ids_by_number, record_contacts
from app.audit.service import record
from app.clients.importing.reading import RowProblem, column_names, data_rows, detect
from app.clients.importing.values import BadValue, parse_date, parse_time_of_day, parse_yesno
from app.core.clock import now
from app.core.errors import AppError
from app.core.extensions import db, settings
from app.users.models import User

MAX_ROWS = 5_000
MAX_TEXT = 200

# The names by which a column is recognised, folded: small letters, no spaces, dots, hyphens or underscores.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "client_number": ("clientnumber", "clientno", "client", "customernumber", "客户号", "客户编号"),
    "result": ("result", "contactresult", "outcome", "联系结果", "结果"),
    "at": ("at", "contactedat", "time", "date", "contactedon", "联系时间", "联系日期", "时间", "日期"),
    "again_at": ("againat", "again", "nextcontact", "followupat", "再次联系时间", "预约时间", "下次联系时间"),
    "note": ("note", "notes", "remark", "comment", "备注", "说明"),
    "no_calls": ("nocalls", "donotcall", "拒绝来电", "不再致电"),
}
HEAD = ("client_number", "result", "at", "again_at", "note", "no_calls")


class ColumnsMissing(AppError):
    message = _l("The file needs a column with the client number (client_number) and one with the result (result).")


class TooManyRows(AppError):
    message = _l("A file of results has %(count)s rows at most.", count=MAX_ROWS)


class UnknownClient(AppError):
    message = _l("There is no client with this number among yours.")


class NoTask(AppError):
    message = _l("There is no open task for this client, or the contact is known already under another time.")


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    cells: list[str]
    client_number: str
    contact: Contact


def import_results(*, stream: BinaryIO, name: str, actor: User) -> ResultImport:
    """Record the contacts of a CSV, TSV or Excel file; rows that cannot be taken are kept with the reason.

    Raises NotATable, ColumnsMissing or TooManyRows. The same file again takes nothing new: a contact is known by its
    client, its result and its time.
    """
    dialect = detect(stream)
    names = column_names(stream, dialect)
    places = find_columns(names)
    if not {"client_number", "result"} <= places.keys():
        raise ColumnsMissing
    rows = list(enumerate(islice(data_rows(stream, dialect, width=len(names)), MAX_ROWS + 1), start=1))
    if len(rows) > MAX_ROWS:
        raise TooManyRows
    refused: list[tuple[int, str, list[str]]] = []
    read: list[tuple[int, list[str], dict[str, str]]] = []
    for number, row in rows:
        if isinstance(row, RowProblem):
            refused.append((number, str(row.message), row.cells))
        else:
            read.append((number, row, {field: row[place].strip() for field, place in places.items()}))
    known_clients = client_ids_by_number({cells["client_number"] for _number, _row, cells in read}, user=actor)
    good: list[_Row] = []
    for number, row, cells in read:
        try:
            contact = _contact(cells, known_clients)
            check_contact(contact)
            good.append(_Row(number, row, cells["client_number"], contact))
        except BadValue as problem:
            refused.append((number, str(problem.message) % {"value": problem.text[:60]}, row))
        except AppError as problem:
            refused.append((number, str(problem), row))
    recorded, without_task = record_contacts(contacts=[row.contact for row in good], actor=actor, source="file")
    refused += [(row.number, str(NoTask()), row.cells) for row in good if row.contact.key in without_task]
    done = ResultImport(
        file_name=name[:MAX_TEXT],
        rows=len(rows),
        taken=len(recorded),
        known=len(rows) - len(recorded) - len(refused),
        refused=sorted(refused),
        created_by_id=actor.id,
    )
    db.session.add(done)
    db.session.flush()
    record(
        actor=actor,
        action="result_import.import",
        subject="result_import",
        subject_id=done.id,
        changes={"rows": [0, done.rows], "taken": [0, done.taken], "refused": [0, len(refused)]},
    )
    return done


def find_columns(names: Sequence[str]) -> dict[str, int]:
    """Which column (from 0) holds what, by its name; the first of several."""
    folded = [_folded(name) for name in names]
    return {
        field: next(place for place, name in enumerate(folded) if name in known)
        for field, known in COLUMNS.items()
        if any(name in known for name in folded)
    }


def _folded(text: str) -> str:
    return "".join(text.lower().translate(str.maketrans("", "", " ._-")).split())


def _contact(cells: Mapping[str, str], clients: Mapping[str, int]) -> Contact:
    client_id = clients.get(cells["client_number"])
    if client_id is None:
        raise UnknownClient
    outcome = _outcome(cells["result"])
    typed = cells.get("at", "")
    again = cells.get("again_at", "")
    moment = _moment(typed) if typed else now()
    # Without a time, the contact is that of the day of the upload.
    when = typed or now().astimezone(ZoneInfo(settings().time_zone)).date().isoformat()
    key = sha256("\0".join((str(client_id), outcome, when)).encode()).hexdigest()[:40]
    return Contact(
        key=f"file:{key}",
        client_id=client_id,
        outcome=outcome,
        at=moment,
        again_at=_moment(again) if again else None,
        note=cells.get("note", "").replace("\x00", ""),
        no_calls=bool(cells.get("no_calls")) and parse_yesno(cells["no_calls"]),
    )


def _outcome(text: str) -> str:
    folded = _folded(text)
    for key, outcome in OUTCOMES.items():
        if folded in (_folded(key), _folded(str(outcome.label)), *map(_folded, outcome.words)):
            return key
    problem = BadValue(_l("“%(value)s” is none of the contact results."))
    problem.text = text
    raise problem


def _moment(text: str) -> datetime:
    """A time in the firm's zone where it names none; a bare date is noon of that day, or now where that is to come."""
    zone = ZoneInfo(settings().time_zone)
    try:
        moment = datetime.fromisoformat(text)
        bare = len(text) <= 10
    except ValueError:
        day, clock = parse_date(text), parse_time_of_day(text)
        moment, bare = datetime.combine(day, clock or time()), clock is None
    if bare:
        moment = moment.replace(hour=12)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    return now() if bare and moment.date() == now().astimezone(zone).date() and moment > now() else moment
