"""Keeping a pasted or uploaded list of client numbers, and deleting it."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import BinaryIO

from flask_babel import format_decimal, ngettext
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import Text, delete, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY, insert

from app.audiences.lists.models import ListedNumber, NumberList
from app.audiences.lists.queries import SegmentUse, any_in_book, segments_using
from app.audit.service import record
from app.clients.importing.mapping import TARGETS, fold
from app.clients.importing.reading import RowProblem, column_names, data_rows, detect
from app.clients.queries import sees_whole_book
from app.core.errors import AppError, Conflict, Forbidden, NotFound
from app.core.extensions import db
from app.core.permissions import Permission, allows
from app.users.models import User

MAX_NUMBERS = 1_000_000
MAX_LENGTH = 100  # of a number
MAX_NAME = 100
_CHUNK = 20_000
_WORDS_LOOKED_UP = 50
_ROWS_TOLD = 5
# Names under which the column with the numbers goes, as `fold` writes them.
_COLUMNS = frozenset(TARGETS["number"][1].split())
_ONE_WORD = re.compile(r"[\w./-]+")
_DIVIDERS = str.maketrans(dict.fromkeys(",;，；、\t", " "))


class NoNumbers(AppError):
    message = _l("There is no client number in this list.")
    status = 422


class OnlyHeader(NoNumbers):
    """What might be a number is the name of a column: no client has it."""

    def __init__(self, header: str) -> None:
        super().__init__(
            _l("There is only “%(header)s”, the name of a column: no client has this number.", header=header)
        )


class TooManyNumbers(AppError):
    message = _l("A list may have %(count)s numbers at most.", count=MAX_NUMBERS)
    status = 422


class StillUsed(Conflict):
    def __init__(self, use: SegmentUse) -> None:
        super().__init__(
            _l("The archived segment “%(name)s” uses this list. Restore and change that one first.", name=use.name)
            if use.archived
            else _l("The segment “%(name)s” uses this list. Change that one first.", name=use.name)
        )


@dataclass(slots=True)
class LeftOut:
    """How many rows had no number that can be read, and which of them came first (from 1, rows without text apart)."""

    count: int = 0
    first: list[int] = field(default_factory=list)

    def add(self, row: int) -> None:
        self.count += 1
        if len(self.first) < _ROWS_TOLD:
            self.first.append(row)


@dataclass(frozen=True, slots=True)
class Kept:
    """A new list, what stood above its numbers and was taken as the name of their column, and what is not in it."""

    numbers: NumberList
    header: str | None
    left_out: LeftOut

    @property
    def notes(self) -> list[str]:
        """What its maker has to know, in sentences."""
        return [
            *([header_note(self.header)] if self.header is not None else []),
            *([left_out_note(self.left_out)] if self.left_out.count else []),
        ]


# A row, counted from 1, and the number in it; None where the row cannot be read.
_Numbered = tuple[int, str | None]


def keep_pasted_list(*, name: str, text: str, actor: User | None) -> Kept:
    """The numbers of a text, divided by spaces, lines, commas or semicolons. Raises NoNumbers or TooManyNumbers."""
    first, _line_end, rest = text.strip().partition("\n")
    header = first.strip() if _names_a_column(first, actor) else None
    lines = enumerate(rest.split("\n"), 2) if header else enumerate([first, *rest.split("\n")], 1)
    numbers = ((row, word) for row, line in lines for word in line.translate(_DIVIDERS).split())
    return _keep(name, numbers, header, actor)


def keep_uploaded_list(*, name: str, stream: BinaryIO, actor: User | None) -> Kept:
    """The numbers of a CSV or Excel file: of the column that is called so, else of the first one.

    Raises NotATable with what the file is instead, NoNumbers or TooManyNumbers.
    """
    header, numbers = _numbers_of(stream, actor)
    return _keep(name, numbers, header, actor)


def header_note(header: str) -> str:
    """Said of a list that had a line above its numbers."""
    return str(_("“%(header)s” was taken as the name of the column: no client has this number.", header=header))


def left_out_note(left_out: LeftOut) -> str:
    """Said of a list some rows of which are not in it."""
    words: str = ngettext(
        "%(number)s row has no client number that can be read and is left out: row %(rows)s.",
        "%(number)s rows have no client number that can be read and are left out, the first of them: %(rows)s.",
        left_out.count,
        number=format_decimal(left_out.count),
        rows=", ".join(map(str, left_out.first)),
    )
    return words


def may_delete(owner_id: int | None, actor: User) -> bool:
    """A list is gone for good, so only who made it and those who see the whole book may delete it."""
    return allows(actor, Permission.EDIT_SEGMENTS) and (owner_id == actor.id or sees_whole_book(actor))


def delete_list(*, numbers: NumberList, actor: User) -> None:
    """Delete a list for good. Raises Forbidden, StillUsed where a segment asks for it, or NotFound."""
    if not may_delete(numbers.owner_id, actor):
        raise Forbidden
    # Segments that are being saved hold the lists they ask for, see `queries.hold_lists`.
    locked = db.session.scalar(select(NumberList).where(NumberList.id == numbers.id).with_for_update())
    if locked is None:
        raise NotFound
    for use in segments_using([locked.id])[locked.id]:
        raise StillUsed(use)
    changes = {"name": [locked.name, None], "numbers": [locked.size, None]}
    record(actor=actor, action="number_list.delete", subject="number_list", subject_id=locked.id, changes=changes)
    db.session.execute(delete(NumberList).where(NumberList.id == locked.id))


# ---- Finding the numbers ----


def _numbers_of(stream: BinaryIO, actor: User | None) -> tuple[str | None, Iterator[_Numbered]]:
    """The line above the numbers, where there is one, and the numbers."""
    start = stream.read(1 << 16)
    stream.seek(0)
    word = _only_word(start)
    if word is not None:  # a list of one number is no table
        return (word, iter(())) if _names_a_column(word, actor) else (None, iter(((1, word),)))
    dialect = detect(stream)
    names = column_names(stream, dialect)
    place = next((at for at, name in enumerate(names) if fold(name) in _COLUMNS), 0)
    first, top = names[place], dialect["header_row"] + 1
    rows = enumerate(data_rows(stream, dialect, width=len(names)), start=top + 1)
    below = ((row, _number_in(cells, place, first)) for row, cells in rows)
    if first == f"Column {place + 1}":  # what a column without a name is called
        return None, below
    return (first, below) if _names_a_column(first, actor) else (None, chain(((top, first),), below))


def _number_in(row: list[str] | RowProblem, place: int, first: str) -> str | None:
    """The number in a row; of one that only repeats the first, which is no loss, what is there already."""
    if not isinstance(row, RowProblem):
        return row[place]
    return first if [cell.strip() for cell in row.cells[place : place + 1]] == [first] else None


def _only_word(start: bytes) -> str | None:
    """The one number, or the one name of a column, that a file holds and nothing else."""
    try:
        word = start[: 4 * MAX_LENGTH + 1].decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        return None
    return word if len(word) <= MAX_LENGTH and (_ONE_WORD.fullmatch(word) or fold(word) in _COLUMNS) else None


def _names_a_column(line: str, actor: User | None) -> bool:
    """True for a first line that is a usual name or has no digit, where none of its words is a client's number.

    What has digits and is in no book yet may be a number that the book will have one day.
    """
    words = [word for word in line.translate(_DIVIDERS).split() if word.isprintable()]
    named = fold(line) in _COLUMNS or not any(sign.isdigit() for sign in line)
    return bool(words) and named and not any_in_book([" ".join(words), *words[:_WORDS_LOOKED_UP]], user=actor)


# ---- Keeping them ----


def _keep(name: str, numbers: Iterator[_Numbered], header: str | None, actor: User | None) -> Kept:
    made = NumberList(name=_name(name), size=0, owner_id=actor.id if actor else None)
    db.session.add(made)
    db.session.flush()
    taken, left_out = 0, LeftOut()
    usable = _usable(numbers, header, left_out)
    while chunk := list(islice(usable, _CHUNK)):
        taken += len(chunk)
        if taken > MAX_NUMBERS:
            raise TooManyNumbers
        rows = select(literal(made.id), func.unnest(literal(chunk, ARRAY(Text))))
        db.session.execute(
            insert(ListedNumber).from_select(["list_id", "number"], rows).on_conflict_do_nothing(),
        )
    if not taken:
        raise NoNumbers if header is None else OnlyHeader(header)
    counted = select(func.count()).select_from(ListedNumber).where(ListedNumber.list_id == made.id)
    made.size = db.session.scalar(counted) or 0
    changes = {"name": [None, made.name], "numbers": [None, made.size]}
    if left_out.count:
        changes["rows_left_out"] = [None, left_out.count]
    record(actor=actor, action="number_list.kept", subject="number_list", subject_id=made.id, changes=changes)
    return Kept(made, header, left_out)


def _usable(numbers: Iterable[_Numbered], header: str | None, left_out: LeftOut) -> Iterator[str]:
    for row, number in numbers:
        cleaned = (number or "").strip()
        if cleaned and len(cleaned) <= MAX_LENGTH and cleaned.isprintable():
            if cleaned != header:  # repeated below, as where several files were put together
                yield cleaned
        else:
            left_out.add(row)


def _name(name: str) -> str:
    cleaned = " ".join("".join(sign for sign in name if sign.isprintable() or sign.isspace()).split())
    return cleaned[:MAX_NAME] or str(_l("List of numbers"))
