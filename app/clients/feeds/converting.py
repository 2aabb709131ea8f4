"""From the words of a row to the words COPY takes: a definition made into a plan of plain functions."""

import re
from collections.abc import Callable
from datetime import date, timedelta
from functools import partial

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app.clients.feeds.definitions import BIRTH_NUMBER, KEEP_WORD, TARGETS, BadDefinition, Definition, Source, Target
from app.clients.importing import values
from app.clients.importing.values import BadValue
from app.core.clock import today

Parser = Callable[[str], str | None]

EARLIEST = date(1900, 1, 1)
LATEST = date(2200, 1, 1)
MAX_TEXT = 200
_CACHED = 20_000  # different words remembered per column
_SHOWN = 60  # signs of a refused value shown

_MISSING = _l("it is missing.")
_NO_KEY = _l("“%(value)s” is not a number or code: up to 64 signs without line breaks.")
_LONG = _l("“%(value)s” is longer than 200 signs.")
_NOT_IN_FORMAT = _l("“%(value)s” is not a date in the form that the feed expects.")
_OUT_OF_TIME = _l("“%(value)s” is not a date between 1900 and tomorrow.")
_FAR_FUTURE = _l("“%(value)s” is not a date between 1900 and 2200.")
_NEGATIVE = _l("“%(value)s” is below zero; the kind says which way the money goes, the amount has no sign.")
_UNKNOWN_WORD = _l("“%(value)s” is not among the words that the feed knows.")
_NOT_LEVEL = _l("“%(value)s” is not a level from 1 to 5.")
_NOT_MONTHS = _l("“%(value)s” is not a number of months.")


class RowRefused(Exception):
    """A row with the reason against it: whole sentences."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


class FeedConverter:
    """Converts rows of one file. `targets` are those filled, in the order of the values that `convert` returns."""

    def __init__(self, kind: str, definition: Definition, columns: list[str]) -> None:
        self._positions = {name: position for position, name in enumerate(columns)}
        self._missing = frozenset(definition.missing)
        self.targets = list(definition.columns)
        self._labels = [str(TARGETS[kind][target].label) for target in self.targets]
        self._getters = [
            self._getter(source, TARGETS[kind][target], target, kind, definition)
            for target, source in definition.columns.items()
        ]
        self._only = [(self._positions[column], frozenset(words)) for column, words in definition.only.items() if words]

    def left_out(self, row: list[str]) -> bool:
        """True for a row that the definition passes over."""
        return any(row[position].strip().casefold() not in words for position, words in self._only)

    def convert(self, row: list[str]) -> list[str | None]:
        """The values as COPY takes them. Raises RowRefused with all that is wrong with the row."""
        try:
            return [get(row) for get in self._getters]
        except BadValue:
            raise RowRefused(self._problems(row)) from None

    def _problems(self, row: list[str]) -> str:
        problems = []
        for label, get in zip(self._labels, self._getters, strict=True):
            try:
                get(row)
            except BadValue as problem:
                problems.append(f"{label}: {_sentence(problem)}")
        return " ".join(problems)

    def _getter(
        self, source: Source, about: Target, target: str, kind: str, definition: Definition
    ) -> Callable[[list[str]], str | None]:
        parse = self._reader(source, about, _parser(source, about, target, kind, definition))
        if source.column is not None:
            position = self._positions[source.column]
            return lambda row: parse(row[position])
        if source.constant is not None:
            try:
                constant = parse(source.constant)
            except BadValue as problem:
                raise BadDefinition(f"{about.label}: {_sentence(problem)}") from problem
            return lambda _row: constant
        pieces = re.split(r"\{([^{}]+)\}", source.template or "")
        fixed, positions = pieces[0::2], [self._positions[name] for name in pieces[1::2]]

        def joined(row: list[str]) -> str | None:
            words = [row[position].strip() for position in positions]
            if positions and not any(words):
                return parse("")
            return parse(fixed[0] + "".join(word + after for word, after in zip(words, fixed[1:], strict=True)))

        return joined

    def _reader(self, source: Source, about: Target, parse: Callable[[str], str]) -> Parser:
        """From a raw cell: trimmed, mapped, parsed; what is required and missing is refused."""
        words, otherwise, missing = source.words, source.otherwise, self._missing

        def read(cell: str) -> str | None:
            text = cell.strip()
            try:
                if words is not None:
                    mapped = words.get(text.casefold(), otherwise)
                    if mapped is None and text:
                        raise BadValue(_UNKNOWN_WORD)
                    text = text if mapped is None or mapped == KEEP_WORD else mapped
                if text and not (missing and text.casefold() in missing):
                    return parse(text)
                if about.required:
                    raise BadValue(_MISSING)
            except BadValue as problem:
                problem.text = text
                raise
            return None

        # Keys and amounts are mostly different in each row; remembering them would cost more than it saves.
        if about.type not in ("key", "money") or words is not None:
            return _Remembered(read).__getitem__
        if missing:
            return read

        def read_plain(cell: str) -> str | None:
            """The same where there is nothing to map: these are most of the cells of a large file."""
            text = cell.strip()
            try:
                return parse(text) if text else read(cell)
            except BadValue as problem:
                problem.text = text
                raise

        return read_plain


class _Remembered(dict[str, str | None]):
    def __init__(self, read: Parser) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, cell: str) -> str | None:
        value = self._read(cell)
        if len(self) >= _CACHED:
            self.clear()
        self[cell] = value
        return value


def _sentence(problem: BadValue) -> str:
    text = problem.text
    return str(problem.message) % {"value": text if len(text) <= _SHOWN else text[:_SHOWN] + "…"}


# ---- Parsers --------------------------------------------------------------------------------------------------------


def _parser(source: Source, about: Target, target: str, kind: str, definition: Definition) -> Callable[[str], str]:
    if about.type in ("date", "coming_date"):
        latest = LATEST if about.type == "coming_date" else today() + timedelta(days=1)
        return partial(_date, read=_date_reader(source, definition), latest=latest)
    if about.type == "money":
        unsigned = kind == "transactions" and target == "amount"
        return partial(_money, mark=definition.decimal_mark, sign=source.sign, unsigned=unsigned)
    if about.type == "gender" and source.format == BIRTH_NUMBER:
        return lambda text: "female" if _birth_number(text, 1900)[1] else "male"
    parsers: dict[str, Callable[[str], str]] = {
        "key": _key,
        "text": _text,
        "level": _level,
        "months": _months,
        "gender": values.parse_gender,
        "status": values.parse_status,
        "person": values.parse_kind,
    }
    return parsers[about.type]


def _key(text: str) -> str:
    if len(text) > values.MAX_NUMBER or not text.isprintable():
        raise BadValue(_NO_KEY)
    return text


def _text(text: str) -> str:
    if len(text) > MAX_TEXT:
        raise BadValue(_LONG)
    return text


def _level(text: str) -> str:
    try:
        return str(values.parse_risk_level(text))
    except BadValue as problem:
        raise BadValue(_NOT_LEVEL) from problem


def _months(text: str) -> str:
    if not re.fullmatch(r"[0-9]{1,4}", text) or int(text) > 1200:
        raise BadValue(_NOT_MONTHS)
    return text


_PLAIN_AMOUNT = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,2})?")


def _money(text: str, *, mark: values.DecimalMark, sign: str, unsigned: bool) -> str:
    amount = text if mark == "." and _PLAIN_AMOUNT.fullmatch(text) else str(values.parse_money(text, mark=mark))
    if sign == "drop":
        return amount.removeprefix("-")
    if sign == "turn":
        amount = amount[1:] if amount.startswith("-") else f"-{amount}"
    if unsigned and amount.startswith("-") and amount.strip("-0."):
        raise BadValue(_NEGATIVE)
    return amount


def _date(text: str, *, read: Callable[[str], date], latest: date) -> str:
    found = read(text)
    if not EARLIEST <= found <= latest:
        raise BadValue(_FAR_FUTURE if latest == LATEST else _OUT_OF_TIME)
    return found.isoformat()


def _date_reader(source: Source, definition: Definition) -> Callable[[str], date]:
    if source.format is None:
        return partial(values.parse_date, order=definition.date_order)
    # The hundred years that YY stands for end with the present one unless told otherwise.
    first = source.from_year if source.from_year is not None else today().year - 99
    if source.format == BIRTH_NUMBER:
        return lambda text: _birth_number(text, first)[0]
    pattern = "".join(
        {"YYYY": r"(?P<year>[0-9]{4})", "YY": r"(?P<short>[0-9]{2})", "MM": r"(?P<month>[0-9]{2})",
         "DD": r"(?P<day>[0-9]{2})"}.get(piece, re.escape(piece))
        for piece in re.split(r"(YYYY|YY|MM|DD)", source.format)
    )  # fmt: skip
    compiled = re.compile(pattern + r"(?:[ T][0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?)?")

    def read(text: str) -> date:
        match = compiled.fullmatch(text)
        if match is None:
            raise BadValue(_NOT_IN_FORMAT)
        parts = match.groupdict()
        year = int(parts["year"]) if "year" in parts else _full_year(int(parts["short"]), first)
        return _made(year, int(parts["month"]), int(parts["day"]))

    return read


def _full_year(short: int, first: int) -> int:
    return first + (short - first) % 100


def _birth_number(text: str, first: int) -> tuple[date, bool]:
    """Czech and Slovak birth numbers, YYMMDD with 50 added to women's months. Returns the date, and True for women."""
    match = re.fullmatch(r"([0-9]{2})([0-9]{2})([0-9]{2})(?:/?[0-9]{3,4})?", text)
    if match is None:
        raise BadValue(_NOT_IN_FORMAT)
    month = int(match[2])
    return _made(_full_year(int(match[1]), first), month - 50 if month > 50 else month, int(match[3])), month > 50


def _made(year: int, month: int, day: int) -> date:
    try:
        return date(year, month, day)
    except ValueError as error:
        raise BadValue(_NOT_IN_FORMAT) from error


def missing_columns(definition: Definition, columns: list[str]) -> None:
    """Raise BadDefinition where a file lacks columns that the definition reads."""
    lacking = sorted(definition.used_columns - set(columns))
    if lacking:
        raise BadDefinition(
            _(
                "The file lacks what the feed reads: %(lacking)s. Its columns are: %(columns)s.",
                lacking=", ".join(name[:60] for name in lacking[:10]),
                columns=", ".join(name[:60] for name in columns[:20]),
            )
        )
