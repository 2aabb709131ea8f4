"""When a message may leave, by its client's own clock.

Two things are put together: from when the message is meant to leave (at 10:00 for each client, spread over some hours)
and the hours that are open then (the campaign's send window, less the quiet hours).
"""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import cache

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Date,
    SmallInteger,
    String,
    Time,
    any_,
    bindparam,
    case,
    cast,
    extract,
    func,
    literal,
    select,
    text,
)

from app.campaigns.models import Campaign
from app.campaigns.sending_rules import MIDNIGHT, Rules, open_hours
from app.clients.models import Client
from app.core.extensions import Timestamp, db, settings
from app.delivery.models import Message

EVERY_DAY = frozenset(range(1, 8))
_HASHED = 1 << 20


@dataclass(frozen=True, slots=True)
class Timing:
    """The hours from `opens` to `closes` (midnight: the end of the day) on `days` (ISO weekdays) are open.

    `zone` is that of clients whose own is not known. Messages are meant to leave from `started_at` on, or from the next
    `local_time` of the client, each at its own moment within `spread`, which (`salt`, client) decides once and for all.
    """

    zone: str
    started_at: datetime
    opens: time = MIDNIGHT
    closes: time = MIDNIGHT
    days: frozenset[int] = EVERY_DAY
    local_time: time | None = None
    spread: timedelta | None = None
    salt: int = 0

    @property
    def always_open(self) -> bool:
        return self.opens == self.closes == MIDNIGHT and self.days == EVERY_DAY

    @property
    def never_open(self) -> bool:
        """The send window and the quiet hours leave nothing."""
        return not self.days or (self.closes != MIDNIGHT and self.opens >= self.closes)

    def wait_until(self, at: datetime) -> ColumnElement[datetime | None]:
        """When the row's message (over message and client) may leave, where that is later than `at`; else NULL.

        A time that the clocks skip is taken as much later; of one that comes twice, the second is taken.
        """
        zones = select(self._zone().label("zone")).correlate(Client).subquery("client_zone")
        meant = select(self._meant_for(zones.c.zone, at).label("at")).select_from(zones).add_columns(zones.c.zone)
        moments = meant.correlate(Client, Message).subquery("meant")
        until = self._first_open(moments.c.at, moments.c.zone, at)
        return (
            select(case((until > literal(at, Timestamp), until)))
            .select_from(moments)
            .correlate(Client, Message)
            .scalar_subquery()
        )

    def _zone(self) -> ColumnElement[str]:
        known = bindparam("known_zones", list(known_zones()), type_=ARRAY(String), unique=True)
        return case((Client.time_zone == any_(known), Client.time_zone), else_=literal(self.zone))

    def _meant_for(self, zone: ColumnElement[str], at: datetime) -> ColumnElement[datetime]:
        meant: ColumnElement[datetime] = literal(self.started_at, Timestamp)
        if self.local_time is not None:
            local = func.timezone(zone, meant)
            clock = literal(self.local_time, Time)
            tomorrow = case((cast(local, Time) > clock, 1), else_=0)
            meant = func.timezone(zone, cast(local, Date) + tomorrow + clock)
        if self.spread is not None:
            hashed = func.hashint8extended(Message.client_id, self.salt).op("&")(_HASHED - 1)
            seconds = hashed * (self.spread.total_seconds() / _HASHED)
            meant = meant + func.make_interval(0, 0, 0, 0, 0, 0, seconds)
        return func.greatest(meant, literal(at, Timestamp))

    def _first_open(
        self, moment: ColumnElement[datetime], zone: ColumnElement[str], at: datetime
    ) -> ColumnElement[datetime]:
        if self.never_open:
            return literal(at + timedelta(days=1), Timestamp)
        if self.always_open:
            return moment
        local = func.timezone(zone, moment)
        clock, weekday = cast(local, Time), cast(extract("isodow", local), SmallInteger)
        late = literal(False) if self.closes == MIDNIGHT else clock >= literal(self.closes, Time)
        today = weekday.in_(sorted(self.days))
        wait = case(
            *((weekday == day, self._days_after(day)) for day in range(1, 8)),
        )
        opens = literal(self.opens, Time)
        return case(
            (today & (clock < opens), func.timezone(zone, cast(local, Date) + opens)),
            (today & ~late, moment),
            else_=func.timezone(zone, cast(local, Date) + wait + opens),
        )

    def _days_after(self, weekday: int) -> int:
        """Days from a weekday to the next one that is open."""
        return next(days for days in range(1, 8) if (weekday + days - 1) % 7 + 1 in self.days)


def timing_of(campaign: Campaign, *, channel: str, rules: Rules, started_at: datetime, salt: int) -> Timing | None:
    """The timing of a campaign's messages on a channel; None where they may leave at any moment."""
    opens, closes = open_hours(campaign, channel=channel, rules=rules)
    timing = Timing(
        zone=settings().time_zone,
        started_at=started_at,
        opens=opens,
        closes=closes,
        days=frozenset(campaign.send_days) if campaign.send_days else EVERY_DAY,
        local_time=campaign.local_time,
        spread=timedelta(hours=campaign.spread_hours) if campaign.spread_hours else None,
        salt=salt,
    )
    if timing.always_open and timing.local_time is None and timing.spread is None:
        return None
    return timing


@cache
def known_zones() -> frozenset[str]:
    """The names of time zones that the database knows: a client's that is not one of them must not stop a batch."""
    names = db.session.scalars(text("SELECT name FROM pg_timezone_names"))
    return frozenset(name for name in names if not name.startswith(("posix/", "right/")))
