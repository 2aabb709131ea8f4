"""Rules in words."""

from typing import Any

import pytest
from flask import Flask

from app.audiences.fields import OPERATORS, load_catalogue
from app.audiences.rules import parse_rule
from app.audiences.sentence import _PHRASES, sentence
from tests.factories.clients import make_custom_field
from tests.factories.users import make_branch

STUDENT = {"field": "custom.job", "op": "is", "value": "student"}
RICH = {"field": "custom.balance", "op": "gt", "value": 1500}
OLD = {"field": "age", "op": "gte", "value": 60}


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"all": []}, "every client"),
        ({"not": {"any": []}}, "no client"),
        (STUDENT, "job is student"),
        ({"all": [STUDENT, {"any": [RICH, OLD]}]},
         "job is student and (balance is more than 1,500 or Age is at least 60)"),
        ({"any": [STUDENT, {"all": [RICH]}]}, "job is student or balance is more than 1,500"),
        ({"not": STUDENT}, "not (job is student)"),
        ({"all": [STUDENT, {"not": {"any": [RICH, OLD]}}]},
         "job is student and not (balance is more than 1,500 or Age is at least 60)"),
        ({"field": "city", "op": "in", "value": ["Wuhan", "New York", "Xi'an"]},
         "City is one of Wuhan, “New York” or “Xi'an”"),
        ({"field": "city", "op": "in", "value": [f"a{n}" for n in range(14)]},
         "City is one of a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11 or 2 more"),
        ({"field": "age", "op": "between", "value": [18, 30]}, "Age is from 18 to 30"),
        ({"field": "birth_date", "op": "on", "value": "2000-02-29"}, "Birth date is on Feb 29, 2000"),
        ({"field": "birth_date", "op": "anniversary_in_next_days", "value": 7},
         "Birth date has its anniversary in the next 7 days"),
        ({"field": "opened_on", "op": "in_last_days", "value": 1}, "Client since is in the last 1 day"),
        ({"field": "risk_level", "op": "in", "value": [4, 5]}, "Risk level is one of C4 or C5"),
        ({"field": "branch", "op": "is", "value": "N"}, "Branch (with those below it) is North (N)"),
        ({"field": "city", "op": "is", "value": "100%(x)s"}, "City is “100%(x)s”"),
        ({"field": "email_consent", "op": "is_no"}, "Marketing consent by e-mail is no"),
    ],
)  # fmt: skip
def test_a_rule_reads_as_a_sentence(app: Flask, rule: dict[str, Any], words: str) -> None:
    make_custom_field("job", type="text", slot="text_01", label="job")
    make_custom_field("balance", type="number", slot="number_01", label="balance")
    make_branch(code="N", name="North")
    catalogue = load_catalogue()
    assert sentence(parse_rule(rule, catalogue), catalogue) == words


def test_every_operator_has_its_phrase() -> None:
    assert _PHRASES.keys() == {key for of_type in OPERATORS.values() for key in of_type}
