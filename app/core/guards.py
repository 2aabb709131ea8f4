"""Refusals across features: "may this be archived?" is asked here; features that need it register a reason.

A segment does not know campaigns (data flows the other way), yet must not be archived while one needs it.
"""

from collections import defaultdict
from collections.abc import Callable

from app.core.errors import Conflict

Refusal = Callable[[int], object | None]
_guards: dict[str, list[Refusal]] = defaultdict(list)


def guard(action: str, refusal: Refusal) -> None:
    """Register `refusal(id)`, which returns the sentence that forbids the action, or None."""
    if refusal not in _guards[action]:
        _guards[action].append(refusal)


def check(action: str, subject_id: int) -> None:
    """Raise Conflict with the first registered reason against the action."""
    for refusal in _guards[action]:
        reason = refusal(subject_id)
        if reason is not None:
            raise Conflict(reason)
