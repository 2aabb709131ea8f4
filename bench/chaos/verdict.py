"""The ledger held against the sink's log: what was lost, what came twice."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

ENDED = {"sent", "failed", "skipped", "unconfirmed"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """`states` are the ledger's rows by state; of the unconfirmed, `unconfirmed_accepted` are in the log."""

    states: Mapping[str, int]
    lost: int
    twice: int
    strange: int
    unconfirmed_accepted: int

    @property
    def unconfirmed(self) -> int:
        return self.states.get("unconfirmed", 0)


def judge(states: Mapping[int, str], accepted: Counter[int], *, strays: int = 0) -> Verdict:
    """Judge the messages' states by how often each id was accepted.

    sent = once, failed and skipped = never, unconfirmed = never or once. Lost: a row in any other state, or sent and
    not accepted. Twice: accepted more than once, whatever the state. Strange: failed or skipped and yet accepted, an
    id that the ledger does not have, and the `strays` that reached another address than their client's.
    """
    return Verdict(
        states=Counter(states.values()),
        lost=sum(state not in ENDED or (state == "sent" and not accepted[one]) for one, state in states.items()),
        twice=sum(times > 1 for times in accepted.values()),
        strange=strays
        + sum(one not in states for one in accepted)
        + sum(state in ("failed", "skipped") and accepted[one] > 0 for one, state in states.items()),
        unconfirmed_accepted=sum(state == "unconfirmed" and accepted[one] > 0 for one, state in states.items()),
    )
