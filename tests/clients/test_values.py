"""Parsers: what they read, and that nothing but a listed problem ever comes out of them."""

from contextlib import suppress
from datetime import date, time, timedelta, timezone
from decimal import Decimal
from functools import partial

import phonenumbers
import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.clients.importing import values
from app.clients.importing.values import BadValue

PARSERS = [
    values.parse_text,
    values.parse_client_number,
    values.parse_number,
    partial(values.parse_number, mark=","),
    values.parse_money,
    values.parse_date,
    values.parse_time_of_day,
    partial(values.parse_date, order="dmy"),
    partial(values.parse_date, order="mdy"),
    values.parse_yesno,
    values.parse_status,
    values.parse_kind,
    values.parse_gender,
    values.parse_risk_level,
    values.parse_locale,
    values.parse_time_zone,
    values.parse_tags,
    values.parse_flags,
    values.parse_email,
    values.parse_mobile,
    partial(values.parse_mobile, region="CN"),
]
near_misses = st.text(alphabet="0123456789 .,-+/年月日()¥万eE%@:T", min_size=1, max_size=30)


@pytest.mark.parametrize("parse", PARSERS)
@given(text=st.one_of(st.text(min_size=1), near_misses))
def test_a_parser_reads_or_refuses_and_nothing_else(parse: values.Parser, text: str) -> None:
    with suppress(BadValue):
        parse(text)


@given(st.decimals(min_value="-999999999999", max_value="999999999999", places=2))
def test_an_amount_written_the_western_way_comes_back(amount: Decimal) -> None:
    assert values.parse_money(f"{amount:,}") == amount
    assert values.parse_money(f"{amount:,}".translate(str.maketrans(",.", ".,")), mark=",") == amount


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_written_by_python_comes_back(number: float) -> None:
    assert values.parse_number(repr(number)) == number


@given(st.dates(min_value=date(1000, 1, 1)))
def test_a_date_comes_back_from_its_common_forms(day: date) -> None:
    forms = [
        day.isoformat(),
        f"{day.year}/{day.month}/{day.day}",
        f"{day.year}年{day.month}月{day.day}日",
        f"{day:%Y%m%d}",
        f"{day.day}.{day.month}.{day.year}",
        f"{day.isoformat()} 13:45:00",
        f"{day.isoformat()}T00:00:00Z",
    ]
    assert {values.parse_date(form) for form in forms} == {day}
    assert values.parse_date(f"{day.day}/{day.month}/{day.year}", order="dmy") == day
    assert values.parse_date(f"{day.month}/{day.day}/{day.year}", order="mdy") == day


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1,234.50", "1234.50"),
        ("(1 234.50)", "-1234.50"),
        ("¥1,234", "1234"),
        ("-$5", "-5"),
        ("$-5", "-5"),
        ("CNY 12.5", "12.5"),
        ("1.5万", "15000"),
        ("２，０００", "2000"),
        ("1'000", "1000"),
        ("3%", "3"),
        (".5", "0.5"),
        ("−7", "-7"),
    ],
)
def test_numbers_in_the_forms_people_write(text: str, number: str) -> None:
    assert values.parse_decimal(text) == Decimal(number)


@pytest.mark.parametrize("text", ["1,23", "1.234.567", "12,34,567", "abc", "1-2", "nan", "inf", "1e9999", "١٢x", "--5"])
def test_what_might_be_another_number_is_refused(text: str) -> None:
    with pytest.raises(BadValue):
        values.parse_number(text)


@pytest.mark.parametrize("text", ["03/04/2026", "2026-02-30", "2026-13-01", "0001-01-01", "31/31/2026", "yesterday"])
def test_what_is_no_date_or_two_is_refused(text: str) -> None:
    with pytest.raises(BadValue):
        values.parse_date(text)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("31/01/2026", date(2026, 1, 31)),
        ("01/31/2026", date(2026, 1, 31)),
        ("31 Jan 2026", date(2026, 1, 31)),
        ("Jan 31st, 2026", date(2026, 1, 31)),
        ("1-Sept-2026", date(2026, 9, 1)),
        ("2026 年 1 月 31 日", date(2026, 1, 31)),
        ("02/02/2026", date(2026, 2, 2)),
    ],
)
def test_dates_that_can_mean_one_day_only(text: str, day: date) -> None:
    assert values.parse_date(text) == day


@pytest.mark.parametrize(
    ("text", "clock"),
    [
        ("2026/1/31 9:05", time(9, 5)),
        ("31 Jan 2026 15:30:10", time(15, 30, 10)),
        ("2026年1月31日 3:30 PM", time(15, 30)),
        ("2026/1/31 12:10am", time(0, 10)),
        ("31.1.2026 15:30+08:00", time(15, 30, tzinfo=timezone(timedelta(hours=8)))),
        ("2026/1/31", None),
    ],
)
def test_the_time_behind_a_date(text: str, clock: time | None) -> None:
    assert values.parse_time_of_day(text) == clock
    assert values.parse_date(text) == date(2026, 1, 31)


def test_a_time_that_no_clock_shows_is_refused() -> None:
    with pytest.raises(BadValue):
        values.parse_time_of_day("2026/1/31 25:00")


@pytest.mark.parametrize(
    ("text", "region", "number"),
    [
        ("13812345678", "CN", "+8613812345678"),
        ("138 1234 5678", "CN", "+8613812345678"),
        ("+86 138-1234-5678", None, "+8613812345678"),
        ("0086 13812345678", None, "+8613812345678"),
        ("+44 20 7183 8750", None, "+442071838750"),
        ("0044 20 7183 8750", "CN", "+442071838750"),
        ("(020) 7183 8750", "GB", "+442071838750"),
    ],
)
def test_mobile_numbers_end_in_one_form(text: str, region: str | None, number: str) -> None:
    assert values.parse_mobile(text, region=region) == number


def test_a_number_without_a_country_is_refused_where_no_region_is_set() -> None:
    with pytest.raises(BadValue):
        values.parse_mobile("13812345678")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("c1@example.com", "c1@example.com"),
        ("A.b+c@EXAMPLE.com", "A.b+c@example.com"),
        ("李@例子.公司", "李@例子.公司"),
    ],
)
def test_addresses_keep_their_local_part(text: str, address: str) -> None:
    assert values.parse_email(text) == address


@pytest.mark.parametrize("text", ["a@", "@b.com", "a b@c.com", "a@b", "a..b@c.com", "a@-b.com", "x" * 65 + "@b.com"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(BadValue):
        values.parse_email(text)


def test_leading_zeros_of_client_numbers_stay() -> None:
    assert values.parse_client_number("000123") == "000123"


def test_tags_are_divided_by_either_comma() -> None:
    assert values.parse_tags("vip，fund, vip ; 新客") == ["vip", "fund", "新客"]


# ---- The short ways agree with the libraries they stand for ---------------------------------------------------------

local_parts = st.text(alphabet="abZ019.+-_!#'\"@ \\(),王é", min_size=0, max_size=66)
domains = st.sampled_from(
    [
        "example.com",
        "EXAMPLE.org",
        "a.b.c.example",
        "例子.公司",
        "bücher.example",
        "x",
        "-x.com",
        "x..com",
        "",
        "1.2.3.4",
    ]
) | st.text(alphabet="ab-.1_", max_size=12)


@settings(max_examples=400, deadline=None)
@given(local=local_parts, domain=domains)
@example(local="a" * 64, domain="b" * 60 + "." + "c" * 60 + "." + "d" * 60 + ".com")
@example(local="a" * 64, domain=".".join(["b" * 62] * 3) + ".com")
def test_addresses_are_judged_as_email_validator_does(local: str, domain: str) -> None:
    text = f"{local}@{domain}".strip()
    try:
        expected = validate_email(text, check_deliverability=False, strict=True).normalized
    except EmailNotValidError:
        expected = None
    try:
        found = values.parse_email(text)
    except BadValue:
        found = None
    assert found == expected


china = st.from_regex(r"(\+?86|0086)?[ -]?1[0-9]{2}[ -]?[0-9]{4}[ -]?[0-9]{4}", fullmatch=True)


@settings(max_examples=600, deadline=None)
@given(
    text=st.one_of(china, st.text(alphabet="0123456789+ -", min_size=1, max_size=16)),
    region=st.sampled_from(["CN", None]),
)
def test_mobiles_are_judged_as_phonenumbers_does(text: str, region: str | None) -> None:
    clean = text.strip()
    expected = None
    try:
        number = phonenumbers.parse(f"+{clean[2:]}" if clean.startswith("00") else clean, region)
        if phonenumbers.is_valid_number(number):
            expected = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    except phonenumbers.NumberParseException:
        pass
    try:
        found = values.parse_mobile(clean, region=region)
    except BadValue:
        found = None
    assert found == expected


@pytest.mark.parametrize(
    ("text", "number"),
    [("110101199003074477", "110101199003074477"), ("e12 345-678x", "E12345-678X"), ("１２３４", "1234")],
)
def test_identity_numbers_end_in_one_form(text: str, number: str) -> None:
    assert values.parse_identity_number(text) == number


@pytest.mark.parametrize("text", ["x", "abc", "1;DROP", "12", "1" * 40])
def test_what_is_no_identity_number_is_refused(text: str) -> None:
    with pytest.raises(BadValue):
        values.parse_identity_number(text)
