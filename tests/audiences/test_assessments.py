"""How long a risk assessment holds: one figure of the suitability model, everywhere the same."""

from datetime import date, timedelta

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from app.audiences.compiler import condition
from app.audiences.fields import load_catalogue
from app.audiences.gallery import ready_segment
from app.audiences.rules import parse_rule
from app.clients.classes.suitability import expiry, may_be_offered, newest_lapsed, valid_months
from app.clients.models import Client
from app.clients.profile import risk_state
from app.core import clock
from app.core.extensions import db
from tests.factories.clients import make_client
from tests.factories.value_models import changed, put_in_force


@given(st.dates(date(1990, 1, 1), date(2060, 1, 1)), st.integers(1, 12))
def test_the_day_of_expiry_is_the_first_on_which_an_assessment_has_lapsed(assessed: date, months: int) -> None:
    day = expiry(assessed, months)
    assert newest_lapsed(day, months) >= assessed
    assert newest_lapsed(day - timedelta(days=1), months) < assessed


@pytest.mark.parametrize(
    ("assessed", "months", "expires"),
    [
        (date(2025, 1, 15), 12, date(2026, 1, 15)),
        (date(2024, 2, 29), 12, date(2025, 3, 1)),
        (date(2025, 8, 31), 6, date(2026, 3, 1)),
        (date(2025, 12, 31), 2, date(2026, 3, 1)),
    ],
)
def test_an_assessment_of_the_end_of_a_month_holds_to_the_end_of_one(
    assessed: date, months: int, expires: date
) -> None:
    assert expiry(assessed, months) == expires


def numbers(where: object) -> set[str]:
    return set(db.session.scalars(select(Client.number).where(where)))  # type: ignore[arg-type]


def of_rule(rule: dict[str, object]) -> set[str]:
    return numbers(condition(parse_rule(rule, load_catalogue())))


@pytest.mark.parametrize("months", [12, 6])
def test_gate_segment_and_page_agree_about_every_assessment(app: Flask, months: int) -> None:
    if months != 12:
        put_in_force("suitability", changed("suitability", valid_months=months))
    assert valid_months() == months
    today = clock.today()
    lapsed = newest_lapsed(today, months)
    days = {"now": today, "last": lapsed + timedelta(days=1), "lapsed": lapsed, "old": lapsed - timedelta(days=400)}
    clients = {name: make_client(number=name, risk_level=3, risk_assessed_on=day) for name, day in days.items()}
    clients["none"] = make_client(number="none", risk_level=3, risk_assessed_on=None)
    offered = numbers(may_be_offered(product_risk=1))
    assert offered == {"now", "last"}
    ready = ready_segment("no_assessment")
    assert ready is not None
    assert of_rule(ready.rule) == set(clients) - offered
    assert of_rule({"field": "risk_expires_on", "op": "in_next_days", "value": 1}) == {"last", "lapsed"}
    held = {name for name, client in clients.items() if risk_state(client).state in ("valid", "soon")}
    assert held == offered
