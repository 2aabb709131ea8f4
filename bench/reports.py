"""The response of a campaign by segment, against one plain GROUP BY over its messages."""

from sqlalchemy import text

from app.campaigns.models import Campaign
from app.core.extensions import db
from app.reports.response import campaign_response
from bench.measuring import best, report_seconds

_ANSWERS = text(
    """
    UPDATE message
    SET state = 'sent',
        sent_at = now(),
        delivered_at = CASE WHEN id % 50 > 0 THEN now() END,
        opened_at = CASE WHEN id % 4 = 0 THEN now() END,
        clicked_at = CASE WHEN id % 20 = 0 THEN now() END,
        replied_at = CASE WHEN id % 100 = 0 THEN now() END
    WHERE campaign_id = :campaign_id
    """
)
_PLAIN = text(
    """
    SELECT state, count(*), count(delivered_at), count(opened_at), count(clicked_at), count(replied_at)
    FROM message WHERE campaign_id = :campaign_id GROUP BY state
    """
)


def measure_report(campaign_id: int) -> None:
    """All figures and intervals, unique clients, for the audience and its segment."""
    with db.engine.begin() as connection:
        connection.execute(_ANSWERS, {"campaign_id": campaign_id})
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE message"))
    counts: set[int] = set()

    def ours() -> None:
        counts.add(campaign_response(db.session.get_one(Campaign, campaign_id)).total.opened)
        db.session.rollback()

    def plain() -> None:
        counts.add(sum(row[3] for row in db.session.execute(_PLAIN, {"campaign_id": campaign_id})))
        db.session.rollback()

    ours()
    size = campaign_response(db.session.get_one(Campaign, campaign_id)).total.targeted
    taken, reference = best(ours, plain, rounds=5)
    report_seconds("report a campaign", size=size, taken=taken, reference_taken=reference, bound=0.1)
