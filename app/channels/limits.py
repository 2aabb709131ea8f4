"""How much may leave now: tokens are leased from `channel_limit` rows, for all workers together.

A worker asks for a window's worth in the transaction that hands the window over; what it does not use it gives back
there. An account without any limit has no row and costs nothing.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Date, Row, bindparam, select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from app.channels.models import ChannelAccount, ChannelLimit
from app.core.clock import now, today
from app.core.extensions import Timestamp, db, settings

# What has to be known of an account to lease from it.
LEASED_BY = (
    ChannelAccount.id,
    ChannelAccount.rate_per_second,
    ChannelAccount.daily_limit,
    ChannelAccount.warm_up_from,
    ChannelAccount.warm_up_first,
    ChannelAccount.warm_up_factor,
)
BURST_SECONDS = 3  # what waits is looked at every two seconds and must not lose the tokens between


@dataclass(frozen=True, slots=True)
class Lease:
    """What may leave. Where that is nothing, `again_at` says when to ask again."""

    granted: int
    again_at: datetime | None = None


def daily_allowance(account: ChannelAccount | Row[Any], day: date) -> int | None:
    """How many messages the account may take on this day: its limit, or less while it warms up; None: no bound."""
    bounds = [] if account.daily_limit is None else [account.daily_limit]
    if account.warm_up_from and account.warm_up_first and account.warm_up_factor:
        days = (day - account.warm_up_from).days
        # Past some 60 doublings the number has outgrown any list; the power must not overflow.
        bounds.append(int(account.warm_up_first * account.warm_up_factor ** min(days, 60)) if days >= 0 else 0)
    return min(bounds, default=None)


def lease(account: ChannelAccount | Row[Any], wanted: int) -> Lease:
    """Take up to `wanted` tokens of the account (or of its columns LEASED_BY), in the caller's transaction."""
    allowance = daily_allowance(account, today())
    if account.rate_per_second is None and allowance is None:
        return Lease(wanted)
    db.session.execute(
        upsert(ChannelLimit).values(account_id=account.id, tokens=account.rate_per_second or 0).on_conflict_do_nothing()
    )
    limit = select(ChannelLimit.id).where(ChannelLimit.account_id == account.id, ChannelLimit.domain == "")
    return _take(limit, wanted, rate=account.rate_per_second, allowance=allowance)


def lease_for_domain(domain: str, wanted: int) -> Lease:
    """Take up to `wanted` tokens of a receiving domain; all of them where it has no throttle."""
    throttle = select(ChannelLimit.id).where(ChannelLimit.account_id.is_(None), ChannelLimit.domain == domain)
    rate = db.session.scalar(select(ChannelLimit.rate_per_second).where(ChannelLimit.id.in_(throttle)))
    if rate is None:
        return Lease(wanted)
    return _take(throttle, wanted, rate=rate, allowance=None)


def throttled_domains() -> dict[str, float]:
    """The receiving domains that have a rate of their own, with it: messages a second."""
    rows = db.session.execute(
        select(ChannelLimit.domain, ChannelLimit.rate_per_second).where(
            ChannelLimit.account_id.is_(None), ChannelLimit.rate_per_second > 0
        )
    )
    return {domain: rate for domain, rate in rows if rate is not None}


def give_back_for_domain(domain: str, unused: int) -> None:
    """Return tokens of a receiving domain leased in this transaction and not used."""
    if unused > 0:
        db.session.execute(
            text(
                "UPDATE channel_limit SET tokens = tokens + :unused, used = greatest(used - :unused, 0) "
                "WHERE account_id IS NULL AND domain = :domain"
            ),
            {"unused": unused, "domain": domain},
        )


def give_back(account: ChannelAccount | Row[Any], unused: int) -> None:
    """Return tokens leased in this transaction and not used."""
    if unused > 0:
        db.session.execute(
            text(
                "UPDATE channel_limit SET tokens = tokens + :unused, used = greatest(used - :unused, 0) "
                "WHERE account_id = :account_id AND domain = ''"
            ),
            {"unused": unused, "account_id": account.id},
        )


# The bucket holds BURST_SECONDS' worth, at least one message. `filled` is what is in it now.
_TAKE = text(
    """
    UPDATE channel_limit
    SET tokens = filled.tokens - filled.granted, filled_at = :at, day = :day,
        used = CASE WHEN day = :day THEN used ELSE 0 END + filled.granted, rate_per_second = :rate
    FROM (
        SELECT id, tokens, left_today,
               greatest(0, least(CAST(:wanted AS bigint), left_today, CAST(floor(tokens) AS bigint))) AS granted
        FROM (
            SELECT id,
                   CASE WHEN CAST(:rate AS double precision) IS NULL THEN CAST(:wanted AS double precision)
                        ELSE least(greatest(CAST(:rate AS double precision) * :burst, 1),
                                   tokens + :rate * greatest(extract(epoch FROM :at - filled_at), 0))
                   END AS tokens,
                   coalesce(CAST(:allowance AS bigint) - CASE WHEN day = :day THEN used ELSE 0 END, :wanted)
                       AS left_today
            FROM channel_limit WHERE id = :id FOR UPDATE
        ) AS bucket
    ) AS filled
    WHERE channel_limit.id = filled.id
    RETURNING filled.granted, filled.left_today
    """
).bindparams(bindparam("at", type_=Timestamp), bindparam("day", type_=Date))


def _take(limit: Any, wanted: int, *, rate: float | None, allowance: int | None) -> Lease:
    at, day = now(), today()
    limit_id = db.session.scalar(limit)
    granted, left_today = db.session.execute(
        _TAKE,
        {
            "id": limit_id,
            "wanted": wanted,
            "rate": rate,
            "allowance": allowance,
            "at": at,
            "day": day,
            "burst": BURST_SECONDS,
        },
    ).one()
    if granted > 0:
        return Lease(granted)
    if left_today <= 0:
        return Lease(0, datetime.combine(day + timedelta(days=1), time(), ZoneInfo(settings().time_zone)))
    return Lease(0, at + timedelta(seconds=max(1 / rate, 0.2) if rate else 1))
