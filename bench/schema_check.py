"""A JSON Schema made into functions once, for the few words that a vendor's description of its requests uses.

Values are checked as by `jsonschema`, some hundred times as fast; a word that is not known here is refused when the
schema is read, so nothing goes unchecked by mistake.
"""

from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any], bool]

_TYPES: Mapping[str, Check] = {
    "string": lambda value: type(value) is str,
    "boolean": lambda value: type(value) is bool,
    "integer": lambda value: type(value) is int,
    "number": lambda value: type(value) in (int, float),
    "object": lambda value: type(value) is dict,
    "array": lambda value: type(value) is list,
}
_SAY_NOTHING = {"description", "default", "example", "title", "format", "deprecated", "nullable"}


def compile_schema(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Check:
    """What tells whether a value fits. References are looked up in `root`. Raises ValueError for an unknown word."""
    return _Compiler(root).compile(schema)


class _Compiler:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._known: dict[str, Check] = {}

    def compile(self, schema: Mapping[str, Any]) -> Check:
        if "$ref" in schema:
            return self._reference(str(schema["$ref"]))
        checks = []
        for word, value in schema.items():
            if word == "type":
                checks.append(_TYPES[value])
            elif word in ("properties", "additionalProperties"):
                if word == "properties" or "properties" not in schema:
                    checks.append(self._members(schema))
            elif word == "enum":
                checks.append(tuple(value).__contains__)
            elif word == "required":
                checks.append(_required(tuple(value)))
            elif word == "items":
                checks.append(_every(self.compile(value)))
            elif word in _LENGTHS:
                checks.append(_LENGTHS[word](value))
            elif word == "uniqueItems":
                if value:
                    checks.append(lambda items: type(items) is not list or _distinct(items))
            elif word not in _SAY_NOTHING:
                raise ValueError(word)
        if len(checks) == 1:
            return checks[0]
        return lambda value: all(check(value) for check in checks)

    def _reference(self, path: str) -> Check:
        if path not in self._known:
            target: Any = self._root
            for step in path.removeprefix("#/").split("/"):
                target = target[step]
            self._known[path] = self.compile(target)
        return self._known[path]

    def _members(self, schema: Mapping[str, Any]) -> Check:
        known = {name: self.compile(value) for name, value in schema.get("properties", {}).items()}
        others = schema.get("additionalProperties", True)
        rest: Check | None = self.compile(others) if isinstance(others, dict) else None if others else _nothing

        def check(value: Any) -> bool:
            if type(value) is not dict:
                return True
            for name, member in value.items():
                fits = known.get(name, rest)
                if fits is not None and not fits(member):
                    return False
            return True

        return check


def _nothing(_value: Any) -> bool:
    return False


def _required(names: tuple[str, ...]) -> Check:
    return lambda value: type(value) is not dict or all(name in value for name in names)


def _every(check: Check) -> Check:
    return lambda value: type(value) is not list or all(map(check, value))


def _distinct(items: list[Any]) -> bool:
    return all(item not in items[:place] for place, item in enumerate(items))


_LENGTHS: Mapping[str, Callable[[int], Check]] = {
    "minLength": lambda bound: lambda value: type(value) is not str or len(value) >= bound,
    "maxLength": lambda bound: lambda value: type(value) is not str or len(value) <= bound,
    "minItems": lambda bound: lambda value: type(value) is not list or len(value) >= bound,
    "maxItems": lambda bound: lambda value: type(value) is not list or len(value) <= bound,
    "maxProperties": lambda bound: lambda value: type(value) is not dict or len(value) <= bound,
}
