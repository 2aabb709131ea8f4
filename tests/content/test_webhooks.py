"""The data of webhooks: what may be written, and what becomes of it for a client."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from liquid.exceptions import LiquidError

from app.content.liquid import ContentInvalid
from app.content.webhooks.filling import CompiledData
from app.content.webhooks.service import (
    ContactMissing,
    DataInvalid,
    DataTooLarge,
    UnknownField,
    new_webhook_content,
    written,
)

VALUES: dict[str, dict[str, Any]] = {"client": {"number": "7", "name": 'Ana "A" \\', "risk_level": 3}, "custom": {}}


def fill(data: Any) -> Any:
    return CompiledData(data).fill(VALUES)


def test_a_text_that_is_one_merge_field_becomes_its_value() -> None:
    data = {
        "level": "{{ client.risk_level }}",
        "gone": "{{ custom.gone }}",
        "list": ["{{client.number}}", 1, None, True],
    }
    assert fill(data) == {"level": 3, "gone": None, "list": ["7", 1, None, True]}
    assert CompiledData(data).keys == ["client.number", "client.risk_level", "custom.gone"]


def test_other_texts_are_filled_in_and_cannot_break_out() -> None:
    assert fill({"greeting": "Dear {{ client.name | upcase }}, {{ custom.x | default: 'hello' }}"}) == {
        "greeting": 'Dear ANA "A" \\, hello'
    }
    assert fill({"{{ client.number }}": "names stay"}) == {"{{ client.number }}": "names stay"}


def test_what_cannot_be_filled_in_is_one_kind_of_error() -> None:
    with pytest.raises(LiquidError):
        fill({"x": "{{ client.number | divided_by: 0 }}"})


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", DataInvalid),
        ("null", DataInvalid),
        ("[]", DataInvalid),
        ("{}", DataInvalid),
        ("{'a': 1}", DataInvalid),
        ('{"a": NaN}', DataInvalid),
        ('{"a": 1e999}', DataInvalid),
        ('{"a": "\\u0000"}', DataInvalid),
        ('{"\\ud800": 1}', DataInvalid),
        ('{"a": ' + "9" * 5_000 + "}", DataInvalid),
        ('{"a": "' + "x" * 20_000 + '"}', DataTooLarge),
        ('{"a": ' + "[" * 9_000 + "]" * 9_000 + "}", DataTooLarge),
        ('{"a": ' + "[" * 25 + "]" * 25 + "}", DataTooLarge),
        ('{"a": "{{ client.password }}"}', UnknownField),
        ('{"a": "{{ message.id | plus: 1 }}"}', UnknownField),
        ('{"a": "{{ client.name"}', ContentInvalid),
        ('{"a": "{{ client.name | nothing }}"}', ContentInvalid),
        ('{"a": "{% include \'x\' %}"}', ContentInvalid),
    ],
)
def test_what_is_not_data_is_refused_in_words(text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        new_webhook_content(contact="email", text=text, actor=None)


@pytest.mark.usefixtures("app")
def test_data_is_kept_as_written() -> None:
    text = written({"client": "{{ client.number }}", "名": ["{{ branch.name }}", 2.5]})
    content = new_webhook_content(contact="call", text=text, actor=None)
    assert written(content.data) == text
    with pytest.raises(ContactMissing):
        new_webhook_content(contact="letter", text=text, actor=None)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_characters="{"), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(_json)
def test_data_without_merge_fields_stays_as_it_is(data: Any) -> None:
    assert CompiledData(data).fill({}) == data
    assert json.loads(json.dumps(CompiledData(data).fill({}))) == data
