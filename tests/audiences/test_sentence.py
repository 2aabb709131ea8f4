"""Rules in words."""

from typing import Any

import pytest
from flask import Flask
from flask_babel import force_locale

from app.audiences.fields import OPERATORS, load_catalogue
from app.audiences.lists.models import NumberList
from app.audiences.rules import parse_rule
from app.audiences.sentence import _PHRASES, sentence
from app.core.extensions import db
from tests.factories.audiences import make_segment
from tests.factories.clients import make_custom_field
from tests.factories.users import make_branch

STUDENT = {"field": "custom.job", "op": "is", "value": "student"}
RICH = {"field": "custom.balance", "op": "gt", "value": 1500}
OLD = {"field": "age", "op": "gte", "value": 60}
TRADES = {
    "related": "transactions",
    "where": {
        "all": [
            {"field": "amount", "op": "gt", "value": 10_000},
            {"field": "on_date", "op": "in_last_days", "value": 90},
        ]
    },
    "op": "gte",
    "value": 2,
}


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
        ({"field": "birth_date", "op": "lunar_anniversary_in_next_days", "value": 7},
         "Birth date has its lunar anniversary in the next 7 days"),
        ({"field": "opened_on", "op": "in_last_days", "value": 1}, "Client since is in the last 1 day"),
        ({"field": "opened_on", "op": "in_period", "value": "last_year"}, "Client since falls in last year"),
        ({"field": "risk_level", "op": "in", "value": [4, 5]}, "Risk level is one of C4 or C5"),
        ({"field": "branch", "op": "is", "value": "N"}, "Branch (with those below it) is North (N)"),
        ({"field": "city", "op": "is", "value": "100%(x)s"}, "City is “100%(x)s”"),
        ({"field": "email_consent", "op": "is_no"}, "Marketing consent by e-mail is no"),
        (TRADES, "at least 2 transactions where (Amount is more than 10,000 and Date is in the last 90 days)"),
        (TRADES | {"op": "lt", "value": 1},
         "no transactions where (Amount is more than 10,000 and Date is in the last 90 days)"),
        ({"related": "accounts", "op": "between", "value": [1, 3]}, "from 1 to 3 accounts"),
        ({"related": "positions", "op": "gte", "value": 5000, "of": "value"},
         "the sum of Value over product holdings is at least 5,000"),
        ({"all": [STUDENT, OLD], "take": {"count": 100, "by": "total_assets", "order": "most"}},
         "the 100 with the highest Total assets of: (job is student and Age is at least 60)"),
        ({"any": [{"all": [STUDENT], "take": {"count": 5, "by": "custom.balance", "order": "least"}}, OLD]},
         "(the 5 with the lowest balance of: job is student) or Age is at least 60"),
        ({"all": [], "take": {"percent": 10, "random": 3}}, "a random 10 % of: every client"),
        ({"all": [], "take": {"count": 1000, "random": 3}}, "a random 1,000 of: every client"),
        ({"all": [{"field": "segment", "op": "in", "value": [1]},
                  {"field": "number_list", "op": "not_in", "value": [1]}]},
         "in the segment “Savers” and not on the list “Guests”"),
    ],
)  # fmt: skip
def test_a_rule_reads_as_a_sentence(app: Flask, rule: dict[str, Any], words: str) -> None:
    make_custom_field("job", type="text", slot="text_01", label="job")
    make_custom_field("balance", type="number", slot="number_01", label="balance")
    make_branch(code="N", name="North")
    make_segment(name="Savers")
    db.session.add(NumberList(name="Guests", size=0))
    db.session.commit()
    catalogue = load_catalogue()
    assert sentence(parse_rule(rule, catalogue), catalogue) == words


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (TRADES, "满足（金额高于10,000，且日期在最近 90 天内）的交易记录不少于 2 条"),
        ({"related": "accounts", "op": "eq", "value": 0}, "没有账户"),
        ({"all": [OLD], "take": {"count": 100, "by": "total_assets", "order": "most"}},
         "年龄不低于60（其中客户总资产最高的 100 位）"),
        ({"all": [], "take": {"percent": 10, "random": 3}}, "全部客户（其中随机抽取约 10%）"),
    ],
)  # fmt: skip
def test_a_rule_reads_as_a_sentence_in_chinese(app: Flask, rule: dict[str, Any], words: str) -> None:
    with force_locale("zh_CN"):
        catalogue = load_catalogue()
        assert sentence(parse_rule(rule, catalogue), catalogue) == words


def test_every_operator_has_its_phrase() -> None:
    assert _PHRASES.keys() == {key for of_type in OPERATORS.values() for key in of_type}
