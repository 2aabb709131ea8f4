"""Targets in a spreadsheet: written with what was reached, and read again, all of it or none."""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from itertools import islice
from typing import BinaryIO, TypeVar

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import func, select

from app.clients.classes.queries import class_choices
from app.clients.importing.reading import RowProblem, column_names, data_rows, detect
from app.clients.importing.values import BadValue, parse_date, parse_money
from app.core.errors import AppError
from app.core.extensions import db
from app.core.spreadsheet_files import Cell
from app.reports.targets.models import MEASURE_LABELS, Measure
from app.reports.targets.queries import TargetLine
from app.reports.targets.service import Wanted, check
from app.users.models import Branch, User

Value = TypeVar("Value")
MAX_ROWS = 10_000
SHOWN = 100
HEAD = ("measure", "partner_item", "branch", "adviser", "tier", "week", "target", "reported")
FURTHER = ("result", "attained", "forecast", "forecast_low", "forecast_high")
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "measure": ("measure", "指标"),
    "partner_item": ("partneritem", "item", "合作方项目", "项目"),
    "branch": ("branch", "branchcode", "机构", "机构代码", "营业部"),
    "adviser": ("adviser", "advisor", "adviseremail", "客户经理", "客户经理邮箱"),
    "tier": ("tier", "层级", "客户层级"),
    "week": ("week", "weekof", "周", "周一"),
    "target": ("target", "amount", "目标", "目标值"),
    "reported": ("reported", "合作方已完成", "已报告"),
}


class ColumnsMissing(AppError):
    message = _l("The file needs a column with what is measured (measure) and one with the target (target).")


class TooManyRows(AppError):
    message = _l("A file of targets has %(count)s rows at most.", count=MAX_ROWS)


class FileRefused(AppError):
    """Nothing of the file was taken; `problems` are [(row from 1 below the head, reason)]."""

    message = _l("Nothing was taken. Please correct these rows and choose the file again.")
    status = 422

    def __init__(self, problems: list[tuple[int, str]]) -> None:
        super().__init__()
        self.problems = problems


def read_targets(stream: BinaryIO, *, actor: User) -> list[Wanted]:
    """The targets of a CSV or Excel file. Raises FileRefused naming every row that cannot be taken, NotATable,
    ColumnsMissing or TooManyRows."""
    dialect = detect(stream)
    names = column_names(stream, dialect)
    folded = ["".join(name.lower().replace("_", "").replace("-", "").split()) for name in names]
    places = {
        field: next(place for place, name in enumerate(folded) if name in known)
        for field, known in COLUMNS.items()
        if any(name in known for name in folded)
    }
    if not {"measure", "target"} <= places.keys():
        raise ColumnsMissing
    rows = list(islice(data_rows(stream, dialect, width=len(names)), MAX_ROWS + 1))
    if len(rows) > MAX_ROWS:
        raise TooManyRows
    reader, problems, wanted = _Reader(), [], []
    seen: dict[object, int] = {}
    for number, row in enumerate(rows, start=1):
        if isinstance(row, RowProblem):
            problems.append((number, str(row.message)))
            continue
        try:
            one = reader.wanted({field: row[place].strip() for field, place in places.items()})
            check(one, actor=actor)
            first = seen.setdefault(_place(one), number)
            if first != number:
                raise AppError(_l("The same target stands in row %(row)s.", row=first))
            wanted.append(one)
        except BadValue as problem:
            problems.append((number, str(problem.message) % {"value": problem.text[:60]}))
        except AppError as problem:
            problems.append((number, str(problem)))
    if problems:
        raise FileRefused(problems)
    return wanted


def _place(one: Wanted) -> object:
    week = one.week.isocalendar()[:2] if one.week else None
    return (
        one.measure, one.partner_item, one.branch and one.branch.id, one.adviser and one.adviser.id, one.tier, week,
    )  # fmt: skip


class _Reader:
    """Rows as targets; branches, advisers and tiers are looked up once."""

    def __init__(self) -> None:
        self._branches = {row.code.lower(): row for row in db.session.scalars(select(Branch))}
        self._tiers = {word.lower(): code for code, label in class_choices("aum_tier") for word in (code, label)}
        self._measures = {
            word.lower(): measure for measure in Measure for word in (measure.value, str(MEASURE_LABELS[measure]))
        }
        self._advisers: dict[str, User | None] = {}

    def wanted(self, cells: Mapping[str, str]) -> Wanted:
        measure = self._measures.get(cells["measure"].lower())
        if measure is None:
            raise AppError(_l("“%(word)s” is none of the measures.", word=cells["measure"][:60]))
        if not cells["target"]:
            raise AppError(_l("The target is missing; 0 takes a target away."))
        return Wanted(
            measure=measure,
            amount=_amount(cells["target"]),
            partner_item=cells.get("partner_item") or None,
            branch=self._branch(cells.get("branch", "")),
            adviser=self._adviser(cells.get("adviser", "")),
            tier=self._tier(cells.get("tier", "")),
            week=_read(parse_date, cells["week"]) if cells.get("week") else None,
            reported=_amount(cells["reported"]) if cells.get("reported") else None,
        )

    def _branch(self, code: str) -> Branch | None:
        if code and code.lower() not in self._branches:
            raise AppError(_l("There is no branch with the code “%(code)s”.", code=code[:60]))
        return self._branches[code.lower()] if code else None

    def _adviser(self, email: str) -> User | None:
        if not email:
            return None
        if email.lower() not in self._advisers:
            self._advisers[email.lower()] = db.session.scalar(
                select(User).where(func.lower(User.email) == email.lower(), User.active)
            )
        found = self._advisers[email.lower()]
        if found is None:
            raise AppError(_l("There is no adviser with the address “%(email)s”.", email=email[:100]))
        return found

    def _tier(self, word: str) -> str | None:
        if word and word.lower() not in self._tiers:
            raise AppError(_l("There is no tier “%(tier)s”.", tier=word[:60]))
        return self._tiers[word.lower()] if word else None


def _amount(text: str) -> Decimal:
    return _read(parse_money, text)


def _read(parse: Callable[[str], Value], text: str) -> Value:
    try:
        return parse(text)
    except BadValue as problem:
        problem.text = text
        raise


def target_rows(lines: list[TargetLine]) -> Iterator[list[Cell]]:
    """The rows of the file: what may be read again, and behind it what was reached."""
    branches = {row.id: row.code for row in db.session.execute(select(Branch.id, Branch.code))}
    emails = {
        row.id: row.email
        for row in db.session.execute(
            select(User.id, User.email).where(User.id.in_([line.target.adviser_id for line in lines]))
        )
    }
    for line in lines:
        target, ahead = line.target, line.forecast
        yield [
            target.measure,
            target.partner_item,
            branches.get(target.branch_id or 0),
            emails.get(target.adviser_id or 0),
            target.tier,
            target.week.isoformat() if target.week else None,
            target.amount,
            target.reported,
            line.result,
            line.share,
            Decimal(round(ahead.expected, 2)).quantize(Decimal("0.01")) if ahead else None,
            Decimal(round(ahead.low, 2)).quantize(Decimal("0.01")) if ahead else None,
            Decimal(round(ahead.high, 2)).quantize(Decimal("0.01")) if ahead else None,
        ]


def file_notes() -> Iterator[list[Cell]]:
    """What the columns take, on a sheet of its own."""
    yield [_("Column"), _("What it takes"), None]
    measures = str(_(", ")).join(f"{measure.value} ({MEASURE_LABELS[measure]})" for measure in Measure)
    yield ["measure", measures, None]
    yield ["partner_item", _("What the partner counts: cards, e-banking… Only with the measure “partner”."), None]
    yield ["branch", _("The code of the branch; the branches below it count too."), None]
    yield ["adviser", _("The e-mail address of the adviser."), None]
    yield ["tier", _("The tier, by its code or name."), None]
    yield ["week", _("Any day of the week; empty for the whole period."), None]
    yield ["target", _("The number to be reached; 0 takes the target away."), None]
    yield ["reported", _("How far the partner says it has come."), None]
    yield ["result …", _("Is written and not read."), None]
