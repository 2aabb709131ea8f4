"""What the openings of a campaign came to: which count for it, which are effective, what they brought in.

All of it is worked out from accounts and balances as they are now, set-based, and may be repeated at any time. Days are
those of the firm's time zone.
"""

from datetime import timedelta
from typing import Any

from pyroaring import BitMap64
from sqlalchemy import select, text

from app.campaigns.effective_rule import EffectiveRule, read_rule
from app.campaigns.models import Campaign
from app.core.clock import today
from app.core.extensions import db, settings
from app.delivery.models import Run
from app.tracking.openings.models import FOLLOWED_DAYS

BROUGHT_IN_AFTER = 30  # days
OLDEST_BALANCE = 400  # days; an older balance says nothing of an account any more
LATE_FEED = timedelta(days=14)  # so much later than its day a balance or an account may still come


# ---- Which openings count -------------------------------------------------------------------------------------------

_IN_WINDOW = text(
    """
    SELECT opening.id, opening.client_id, merged.id AS merged_id
    FROM account_opening AS opening LEFT JOIN client AS merged ON merged.merged_into_id = opening.client_id
    WHERE opening.client_id IS NOT NULL AND opening.opened_at >= :launched
      AND opening.opened_at <= :launched + make_interval(days => :days)
    """
)
_CLAIMED = text("SELECT DISTINCT opening_id FROM attribution WHERE campaign_id = :campaign")
_COUNT = text(
    """
    WITH wanted AS (SELECT unnest(CAST(:openings AS bigint[])) AS opening_id),
    gone AS (
        DELETE FROM counted_opening WHERE campaign_id = :campaign
        AND NOT EXISTS (SELECT 1 FROM wanted WHERE wanted.opening_id = counted_opening.opening_id)
    )
    INSERT INTO counted_opening (campaign_id, opening_id) SELECT :campaign, opening_id FROM wanted
    ON CONFLICT DO NOTHING
    """
)


def count_openings(campaign: Campaign) -> int:
    """Bring the list of openings that count for a campaign up to date. Returns how many there are."""
    openings = BitMap64(db.session.scalars(_CLAIMED, {"campaign": campaign.id}))
    for run in db.session.scalars(select(Run).where(Run.campaign_id == campaign.id, Run.audience_id.is_not(None))):
        audience = run.audience.client_ids if run.audience else BitMap64()
        rows = db.session.execute(_IN_WINDOW, {"launched": run.created_at, "days": campaign.window_days})
        openings.update([row.id for row in rows if row.client_id in audience or (row.merged_id or 0) in audience])
    db.session.execute(_COUNT, {"campaign": campaign.id, "openings": list(openings)})
    return len(openings)


# ---- Conditions as SQL ----------------------------------------------------------------------------------------------


def _open_on(day: str) -> str:
    return (
        f"(account.opened_on IS NULL OR account.opened_on <= {day}) "
        f"AND (account.closed_on IS NULL OR account.closed_on > {day})"
    )


def _held(client: str, day: str, more: str = "") -> str:
    """SQL for what a client held at the end of a day; NULL where no balance of theirs is known."""
    return f"""(
        SELECT sum(greatest(newest.amount, 0)) FROM account CROSS JOIN LATERAL (
            SELECT balance.amount FROM balance WHERE balance.account_id = account.id
              AND balance.on_date <= {day} AND balance.on_date > {day} - {OLDEST_BALANCE}
            ORDER BY balance.on_date DESC LIMIT 1
        ) AS newest
        WHERE account.client_id = {client} AND {_open_on(day)} {more}
    )"""  # noqa: S608 - names of our own


def _conditions(rule: EffectiveRule, client: str, day: str) -> tuple[str, dict[str, Any]]:
    """SQL that says whether the accounts and the minimum of a rule hold for a client on a day, and its values."""
    parts, values = ["true"], dict[str, Any]()
    for place, needed in enumerate(rule.accounts):
        values[f"kind_{place}"] = needed.kind.lower()
        more = f"AND lower(account.kind) = :kind_{place}"
        if needed.designated:
            more += f" AND account.designated_on <= {day}"
        if needed.partner_bank:
            values[f"bank_{place}"] = needed.partner_bank.lower()
            more += f" AND lower(account.partner_bank) = :bank_{place}"
        parts.append(
            f"EXISTS (SELECT 1 FROM account WHERE account.client_id = {client} AND {_open_on(day)} {more})"  # noqa: S608
        )
    if rule.minimum is not None:
        more = ""
        if rule.minimum_kinds:
            values["cash_kinds"] = [kind.lower() for kind in rule.minimum_kinds]
            more = "AND lower(account.kind) = ANY(CAST(:cash_kinds AS text[]))"
        values["minimum"] = rule.minimum
        parts.append(f"coalesce({_held(client, day, more)}, 0) >= CAST(:minimum AS numeric)")
    return " AND ".join(parts), values


# ---- Effective openings ---------------------------------------------------------------------------------------------


def judge_openings(campaign: Campaign, *, everything: bool = False) -> int:
    """Work out the first day on which each counted opening was effective, and what it brought in.

    Looked at are those never judged and those about which something may still come in; with `everything`, all.
    Returns how many.
    """
    rule = read_rule(campaign.effective_rule)
    holds, values = _conditions(rule, "due.client_id", "day.on_date") if rule else ("true", {})
    within = rule.within_days if rule else 0
    longest = max(within, BROUGHT_IN_AFTER)
    effective = f"""(
        SELECT day.on_date FROM (
            SELECT due.opened_on AS on_date
            UNION SELECT account.opened_on FROM account WHERE account.client_id = due.client_id
            UNION SELECT account.designated_on FROM account WHERE account.client_id = due.client_id
            {
        "UNION SELECT balance.on_date FROM balance WHERE balance.client_id = due.client_id "
        "AND balance.on_date BETWEEN due.opened_on AND due.opened_on + CAST(:within AS int)"
        if rule and rule.minimum is not None
        else ""
    }
            ORDER BY on_date OFFSET 0  -- so that the days are looked at in turn, up to the first that will do
        ) AS day
        WHERE day.on_date BETWEEN due.opened_on AND due.opened_on + CAST(:within AS int) AND {holds}
        LIMIT 1
    )"""  # noqa: S608 - names of our own
    judged = db.session.execute(
        text(
            f"""
            WITH due AS (
                SELECT counted.opening_id, opening.client_id, opening.kind, opening.amount,
                       (opening.opened_at AT TIME ZONE :zone)::date AS opened_on
                FROM counted_opening AS counted JOIN account_opening AS opening ON opening.id = counted.opening_id
                WHERE counted.campaign_id = :campaign AND opening.client_id IS NOT NULL
                  AND (:everything OR counted.judged_at IS NULL OR opening.opened_at > :since)
            ),
            found AS MATERIALIZED (
                SELECT due.opening_id, due.amount,
                       CASE WHEN due.kind = ANY(CAST(:kinds AS text[])) THEN {effective} END AS effective_on,
                       {_held("due.client_id", "(due.opened_on - 1)")} AS before,
                       {_held("due.client_id", f"least(due.opened_on + {BROUGHT_IN_AFTER}, CAST(:today AS date))")}
                           AS after
                FROM due
            )
            UPDATE counted_opening SET
                judged_at = now(), effective_on = found.effective_on, assets_before = found.before,
                brought_in = CASE WHEN found.after IS NOT NULL THEN greatest(found.after - coalesce(found.before, 0), 0)
                                  ELSE found.amount END
            FROM found
            WHERE counted_opening.campaign_id = :campaign AND counted_opening.opening_id = found.opening_id
            """  # noqa: S608 - names of our own
        ),
        values
        | {
            "campaign": campaign.id,
            "everything": everything,
            "zone": settings().time_zone,
            "today": today(),
            "since": today() - timedelta(days=longest) - LATE_FEED,
            "within": within,
            "kinds": list(rule.kinds) if rule else ["opening", "transfer_in"],
        },
    )
    return int(judged.rowcount)  # type: ignore[attr-defined]


# ---- Following up ---------------------------------------------------------------------------------------------------


def follow_openings(campaign: Campaign) -> int:
    """Note how effective openings stood 30, 90 and 180 days later. Returns how many notes were written or renewed.

    A note is renewed for two weeks, because balances come in late; then it stays. Still effective means that the
    account was not closed, and that the accounts and the minimum of the rule held on that day too.
    """
    rule = read_rule(campaign.effective_rule)
    holds, values = _conditions(rule, "due.client_id", "due.on_date") if rule else ("true", {})
    followed = db.session.execute(
        text(
            f"""
            WITH due AS (
                SELECT counted.opening_id, opening.client_id, opening.account_number, after.days,
                       (opening.opened_at AT TIME ZONE :zone)::date + after.days AS on_date
                FROM counted_opening AS counted JOIN account_opening AS opening ON opening.id = counted.opening_id
                CROSS JOIN unnest(CAST(:followed AS int[])) AS after (days)
                LEFT JOIN opening_follow_up AS known ON known.campaign_id = counted.campaign_id
                    AND known.opening_id = counted.opening_id AND known.days = after.days
                WHERE counted.campaign_id = :campaign AND counted.effective_on IS NOT NULL
                  AND opening.client_id IS NOT NULL
                  AND opening.opened_at < CAST(:today AS date) - make_interval(days => after.days)
                  AND (known.days IS NULL OR known.on_date > CAST(:renewed_from AS date))
            )
            INSERT INTO opening_follow_up (campaign_id, opening_id, days, on_date, still_effective, assets)
            SELECT :campaign, due.opening_id, due.days, due.on_date,
                   {_not_closed()} AND ({holds}), {_held("due.client_id", "due.on_date")}
            FROM due WHERE due.on_date < CAST(:today AS date)
            ON CONFLICT (campaign_id, opening_id, days) DO UPDATE SET
                on_date = excluded.on_date, still_effective = excluded.still_effective, assets = excluded.assets
            """  # noqa: S608 - names of our own
        ),
        values
        | {
            "campaign": campaign.id,
            "zone": settings().time_zone,
            "today": today(),
            "renewed_from": today() - LATE_FEED,
            "followed": list(FOLLOWED_DAYS),
        },
    )
    db.session.execute(
        text(
            "DELETE FROM opening_follow_up USING counted_opening AS counted WHERE counted.campaign_id = :campaign "
            "AND opening_follow_up.campaign_id = counted.campaign_id "
            "AND opening_follow_up.opening_id = counted.opening_id AND counted.effective_on IS NULL"
        ),
        {"campaign": campaign.id},
    )
    return int(followed.rowcount)  # type: ignore[attr-defined]


def _not_closed() -> str:
    """The account that was opened is not closed; where nobody said which, not all of the client's are."""
    return f"""
        NOT EXISTS (SELECT 1 FROM account WHERE account.client_id = due.client_id
                    AND account.number = due.account_number AND account.closed_on <= due.on_date)
        AND (EXISTS (SELECT 1 FROM account WHERE account.client_id = due.client_id AND {_open_on("due.on_date")})
             OR NOT EXISTS (SELECT 1 FROM account WHERE account.client_id = due.client_id))
    """  # noqa: S608 - names of our own
