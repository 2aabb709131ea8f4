"""Noting contacts and what people did with them. Noting the same again changes nothing, in whatever order."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import delete, text

from app.clients.engagement.models import Engagement
from app.core.arrays import array_text
from app.core.extensions import db

CONTACTED, OPENED, CLICKED, REPLIED = "contacted", "opened", "clicked", "replied"


class Happening(NamedTuple):
    """Something of a kind (`engagement.models.KINDS`) between a campaign and a client, at an aware time."""

    kind: str
    client_id: int
    campaign_id: int
    channel: str
    at: datetime


def noting(happenings: str) -> str:
    """The statement that keeps the first and the last time of each of `happenings`: something to read from, with the
    columns of a Happening in their order.

    What happens to a record that was merged into another counts for the client it was merged into. In the order of the
    key, so that two processes never wait for each other.
    """
    return f"""
    INSERT INTO engagement (client_id, kind, campaign_id, channel, first_at, last_at)
    SELECT coalesce(client.merged_into_id, client.id) AS client_id, noted.kind, noted.campaign_id,
           noted.channel, min(noted.at), max(noted.at)
    FROM {happenings} AS noted (kind, client_id, campaign_id, channel, at)
    JOIN client ON client.id = noted.client_id
    GROUP BY coalesce(client.merged_into_id, client.id), noted.kind, noted.campaign_id, noted.channel
    ORDER BY 1, 2, 4, 3
    ON CONFLICT (client_id, kind, channel, campaign_id) DO UPDATE
    SET first_at = least(engagement.first_at, excluded.first_at),
        last_at = greatest(engagement.last_at, excluded.last_at)
    WHERE excluded.first_at < engagement.first_at OR excluded.last_at > engagement.last_at
    """  # noqa: S608 - what the callers write


_NOTE = text(
    noting(
        "unnest(CAST(:kinds AS text[]), CAST(:client_ids AS bigint[]), CAST(:campaign_ids AS bigint[]), "
        "CAST(:channels AS text[]), CAST(:times AS timestamptz[]))"
    )
)


def note(happenings: Iterable[Happening]) -> None:
    """Keep the first and the last time of each, in the caller's transaction, with one statement."""
    columns = list(zip(*happenings, strict=True))
    if not columns:
        return
    names = ("kinds", "client_ids", "campaign_ids", "channels", "times")
    db.session.execute(_NOTE, dict(zip(names, map(array_text, columns), strict=True)))


def forget_hits(pairs: Collection[tuple[int, int]]) -> None:
    """Forget what these clients opened and clicked of these campaigns: pairs of client and campaign id."""
    if not pairs:
        return
    client_ids, campaign_ids = zip(*sorted(pairs), strict=True)
    db.session.execute(
        text(
            "DELETE FROM engagement USING unnest(CAST(:client_ids AS bigint[]), CAST(:campaign_ids AS bigint[])) "
            "AS pair (client_id, campaign_id) WHERE engagement.client_id = pair.client_id "
            "AND engagement.campaign_id = pair.campaign_id AND engagement.kind IN (:opened, :clicked)"
        ),
        {"client_ids": list(client_ids), "campaign_ids": list(campaign_ids), "opened": OPENED, "clicked": CLICKED},
    )


def forget_responses(*, campaign_id: int | None) -> None:
    """Forget what clients did with a campaign (None: with all), before its events are interpreted anew."""
    statement = delete(Engagement).where(Engagement.kind != CONTACTED)
    if campaign_id is not None:
        statement = statement.where(Engagement.campaign_id == campaign_id)
    db.session.execute(statement.execution_options(synchronize_session=False))
