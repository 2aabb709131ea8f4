"""Values as PostgreSQL's COPY reads them in its text format.

Source: PostgreSQL manual, "COPY", File Formats, Text Format; "Arrays", Array Input and Output Syntax.
"""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

NULL = "\\N"
_SIGNS = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def _text(value: str) -> str:
    return value if value.isalnum() else value.translate(_SIGNS)


def _array(words: list[str]) -> str:
    quoted = (word.replace("\\", "\\\\").replace('"', '\\"') for word in words)
    return ("{" + ",".join(f'"{word}"' for word in quoted) + "}").translate(_SIGNS)


_FORMS: dict[type, Callable[[Any], str]] = {
    type(None): lambda _none: NULL,
    str: _text,
    bool: lambda value: "t" if value else "f",
    int: str,
    float: repr,
    Decimal: str,
    date: date.isoformat,
    list: _array,
}


def copy_text(value: Any) -> str:
    """One value, escaped; None is `NULL`. KeyError for a type that no parser returns."""
    return _FORMS[type(value)](value)
