"""From rows of words to rows that COPY takes: a mapping made into a plan that works column by column."""

import re
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Mapping as MappingType
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

from flask_babel import gettext as _

from app.clients.importing import values
from app.clients.importing.copy_text import NULL, copy_text
from app.clients.importing.mapping import COLUMNS, CONSENTS, CUSTOM, TARGETS, BadMapping, Mapping, template_names
from app.clients.importing.text_rows import Row, RowProblem
from app.clients.importing.values import BadValue, Parser
from app.clients.masking import mask_account

_CACHED = 20_000  # different words remembered per column
_WORDS_MET = 10_000  # different words of a choice field
_SHOWN = 60  # signs of a refused value shown
_HAN = re.compile(r"[㐀-鿿]")
_REFUSED = "\x00"  # in place of the COPY text of a value that could not be read; no COPY text holds it

Refused = tuple[int, list[str], str]  # row number, cells, reason


class _Converted(dict[str, str]):
    """Words to COPY texts, computed at the first meeting: most columns repeat themselves."""

    def __init__(self, parse: Parser, missing: frozenset[str]) -> None:
        super().__init__()
        self._parse = parse
        self._missing = missing

    def __missing__(self, cell: str) -> str:
        try:
            value = self.tried(cell)
        except BadValue:
            return _REFUSED
        if len(self) >= _CACHED:
            self.clear()
        self[cell] = value
        return value

    def tried(self, cell: str) -> str:
        """The same, telling by BadValue why the words cannot be read."""
        text = cell.strip()
        if not text or text.casefold() in self._missing:
            return NULL
        try:
            return copy_text(self._parse(text))
        except BadValue as problem:
            problem.text = text
            raise


@dataclass(frozen=True, slots=True)
class _Source:
    """Where a client column comes from: `words` are those of one row, `fill` makes the texts of many."""

    target: str
    name: str
    converted: _Converted
    words: Callable[[int, list[str]], str]
    fill: Callable[[Sequence[int], Sequence[list[str]]], list[str]]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows of a file made ready. `first` is the number of the first of `rows`; `texts` holds, for each client column,
    the COPY texts of the rows whose `numbers` are listed; the others are `refused`."""

    first: int
    rows: Sequence[Row]
    numbers: Sequence[int]
    texts: list[list[str]]
    refused: list[Refused]

    def cells(self, number: int) -> list[str]:
        row = self.rows[number - self.first]
        return row.cells if isinstance(row, RowProblem) else row


class RowConverter:
    """Converts rows of one file. `columns` are the client columns filled, `number` first.

    `fields` maps the key of each of the firm's fields to its (type, slot); `lookups` gives the parsers of targets
    that name other rows of the database ("branch", "adviser"). `words_met` collects the words of choice fields by slot.
    """

    def __init__(
        self,
        mapping: Mapping,
        columns: list[str],
        *,
        fields: MappingType[str, tuple[str, str]],
        lookups: MappingType[str, Parser],
    ) -> None:
        self._positions = {name: position for position, name in enumerate(columns)}
        self._missing = frozenset(mapping.missing)
        self.columns: list[str] = []
        self.words_met: dict[str, set[str]] = {}
        self._sources: list[_Source] = []
        for target in sorted(mapping.columns, key=lambda name: name != "number"):
            parser, column = self._target(target, mapping, fields, lookups)
            source = mapping.columns[target]
            self.columns.append(column)
            self._sources.append(self._source(source, parser, target))
        # Row numbers cannot repeat: there are no duplicates to look for.
        own = mapping.columns["number"]
        self.numbers_unique = "row_number" in own or (
            "template" in own and template_names(own["template"]) == ["row_number"]
        )
        self._name_parts: tuple[int | None, int | None] | None = None
        if "name" not in self.columns and {"first_name", "last_name"} & set(self.columns):
            self._name_parts = (self._position("first_name"), self._position("last_name"))
            self.columns.append("name")

    def _position(self, column: str) -> int | None:
        return self.columns.index(column) if column in self.columns else None

    def _target(
        self,
        target: str,
        mapping: Mapping,
        fields: MappingType[str, tuple[str, str]],
        lookups: MappingType[str, Parser],
    ) -> tuple[Parser, str]:
        if target.startswith(CUSTOM):
            key = target.removeprefix(CUSTOM)
            if key not in fields:
                raise BadMapping(_("Your firm has no field “%(key)s”.", key=key))
            kind, slot = fields[key]
            parser = _field_parser(kind, mapping)
            return (self._watched(parser, slot) if kind in ("choice", "multichoice") else parser), slot
        return lookups.get(target) or _parsers(mapping)[target], COLUMNS.get(target, target)

    def _watched(self, parse: Parser, slot: str) -> Parser:
        met = self.words_met.setdefault(slot, set())

        def parse_and_keep(text: str) -> Any:
            value = parse(text)
            if len(met) < _WORDS_MET:
                met.update(value if isinstance(value, list) else (value,))
            return value

        return parse_and_keep

    def _source(self, source: dict[str, Any], parser: Parser, target: str) -> _Source:
        converted = _Converted(parser, self._missing)
        name = source.get("column") or str(TARGETS.get(target, (target,))[0])
        if "column" in source:
            position = self._positions[source["column"]]
            return _Source(
                target,
                name,
                converted,
                lambda _number, row: row[position],
                lambda _numbers, rows: list(map(converted.__getitem__, [row[position] for row in rows])),
            )
        if "constant" in source:
            words = source["constant"]
            try:
                constant = converted.tried(words)
            except BadValue as problem:
                raise BadMapping(f"{TARGETS.get(target, (target,))[0]}: {_sentence(problem, target)}") from problem
            return _Source(
                target, name, converted, lambda _number, _row: words, lambda numbers, _rows: [constant] * len(numbers)
            )
        made = self._template(source.get("template", "{row_number}"))
        return _Source(
            target,
            name,
            converted,
            made,
            lambda numbers, rows: [converted[made(number, row)] for number, row in zip(numbers, rows, strict=True)],
        )

    def _template(self, template: str) -> Callable[[int, list[str]], str]:
        """The words of a template for a row; none where a part is missing."""
        pieces = re.split(r"\{([^{}]*)\}", template)
        fixed = pieces[0::2]
        sources = [None if name == "row_number" else self._positions[name] for name in pieces[1::2]]
        missing = self._missing

        def words(row_number: int, row: list[str]) -> str:
            made = fixed[0]
            for position, after in zip(sources, fixed[1:], strict=True):
                word = str(row_number) if position is None else row[position].strip()
                if not word or word.casefold() in missing:
                    return ""
                made += word + after
            return made

        return words

    def client_numbers(self, rows: Sequence[Row], *, first: int) -> Iterable[str]:
        """The COPY texts of the client numbers of those rows that have one."""
        numbers, whole = _readable(rows, first)
        return (text for text in self._sources[0].fill(numbers, whole) if text not in (NULL, _REFUSED))

    def convert(self, rows: Sequence[Row], *, first: int) -> Chunk:
        """Convert rows that follow each other; `first` is the number of the first."""
        numbers, whole = _readable(rows, first)
        texts = [source.fill(numbers, whole) for source in self._sources]
        refused = [
            (number, row.cells, str(row.message))
            for number, row in enumerate(rows, start=first)
            if isinstance(row, RowProblem)
        ]
        wrong = {i for column in texts if _REFUSED in column for i, text in enumerate(column) if text == _REFUSED}
        if NULL in texts[0]:
            wrong.update(i for i, text in enumerate(texts[0]) if text == NULL)
        if wrong:
            refused += [(numbers[i], whole[i], self._reasons(numbers[i], whole[i])) for i in sorted(wrong)]
            right = [i for i in range(len(whole)) if i not in wrong]
            numbers = [numbers[i] for i in right]
            texts = [[column[i] for i in right] for column in texts]
        if self._name_parts is not None:
            unknown = [NULL] * len(numbers)
            parts = (unknown if part is None else texts[part] for part in self._name_parts)
            texts.append([full_name(first, last) for first, last in zip(*parts, strict=True)])
        return Chunk(first, rows, numbers, texts, sorted(refused))

    def _reasons(self, row_number: int, row: list[str]) -> str:
        """All that is wrong with a row."""
        problems = []
        for source in self._sources:
            try:
                text = source.converted.tried(source.words(row_number, row))
            except BadValue as problem:
                problems.append(f"{source.name}: {_sentence(problem, source.target)}")
            else:
                if source.target == "number" and text == NULL:
                    problems.append(_("The client number is missing."))
        return " ".join(problems)


def _readable(rows: Sequence[Row], first: int) -> tuple[Sequence[int], list[list[str]]]:
    numbers: Sequence[int] = range(first, first + len(rows))
    if RowProblem in set(map(type, rows)):
        numbers = [number for number, row in zip(numbers, rows, strict=True) if not isinstance(row, RowProblem)]
    return numbers, [row for row in rows if not isinstance(row, RowProblem)]


def _sentence(problem: BadValue, target: str) -> str:
    text = problem.text
    shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
    if target == "identity_number":
        shown = mask_account(shown) or ""
    return str(problem.message) % {"value": shown}


def full_name(first: str, last: str) -> str:
    """Of two COPY texts. Chinese names are written family name first and without a space."""
    if first == NULL or last == NULL:
        return last if first == NULL else first
    return f"{last}{first}" if _HAN.search(first + last) else f"{first} {last}"


def _field_parser(kind: str, mapping: Mapping) -> Parser:
    parsers: dict[str, Parser] = {
        "text": values.parse_text,
        "choice": values.parse_text,
        "multichoice": values.parse_choices,
        "number": partial(values.parse_number, mark=mapping.decimal_mark),
        "money": partial(values.parse_number, mark=mapping.decimal_mark),
        "date": partial(values.parse_date, order=mapping.date_order),
        "yesno": values.parse_yesno,
    }
    return parsers[kind]


def _parsers(mapping: Mapping) -> dict[str, Parser]:
    a_date: Callable[[str], date] = partial(values.parse_date, order=mapping.date_order)
    return {
        "number": values.parse_client_number,
        "name": values.parse_text,
        "first_name": values.parse_text,
        "last_name": values.parse_text,
        "city": values.parse_text,
        "source": values.parse_text,
        "kind": values.parse_kind,
        "status": values.parse_status,
        "gender": values.parse_gender,
        "locale": values.parse_locale,
        "time_zone": values.parse_time_zone,
        "email": values.parse_email,
        "mobile": partial(values.parse_mobile, region=mapping.region),
        "birth_date": a_date,
        "risk_assessed_on": a_date,
        "opened_on": a_date,
        "risk_level": values.parse_risk_level,
        "qualified_investor": values.parse_yesno,
        "professional_investor": values.parse_yesno,
        "personalisation_refused": values.parse_yesno,
        "identity_number": values.parse_identity_number,
        "total_assets": partial(values.parse_money, mark=mapping.decimal_mark),
        "flags": values.parse_flags,
        "tags": values.parse_tags,
        **dict.fromkeys(CONSENTS, values.parse_yesno),
    }


def branch_parser(codes: MappingType[str, int]) -> Parser:
    """`codes` maps the codes (folded) of the branches the importer may fill to their ids."""

    def parse(text: str) -> int:
        found = codes.get(text.casefold())
        if found is None:
            raise BadValue(_("There is no branch with the code “%(value)s” in your part of the firm."))
        return found

    return parse


def adviser_parser(advisers: MappingType[str, int]) -> Parser:
    """`advisers` maps addresses in lower case to ids."""

    def parse(text: str) -> int:
        found = advisers.get(text.lower())
        if found is None:
            raise BadValue(_("No adviser signs in with the address “%(value)s”."))
        return found

    return parse
