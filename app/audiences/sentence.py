"""A rule as a sentence in the reader's language: job is student and (balance is more than 1,500 or age is …)."""

from datetime import date
from typing import Any

from flask_babel import format_date, format_decimal, ngettext
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app.audiences.fields import Catalogue
from app.audiences.rules import SEGMENT, Condition, Group, Not, Related, Rule, Sample, Top

LISTED = 12  # values a list spells out before it says how many more there are

_PHRASES = {
    "is": _l("%(field)s is %(value)s"),
    "is_not": _l("%(field)s is not %(value)s"),
    "contains": _l("%(field)s contains %(value)s"),
    "not_contains": _l("%(field)s does not contain %(value)s"),
    "starts_with": _l("%(field)s starts with %(value)s"),
    "in": _l("%(field)s is one of %(value)s"),
    "not_in": _l("%(field)s is none of %(value)s"),
    "known": _l("%(field)s is known"),
    "missing": _l("%(field)s is not known"),
    "eq": _l("%(field)s is %(value)s"),
    "ne": _l("%(field)s is not %(value)s"),
    "gt": _l("%(field)s is more than %(value)s"),
    "gte": _l("%(field)s is at least %(value)s"),
    "lt": _l("%(field)s is less than %(value)s"),
    "lte": _l("%(field)s is at most %(value)s"),
    "between": _l("%(field)s is from %(low)s to %(high)s"),
    "on": _l("%(field)s is on %(value)s"),
    "before": _l("%(field)s is before %(value)s"),
    "after": _l("%(field)s is after %(value)s"),
    "in_period": _l("%(field)s falls in %(value)s"),
    "in_last_days": _l("%(field)s is in the last %(days)s"),
    "in_next_days": _l("%(field)s is in the next %(days)s"),
    "more_than_days_ago": _l("%(field)s is longer ago than %(days)s"),
    "anniversary_in_next_days": _l("%(field)s has its anniversary in the next %(days)s"),
    "lunar_anniversary_in_next_days": _l("%(field)s has its lunar anniversary in the next %(days)s"),
    "is_yes": _l("%(field)s is yes"),
    "is_no": _l("%(field)s is no"),
    "has": _l("%(field)s include %(value)s"),
    "has_not": _l("%(field)s do not include %(value)s"),
    "has_any": _l("%(field)s include one of %(value)s"),
    "has_all": _l("%(field)s include all of %(value)s"),
}
_MEMBER_PHRASES = {
    (SEGMENT, "in"): _l("in the segment %(value)s"),
    (SEGMENT, "not_in"): _l("not in the segment %(value)s"),
    ("number_list", "in"): _l("on the list %(value)s"),
    ("number_list", "not_in"): _l("not on the list %(value)s"),
}
_COUNT_PHRASES = {
    "eq": _l("exactly %(value)s %(rows)s"),
    "ne": _l("not exactly %(value)s %(rows)s"),
    "gt": _l("more than %(value)s %(rows)s"),
    "gte": _l("at least %(value)s %(rows)s"),
    "lt": _l("fewer than %(value)s %(rows)s"),
    "lte": _l("at most %(value)s %(rows)s"),
    "between": _l("from %(low)s to %(high)s %(rows)s"),
}
_NONE = {("eq", 0), ("lt", 1), ("lte", 0)}


def sentence(rule: Rule, catalogue: Catalogue) -> str:
    """The rule in words, without a capital or a full stop."""
    return _Writer(catalogue).rule(rule)


class _Writer:
    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def rule(self, rule: Rule) -> str:
        if isinstance(rule, Condition):
            return self._condition(rule)
        if isinstance(rule, Not):
            if isinstance(rule.rule, Group) and not rule.rule.rules:
                return str(_("no client"))
            return str(_("not (%(rule)s)", rule=self.rule(rule.rule)))
        if isinstance(rule, Related):
            return self._related(rule)
        words = self._group(rule)
        return self._taken(words, rule) if rule.take else words

    def _group(self, rule: Group) -> str:
        if not rule.rules:
            return str(_("every client"))
        if len(rule.rules) == 1:
            return self.rule(rule.rules[0])
        join = str(_(" and ") if rule.every else _(" or "))
        return join.join(self._member(one) for one in rule.rules)

    def _member(self, rule: Rule) -> str:
        while isinstance(rule, Group) and len(rule.rules) == 1 and not rule.take:
            rule = rule.rules[0]
        text = self.rule(rule)
        return f"({text})" if isinstance(rule, Group) and (rule.rules or rule.take) else text

    def _taken(self, words: str, rule: Group) -> str:
        take = rule.take
        of = f"({words})" if len(rule.rules) > 1 else words
        if isinstance(take, Top):
            phrase = _("the %(count)s with the highest %(field)s of: %(rule)s")
            if not take.most:
                phrase = _("the %(count)s with the lowest %(field)s of: %(rule)s")
            return str(phrase) % {"count": format_decimal(take.count), "field": str(take.by.label), "rule": of}
        if not isinstance(take, Sample):
            return words
        if take.percent is not None:
            return str(_("a random %(percent)s %% of: %(rule)s", percent=format_decimal(take.percent), rule=of))
        return str(_("a random %(count)s of: %(rule)s", count=format_decimal(take.count), rule=of))

    def _related(self, rule: Related) -> str:
        rows = str(rule.kind.label)
        if not isinstance(rule.where, Group) or rule.where.rules:
            rows = str(_("%(rows)s where (%(rule)s)", rows=rows, rule=self.rule(rule.where)))
        if rule.of is not None:
            total = _("the sum of %(field)s over %(rows)s", field=rule.of.label, rows=rows)
            return self._phrase(str(_PHRASES[rule.op.key]), rule, {"field": str(total)})
        if (rule.op.key, rule.value) in _NONE:
            return str(_("no %(rows)s", rows=rows))
        return self._phrase(str(_COUNT_PHRASES[rule.op.key]), rule, {"rows": rows})

    def _phrase(self, phrase: str, rule: Related, words: dict[str, str]) -> str:
        if isinstance(rule.value, tuple):
            words |= {"low": str(format_decimal(rule.value[0])), "high": str(format_decimal(rule.value[1]))}
        else:
            words["value"] = str(format_decimal(rule.value))
        return phrase % words

    def _condition(self, rule: Condition) -> str:
        phrase, value = str(_MEMBER_PHRASES.get((rule.field.key, rule.op.key), _PHRASES[rule.op.key])), rule.value
        words: dict[str, str] = {"field": str(rule.field.label)}
        if rule.op.value in ("range", "daterange"):
            words["low"], words["high"] = self._value(rule, value[0]), self._value(rule, value[1])
        elif rule.op.value == "days":
            words["days"] = ngettext("%(number)s day", "%(number)s days", value, number=format_decimal(value))
        elif rule.op.choices:
            words["value"] = str(rule.op.choices[value])
        elif isinstance(value, tuple):
            words["value"] = self._list(rule, value)
        elif value is not None:
            words["value"] = self._value(rule, value)
        return phrase % words

    def _list(self, rule: Condition, values: tuple[Any, ...]) -> str:
        shown = [self._value(rule, value) for value in values[:LISTED]]
        rest = len(values) - LISTED
        if rest > 0:
            shown.append(ngettext("%(number)s more", "%(number)s more", rest, number=format_decimal(rest)))
        if len(shown) == 1:
            return shown[0]
        return str(_("%(values)s or %(last)s", values=str(_(", ")).join(shown[:-1]), last=shown[-1]))

    def _value(self, rule: Condition, value: Any) -> str:
        if isinstance(value, date):
            return str(format_date(value))
        if rule.field.takes_choices:
            label = str(self._catalogue.labels(rule.field, [value]).get(value, value))
            return f"“{label}”" if rule.field.type == "member" else label
        if isinstance(value, int | float):
            return str(format_decimal(value))
        return value if value.isalnum() else f"“{value}”"
