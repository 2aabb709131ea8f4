"""Liquid, restricted: no file access, loops, filters and output bounded, values HTML-escaped in the HTML part."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask_babel import gettext as _
from liquid import Environment, RenderContext
from liquid.exceptions import (
    FilterArgumentError,
    LiquidError,
    LoopIterationLimitError,
    UnknownFilterError,
)
from liquid.template import BoundTemplate

from app.core.errors import AppError

MAX_OUTPUT = 200_000
MAX_LOOP = 1_000
MAX_ITERATIONS = 10_000


class ContentInvalid(AppError):
    """The message cannot be read; the sentence says where."""

    status = 422


class _Restricted(Environment):
    loop_iteration_limit = MAX_LOOP
    output_stream_limit = MAX_OUTPUT
    local_namespace_limit = 100_000
    block_nesting_limit = 10


def _environment(*, autoescape: bool) -> Environment:
    environment = _Restricted(autoescape=autoescape, strict_filters=True)
    for tag in ("include", "render", "liquid", "increment", "decrement"):
        environment.tags.pop(tag)
    environment.filters.pop("safe")
    environment.filters.update({name: _bounded(name, apply) for name, apply in environment.filters.items()})
    return environment


def _bounded(name: str, apply: Callable[..., Any]) -> Callable[..., Any]:
    """The filter with its input and output bounded: the library bounds loops and output, not filters."""

    @wraps(apply)
    def bounded(left: Any, *args: Any, **kwargs: Any) -> Any:
        if any(isinstance(value, range) and len(value) > MAX_LOOP for value in (left, *args)):
            raise FilterArgumentError(f"{name}: the range is too long", token=None)
        if _size_before(name, left, args) > MAX_OUTPUT:
            raise FilterArgumentError(f"{name}: the result is too long", token=None)
        result = apply(left, *args, **kwargs)
        if isinstance(result, str | list) and len(result) > MAX_OUTPUT:
            raise FilterArgumentError(f"{name}: the result is too long", token=None)
        return result

    return bounded


def _size_before(name: str, left: Any, args: tuple[Any, ...]) -> int:
    """About how long the result of a filter that multiplies will be; 0 for the others, which at most add up."""
    if name == "replace" and len(args) == 2:
        return str(left).count(str(args[0])) * len(str(args[1]))
    if name == "join" and args and hasattr(left, "__len__"):
        return len(left) * len(str(args[0]))
    return 0


class Context(RenderContext):
    """Counts the iterations of all loops: the library bounds each nest of loops by itself."""

    iterations = 0

    def raise_for_loop_limit(self, length: int = 1) -> None:
        super().raise_for_loop_limit(length)
        self.iterations += length
        if self.iterations > MAX_ITERATIONS:
            raise LoopIterationLimitError("too many iterations of loops", token=None)


HTML = _environment(autoescape=True)
TEXT = _environment(autoescape=False)


def parse(environment: Environment, source: str, part: str) -> BoundTemplate:
    """The template, bound to the environment. Raises ContentInvalid with a sentence that names the part."""
    try:
        template = environment.from_string(source)
        for name in template.analyze().filters:
            if name not in environment.filters:
                raise UnknownFilterError(f"unknown filter '{name}'", token=None)
        return template
    except LiquidError as error:
        raise ContentInvalid(
            _("The %(part)s has a merge field that cannot be read: %(why)s.", part=part, why=str(error.args[0]))
        ) from error
