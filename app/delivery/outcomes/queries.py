"""Reads of messages that wait for a person: awaiting receipt, or failed. All within the reader's part of the book.

The state of a message stands in no index. The way to the few goes through the batches whose counts name them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, func, select, true

from app.campaigns.models import Campaign
from app.campaigns.models import State as CampaignState
from app.channels.models import ChannelAccount
from app.clients.masking import mask_email
from app.clients.models import Client
from app.clients.queries import visible_clients
from app.core.extensions import db
from app.core.paging import Page, newest_first
from app.delivery.models import Batch, Message, MessageState, Run
from app.users.models import User

GROUPS_SHOWN = 200
_ADDRESS = r"[^\s<>()\"',;:]+@[^\s<>()\"',;]+"
_LONG_NUMBER = r"\m(?=\w*[0-9])[\w.-]{10,}"


@dataclass(frozen=True, slots=True)
class Filter:
    """Which messages: of a campaign (code), an account, a group of reasons; `ids` these only; up to an id at most."""

    campaign: str = ""
    account_id: int | None = None
    group: str | None = None
    ids: Sequence[int] | None = None
    up_to: int | None = None


def reason_group() -> ColumnElement[str]:
    """The vendor's words without what differs from message to message: addresses, queue ids, long numbers."""
    bare = func.regexp_replace(func.coalesce(Message.reason, ""), _ADDRESS, "…@…", "g")
    return func.left(func.regexp_replace(bare, _LONG_NUMBER, "…", "g"), 200)


def masked_words(words: str | None) -> str:
    """The vendor's own words, the addresses in them masked."""
    return re.sub(_ADDRESS, lambda found: mask_email(found.group()) or "", words or "")


def awaiting_receipt(user: User | None, chosen: Filter) -> Select[*tuple[Any, ...]]:
    """Ids of the messages of which nobody knows whether they were taken."""
    return _chosen(select(Message.id), MessageState.UNCONFIRMED, Batch.unconfirmed > 0, user, chosen)


def failed(user: User | None, chosen: Filter) -> Select[*tuple[Any, ...]]:
    """Ids of the messages that failed."""
    return _chosen(select(Message.id), MessageState.FAILED, Batch.failed > 0, user, chosen)


def may_be_retried() -> ColumnElement[bool]:
    """For WHERE on message, run and campaign: certainly refused, nothing came back of it, and its campaign may go on.

    What a person settled was *awaiting receipt* before: it may have been taken after all.
    """
    nothing_came_back = [
        column.is_(None)
        for column in (
            Message.delivered_at, Message.opened_at, Message.clicked_at, Message.replied_at, Message.complained_at,
        )
    ]  # fmt: skip
    condition: ColumnElement[bool] = true()
    for part in nothing_came_back:
        condition &= part
    return (
        condition
        & Message.settled_by_id.is_(None)
        & (Run.state != "cancelled")
        & Campaign.state.in_((CampaignState.RUNNING, CampaignState.PAUSED, CampaignState.COMPLETE))
    )


def _chosen(
    query: Select[*tuple[Any, ...]], state: MessageState, tally: ColumnElement[bool], user: User | None, chosen: Filter
) -> Select[*tuple[Any, ...]]:
    query = (
        query.join(Batch, Batch.id == Message.batch_id)
        .join(Run, Run.id == Message.run_id)
        .join(Campaign, Campaign.id == Message.campaign_id)
        .join(Client, Client.id == Message.client_id)
        .where(tally, Message.state == state, visible_clients(user))
    )
    if chosen.campaign:
        runs = select(Run.id).join(Campaign).where(func.lower(Campaign.code) == chosen.campaign.lower())
        query = query.where(Batch.run_id.in_(runs))
    if chosen.account_id is not None:
        query = query.where(Message.account_id == chosen.account_id)
    if chosen.group is not None:
        query = query.where(reason_group() == chosen.group)
    if chosen.ids is not None:
        query = query.where(Message.id.in_(chosen.ids))
    if chosen.up_to is not None:
        query = query.where(Message.id <= chosen.up_to)
    return query


_LINE = (
    Message.id, Message.reason, Message.domain, Message.channel, Message.unconfirmed_at, Message.settled_by_id,
    Client.number, Client.name, Client.email, Client.mobile, Campaign.code, Campaign.name.label("campaign"),
    ChannelAccount.name.label("account"), Run.created_at.label("launched_at"),
)  # fmt: skip


def awaiting_page(user: User, chosen: Filter, *, newer: int | None, older: int | None) -> Page:
    """A page of messages awaiting receipt, newest first, with what is known of each."""
    query = _chosen(select(*_LINE), MessageState.UNCONFIRMED, Batch.unconfirmed > 0, user, chosen)
    return _page(query, newer, older)


def failed_page(user: User, chosen: Filter, *, newer: int | None, older: int | None) -> Page:
    """A page of failed messages, newest first; `retryable` says whether the one may be sent again."""
    columns = (*_LINE, may_be_retried().label("retryable"))
    return _page(_chosen(select(*columns), MessageState.FAILED, Batch.failed > 0, user, chosen), newer, older)


def _page(query: Select[*tuple[Any, ...]], newer: int | None, older: int | None) -> Page:
    query = query.outerjoin(ChannelAccount, ChannelAccount.id == Message.account_id)
    return newest_first(query, Message.id.expression, newer_than=newer, older_than=older)


@dataclass(frozen=True, slots=True)
class Extent:
    """How many there are, and the newest id: what somebody who acts on all of them has seen."""

    count: int
    newest: int


def extent(query: Select[*tuple[Any, ...]]) -> Extent:
    """Of a query of message ids."""
    ids = query.subquery()
    row = db.session.execute(select(func.count(), func.coalesce(func.max(ids.c.id), 0)).select_from(ids)).one()
    return Extent(*row)


def awaiting_groups(user: User, chosen: Filter) -> Sequence[Row[*tuple[Any, ...]]]:
    """Those awaiting receipt: (code, campaign, account_id, account, reason, count), most first."""
    group = reason_group().label("reason")
    columns = (
        Campaign.code, Campaign.name.label("campaign"), Message.account_id,
        ChannelAccount.name.label("account"), group, func.count().label("count"),
    )  # fmt: skip
    query = _chosen(select(*columns), MessageState.UNCONFIRMED, Batch.unconfirmed > 0, user, chosen)
    return _grouped(query.outerjoin(ChannelAccount, ChannelAccount.id == Message.account_id), columns[:5])


def failed_groups(user: User, chosen: Filter) -> Sequence[Row[*tuple[Any, ...]]]:
    """The failed by campaign and reason: (code, campaign, channel, reason, count, retryable), most first."""
    group = reason_group().label("reason")
    columns = (
        Campaign.code, Campaign.name.label("campaign"), Message.channel, group, func.count().label("count"),
        func.count().filter(may_be_retried()).label("retryable"),
    )  # fmt: skip
    query = _chosen(select(*columns), MessageState.FAILED, Batch.failed > 0, user, chosen)
    return _grouped(query, columns[:4])


def _grouped(query: Select[*tuple[Any, ...]], keys: Sequence[Any]) -> Sequence[Row[*tuple[Any, ...]]]:
    return db.session.execute(
        query.group_by(*(key.element if hasattr(key, "element") else key for key in keys))
        .order_by(func.count().desc(), Campaign.code)
        .limit(GROUPS_SHOWN)
    ).all()
