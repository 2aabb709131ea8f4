"""The SMS of a step: filled texts for the rows of a window."""

from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from liquid.exceptions import LiquidError
from sqlalchemy import ColumnElement, Row

from app.campaigns.models import Campaign
from app.campaigns.step_kinds import Worded
from app.channels.base import Channel, Outcome, Result
from app.channels.sms.message import OutgoingSms
from app.clients.models import Client
from app.content.personalisation import columns_for, nest
from app.content.sms.rendering import batch_of, compile_sms
from app.content.sms.service import registration_refusal
from app.core.extensions import signer
from app.core.tokens import Kind

log = structlog.get_logger(__name__)


class SmsMaterial:
    """The SMS of a step. Raises LookupError where it has none.

    Where its signature or template is not registered (any more), every message fails with that reason.
    """

    contact = "sms"
    address: ColumnElement[Any] = Client.mobile.expression

    def __init__(self, words: Worded, campaign: Campaign) -> None:
        content = words.sms_content
        if content is None:
            raise LookupError("a launched step has no content")
        self.refusal = registration_refusal(content)
        self.batch = batch_of(content)
        self.sms = compile_sms(content.text, self.batch.signature)
        self.columns: Sequence[ColumnElement[Any]] = columns_for(self.sms.keys)
        self._keys = [column.name for column in self.columns]
        self._variables = list(content.template.variables) if content.template else []

    def send(self, channel: Channel, rows: Sequence[Row[Any]]) -> list[Result]:
        """A message that cannot be filled in fails alone."""
        if self.refusal is not None:
            return [Result(row.id, Outcome.FAILED, reason=self.refusal) for row in rows]
        results: list[Result] = []
        messages: list[OutgoingSms] = []
        for row in rows:
            try:
                messages.append(self.outgoing(row))
            except LiquidError as error:
                log.warning("message_not_rendered", message=row.id, error=type(error).__name__)
                results.append(Result(row.id, Outcome.FAILED, reason="the message could not be filled in"))
        if messages:
            results.extend(channel.send(self.batch, messages))
        return results

    def outgoing(self, row: Row[Any]) -> OutgoingSms:
        """One SMS with its client's values."""
        values = nest(self._keys, row[3 : 3 + len(self._keys)])
        body = self.sms.body(values)
        return OutgoingSms(
            message_id=row.id,
            token=signer().sign(Kind.REPLY, row.id),
            recipient=row.address,
            text=self.sms.whole(body),
            body=body,
            variables=[(key, _value(values, key)) for key in self._variables],
        )


def _value(values: Mapping[str, Mapping[str, object]], key: str) -> str:
    group, _dot, name = key.partition(".")
    return str(values.get(group, {}).get(name, ""))
