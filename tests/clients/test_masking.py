"""What is left of contact data on a page that nobody unlocked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.clients.masking import mask_account, mask_address, mask_email, mask_mobile
from app.core.spreadsheets import neutralise


@pytest.mark.parametrize(
    ("given_address", "shown"),
    [
        ("wang.fang@example.com", "w•••@example.com"),
        ("a@b.com", "a•••@b.com"),
        ("not an address", "not****ss"),
        ("", None),
        (None, None),
    ],
)
def test_an_address_keeps_its_first_letter_and_domain(given_address: str | None, shown: str | None) -> None:
    assert mask_email(given_address) == shown


@pytest.mark.parametrize(
    ("number", "shown"),
    [("+8613812345678", "+86 138****5678"), ("+442071838750", "+44****50"), ("12345", "****"), (None, None)],
)
def test_a_mobile_number_keeps_its_ends(number: str | None, shown: str | None) -> None:
    assert mask_mobile(number) == shown
    assert mask_address("sms", number) == shown


@given(st.text(min_size=9))
def test_most_of_an_account_number_is_hidden(number: str) -> None:
    assert mask_account(number) == "****" + number[-4:]


@given(st.text(alphabet="=+-@＝\t abc1", max_size=12))
def test_no_text_starts_as_a_formula(cell: str) -> None:
    safe = neutralise(cell)
    assert safe in (cell, "'" + cell)
    if safe[:1] in ("=", "@", "\t", "＝"):
        pytest.fail(f"{cell!r} would run")
    if safe[:1] in ("+", "-"):
        float(safe)


def test_numbers_stay_numbers_in_a_sheet() -> None:
    assert [neutralise(cell) for cell in (-5, None, "-5", "+8613812345678", "-1+cmd")] == [
        -5,
        None,
        "-5",
        "+8613812345678",
        "'-1+cmd",
    ]
