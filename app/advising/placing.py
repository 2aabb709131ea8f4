"""Which adviser has a task, and for which day it is listed. Each is one statement over all tasks.

A task goes to the client's owner; to the owner's deputy while the owner is away; else to the second adviser. Who is
not fit for it is passed over: accounts that are closed or frozen, posts without marketing, and, where the campaign
offers a product, staff without a valid registration. Where nobody is left the task waits without an adviser in the
queue of its branch: the manager gives the client an owner (or staff claim it from the pool), and the task follows by
itself. It is not skipped, because an owner can be found in minutes; and nobody is asked to call a client they may not
see.

Each adviser is listed so many clients a day, one card per client whatever campaigns ask; the rest goes to the trading
days after, by priority. Once a day is there its list stays as it is: what comes later goes to free places only.
"""

from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from sqlalchemy import ARRAY, Date, bindparam, exists, select, text

from app.advising.models import AdviserTask, AdvisingRules, TaskState
from app.advising.trading_days import trading_days
from app.core.clock import today
from app.core.extensions import Timestamp, db, settings

HORIZON = 250  # trading days, about a year; what does not fit is listed for the last of them

_ASSIGN = text(
    """
    WITH away AS (
        SELECT DISTINCT ON (user_id) user_id, deputy_id FROM absence
        WHERE first_day <= :today AND last_day >= :today ORDER BY user_id, id DESC
    ), fit AS (
        SELECT user_account.id,
               coalesce(registration_number, '') <> '' AND coalesce(registration_until >= :today, true) AS registered,
               away.user_id IS NOT NULL AS is_away
        FROM user_account LEFT JOIN away ON away.user_id = user_account.id
        WHERE active AND frozen_at IS NULL AND marketing_post AND 'adviser' = ANY(roles)
    ), wanted AS (
        SELECT adviser_task.id,
               CASE
                   WHEN NOT owner.is_away AND adviser_task.adviser_id IS DISTINCT FROM second.id THEN owner.id
                   WHEN NOT second.is_away AND adviser_task.adviser_id = second.id THEN second.id
                   WHEN NOT owner.is_away THEN owner.id
                   WHEN NOT deputy.is_away THEN deputy.id
                   WHEN NOT second.is_away THEN second.id
                   ELSE owner.id
               END AS adviser_id,
               CASE WHEN owner.is_away AND NOT deputy.is_away
                        AND NOT coalesce(NOT second.is_away AND adviser_task.adviser_id = second.id, false)
                    THEN owner.id END AS deputy_for_id
        FROM adviser_task
        JOIN client ON client.id = adviser_task.client_id
        JOIN campaign ON campaign.id = adviser_task.campaign_id
        LEFT JOIN fit AS owner ON owner.id = client.adviser_id AND (campaign.product_risk IS NULL OR owner.registered)
        LEFT JOIN fit AS second
            ON second.id = client.second_adviser_id AND (campaign.product_risk IS NULL OR second.registered)
        LEFT JOIN away AS owner_away ON owner_away.user_id = client.adviser_id
        LEFT JOIN fit AS deputy
            ON deputy.id = owner_away.deputy_id AND (campaign.product_risk IS NULL OR deputy.registered)
        WHERE adviser_task.state IN ('open', 'again', 'escalated')
    )
    UPDATE adviser_task
    SET adviser_id = wanted.adviser_id,
        deputy_for_id = wanted.deputy_for_id,
        planned_on = CASE WHEN adviser_task.state = 'open'
                              AND adviser_task.adviser_id IS DISTINCT FROM wanted.adviser_id THEN NULL
                          ELSE adviser_task.planned_on END
    FROM wanted
    WHERE wanted.id = adviser_task.id
        AND (adviser_task.adviser_id IS DISTINCT FROM wanted.adviser_id
             OR adviser_task.deputy_for_id IS DISTINCT FROM wanted.deputy_for_id)
    """
).bindparams(bindparam("today", type_=Date))

# fixed: cards that have their day, whatever else comes. movable: the others, one per adviser and client, in their
# order; those of a client who is listed today already join that card.
_PLACE = text(
    """
    WITH days AS (
        SELECT day, due, place FROM unnest(:days, :dues) WITH ORDINALITY AS given (day, due, place)
    ), fixed AS (
        SELECT adviser_id, client_id, greatest(planned_on, :first) AS day FROM adviser_task
        WHERE adviser_id IS NOT NULL
            AND (state IN ('again', 'escalated') AND planned_on IS NOT NULL OR state = 'open' AND planned_on < :movable)
        UNION
        SELECT adviser_id, client_id, :first FROM adviser_task
        WHERE adviser_id IS NOT NULL AND result_at >= :midnight
    ), movable AS (
        SELECT adviser_task.adviser_id, adviser_task.client_id, max(priority) AS priority,
               min(adviser_task.id) AS task_id
        FROM adviser_task
        WHERE state = 'open' AND adviser_id IS NOT NULL AND (planned_on IS NULL OR planned_on >= :movable)
        GROUP BY 1, 2
    ), joining AS (
        SELECT movable.adviser_id, movable.client_id FROM movable
        JOIN adviser_task AS listed USING (adviser_id, client_id)
        WHERE listed.state IN ('open', 'again', 'escalated') AND listed.planned_on < :movable
        GROUP BY 1, 2
    ), room AS (
        SELECT advisers.adviser_id, days.day, days.place,
               greatest(:daily_cap - count(fixed.client_id), 0) AS free
        FROM (SELECT DISTINCT adviser_id FROM movable) AS advisers
        CROSS JOIN days
        LEFT JOIN fixed ON fixed.adviser_id = advisers.adviser_id AND fixed.day = days.day
        GROUP BY 1, 2, 3
    ), filled AS (
        SELECT *, sum(free) OVER (PARTITION BY adviser_id ORDER BY place) AS upto FROM room
    ), ranked AS (
        SELECT movable.adviser_id, movable.client_id,
               row_number() OVER (PARTITION BY movable.adviser_id
                                  ORDER BY movable.priority DESC, client.total_assets DESC NULLS LAST, movable.task_id)
                   AS place
        FROM movable
        JOIN client ON client.id = movable.client_id
        LEFT JOIN joining ON joining.adviser_id = movable.adviser_id AND joining.client_id = movable.client_id
        WHERE joining.client_id IS NULL
    ), placed AS (
        SELECT adviser_id, client_id, :first AS day FROM joining
        UNION ALL
        SELECT ranked.adviser_id, ranked.client_id, coalesce(filled.day, :last)
        FROM ranked
        LEFT JOIN filled ON filled.adviser_id = ranked.adviser_id
            AND ranked.place <= filled.upto AND ranked.place > filled.upto - filled.free
    ), kept_apart AS (
        -- whoever was talked to today is not asked again on the same day
        SELECT placed.adviser_id, placed.client_id,
               CASE WHEN placed.day = :first AND EXISTS (
                        SELECT FROM adviser_task AS done
                        WHERE done.client_id = placed.client_id AND done.result_at >= :midnight)
                    THEN :second ELSE placed.day END AS day
        FROM placed
    )
    UPDATE adviser_task SET planned_on = days.day, due_on = days.due
    FROM kept_apart JOIN days ON days.day = kept_apart.day
    WHERE adviser_task.adviser_id = kept_apart.adviser_id AND adviser_task.client_id = kept_apart.client_id
        AND adviser_task.state = 'open' AND (adviser_task.planned_on IS NULL OR adviser_task.planned_on >= :movable)
        AND (adviser_task.planned_on, adviser_task.due_on) IS DISTINCT FROM (days.day, days.due)
    """
).bindparams(
    bindparam("days", type_=ARRAY(Date)),
    bindparam("dues", type_=ARRAY(Date)),
    bindparam("first", type_=Date),
    bindparam("second", type_=Date),
    bindparam("last", type_=Date),
    bindparam("movable", type_=Date),
    bindparam("midnight", type_=Timestamp),
)


def place_tasks(*, now_too: bool = False) -> None:
    """Give every unfinished task to whom it belongs today, and those without a day a day.

    In the caller's transaction, which holds `one_at_a_time`. The first time on a day (or with `now_too`, after the
    firm's figures changed) the lists of this day and of the days to come are made anew; later only new tasks find a
    place.
    """
    db.session.execute(_ASSIGN, {"today": today()})
    rules = _locked_rules()
    anew = now_too or rules.placed_on != today()
    unplaced = exists().where(
        AdviserTask.state == TaskState.OPEN, AdviserTask.adviser_id.is_not(None), AdviserTask.planned_on.is_(None)
    )
    if not anew and not db.session.scalar(select(unplaced)):
        return
    days = trading_days(today(), HORIZON + rules.grace_days, rules.holidays)
    first, last = days[0], days[HORIZON - 1]
    db.session.execute(
        _PLACE,
        {
            "days": days[:HORIZON],
            "dues": days[rules.grace_days : HORIZON + rules.grace_days],
            "first": first,
            "second": days[1],
            "last": last,
            "movable": today() if anew else _tomorrow(),
            "daily_cap": rules.daily_cap,
            "midnight": datetime.combine(today(), time(), ZoneInfo(settings().time_zone)),
        },
    )
    rules.placed_on = today()
    db.session.flush()


def one_at_a_time() -> None:
    """Wait until nobody else places tasks: two at once would fill the same places."""
    db.session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('advising.place', 0))"))


def _tomorrow() -> date:
    return date.fromordinal(today().toordinal() + 1)


def _locked_rules() -> AdvisingRules:
    """The row of the firm's figures, made where there is none."""
    db.session.execute(text("INSERT INTO advising_rules (id) VALUES (1) ON CONFLICT DO NOTHING"))
    return db.session.get_one(AdvisingRules, 1, with_for_update=True, populate_existing=True)
