"""Whose opening it is: by number, tracking code, e-mail address, mobile number, in this order.

The first of them that leads to anybody decides. Where it leads to several clients, or none does, the opening waits: for
the client to come into the book, or for a person who chooses.
"""

from sqlalchemy import text

from app.core.extensions import db

ROUND = 20_000

# What a tracking code stands for is known from the start, so it was looked at when the opening came.
_MATCH = text(
    """
    WITH waiting AS (
        SELECT id, client_number, email, mobile FROM account_opening
        WHERE client_id IS NULL AND set_aside_at IS NULL AND id > :after ORDER BY id LIMIT :round
    ),
    fitting AS (
        SELECT waiting.id, 1 AS rank, 'number' AS matched_by, coalesce(client.merged_into_id, client.id) AS client_id
        FROM waiting JOIN client ON client.number = waiting.client_number
        UNION SELECT waiting.id, 2, 'email', coalesce(client.merged_into_id, client.id)
        FROM waiting JOIN client ON lower(client.email) = lower(waiting.email)
        UNION SELECT waiting.id, 3, 'mobile', coalesce(client.merged_into_id, client.id)
        FROM waiting JOIN client ON client.mobile = waiting.mobile
    ),
    decided AS (
        SELECT DISTINCT ON (id) id, matched_by, min(client_id) AS client_id, count(*) AS clients
        FROM fitting GROUP BY id, rank, matched_by ORDER BY id, rank
    ),
    matched AS (
        UPDATE account_opening SET client_id = decided.client_id, matched_by = decided.matched_by, attributed_at = NULL
        FROM decided WHERE account_opening.id = decided.id AND decided.clients = 1
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM matched) AS matched, (SELECT count(*) FROM waiting) AS looked_at,
           (SELECT max(id) FROM waiting) AS last
    """
)


def match_waiting() -> int:
    """Match what waits to the clients there are by now, in the current transaction. Returns how many were matched."""
    matched, after = 0, 0
    while True:
        row = db.session.execute(_MATCH, {"after": after, "round": ROUND}).one()
        matched += row.matched
        if row.looked_at < ROUND:
            return int(matched)
        after = row.last
