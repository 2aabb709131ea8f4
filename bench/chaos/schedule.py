"""When what breaks: drawn from the seed before the run, in seconds after the launch."""

from dataclasses import dataclass
from enum import StrEnum
from itertools import cycle
from random import Random

FULL_SIZE = 100_000
FULL_SIZE_KILLS = 30
_FIRST, _LAST = 0.06, 0.72  # of the time that the sink needs: what is killed last has its lease to run out yet


class Disruption(StrEnum):
    KILL_CHILD = "kill a pool child"
    KILL_PARENT = "kill a parent"
    FLUSH_BROKER = "flush the broker"
    RESTART_FAST = "restart PostgreSQL, fast"
    RESTART_IMMEDIATE = "restart PostgreSQL, immediate"


IN_TURN = (Disruption.KILL_CHILD, Disruption.KILL_PARENT)


@dataclass(frozen=True, slots=True)
class Planned:
    """A disruption and its time."""

    at: float
    what: Disruption


def kills_for(messages: int) -> int:
    """As many kills for the messages as 30 are for 100,000; at least two."""
    return max(2, round(messages * FULL_SIZE_KILLS / FULL_SIZE))


def plan_disruptions(*, messages: int, seconds: float, seed: str) -> list[Planned]:
    """Everything that will break while the messages are sent within `seconds`, in order of time."""
    chance = Random(f"{seed}:schedule")
    small = messages < FULL_SIZE // 10

    def times(count: int) -> list[float]:
        return sorted(chance.uniform(_FIRST, _LAST) * seconds for _ in range(count))

    planned = [Planned(at, what) for at, what in zip(times(kills_for(messages)), cycle(IN_TURN), strict=False)]
    planned += [Planned(at, Disruption.FLUSH_BROKER) for at in times(1 if small else 3)]
    restarts = [Disruption.RESTART_IMMEDIATE] if small else [Disruption.RESTART_IMMEDIATE, Disruption.RESTART_FAST]
    chance.shuffle(restarts)
    planned += [Planned(at, what) for at, what in zip(times(len(restarts)), restarts, strict=True)]
    return sorted(planned, key=lambda one: one.at)
