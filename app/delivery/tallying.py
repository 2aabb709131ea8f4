"""The counts of many batches at once."""

from collections.abc import Sequence

from sqlalchemy import ARRAY, BigInteger, bindparam, text

from app.core.extensions import db

_TALLIES = text(
    """
    UPDATE batch
    SET size = counted.size, sent = counted.sent, failed = counted.failed, skipped = counted.skipped,
        unconfirmed = counted.unconfirmed
    FROM (
        SELECT locked.id,
               count(message.id) AS size,
               count(message.id) FILTER (WHERE message.state = 'sent') AS sent,
               count(message.id) FILTER (WHERE message.state = 'failed') AS failed,
               count(message.id) FILTER (WHERE message.state = 'skipped') AS skipped,
               count(message.id) FILTER (WHERE message.state = 'unconfirmed') AS unconfirmed
        FROM unnest(:ids) AS locked (id) LEFT JOIN message ON message.batch_id = locked.id
        GROUP BY locked.id
    ) AS counted
    WHERE batch.id = counted.id
    """
).bindparams(bindparam("ids", type_=ARRAY(BigInteger)))
_LOCK = text("SELECT id FROM batch WHERE id = ANY(:ids) ORDER BY id FOR UPDATE").bindparams(
    bindparam("ids", type_=ARRAY(BigInteger))
)


def refresh_tallies(batch_ids: Sequence[int]) -> None:
    """Count the rows of these batches anew, in the caller's transaction.

    The batches are locked first, in order, and counted in a later statement, which sees what others committed before.
    """
    if batch_ids:
        ids = sorted(set(batch_ids))
        db.session.execute(_LOCK, {"ids": ids})
        db.session.execute(_TALLIES, {"ids": ids})
