"""Keeping a pasted or uploaded list of client numbers."""

import io
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import BinaryIO

from flask_babel import lazy_gettext as _l
from sqlalchemy import Text, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY, insert

from app.audiences.lists.models import ListedNumber, NumberList
from app.audit.service import record
from app.clients.importing.reading import RowProblem, column_names, data_rows, detect
from app.core.errors import AppError
from app.core.extensions import db
from app.core.permissions import Actor

MAX_NUMBERS = 1_000_000
MAX_LENGTH = 100  # of a number
MAX_NAME = 100
_CHUNK = 20_000
# Names under which the column with the numbers goes, in lower case.
_COLUMNS = {
    "number",
    "client number",
    "client no.",
    "client no",
    "client_number",
    "customer number",
    "客户号",
    "客户编号",
}


class NoNumbers(AppError):
    message = _l("There is no client number in this list.")
    status = 422


class TooManyNumbers(AppError):
    message = _l("A list may have %(count)s numbers at most.", count=MAX_NUMBERS)
    status = 422


def keep_pasted_list(*, name: str, text: str, actor: Actor | None) -> NumberList:
    """The numbers of a text, divided by spaces, lines, commas or semicolons. Raises NoNumbers or TooManyNumbers."""
    divided = text.translate(dict.fromkeys(map(ord, ",;，；、\t"), " "))
    return _keep(name, iter(divided.split()), actor)


def keep_uploaded_list(*, name: str, stream: BinaryIO, actor: Actor | None) -> NumberList:
    """The numbers of a CSV or Excel file: of the column that is called so, else of the first one.

    Raises NotATable with what the file is instead, NoNumbers or TooManyNumbers.
    """
    return _keep(name, _numbers_of(stream), actor)


def _numbers_of(stream: BinaryIO) -> Iterator[str]:
    start = stream.read(1 << 16)
    stream.seek(0)
    if len(start) <= MAX_LENGTH and start.strip().isalnum():
        stream = io.BytesIO(b"number\n" + start)  # a list of one number is no table
    dialect = detect(stream)
    names = column_names(stream, dialect)
    place = next((at for at, name in enumerate(names) if name.strip().lower() in _COLUMNS), 0)
    if any(letter.isdigit() for letter in names[place]):  # a list without a header: its first row is a number too
        yield names[place]
    for row in data_rows(stream, dialect, width=len(names)):
        if not isinstance(row, RowProblem):
            yield row[place]


def _keep(name: str, numbers: Iterator[str], actor: Actor | None) -> NumberList:
    made = NumberList(name=_name(name), size=0, owner_id=actor.id if actor else None)
    db.session.add(made)
    db.session.flush()
    taken = 0
    usable = _usable(numbers)
    while chunk := list(islice(usable, _CHUNK)):
        taken += len(chunk)
        if taken > MAX_NUMBERS:
            raise TooManyNumbers
        rows = select(literal(made.id), func.unnest(literal(chunk, ARRAY(Text))))
        db.session.execute(
            insert(ListedNumber).from_select(["list_id", "number"], rows).on_conflict_do_nothing(),
        )
    if not taken:
        raise NoNumbers
    counted = select(func.count()).select_from(ListedNumber).where(ListedNumber.list_id == made.id)
    made.size = db.session.scalar(counted) or 0
    changes = {"name": [None, made.name], "numbers": [None, made.size]}
    record(actor=actor, action="number_list.kept", subject="number_list", subject_id=made.id, changes=changes)
    return made


def _usable(numbers: Iterable[str]) -> Iterator[str]:
    for number in numbers:
        cleaned = number.strip()
        if cleaned and len(cleaned) <= MAX_LENGTH and cleaned.isprintable():
            yield cleaned


def _name(name: str) -> str:
    cleaned = " ".join("".join(sign for sign in name if sign.isprintable() or sign.isspace()).split())
    return cleaned[:MAX_NAME] or str(_l("List of numbers"))
