"""How long an SMS is to a network, by the published limits."""

import pytest

from app.channels.sms.length import GSM7, UCS2, outside_gsm7, sms_length


@pytest.mark.parametrize(
    ("text", "alphabet", "units", "parts"),
    [
        ("", GSM7, 0, 0),
        ("a" * 160, GSM7, 160, 1),
        ("a" * 161, GSM7, 161, 2),
        ("a" * 306, GSM7, 306, 2),
        ("a" * 307, GSM7, 307, 3),
        ("€" * 80, GSM7, 160, 1),
        ("€" * 81, GSM7, 162, 2),
        ("你" * 70, UCS2, 70, 1),
        ("你" * 71, UCS2, 71, 2),
        ("你" * 134, UCS2, 134, 2),
        ("你" * 135, UCS2, 135, 3),
        ("a" * 69 + "你", UCS2, 70, 1),
        ("😀" * 35, UCS2, 70, 1),
        ("😀" * 36, UCS2, 72, 2),
    ],
)
def test_the_published_limits(text: str, alphabet: str, units: int, parts: int) -> None:
    length = sms_length(text)
    assert (length.alphabet, length.units, length.parts) == (alphabet, units, parts)


def test_what_takes_two_units_is_not_split_over_two_parts() -> None:
    assert sms_length("a" * 152 + "€" + "a" * 152).parts == 3  # 306 units, but the escape would stand at the edge
    assert sms_length("你" * 66 + "😀" + "你" * 66).parts == 3


def test_what_is_left_counts_down_to_the_next_part() -> None:
    assert sms_length("a" * 150).left == 10
    assert sms_length("a" * 161).left == 145


def test_the_characters_that_cost_the_long_alphabet_are_named() -> None:
    assert outside_gsm7("It’s “new” – 你") == ["’", "“", "”", "–", "你"]
