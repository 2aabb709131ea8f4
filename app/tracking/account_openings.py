"""Account openings: taken once however often they are reported, matched to clients, credited to messages.

An opening is credited to the last message that its client (or a record merged into theirs) was sent before it, if it
falls within the window of that message's campaign (both ends belong to it); the others are unprompted. Crediting is a
pure function of messages and openings: it may be repeated at any time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import text

from app.core.extensions import db

ROUND = 5_000


@dataclass(frozen=True, slots=True)
class Opening:
    """One opening as reported. `external_id` is the reporting system's own id for it."""

    external_id: str
    client_number: str | None
    opened_at: datetime
    account_number: str | None = None
    product: str | None = None
    amount: Decimal | None = None


_INSERT = text(
    """
    INSERT INTO account_opening
        (source, external_id, client_number, client_id, account_number, product, opened_at, amount)
    SELECT :source, reported.external_id, reported.client_number, coalesce(client.merged_into_id, client.id),
           reported.account_number,
           reported.product, reported.opened_at, reported.amount
    FROM unnest(CAST(:external_ids AS text[]), CAST(:client_numbers AS text[]), CAST(:account_numbers AS text[]),
                CAST(:products AS text[]), CAST(:times AS timestamptz[]), CAST(:amounts AS numeric[]))
         AS reported (external_id, client_number, account_number, product, opened_at, amount)
    LEFT JOIN client ON client.number = reported.client_number
    ON CONFLICT (source, external_id) DO NOTHING
    RETURNING external_id
    """
)

_MATCH = text(
    """
    UPDATE account_opening SET client_id = coalesce(client.merged_into_id, client.id), attributed_at = NULL
    FROM client
    WHERE account_opening.client_id IS NULL AND client.number = account_opening.client_number
    """
)

_CREDIT = text(
    """
    WITH pending AS (
        SELECT id, client_id, opened_at FROM account_opening
        WHERE attributed_at IS NULL ORDER BY id LIMIT :round FOR UPDATE SKIP LOCKED
    ),
    credit AS (
        SELECT pending.id AS opening_id, last.campaign_id, last.message_id
        FROM pending CROSS JOIN LATERAL (
            SELECT message.id AS message_id, message.campaign_id
            FROM message JOIN campaign ON campaign.id = message.campaign_id
            WHERE message.client_id IN (SELECT pending.client_id UNION ALL
                                        SELECT id FROM client WHERE merged_into_id = pending.client_id)
              AND message.state = 'sent'
              AND message.sent_at <= pending.opened_at
              AND pending.opened_at <= message.sent_at + make_interval(days => campaign.window_days::int)
            ORDER BY message.sent_at DESC, message.id DESC
            LIMIT 1
        ) AS last
    ),
    outdated AS (
        DELETE FROM attribution USING pending
        WHERE attribution.opening_id = pending.id
          AND NOT EXISTS (SELECT 1 FROM credit WHERE credit.opening_id = attribution.opening_id
                                                 AND credit.message_id = attribution.message_id)
    ),
    credited AS (
        INSERT INTO attribution (opening_id, campaign_id, message_id)
        SELECT opening_id, campaign_id, message_id FROM credit
        ON CONFLICT DO NOTHING
    ),
    done AS (
        UPDATE account_opening SET attributed_at = now() FROM pending WHERE account_opening.id = pending.id RETURNING 1
    )
    SELECT count(*) FROM done
    """
)


def insert_openings(*, source: str, openings: Sequence[Opening]) -> set[str]:
    """Write the openings that are not known yet. Returns the external ids of the new ones."""
    if not openings:
        return set()
    return set(
        db.session.scalars(
            _INSERT,
            {
                "source": source,
                "external_ids": [opening.external_id for opening in openings],
                "client_numbers": [opening.client_number for opening in openings],
                "account_numbers": [opening.account_number for opening in openings],
                "products": [opening.product for opening in openings],
                "times": [opening.opened_at for opening in openings],
                "amounts": [opening.amount for opening in openings],
            },
        )
    )


def match_late() -> None:
    """Match openings whose client came into the client book after them."""
    db.session.execute(_MATCH)


def credit_pending() -> int:
    """Credit all openings that wait for it, in the current transaction. Returns how many were looked at."""
    done = 0
    while True:
        count = int(db.session.execute(_CREDIT, {"round": ROUND}).scalar_one())
        done += count
        if count < ROUND:
            return done


def join_openings(loser_id: int, survivor_id: int) -> int:
    """After a merge: the openings of the one record are the other's, and all of theirs are credited anew."""
    moved = db.session.execute(
        text(
            "WITH moved AS (UPDATE account_opening SET client_id = :survivor, attributed_at = NULL "
            "WHERE client_id IN (:loser, :survivor) RETURNING 1) SELECT count(*) FROM moved"
        ),
        {"loser": loser_id, "survivor": survivor_id},
    )
    return int(moved.scalar_one())


def credit_again(*, campaign_id: int | None) -> int:
    """Mark openings to be credited anew: those of clients in a campaign, or all. Returns how many."""
    marked = db.session.execute(
        text(
            "WITH marked AS (UPDATE account_opening SET attributed_at = NULL WHERE CAST(:campaign AS bigint) IS NULL "
            "OR client_id IN (SELECT coalesce(client.merged_into_id, client.id) FROM message "
            "JOIN client ON client.id = message.client_id WHERE campaign_id = :campaign) RETURNING 1) "
            "SELECT count(*) FROM marked"
        ),
        {"campaign": campaign_id},
    )
    return int(marked.scalar_one())
