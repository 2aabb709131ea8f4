"""From a row of words to a row of values: a mapping made into a plan of plain lookups."""

import re
from collections.abc import Callable, Sequence
from collections.abc import Mapping as MappingType
from datetime import date
from functools import partial
from typing import Any

from flask_babel import gettext as _

from app.clients.importing import values
from app.clients.importing.mapping import COLUMNS, CONSENTS, CUSTOM, TARGETS, BadMapping, Mapping, template_names
from app.clients.importing.values import BadValue, Parser

_CACHED = 20_000  # different words remembered per column
_SHOWN = 60  # signs of a refused value shown
_HAN = re.compile(r"[㐀-鿿]")


class RowRefused(Exception):
    """A row with the reasons against it, each a whole sentence."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__()
        self.reasons = reasons


class _Converted(dict[str, Any]):
    """Words to values, computed at the first meeting: most columns repeat themselves."""

    def __init__(self, parse: Parser, missing: frozenset[str]) -> None:
        super().__init__()
        self._parse = parse
        self._missing = missing

    def __missing__(self, cell: str) -> Any:
        text = cell.strip()
        value = None if not text or text.casefold() in self._missing else _told(self._parse, text)
        if len(self) >= _CACHED:
            self.clear()
        self[cell] = value
        return value


Getter = Callable[[int, list[str]], Any]


class RowConverter:
    """Converts rows of one file. `columns` are the client columns filled, `number` first.

    `fields` maps the key of each of the firm's fields to its (type, slot); `lookups` gives the parsers of targets
    that name other rows of the database ("branch", "adviser").
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
        self._names: list[str] = []
        self._getters: list[Getter] = []
        for target in sorted(mapping.columns, key=lambda name: name != "number"):
            parser, column = self._target(target, mapping, fields, lookups)
            source = mapping.columns[target]
            self.columns.append(column)
            self._names.append(source.get("column") or str(TARGETS.get(target, (target,))[0]))
            self._getters.append(self._getter(source, parser, target))
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

    @staticmethod
    def _target(
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
            return _field_parser(kind, mapping), slot
        return lookups.get(target) or _parsers(mapping)[target], COLUMNS.get(target, target)

    def _getter(self, source: dict[str, Any], parser: Parser, target: str) -> Getter:
        converted = _Converted(parser, self._missing)
        if "column" in source:
            position = self._positions[source["column"]]
            return lambda _row_number, row: converted[row[position]]
        if "row_number" in source:
            return lambda row_number, _row: _told(parser, str(row_number))
        if "constant" in source:
            try:
                constant = converted[source["constant"]]
            except BadValue as problem:
                raise BadMapping(f"{TARGETS.get(target, (target,))[0]}: {_sentence(problem)}") from problem
            return lambda _row_number, _row: constant
        return self._template(source["template"], parser)

    def _template(self, template: str, parser: Parser) -> Getter:
        pieces = re.split(r"\{([^{}]*)\}", template)
        fixed = pieces[0::2]
        sources = [None if name == "row_number" else self._positions[name] for name in pieces[1::2]]
        missing = self._missing

        def fill(row_number: int, row: list[str]) -> Any:
            made = fixed[0]
            for position, after in zip(sources, fixed[1:], strict=True):
                word = str(row_number) if position is None else row[position].strip()
                if not word or word.casefold() in missing:
                    return None
                made += word + after
            made = made.strip()
            return _told(parser, made) if made else None

        return fill

    def convert(self, row_number: int, row: list[str]) -> list[Any]:
        """The values in the order of `columns`. Raises RowRefused with all that is wrong with the row."""
        try:
            converted = [get(row_number, row) for get in self._getters]
        except BadValue:
            raise RowRefused(self._problems(row_number, row)) from None
        if converted[0] is None:
            raise RowRefused([_("The client number is missing.")])
        if self._name_parts is not None:
            first, last = (None if part is None else converted[part] for part in self._name_parts)
            converted.append(full_name(first, last))
        return converted

    def _problems(self, row_number: int, row: list[str]) -> list[str]:
        problems = []
        for name, get in zip(self._names, self._getters, strict=True):
            try:
                get(row_number, row)
            except BadValue as problem:
                problems.append(f"{name}: {_sentence(problem)}")
        return problems


def _told(parse: Parser, text: str) -> Any:
    """Parse; a refusal remembers the words it is about."""
    try:
        return parse(text)
    except BadValue as problem:
        problem.text = text
        raise


def _sentence(problem: BadValue) -> str:
    text = problem.text
    shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
    return str(problem.message) % {"value": shown}


def full_name(first: str | None, last: str | None) -> str | None:
    """Chinese names are written family name first and without a space."""
    if first and last:
        return f"{last}{first}" if _HAN.search(first + last) else f"{first} {last}"
    return first or last


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


def convert_all(
    converter: RowConverter, rows: Sequence[tuple[int, list[str]]]
) -> tuple[list[list[Any]], list[tuple[int, list[str], str]]]:
    """Rows taken, each with its number in front, and rows refused: (number, cells, reason)."""
    taken: list[list[Any]] = []
    refused: list[tuple[int, list[str], str]] = []
    for row_number, row in rows:
        try:
            taken.append([row_number, *converter.convert(row_number, row)])
        except RowRefused as refusal:
            refused.append((row_number, row, " ".join(refusal.reasons)))
    return taken, refused
