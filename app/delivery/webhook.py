"""The posts of a webhook step: the client's data filled in for the rows of a window."""

from collections.abc import Sequence
from typing import Any

import structlog
from liquid.exceptions import LiquidError
from sqlalchemy import ColumnElement, Row

from app.campaigns.models import Campaign, Step
from app.campaigns.step_kinds import Worded
from app.channels.base import Channel, Outcome, Result
from app.channels.webhook import OutgoingPost, WebhookBatch
from app.clients.models import Client
from app.content.personalisation import columns_for, nest
from app.content.webhooks.filling import CompiledData
from app.core.extensions import signer
from app.core.tokens import Kind

log = structlog.get_logger(__name__)


class WebhookMaterial:
    """The compiled data of a step. Raises LookupError where it has none."""

    def __init__(self, words: Worded, campaign: Campaign) -> None:
        content = words.webhook_content if isinstance(words, Step) else None  # these steps have no variants
        if content is None:
            raise LookupError("a launched step has no content")
        self.contact: str = content.contact
        self.address: ColumnElement[Any] = (Client.email if self.contact == "email" else Client.mobile).expression
        self._data = CompiledData(content.data)
        self._batch = WebhookBatch(campaign.code)
        self.columns: Sequence[ColumnElement[Any]] = columns_for(self._data.keys)
        self._keys = [column.name for column in self.columns]

    def send(self, channel: Channel, rows: Sequence[Row[Any]]) -> list[Result]:
        """A message that cannot be filled in fails alone."""
        results: list[Result] = []
        posts: list[OutgoingPost] = []
        for row in rows:
            try:
                data = self._data.fill(nest(self._keys, row[3 : 3 + len(self._keys)]))
            except LiquidError as error:
                log.warning("message_not_rendered", message=row.id, error=type(error).__name__)
                results.append(Result(row.id, Outcome.FAILED, reason="the message could not be filled in"))
            else:
                posts.append(OutgoingPost(row.id, signer().sign(Kind.REPLY, row.id), data))
        return results + (channel.send(self._batch, posts) if posts else [])
