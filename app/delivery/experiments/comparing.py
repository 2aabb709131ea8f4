"""What a test of variants shows, at its end and not before."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pyroaring import BitMap64
from sqlalchemy import select

from app.audiences.snapshots import packed, read_set
from app.campaigns.models import Campaign, Step
from app.campaigns.step_kinds import step_kind, words_of
from app.core.clock import now
from app.core.extensions import db
from app.delivery.experiments.splitting import REST, variant_dimension
from app.delivery.models import Message, Run, RunGroup, RunTest
from app.statistics.lift import Arm
from app.statistics.variants import Verdict, verdict

Counter = Callable[[Run, RunTest], BitMap64]  # the clients who did it from the launch to the end of the test
_counters: dict[str, Counter] = {}


def register_metric(metric: str, counter: Counter) -> None:
    """What variants may be compared by; the names are those of `campaigns.models.TEST_METRICS`."""
    _counters[metric] = counter


def _reacted(column: str) -> Counter:
    """By the time that tracking wrote on the message: people only, no machines."""

    def counter(run: Run, test: RunTest) -> BitMap64:
        at = getattr(Message, column)
        did = select(packed(Message.client_id.expression)).where(
            Message.run_id == run.id, Message.step_id == test.step_id, at <= test.ends_at
        )
        return read_set(did)

    return counter


register_metric("opened", _reacted("opened_at"))
register_metric("clicked", _reacted("clicked_at"))


@dataclass(frozen=True, slots=True)
class VariantLine:
    """A variant of a step in a run: `clients` are the treated who were drawn for it, sent to or not.

    `successes` of them did what the test compares by until its end; None before.
    """

    letter: str
    summary: str
    clients: int
    successes: int | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The variants of a step in a run. `verdict` is about all of its clients; None before the end."""

    step: Step
    test: RunTest
    lines: list[VariantLine]
    rest: int
    verdict: Verdict | None

    @property
    def over(self) -> bool:
        return self.verdict is not None

    @property
    def winner(self) -> str | None:
        """The letter of the variant that is clearly better than every other one."""
        if self.verdict is None or self.verdict.winner is None:
            return None
        return self.lines[self.verdict.winner].letter

    @property
    def rest_waits(self) -> bool:
        return self.test.rest > 0 and self.test.planned_at is None


def comparisons(run: Run, campaign: Campaign, *, visible: BitMap64 | None) -> list[Comparison]:
    """The tests of a run, in the order of its steps; their lines count clients in `visible` (None: all of them)."""
    tests = {test.step_id: test for test in db.session.scalars(select(RunTest).where(RunTest.run_id == run.id))}
    control = run.control_ids
    return [
        _comparison(run, step, tests[step.id], control=control, visible=visible)
        for step in campaign.steps
        if step.id in tests
    ]


def _comparison(run: Run, step: Step, test: RunTest, *, control: BitMap64, visible: BitMap64 | None) -> Comparison:
    arms: Mapping[str, BitMap64] = {
        row.key: row.client_ids - control
        for row in db.session.scalars(
            select(RunGroup)
            .where(RunGroup.run_id == run.id, RunGroup.dimension == variant_dimension(step.id))
            .order_by(RunGroup.key)
        )
    }
    over = now() >= test.ends_at
    did = _counters[test.metric](run, test) if over else None
    letters = [letter for letter in arms if letter != REST]
    result = None
    if did is not None:
        result = verdict([Arm(len(arms[letter] & did), len(arms[letter])) for letter in letters], True)
    shown = {key: ids if visible is None else ids & visible for key, ids in arms.items()}
    kind = step_kind(step.channel)
    return Comparison(
        step=step,
        test=test,
        lines=[
            VariantLine(
                letter=letter,
                summary=kind.summary(words_of(step, letter)),
                clients=len(shown[letter]),
                successes=None if did is None else len(shown[letter] & did),
            )
            for letter in letters
        ],
        rest=len(shown.get(REST, BitMap64())),
        verdict=result,
    )
