"""From bounces to the suppression list: one rule for SMTP answers, vendors' events and returned messages.

An address that is bad is suppressed at once; one whose mail came back for other reasons after so many messages in so
many days (`InboxRules`); mail that was refused for what it says or who sent it says nothing of the address.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text

from app.clients.models import HARD_BOUNCE, SOFT_BOUNCES
from app.clients.service import suppress
from app.core.extensions import db
from app.tracking.mail.bounce_classes import FULL, HARD, SOFT, UNKNOWN, classify
from app.tracking.mail.rules import inbox_rules

BOUNCES = frozenset({"bounce", "blocked", "dropped", "refused"})
COUNTED = (SOFT, FULL, UNKNOWN)
REFUSALS_AT_ONCE = 500  # batches

# SQL for the address that the message of an event was sent to: what the report says, else the client's own. Where they
# have another one by now, only the report can say which it was, and the new one has done nothing: then NULL.
SENT_TO = """
    lower(coalesce(event.payload ->> 'email', CASE
        WHEN split_part(lower(client.email), '@', 2) <> message.domain THEN NULL
        WHEN EXISTS (SELECT 1 FROM client_change AS change WHERE change.client_id = client.id
                     AND change.changes ? 'email' AND change.at > coalesce(message.sent_at, event.at)) THEN NULL
        ELSE client.email END))
"""
_EVENTS = text(
    f"""
    SELECT event.id, event.at, event.kind, event.source, event.payload, event.message_id, {SENT_TO} AS address
    FROM unnest(CAST(:ids AS bigint[]), CAST(:times AS timestamptz[])) AS due (id, at)
    JOIN event ON event.id = due.id AND event.at = due.at
    JOIN message ON message.id = event.message_id
    JOIN client ON client.id = message.client_id
    WHERE message.channel = 'email'
    ORDER BY event.id
    """  # noqa: S608 - a fragment of our own
)
_WRITE = text(
    """
    INSERT INTO bounce (event_id, at, message_id, source, address, class, status, words)
    SELECT * FROM unnest(CAST(:ids AS bigint[]), CAST(:times AS timestamptz[]), CAST(:messages AS bigint[]),
                         CAST(:sources AS text[]), CAST(:addresses AS text[]), CAST(:classes AS text[]),
                         CAST(:statuses AS text[]), CAST(:words AS text[]))
    ON CONFLICT (event_id, at) DO UPDATE SET class = excluded.class, status = excluded.status, words = excluded.words
    """
)
# Of each address that had a soft bounce now: did so many messages come back within so many days around it? News may
# come in any order, so the days are looked at that end with the bounce, and those that end with a later one.
_WORN_OUT = text(
    """
    WITH due AS (
        SELECT address, min(at) AS first, max(at) AS last
        FROM unnest(CAST(:addresses AS text[]), CAST(:times AS timestamptz[])) AS due (address, at) GROUP BY address
    )
    SELECT DISTINCT due.address
    FROM due JOIN bounce AS ending ON ending.address = due.address AND ending.class = ANY(CAST(:classes AS text[]))
         AND ending.at >= due.first AND ending.at < due.last + make_interval(days => :days)
    WHERE (SELECT count(DISTINCT coalesce(bounce.message_id, -bounce.event_id)) FROM bounce
           WHERE bounce.address = due.address AND bounce.class = ANY(CAST(:classes AS text[]))
             AND bounce.at <= ending.at AND bounce.at > ending.at - make_interval(days => :days)) >= :number
    """
)
_ACTED = text(
    """
    UPDATE event SET acted_at = now()
    FROM unnest(CAST(:ids AS bigint[]), CAST(:times AS timestamptz[])) AS due (id, at)
    WHERE event.id = due.id AND event.at = due.at
    """
)


def note_bounces(rows: Sequence[Row[Any]]) -> None:
    """Classify the events (id, at, kind, acted_at) among `rows` that are bounces of e-mail, and suppress what the rule
    says, once for each event: interpreted again, they change their class but nothing that was done."""
    new = {(row.id, row.at) for row in rows if row.kind in BOUNCES and row.acted_at is None}
    keys = [(row.id, row.at) for row in rows if row.kind in BOUNCES]
    if not keys:
        return
    found = db.session.execute(_EVENTS, {"ids": [key[0] for key in keys], "times": [key[1] for key in keys]}).all()
    judged = [
        (row, classify(kind=row.kind, source=row.source, payload=row.payload or {})) for row in found if row.address
    ]
    if judged:
        db.session.execute(
            _WRITE,
            {
                "ids": [row.id for row, _ in judged],
                "times": [row.at for row, _ in judged],
                "messages": [row.message_id for row, _ in judged],
                "sources": [row.source for row, _ in judged],
                "addresses": [row.address for row, _ in judged],
                "classes": [verdict.bounce_class for _, verdict in judged],
                "statuses": [verdict.status for _, verdict in judged],
                "words": [verdict.words for _, verdict in judged],
            },
        )
    fresh = [(row, verdict) for row, verdict in judged if (row.id, row.at) in new]
    hard: dict[str, set[str]] = {}
    for row, verdict in fresh:
        if verdict.bounce_class == HARD:
            hard.setdefault(row.source, set()).add(row.address)
    for source, addresses in sorted(hard.items()):
        suppress(channel="email", addresses=addresses, reason=HARD_BOUNCE, source=source)
    _suppress_worn_out([(row.address, row.at) for row, verdict in fresh if verdict.bounce_class in COUNTED])
    if new:
        db.session.execute(_ACTED, {"ids": [key[0] for key in new], "times": [key[1] for key in new]})


def _suppress_worn_out(soft: Sequence[tuple[str, datetime]]) -> None:
    if not soft:
        return
    rules = inbox_rules()
    worn_out = db.session.scalars(
        _WORN_OUT,
        {
            "addresses": [address for address, _ in soft],
            "times": [at for _, at in soft],
            "classes": list(COUNTED),
            "days": rules.soft_days,
            "number": rules.soft_bounces,
        },
    ).all()
    suppress(channel="email", addresses=worn_out, reason=SOFT_BOUNCES, source="bounces")


# ---- SMTP answers ---------------------------------------------------------------------------------------------------

# The answers that a relay gave for good stand on the messages; each becomes a raw event once, to be interpreted like
# any other. Batches are looked at while their run is young: nothing of theirs fails later.
_REFUSED_BATCHES = text(
    """
    SELECT batch.id, batch.failed FROM batch
    JOIN run ON run.id = batch.run_id AND run.created_at > now() - interval '45 days'
    LEFT JOIN refusals_noted AS noted ON noted.batch_id = batch.id
    WHERE batch.failed > 0 AND batch.channel = 'email' AND batch.failed IS DISTINCT FROM noted.failed
    ORDER BY batch.id LIMIT :limit
    """
)
_NOTE_REFUSALS = text(
    """
    INSERT INTO event (kind, message_id, at, source, external_id, payload)
    SELECT 'refused', message.id, now(), 'smtp', 'message:' || message.id || ':' || md5(message.reason),
           jsonb_build_object('reply', left(message.reason, 500))
    FROM message
    WHERE message.batch_id = ANY(CAST(:batches AS bigint[])) AND message.state = 'failed'
      AND message.reason ~ '^[45][0-9][0-9] '
      AND NOT EXISTS (SELECT 1 FROM event AS known WHERE known.message_id = message.id AND known.source = 'smtp'
                      AND known.external_id = 'message:' || message.id || ':' || md5(message.reason))
    """
)
_NOTED = text(
    """
    INSERT INTO refusals_noted (batch_id, failed)
    SELECT * FROM unnest(CAST(:batches AS bigint[]), CAST(:failed AS bigint[]))
    ON CONFLICT (batch_id) DO UPDATE SET failed = excluded.failed
    """
)


def note_refusals() -> int:
    """Make raw events of the answers with which relays refused messages for good, in the current transaction.

    The caller holds a lock: two at once would note an answer twice. Returns how many batches were looked at.
    """
    batches = db.session.execute(_REFUSED_BATCHES, {"limit": REFUSALS_AT_ONCE}).all()
    if not batches:
        return 0
    ids = [batch.id for batch in batches]
    db.session.execute(_NOTE_REFUSALS, {"batches": ids})
    db.session.execute(_NOTED, {"batches": ids, "failed": [batch.failed for batch in batches]})
    return len(batches)
