"""What the messages of a step say: one class for each kind of channel, registered here under the channel's name."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Row

from app.campaigns.models import Campaign, Step
from app.campaigns.step_kinds import Worded, words_of
from app.channels.base import Channel, Result


class Material(Protocol):
    """The words of a step or of one of its variants, compiled once for a batch.

    `contact` is the channel whose consent, suppressions and flags count. `address` and `columns` (labelled merge
    values) are read in the statement that hands a window over, so that no query is made per recipient.
    """

    contact: str
    address: ColumnElement[Any]
    columns: Sequence[ColumnElement[Any]]

    def send(self, channel: Channel, rows: Sequence[Row[Any]]) -> list[Result]:
        """Hand the rows (id, state, address, the columns in order, and more) to the channel, one result a row."""
        ...


Loader = Callable[[Worded, Campaign], Material]
_loaders: dict[str, tuple[Loader, str]] = {}


def register_material(channel: str, loader: Loader, *, queue: str) -> None:
    """`loader` makes the material of what steps on this channel say; their batches go through `queue`."""
    _loaders[channel] = (loader, queue)


def load_material(step: Step, campaign: Campaign, variant: str | None = None) -> Material:
    """Raises LookupError where the step's channel is unknown or its content is missing."""
    return _loaders[step.channel][0](words_of(step, variant), campaign)


def queue_of(channel: str) -> str:
    """The queue on which the batches of a channel wait."""
    return _loaders[channel][1]
