"""The verdict of a report: what may be said in one sentence, and what to do next. Rules on numbers, nothing else.

1. Nothing is said of cause without a control group, or where the split check failed.
2. While the window is open, what was found so far is told, and nothing is advised.
3. A campaign worked (or did harm) where the 95 % interval of its lift lies above (below) zero, and there were clients
   and openings enough to tell; anything else is inconclusive, a normal answer.
4. Repeat for the segments whose lift, corrected for their number, is above zero.
5. Stop for those where it is below zero; and, where the campaign worked, for those that do clearly worse than the whole
   campaign (its lift lies above their interval) without any sign of working at all (zero or less lies within it).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.reports.effect.effects import Effect, Judgement
from app.statistics.split import SplitCheck

SECONDS_A_DAY = 86_400


class Finding(StrEnum):
    """What a verdict says."""

    NO_CONTROL = "no_control"
    SPLIT_FAILED = "split_failed"
    WINDOW_OPEN = "window_open"
    TOO_FEW = "too_few"
    INCONCLUSIVE = "inconclusive"
    WORKED = "worked"
    HARMED = "harmed"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The finding; the segments to repeat it for and to stop it for; the days that are left of the window."""

    finding: Finding
    repeat: tuple[Effect, ...] = ()
    stop: tuple[Effect, ...] = ()
    days_left: int = 0

    @property
    def suggests(self) -> bool:
        """Whether there is a campaign to draft from it."""
        return self.finding is Finding.WORKED or bool(self.repeat)


def verdict_on(
    whole: Effect, segments: Sequence[Effect], *, split: SplitCheck | None, closes_at: datetime, at: datetime
) -> Verdict:
    """The verdict at a moment; see the module for its rules."""
    if not whole.control or whole.lift is None:
        return Verdict(Finding.NO_CONTROL)
    if split is not None and not split.ok:
        return Verdict(Finding.SPLIT_FAILED)
    if at < closes_at:
        left = (closes_at - at).total_seconds() / SECONDS_A_DAY
        return Verdict(Finding.WINDOW_OPEN, days_left=max(1, round(left)))
    finding = {
        Judgement.MORE: Finding.WORKED,
        Judgement.FEWER: Finding.HARMED,
        Judgement.TOO_FEW: Finding.TOO_FEW,
    }.get(whole.judgement, Finding.INCONCLUSIVE)
    if finding is Finding.TOO_FEW:
        return Verdict(finding)
    repeat = tuple(one for one in segments if one.judgement is Judgement.MORE)
    stop = tuple(one for one in segments if _fails(one, whole, worked=finding is Finding.WORKED))
    return Verdict(finding, repeat, stop)


def _fails(one: Effect, whole: Effect, *, worked: bool) -> bool:
    if one.judgement is Judgement.FEWER:
        return True
    if not worked or one.judgement is not Judgement.INCONCLUSIVE or one.lift is None or whole.lift is None:
        return False
    return one.lift.low <= 0 and one.lift.high < whole.lift.absolute
