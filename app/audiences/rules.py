"""The grammar of a segment's rule.

    rule      = group | negation | condition | related
    group     = {"all": [rule, ...]} | {"any": [rule, ...]}      an empty group is everyone
                with "take" it is only some of those the group matches:
                {"count": N, "by": FIELD, "order": "most" | "least"}
                {"count": N, "random": SEED} | {"percent": P, "random": SEED}
    negation  = {"not": rule}
    condition = {"field": KEY, "op": OPERATOR, "value": VALUE}   no value where the operator takes none
    related   = {"related": KIND, "op": OPERATOR, "value": N, "where": rule, "of": FIELD}
                the number of the client's rows of a kind that meet `where` (a rule over the fields of such a row,
                without "take" and "related"), or the sum of `of` over them; both may be left out

A condition on "segment" takes in that segment's rule. At most 8 groups deep, 200 conditions and 20 counts of related
rows, those of the segments taken in included. The same as JSON Schema: docs/rule.schema.json.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from flask_babel import lazy_gettext as _l

from app.audiences.field import Field
from app.audiences.fields import CUSTOM, MAX_TAKE, TAKE_ORDERS, Catalogue
from app.audiences.models import Segment
from app.audiences.operators import PERIODS, Operator
from app.audiences.related import RowKind
from app.core.errors import AppError

MAX_DEPTH = 8
MAX_CONDITIONS = 200
MAX_RELATED = 20
MAX_VALUES = 1_000
MAX_TEXT = 500
MAX_NUMBER = 10**15
MAX_DAYS = 36_500
MAX_SEED = 2**31 - 1
MAX_CHARACTERS = 500_000  # of a rule as JSON text
EVERYONE: dict[str, Any] = {"all": []}
SEGMENT = "segment"  # the field whose values are segments
NUMBER_LIST = "number_list"  # the one whose values are lists of client numbers

RuleJson = Mapping[str, Any]


class RuleError(AppError):
    """The rule cannot be understood; `path` leads to the place, e.g. "all[1].value" ("" is the whole rule)."""

    status = 422

    def __init__(self, path: str, problem: object) -> None:
        self.path = path
        self.problem = problem
        super().__init__(_l("At %(path)s: %(problem)s", path=path, problem=problem) if path else problem)


class SegmentLoop(RuleError):
    """A segment takes itself in, through those between the first and the last of `segments`."""

    def __init__(self, path: str, segments: Sequence[Segment]) -> None:
        self.segments = segments
        first = next(at for at, one in enumerate(segments) if one.id == segments[-1].id)
        names = " > ".join(f"“{one.name}”" for one in segments[first:])
        super().__init__(path, _l("These segments lead back to themselves: %(names)s.", names=names))


@dataclass(frozen=True, slots=True)
class Condition:
    """`value` is None, str, int, float, bool, date or a tuple of them, as the operator takes it.

    `members` are the rules of the segments that `value` names, where it names segments.
    """

    field: Field
    op: Operator
    value: Any
    members: "tuple[Rule, ...]" = ()


@dataclass(frozen=True, slots=True)
class Related:
    """The client's rows of a kind that meet `where` are counted, or `of` is added up over them, and compared."""

    kind: RowKind
    where: "Rule"
    op: Operator
    value: Any
    of: Field | None


@dataclass(frozen=True, slots=True)
class Top:
    """The first `count` by a field; who has no value is not among them."""

    count: int
    by: Field
    most: bool


@dataclass(frozen=True, slots=True)
class Sample:
    """A random sample, the same each time: exactly `count`, or each client with a chance of `percent`."""

    seed: int
    count: int | None
    percent: float | None


@dataclass(frozen=True, slots=True)
class Group:
    """All (`every`) or at least one of the rules; without rules it is everyone. `take` keeps some of them."""

    every: bool
    rules: "tuple[Rule, ...]"
    take: Top | Sample | None = None


@dataclass(frozen=True, slots=True)
class Not:
    rule: "Rule"


Rule = Condition | Related | Group | Not


def parse_rule(data: object, catalogue: Catalogue, *, within: Segment | None = None) -> Rule:
    """The rule of decoded JSON. Raises RuleError for anything the grammar or the catalogue does not know.

    `within` is the segment whose rule it is, so that one that leads back to itself is found.
    """
    return _Parser(catalogue, (within,) if within else ()).rule(data, "", 1)


def parse_rule_text(text: str, catalogue: Catalogue, *, within: Segment | None = None) -> Rule:
    """The rule of JSON text. Raises RuleError, also where it is no JSON at all."""
    if len(text) > MAX_CHARACTERS:
        raise RuleError("", _l("This rule is too long: %(count)s characters at most.", count=MAX_CHARACTERS))
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise RuleError("", _l("This is not a rule in JSON.")) from None
    return parse_rule(data, catalogue, within=within)


def dump_rule(rule: Rule) -> dict[str, Any]:
    """The rule as JSON data, in one spelling."""
    if isinstance(rule, Group):
        made: dict[str, Any] = {"all" if rule.every else "any": [dump_rule(one) for one in rule.rules]}
        return made | ({"take": _dump_take(rule.take)} if rule.take else {})
    if isinstance(rule, Not):
        return {"not": dump_rule(rule.rule)}
    if isinstance(rule, Related):
        made = {"related": rule.kind.key, "where": dump_rule(rule.where)}
        made |= {"op": rule.op.key, "value": _plain(rule.value)}
        return made | ({"of": rule.of.key} if rule.of else {})
    made = {"field": rule.field.key, "op": rule.op.key}
    if rule.value is not None:
        made["value"] = _plain(rule.value)
    return made


def _dump_take(take: Top | Sample) -> dict[str, Any]:
    if isinstance(take, Top):
        return {"count": take.count, "by": take.by.key, "order": "most" if take.most else "least"}
    size = {"count": take.count} if take.count is not None else {"percent": take.percent}
    return size | {"random": take.seed}


def segments_in(data: object) -> set[int]:
    """The ids of the segments that a rule as JSON names itself."""
    return _members_in(data, SEGMENT)


def lists_in(data: object) -> set[int]:
    """The ids of the lists of numbers that a rule as JSON names itself."""
    return _members_in(data, NUMBER_LIST)


def takes_by_number(rule: Rule) -> bool:
    """A "take" in it keeps so many clients: which ones depends on the clients it chooses among, see `condition`."""
    if isinstance(rule, Not):
        return takes_by_number(rule.rule)
    if isinstance(rule, Condition):
        return any(map(takes_by_number, rule.members))
    if isinstance(rule, Related):
        return False
    return (rule.take is not None and rule.take.count is not None) or any(map(takes_by_number, rule.rules))


def _members_in(data: object, field: str) -> set[int]:
    if isinstance(data, list):
        return set().union(*(_members_in(one, field) for one in data))
    if not isinstance(data, Mapping):
        return set()
    if data.get("field") == field:
        return {number for number in data.get("value") or () if isinstance(number, int)}
    return set().union(*(_members_in(data.get(key), field) for key in ("all", "any", "not")))


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value.isoformat() if isinstance(value, date) else value


class _Parser:
    """`segments` are those whose rules lead here, the outermost first; `kind` the rows that the rule is about."""

    def __init__(self, catalogue: Catalogue, segments: tuple[Segment, ...] = ()) -> None:
        self._catalogue = catalogue
        self._segments = segments
        self._kind: RowKind | None = None
        self._conditions = 0
        self._related = 0

    def rule(self, data: object, path: str, depth: int) -> Rule:
        if not isinstance(data, Mapping):
            raise RuleError(path, _l("Here a group, a “not” or a condition is needed."))
        keys = set(data)
        if keys <= {"field", "op", "value"} and {"field", "op"} <= keys:
            return self._condition(data, path, depth)
        if keys <= {"related", "where", "op", "value", "of"} and {"related", "op"} <= keys:
            return self._counted(data, path, depth)
        if len(keys - {"take"}) != 1 or not keys <= {"all", "any", "not", "take"} or keys == {"not", "take"}:
            raise RuleError(
                path,
                _l(
                    "A rule is one of “all”, “any”, “not”, a condition with “field”, “op” and “value”, "
                    "or a count with “related”, “op” and “value”."
                ),
            )
        if depth > MAX_DEPTH:
            raise RuleError(path, _l("Groups may be nested %(depth)s deep at most.", depth=MAX_DEPTH))
        (key,) = keys - {"take"}
        place = _join(path, key)
        if key == "not":
            return Not(self.rule(data["not"], place, depth + 1))
        members = data[key]
        if not isinstance(members, list):
            raise RuleError(place, _l("Here a list of rules is needed."))
        rules = (self.rule(member, f"{place}[{index}]", depth + 1) for index, member in enumerate(members))
        take = self._take(data["take"], _join(path, "take")) if "take" in data else None
        return Group(every=key == "all", rules=tuple(rules), take=take)

    # ---- Some of a group ----

    def _take(self, data: object, path: str) -> Top | Sample:
        if self._kind is not None:
            raise RuleError(path, _l("Only clients can be taken by number, not the rows they have."))
        keys = set(data) if isinstance(data, Mapping) else set()
        if not isinstance(data, Mapping) or keys not in _TAKES:
            raise RuleError(
                path, _l("Here “count”, “by” and “order” are needed, or “random” with “count” or “percent”.")
            )
        count = _whole(data["count"], f"{path}.count", 1, MAX_TAKE) if "count" in data else None
        if "by" not in data:
            percent = _percent(data["percent"], f"{path}.percent") if "percent" in data else None
            return Sample(seed=_whole(data["random"], f"{path}.random", 0, MAX_SEED), count=count, percent=percent)
        by = self._catalogue.fields.get(data["by"]) if isinstance(data["by"], str) else None
        if by is None or not by.ranks:
            raise RuleError(f"{path}.by", _l("Clients cannot be put in order by “%(key)s”.", key=_shown(data["by"])))
        if not isinstance(data["order"], str) or data["order"] not in TAKE_ORDERS:
            raise RuleError(f"{path}.order", _l("Here “most” or “least” is needed."))
        return Top(count=count or 0, by=by, most=data["order"] == "most")

    # ---- Counts of related rows ----

    def _counted(self, data: Mapping[str, Any], path: str, depth: int) -> Related:
        if self._kind is not None:
            raise RuleError(path, _l("Rows that a client has cannot have related rows themselves."))
        self._count_condition(path)
        self._related += 1
        if self._related > MAX_RELATED:
            raise RuleError(path, _l("A rule may count related rows %(count)s times at most.", count=MAX_RELATED))
        kind = self._catalogue.kinds.get(data["related"]) if isinstance(data["related"], str) else None
        if kind is None:
            shown = _shown(data["related"])
            raise RuleError(_join(path, "related"), _l("There are no related rows “%(key)s”.", key=shown))
        operator = _operator(kind.operators, data["op"], kind.label, _join(path, "op"))
        value = _join(path, "value")
        compared = _ends(data.get("value"), value, _number) if operator.value == "range" else None
        of = None
        if data.get("of") is not None:
            of = kind.sums.get(data["of"]) if isinstance(data["of"], str) else None
            if of is None:
                shown = _shown(data["of"])
                raise RuleError(_join(path, "of"), _l("“%(key)s” cannot be added up.", key=shown))
        self._kind = kind
        where = self.rule(data.get("where", EVERYONE), _join(path, "where"), depth + 1)
        self._kind = None
        return Related(kind, where, operator, compared or _number(data.get("value"), value), of)

    # ---- Conditions ----

    def _count_condition(self, path: str) -> None:
        self._conditions += 1
        if self._conditions > MAX_CONDITIONS:
            raise RuleError(path, _l("A rule may have %(count)s conditions at most.", count=MAX_CONDITIONS))

    def _condition(self, data: Mapping[str, Any], path: str, depth: int) -> Condition:
        self._count_condition(path)
        key = data["field"]
        fields = self._kind.fields if self._kind else self._catalogue.fields
        field = fields.get(key) if isinstance(key, str) else None
        if field is None:
            shown, place = _shown(key), _join(path, "field")
            if shown.startswith(f"{CUSTOM}.") and self._kind is None:
                raise RuleError(place, _l("Your firm has no field “%(key)s” (any more).", key=shown))
            raise RuleError(place, _l("There is no field “%(key)s”.", key=shown))
        operator = _operator(field.operators, data["op"], field.label, _join(path, "op"))
        value = self._value(data.get("value"), field, operator, _join(path, "value"))
        members = self._members(value, _join(path, "value"), depth) if field.key == SEGMENT else ()
        return Condition(field, operator, value, members)

    def _members(self, ids: tuple[int, ...], path: str, depth: int) -> tuple[Rule, ...]:
        """The rules of these segments, read as if they stood here."""
        outer, rules = self._segments, []
        if depth > MAX_DEPTH:
            raise RuleError(path, _l("Groups may be nested %(depth)s deep at most.", depth=MAX_DEPTH))
        for index, segment in enumerate(self._catalogue.segments(ids)):
            place = f"{path}[{index}]"
            if any(segment.id == one.id for one in outer):
                raise SegmentLoop(place, [*outer, segment])
            self._segments = (*outer, segment)
            try:
                rules.append(self.rule(segment.rule, "", depth + 1))
            except SegmentLoop as loop:
                raise SegmentLoop(place, loop.segments) from None
            except RuleError as error:
                problem = _l("In the segment “%(name)s”: %(problem)s", name=segment.name, problem=error)
                raise RuleError(place, problem) from None
        self._segments = outer
        return tuple(rules)

    def _value(self, value: object, field: Field, operator: Operator, path: str) -> Any:
        kind = operator.value
        if kind == "none":
            if value is not None:
                raise RuleError(path, _l("This comparison takes no value."))
            return None
        if kind in ("choice", "choices"):
            named = [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str | int)]
            choices = self._catalogue.labels(field, named[:MAX_VALUES])
            one: Callable[[object, str], Any] = lambda item, place: _choice(item, place, field, choices)  # noqa: E731
        else:
            one = _READERS[kind]
        if kind in ("list", "choices"):
            items = _items(value, path)
            return tuple(dict.fromkeys(one(item, f"{path}[{index}]") for index, item in enumerate(items)))
        if kind in ("range", "daterange"):
            return _ends(value, path, one)
        return one(value, path)


# What a "take" may say.
_TAKES = ({"count", "by", "order"}, {"count", "random"}, {"percent", "random"})


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _operator(operators: Mapping[str, Operator], key: object, label: object, path: str) -> Operator:
    found = operators.get(key) if isinstance(key, str) else None
    if found is None:
        raise RuleError(
            path,
            _l(
                "“%(field)s” knows no comparison “%(op)s”, only: %(known)s.",
                field=label,
                op=_shown(key),
                known=", ".join(operators),
            ),
        )
    return found


def _shown(value: object) -> str:
    return str(value)[:60]


def _items(value: object, path: str) -> Sequence[object]:
    if not isinstance(value, list) or not value:
        raise RuleError(path, _l("Here a list of at least one value is needed."))
    if len(value) > MAX_VALUES:
        raise RuleError(path, _l("A list may have %(count)s values at most.", count=MAX_VALUES))
    return value


def _ends(value: object, path: str, one: Callable[[object, str], Any]) -> tuple[Any, Any]:
    if not isinstance(value, list) or len(value) != 2:
        raise RuleError(path, _l("Here two values are needed, from and to."))
    low, high = (one(item, f"{path}[{index}]") for index, item in enumerate(value))
    if low > high:
        raise RuleError(path, _l("The first value must not be greater than the second."))
    return low, high


def _text(value: object, path: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise RuleError(path, _l("Here a text is needed."))
    if len(value) > MAX_TEXT:
        raise RuleError(path, _l("A text may have %(count)s characters at most.", count=MAX_TEXT))
    if any(letter < " " or "\ud800" <= letter <= "\udfff" for letter in value):
        raise RuleError(path, _l("This text has a character that cannot be stored."))
    return value.strip()


def _number(value: object, path: str) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:  # NaN differs from itself
        raise RuleError(path, _l("Here a number is needed."))
    if abs(value) > MAX_NUMBER:
        raise RuleError(path, _l("This number is too large."))
    return value


def _days(value: object, path: str) -> int:
    number = _number(value, path)
    if number != int(number) or not 0 <= number <= MAX_DAYS:
        raise RuleError(path, _l("Here a whole number of days from 0 to %(most)s is needed.", most=MAX_DAYS))
    return int(number)


def _whole(value: object, path: str, low: int, high: int) -> int:
    number = _number(value, path)
    if number != int(number) or not low <= number <= high:
        raise RuleError(path, _l("Here a whole number from %(low)s to %(high)s is needed.", low=low, high=high))
    return int(number)


def _percent(value: object, path: str) -> float:
    number = _number(value, path)
    if not 0 < number <= 100:
        raise RuleError(path, _l("Here a number over 0 and up to 100 is needed."))
    return number


def _date(value: object, path: str) -> date:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise RuleError(path, _l("Here a date such as 2026-01-31 is needed."))


def _period(value: object, path: str) -> str:
    if not isinstance(value, str) or value not in PERIODS:
        raise RuleError(path, _l("Here one of these periods is needed: %(known)s.", known=", ".join(PERIODS)))
    return value


def _choice(value: object, path: str, field: Field, choices: Mapping[str | int, object]) -> str | int:
    known = isinstance(value, str | int) and not isinstance(value, bool) and value in choices
    if not known:
        shown = _shown(value)
        raise RuleError(path, _l("“%(value)s” is not a choice of “%(field)s”.", value=shown, field=field.label))
    return value  # type: ignore[return-value]  # mypy does not follow `known`


_READERS: dict[str, Callable[[object, str], Any]] = {
    "text": _text,
    "list": _text,
    "number": _number,
    "range": _number,
    "date": _date,
    "daterange": _date,
    "days": _days,
    "period": _period,
}
