"""`python -m bench.openings`: crediting and judging account openings, one JSON line a measure on standard output.

BENCH_OPENINGS (100,000) openings of as many clients, who were sent ten messages each by ten campaigns. Crediting is
measured against one plain join that only finds the last message of each campaign before each opening and keeps nothing;
judging by a rule against one plain sum of the balances that it has to look at.
"""

import os

from sqlalchemy import text

from app import models as models  # every table, before anything is mapped
from app.campaigns.models import Campaign
from app.core.extensions import db
from app.tracking.openings.attribution import credit_again, credit_pending
from app.tracking.openings.judging import count_openings, judge_openings
from bench.measuring import best, report_seconds
from bench.system import running_app

CAMPAIGNS = 10
RULE = {
    "kinds": ["opening"],
    "accounts": [{"kind": "fund"}],
    "minimum": {"amount": "10000", "kinds": ["cash"]},
    "within_days": 30,
}

_BOOK = """
    INSERT INTO client (number, branch_id, email_consent)
    SELECT n::text, (SELECT min(id) FROM branch), true FROM generate_series(1, :openings) AS n;
    INSERT INTO account (client_id, number, kind, opened_on)
    SELECT id, held || number, held, current_date - 40 FROM client CROSS JOIN unnest(ARRAY['cash', 'fund']) AS held;
"""
_BALANCES = """
    INSERT INTO balance (account_id, client_id, on_date, amount)
    SELECT account.id, account.client_id, current_date - back, 8000 + (account.client_id * 7 + back * 13) % 4000
    FROM account CROSS JOIN generate_series(0, 40, 4) AS back WHERE account.kind = 'cash'
"""
_MESSAGES = """
    INSERT INTO message (run_id, campaign_id, step_id, client_id, batch_id, channel, state, sent_at)
    SELECT run.id, run.campaign_id, step.id, client.id, batch.id, 'email', 'sent',
           now() - interval '50 days' + make_interval(days => (run.id * 3)::int, secs => client.id % 3600)
    FROM run JOIN step ON step.campaign_id = run.campaign_id JOIN batch ON batch.run_id = run.id CROSS JOIN client
"""
_OPENINGS = """
    INSERT INTO account_opening (source, external_id, client_id, opened_at)
    SELECT 'bench', id::text, id, now() - interval '38 days' + make_interval(days => (id % 30)::int) FROM client
"""
_PLAIN_CREDIT = text(
    """
    SELECT count(*) FROM (
        SELECT DISTINCT ON (opening.id, message.campaign_id) opening.id, message.campaign_id, message.id
        FROM account_opening AS opening JOIN message ON message.client_id = opening.client_id
        JOIN campaign ON campaign.id = message.campaign_id
        WHERE message.state = 'sent' AND message.sent_at <= opening.opened_at
          AND opening.opened_at <= message.sent_at + make_interval(days => campaign.window_days::int)
        ORDER BY opening.id, message.campaign_id, message.sent_at DESC
    ) AS claims
    """
)
_PLAIN_BALANCES = text(
    """
    SELECT count(*), sum(balance.amount) FROM counted_opening JOIN account_opening AS opening
        ON opening.id = counted_opening.opening_id
    JOIN account ON account.client_id = opening.client_id
    JOIN balance ON balance.account_id = account.id AND balance.on_date >= opening.opened_at::date
    WHERE counted_opening.campaign_id = :campaign
    """
)


def main() -> None:
    openings = int(os.environ.get("BENCH_OPENINGS", "100000"))
    with running_app():
        _fill(openings)
        _measure_crediting(openings)
        _measure_judging()


def _fill(openings: int) -> None:
    models = ("last_touch", "first_touch", "even")
    with db.engine.begin() as connection:
        for place in range(1, CAMPAIGNS + 1):
            code, model = f"B{place:02}", models[place % len(models)]
            connection.execute(
                text(
                    "WITH one AS (INSERT INTO campaign (code, name, purpose, tags, state, window_days, "
                    "attribution_model) "
                    "VALUES (:code, :code, 'marketing', '{}', 'running', 30, :model) RETURNING id), "
                    "step AS (INSERT INTO step (campaign_id, position, channel) SELECT id, 0, 'email' FROM one "
                    "RETURNING id), "
                    "run AS (INSERT INTO run (campaign_id, number, state, matched, eligible, exclusions) "
                    "SELECT id, 1, 'complete', 0, 0, '{}' FROM one RETURNING id) "
                    "INSERT INTO batch (run_id, step_id, channel, size) "
                    "SELECT run.id, step.id, 'email', 0 FROM run, step"
                ),
                {"code": code, "model": model},
            )
        for statement in (*_BOOK.split(";"), _MESSAGES, _OPENINGS):
            if statement.strip():
                connection.execute(text(statement), {"openings": openings} if ":openings" in statement else {})
        connection.execute(text("CREATE TABLE balance_bench PARTITION OF balance DEFAULT"))
        connection.execute(text(_BALANCES))
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))


def _measure_crediting(openings: int) -> None:
    def ours() -> None:
        credit_again(campaign_id=None)
        credit_pending()
        db.session.commit()

    def plain() -> None:
        db.session.execute(_PLAIN_CREDIT).scalar_one()
        db.session.rollback()

    ours()
    taken, reference = best(ours, plain, rounds=2)
    report_seconds("credit account openings anew", size=openings, taken=taken, reference_taken=reference, bound=0.05)


def _measure_judging() -> None:
    campaign = db.session.query(Campaign).order_by(Campaign.id).offset(4).first()
    assert campaign is not None
    campaign.effective_rule = RULE
    count = count_openings(campaign)
    db.session.commit()

    def ours() -> None:
        judge_openings(campaign, everything=True)
        db.session.commit()

    def plain() -> None:
        db.session.execute(_PLAIN_BALANCES, {"campaign": campaign.id}).one()
        db.session.rollback()

    taken, reference = best(ours, plain, rounds=2)
    report_seconds("judge account openings", size=count, taken=taken, reference_taken=reference, bound=0.02)


if __name__ == "__main__":
    main()
