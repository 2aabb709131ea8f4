"""Who uses a segment. Data flows from segments to campaigns, so campaigns say it here: see `app/pages.py`."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Use:
    """One thing that uses a segment, with the address of its page (None where there is none)."""

    segment_id: int
    label: str
    url: str | None = None


UsageSource = Callable[[Sequence[int]], Iterable[Use]]
_sources: list[UsageSource] = []


def register_usage(source: UsageSource) -> None:
    """`source(segment_ids)` gives all uses of these segments, newest first, in one query."""
    if source not in _sources:
        _sources.append(source)


def uses_of(segment_ids: Sequence[int]) -> dict[int, list[Use]]:
    """Segment id to what uses it; segments that nothing uses have an empty list."""
    found: dict[int, list[Use]] = defaultdict(list)
    for source in _sources:
        for use in source(segment_ids):
            found[use.segment_id].append(use)
    return {segment_id: found[segment_id] for segment_id in segment_ids}
