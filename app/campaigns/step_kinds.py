"""The kinds of steps a campaign can have: one for each channel, registered here under the channel's name.

A package that adds a channel gives `Step` a column for its contents and registers a `StepKind` in the wiring.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from flask_babel import gettext as _

from app.campaigns.models import Campaign, Step, Variant
from app.core.errors import NotFound

Worded = Step | Variant  # what has words: a step itself, which is variant A where it has several, or another variant


@dataclass(frozen=True, slots=True)
class Finding:
    """`severity` is error, warning or note; `step` is the page where it is mended, `step_id` the step it is about, and
    `variant` the letter where it is about one of several."""

    severity: str
    step: str
    message: object
    step_id: int | None = None
    variant: str | None = None


@dataclass(frozen=True, slots=True)
class StepKind:
    """One kind of step.

    `channel` is what stands in `Step.channel`; `contact` is the channel whose consent, suppressions and flags count
    (email, sms or call), unless each step chooses it (`chosen_contact`). `content` names the relationship of `Step` to
    its content, whose id is in the column `<content>_id`; where `Variant` has it too, steps may have variants, which
    are compared by one of `metrics`, the first by default. `endpoint` is the page that edits a step; it takes `code`,
    `step_id` and `variant`. `preview` is the template that shows a written step to those who check it; it is given
    `campaign`, `step`, `words` (what has the content) and `variant` (its letter). `findings` says what is wrong or
    doubtful about a content; `summary` is that content in one line.
    """

    channel: str
    label: object
    icon: str
    contact: str
    content: str
    endpoint: str
    preview: str
    findings: Callable[[Any, Campaign], Iterable[Finding]]
    summary: Callable[[Any], str]
    chosen_contact: Callable[[Step], str] | None = None
    metrics: tuple[str, ...] = ()

    def contact_of(self, step: Step) -> str:
        """The channel whose consent, suppressions and flags count for this step."""
        return self.contact if self.chosen_contact is None else self.chosen_contact(step)

    @property
    def column(self) -> str:
        """The column of `Step` that holds the id of the content."""
        return f"{self.content}_id"

    @property
    def may_vary(self) -> bool:
        """Whether its steps may have variants."""
        return hasattr(Variant, self.column)

    def is_written(self, words: Worded) -> bool:
        return getattr(words, self.column) is not None

    def content_of(self, words: Worded) -> Any:
        """The content, or None."""
        return getattr(words, self.content)


_kinds: dict[str, StepKind] = {}


def register_step_kind(kind: StepKind) -> None:
    _kinds[kind.channel] = kind


def step_kinds() -> list[StepKind]:
    """Every kind, in the order registered."""
    return list(_kinds.values())


def step_kind(channel: str) -> StepKind:
    """The kind of a channel's steps. Raises NotFound where the channel is not installed here."""
    if channel not in _kinds:
        raise NotFound
    return _kinds[channel]


def step_name(step: Step) -> str:
    """ "Step 2 (SMS)"."""
    return str(_("Step %(number)s (%(channel)s)", number=step.position + 1, channel=step_kind(step.channel).label))


def step_on(campaign: Campaign, channel: str) -> Step | None:
    """The campaign's first step on a channel."""
    return next((step for step in campaign.steps if step.channel == channel), None)


def step_of(campaign: Campaign, step_id: int, channel: str | None = None) -> Step:
    """The campaign's step with this id (and on this channel). Raises NotFound."""
    for step in campaign.steps:
        if step.id == step_id and channel in (None, step.channel):
            return step
    raise NotFound


def words_of(step: Step, letter: str | None) -> Worded:
    """What a variant of the step says, None or A being the step itself. Raises NotFound."""
    if letter in (None, "A"):
        return step
    for variant in step.variants:
        if variant.letter == letter:
            return variant
    raise NotFound


def all_words(step: Step) -> list[tuple[str | None, Worded]]:
    """Each variant with its letter; a step without variants has one, without a letter."""
    return [("A" if step.variants else None, step), *((variant.letter, variant) for variant in step.variants)]


def is_written(campaign: Campaign) -> bool:
    """Whether every step says something, in every variant."""
    return all(
        step_kind(step.channel).is_written(words) for step in campaign.steps for _letter, words in all_words(step)
    )


def contacts_of(campaign: Campaign) -> list[str]:
    """The channels whose consent and addresses decide whom the campaign reaches, in the order of its steps."""
    return list(dict.fromkeys(step_kind(step.channel).contact_of(step) for step in campaign.steps))
