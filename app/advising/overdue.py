"""Tasks that nobody did in time, and those that nobody may do any more."""

from typing import Any

from sqlalchemy import case, select, text, update

from app.advising.models import NEXT, UNFINISHED, AdviserTask, TaskState
from app.advising.offering import barred
from app.advising.trading_days import before, rules_in_force
from app.campaigns.models import Campaign, State
from app.clients.models import Client
from app.core.clock import now, today
from app.core.extensions import db

CANCELLED = "cancelled"

# To the leader of the adviser's team; where there is none, or the adviser leads it, to the manager of the client's
# branch or of the nearest one above it.
_ESCALATE = text(
    """
    UPDATE adviser_task SET state = 'escalated', escalated_at = now(), escalated_to_id = coalesce(
        (SELECT leader.id FROM user_account AS adviser
         JOIN user_account AS leader ON leader.team_id = adviser.team_id
         WHERE adviser.id = adviser_task.adviser_id AND leader.id <> adviser.id AND leader.leads_team
             AND leader.active AND leader.frozen_at IS NULL
         ORDER BY leader.id LIMIT 1),
        (SELECT manager.id FROM client
         JOIN branch AS home ON home.id = client.branch_id
         JOIN branch AS above ON starts_with(home.path, above.path)
         JOIN user_account AS manager ON manager.branch_id = above.id
         WHERE client.id = adviser_task.client_id AND 'branch_manager' = ANY(manager.roles)
             AND manager.active AND manager.frozen_at IS NULL
         ORDER BY length(above.path) DESC, manager.id LIMIT 1))
    WHERE state IN ('open', 'again') AND due_on < :today
    """
)
_CLOSE = text(
    """
    UPDATE adviser_task SET state = 'not_contacted', closed_at = now(), planned_on = NULL
    WHERE state = 'escalated' AND due_on < :last_due
    """
)


def escalate_and_close() -> tuple[int, int]:
    """Overdue tasks go to whom they escalate to; those that stayed there too long close as not contacted.

    Returns how many of each. In the caller's transaction.
    """
    rules = rules_in_force()
    closed: Any = db.session.execute(_CLOSE, {"last_due": before(today(), rules.escalation_days, rules.holidays)})
    escalated: Any = db.session.execute(_ESCALATE, {"today": today()})
    return escalated.rowcount, closed.rowcount


def withdraw_barred() -> int:
    """Withdraw the tasks of cancelled campaigns and of clients who must not be called any more, with the reason."""
    withdrawn = 0
    campaigns = db.session.scalars(
        select(Campaign).where(
            Campaign.id.in_(select(AdviserTask.campaign_id).where(AdviserTask.state.in_(UNFINISHED)).distinct())
        )
    )
    for campaign in campaigns.all():
        reason = case((Campaign.state == State.CANCELLED, CANCELLED), else_=barred(campaign))
        found: Any = db.session.execute(
            update(AdviserTask)
            .where(
                AdviserTask.client_id == Client.id,
                AdviserTask.campaign_id == Campaign.id,
                Campaign.id == campaign.id,
                AdviserTask.state.in_([state for state in TaskState if TaskState.WITHDRAWN in NEXT[state]]),
                reason.is_not(None),
            )
            .values(state=TaskState.WITHDRAWN, withdrawn_reason=reason, closed_at=now(), planned_on=None)
            .execution_options(synchronize_session=False)
        )
        withdrawn += found.rowcount
    return withdrawn
