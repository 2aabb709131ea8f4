"""Which campaigns claim an opening, and for which of their messages.

Each campaign claims on its own. Its *touches* are the messages it sent to the client (or a record merged into theirs)
before the opening, on whatever channel, at most `window_days` before it (both ends belong to the window). With the
model *last click* a touch is instead the last click on a message that a person made. Of a campaign's touches the last
one or the first one has the whole of the opening, or all have the same part; the parts add up to 1 for each campaign.
An opening that nobody claims is unprompted. Crediting is a pure function of messages, clicks and openings: it may be
repeated at any time.
"""

from datetime import timedelta

from sqlalchemy import text

from app.core.extensions import db

ROUND = 10_000
LATE = timedelta(days=35)  # so much later clicks, receipts and settled messages may still come in

TOUCHES = """
    SELECT records.opening_id, message.campaign_id, message.id AS message_id, records.client_id,
           campaign.attribution_model AS model, touch.at,
           row_number() OVER (PARTITION BY records.opening_id, message.campaign_id ORDER BY touch.at, message.id)
               AS place,
           count(*) OVER (PARTITION BY records.opening_id, message.campaign_id) AS touches
    FROM (
        SELECT id AS opening_id, opened_at, client_id FROM pending WHERE client_id IS NOT NULL
        UNION ALL
        SELECT pending.id, pending.opened_at, merged.id
        FROM pending JOIN client AS merged ON merged.merged_into_id = pending.client_id
    ) AS records
    CROSS JOIN LATERAL (
        -- one reading of the client's index entries for each opening, however the planner judges their number
        SELECT id, campaign_id, sent_at, clicked_at FROM message
        WHERE message.client_id = records.client_id AND message.state = 'sent' AND message.sent_at <= records.opened_at
        OFFSET 0
    ) AS message
    JOIN campaign ON campaign.id = message.campaign_id
    CROSS JOIN LATERAL (
        SELECT CASE WHEN campaign.attribution_model <> 'last_click' THEN message.sent_at
                    WHEN message.clicked_at <= records.opened_at THEN (
                        SELECT max(event.at) FROM event
                        WHERE event.message_id = message.id AND event.kind = 'click' AND event.machine IS FALSE
                          AND event.at BETWEEN message.clicked_at AND records.opened_at
                    ) END AS at
    ) AS touch
    WHERE records.opened_at <= touch.at + make_interval(days => campaign.window_days::int)
"""

# Of n equal parts in millionths the last touch gets what is left of 1.
WEIGHT = """
    CASE WHEN model <> 'even' THEN 1
         WHEN place = touches THEN 1 - (touches - 1) * trunc(1.0 / touches, 6)
         ELSE trunc(1.0 / touches, 6) END
"""
CLAIMED = "(model = 'even' OR place = CASE model WHEN 'first_touch' THEN 1 ELSE touches END)"

_CREDIT = text(
    f"""
    WITH pending AS (
        SELECT id, client_id, opened_at FROM account_opening
        WHERE attributed_at IS NULL ORDER BY id LIMIT :round FOR UPDATE SKIP LOCKED
    ),
    touch AS ({TOUCHES}),
    claim AS (
        SELECT opening_id, campaign_id, message_id, client_id, {WEIGHT} AS weight FROM touch WHERE {CLAIMED}
    ),
    outdated AS (
        -- a list for each opening: with NOT EXISTS the planner takes the claims for few and looks through all each time
        DELETE FROM attribution USING pending
        LEFT JOIN (SELECT opening_id, array_agg(message_id) AS messages FROM claim GROUP BY opening_id) AS kept
            ON kept.opening_id = pending.id
        WHERE attribution.opening_id = pending.id
          AND attribution.message_id <> ALL (coalesce(kept.messages, '{{}}'))
    ),
    claimed AS (
        INSERT INTO attribution (opening_id, campaign_id, message_id, client_id, weight)
        SELECT claim.* FROM claim LEFT JOIN attribution AS known
            ON known.opening_id = claim.opening_id AND known.campaign_id = claim.campaign_id
            AND known.message_id = claim.message_id
        WHERE known.weight IS DISTINCT FROM claim.weight
        ON CONFLICT (opening_id, campaign_id, message_id) DO UPDATE SET weight = excluded.weight
    ),
    done AS (
        UPDATE account_opening SET attributed_at = now() FROM pending WHERE account_opening.id = pending.id RETURNING 1
    )
    SELECT count(*) FROM done
    """  # noqa: S608 - fragments of our own
)


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


def credit_late() -> int:
    """Mark the openings of the last five weeks to be credited anew, for what came in late. Returns how many."""
    marked = db.session.execute(
        text(
            "WITH marked AS (UPDATE account_opening SET attributed_at = NULL "
            "WHERE opened_at > now() - :late AND client_id IS NOT NULL AND attributed_at IS NOT NULL RETURNING 1) "
            "SELECT count(*) FROM marked"
        ),
        {"late": LATE},
    )
    return int(marked.scalar_one())
