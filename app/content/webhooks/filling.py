"""From the data of a webhook step to the JSON of one client."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from liquid.exceptions import LiquidError

from app.content.liquid import TEXT, parse

Values = Mapping[str, Mapping[str, Any]]
_Fill = Callable[[Values], Any]
_ALONE = re.compile(r"\s*\{\{-?\s*(\w+)\.(\w+)\s*-?\}\}\s*")


class CompiledData:
    """JSON ready to be filled for any number of clients. Raises ContentInvalid where a merge field cannot be read.

    A text that is one merge field and nothing else becomes its value, a number or true as it is, null where there is
    none; all other texts are filled in as in a message.
    """

    def __init__(self, data: Any) -> None:
        found: set[str] = set()
        self._fill = _compiled(data, found)
        self.keys = sorted(found)

    def fill(self, values: Values) -> Any:
        """The client's JSON. Raises LiquidError, and nothing else, where the values cannot be filled in."""
        try:
            return self._fill(values)
        except (ArithmeticError, LookupError, MemoryError, RecursionError, TypeError, ValueError) as error:
            raise LiquidError(type(error).__name__, token=None) from error


def _compiled(node: Any, found: set[str]) -> _Fill:
    if isinstance(node, dict):
        members = {name: _compiled(inner, found) for name, inner in node.items()}
        return lambda values: {name: fill(values) for name, fill in members.items()}
    if isinstance(node, list):
        items = [_compiled(inner, found) for inner in node]
        return lambda values: [fill(values) for fill in items]
    if not isinstance(node, str) or "{" not in node:
        return lambda _values: node
    alone = _ALONE.fullmatch(node)
    if alone:
        group, name = alone.groups()
        found.add(f"{group}.{name}")
        return lambda values: values.get(group, {}).get(name)
    template = parse(TEXT, node, "data")
    for variables in template.analyze().globals.values():
        found |= {".".join(str(segment) for segment in variable.segments) for variable in variables}
    return lambda values: template.render(**values)


def texts_of(node: Any) -> Iterator[str]:
    """Every text in the data, names of members too."""
    if isinstance(node, dict):
        for name, inner in node.items():
            yield name
            yield from texts_of(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from texts_of(inner)
    elif isinstance(node, str):
        yield node
