"""From raw events to what they mean: set-based, repeatable, and the same whatever the order of arrival.

An event's verdict (person or machine) is kept on the event with its reasons. A message's times only ever move to
the earliest event that counts, so duplicates, disorder and repetition change nothing. What follows for the client
(consent withdrawn, address suppressed) happens once per event, however often it is interpreted.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text

from app.clients.engagement.service import CLICKED, OPENED, REPLIED, Happening, forget_responses, note
from app.clients.service import suppress, withdraw_consent
from app.core.arrays import array_text
from app.core.extensions import db
from app.delivery.deliverability.counting import mark_due_by_message
from app.delivery.service import settle_unconfirmed
from app.tracking.machines.judging import Judged, judge, restate
from app.tracking.machines.rules import rules_in_force
from app.tracking.mail.suppression import SENT_TO, note_bounces

ROUND = 5_000
MAX_ROUNDS = 20
LOCK = "tracking.interpret"
SETTLED = "settled by a later event"

_PENDING = text(
    """
    SELECT event.id, event.at, event.kind, event.message_id, event.acted_at,
           message.state, message.client_id, message.campaign_id, message.channel
    FROM event LEFT JOIN message ON message.id = event.message_id
    WHERE event.interpreted_at IS NULL
      -- a message that is being handed over has no time of sending yet: its events wait until it has
      AND message.state IS DISTINCT FROM 'handing'
    ORDER BY event.id
    LIMIT :round
    """
)

_INTERPRETED = text(
    """
    UPDATE event SET interpreted_at = now()
    FROM unnest(CAST(:ids AS bigint[]), CAST(:times AS timestamptz[])) AS done (id, at)
    WHERE event.id = done.id AND event.at = done.at
    """
)

_TIMES = {
    "opened_at": "kind IN ('open', 'click') AND NOT machine",
    "clicked_at": "kind = 'click' AND NOT machine",
    "machine_opened_at": "kind = 'open' AND machine",
    "machine_clicked_at": "kind = 'click' AND machine",
    "delivered_at": "kind = 'delivered'",
    "bounced_at": "kind IN ('bounce', 'blocked', 'dropped')",
    "complained_at": "kind = 'complaint'",
    "deferred_at": "kind = 'deferred'",
    "unsubscribed_at": "kind = 'unsubscribe'",
    "replied_at": "kind = 'reply'",
}
_WRITE = text(
    f"""
    WITH meaning AS (
        SELECT message_id, {", ".join(f"min(at) FILTER (WHERE {when}) AS {name}" for name, when in _TIMES.items())}
        FROM unnest(CAST(:message_ids AS bigint[]), CAST(:kinds AS text[]), CAST(:machines AS boolean[]),
                    CAST(:times AS timestamptz[])) AS judged (message_id, kind, machine, at)
        GROUP BY message_id
    )
    UPDATE message SET {", ".join(f"{name} = least(message.{name}, meaning.{name})" for name in _TIMES)}
    FROM meaning
    WHERE message.id = meaning.message_id
      AND ({" OR ".join(f"meaning.{name} < coalesce(message.{name}, 'infinity')" for name in _TIMES)})
    """  # noqa: S608 - constants only
)

_TO_ACT = text(
    f"""
    SELECT event.id, event.at, event.kind, event.source, message.client_id, {SENT_TO} AS address
    FROM unnest(CAST(:ids AS bigint[]), CAST(:times AS timestamptz[])) AS due (id, at)
    JOIN event ON event.id = due.id AND event.at = due.at
    JOIN message ON message.id = event.message_id
    JOIN client ON client.id = message.client_id
    WHERE message.channel = 'email'
    ORDER BY event.id
    """  # noqa: S608 - a fragment of our own
)

_ACTED = text(
    """
    UPDATE event SET acted_at = now()
    FROM unnest(CAST(:ids AS bigint[]), CAST(:times AS timestamptz[])) AS due (id, at)
    WHERE event.id = due.id AND event.at = due.at
    """
)

# What changes the counts of what arrived where.
_ARRIVALS = {"bounce", "blocked", "dropped", "complaint", "deferred"}
_WITHDRAWALS = {
    "unsubscribe": "Unsubscribed through the mail provider",
    "complaint": "Marked a message as spam",
}
_SUPPRESSIONS = {"complaint": "complaint"}  # of bounces, see mail/suppression.py


@dataclass(frozen=True, slots=True)
class Interpreted:
    """What one round came to."""

    events: int
    messages_settled: int


def interpret_round() -> Interpreted:
    """Interpret up to 5,000 pending events in the current transaction. The caller holds the lock LOCK."""
    rows = db.session.execute(_PENDING, {"round": ROUND}).all()
    if not rows:
        return Interpreted(events=0, messages_settled=0)
    hits = [row for row in rows if row.kind in _HITS and row.message_id is not None]
    judged = judge(hits, rules=rules_in_force()) if hits else Judged({}, frozenset())
    machines = {key for key, machine in judged.machine.items() if machine}
    others = [row for row in rows if (row.id, row.at) not in judged.machine]
    db.session.execute(_INTERPRETED, _keys(others))
    events = len(rows)
    _write_times([row for row in rows if row.client_id is not None], machines)
    restate(judged.turned)
    # From here on machines' hits are no more: nothing follows from them.
    rows = [row for row in rows if (row.id, row.at) not in machines]
    unconfirmed = {row.message_id: row.client_id for row in rows if row.state == "unconfirmed"}
    if unconfirmed:
        _settle(sorted(unconfirmed), sorted(unconfirmed.values()))
    note(_happenings(rows, judged.turned))
    mark_due_by_message({row.message_id for row in rows if row.kind in _ARRIVALS and row.client_id is not None})
    note_bounces(rows)
    _act_on([row for row in rows if row.acted_at is None and row.kind in _WITHDRAWALS.keys() | _SUPPRESSIONS.keys()])
    return Interpreted(events=events, messages_settled=len(unconfirmed))


def _keys(rows: Sequence[Row[Any]]) -> dict[str, str]:
    """The keys of events, as the statements take them."""
    return {"ids": array_text(row.id for row in rows), "times": array_text(row.at for row in rows)}


def _write_times(rows: Sequence[Row[Any]], machines: Set[tuple[int, datetime]]) -> None:
    if rows:
        values = {
            "message_ids": array_text(row.message_id for row in rows),
            "kinds": array_text(row.kind for row in rows),
            "machines": array_text((row.id, row.at) in machines for row in rows),
            "times": array_text(row.at for row in rows),
        }
        db.session.execute(_WRITE, values)


# What of people's acts counts as which; a click shows that the message was opened.
_HITS = ("open", "click")
_MEANING = {"open": (OPENED,), "click": (OPENED, CLICKED), "reply": (REPLIED,)}


def _happenings(rows: Sequence[Row[Any]], restated: Collection[int]) -> Iterator[Happening]:
    """What people did with messages to clients; the hits of restated messages are noted already."""
    for row in rows:
        if row.client_id is not None and not (row.kind in _HITS and row.message_id in restated):
            for kind in _MEANING.get(row.kind, ()):
                yield Happening(kind, row.client_id, row.campaign_id, row.channel, row.at)


def interpret_pending() -> int:
    """Interpret what is pending, some rounds at most, in the current transaction. Returns the events done."""
    done = 0
    for _round in range(MAX_ROUNDS):
        events = interpret_round().events
        done += events
        if events < ROUND:
            break
    return done


def hold_lock() -> None:
    """Wait until no other process interprets, and keep it so until the transaction ends."""
    db.session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": LOCK})


def reset(*, campaign_id: int | None) -> int:
    """Forget what the events of a campaign (or of all) were taken to mean. Returns the number of events.

    `delivered_at` stays: a channel may have written it without an event. Raw events and what was done for the clients
    stay too.
    """
    values = {"campaign": campaign_id}
    events = db.session.execute(
        text(
            "WITH reset AS (UPDATE event SET interpreted_at = NULL, machine = NULL, machine_reasons = NULL "
            "FROM message WHERE message.id = event.message_id "
            "AND (CAST(:campaign AS bigint) IS NULL OR message.campaign_id = :campaign) RETURNING 1) "
            "SELECT count(*) FROM reset"
        ),
        values,
    ).scalar_one()
    db.session.execute(
        text(
            "UPDATE message SET opened_at = NULL, clicked_at = NULL, replied_at = NULL, unsubscribed_at = NULL, "
            "bounced_at = NULL, complained_at = NULL, machine_opened_at = NULL, machine_clicked_at = NULL "
            "WHERE CAST(:campaign AS bigint) IS NULL OR campaign_id = :campaign"
        ),
        values,
    )
    forget_responses(campaign_id=campaign_id)
    return int(events)


def _settle(message_ids: list[int], client_ids: list[int]) -> None:
    """These messages arrived, as later events prove. What followed them is credited anew.

    The reason is kept with them because their time of sending is that of the proof: no hit can be too fast for it.
    """
    settle_unconfirmed(message_ids)
    db.session.execute(
        text("UPDATE message SET reason = :reason WHERE id = ANY(:ids) AND state = 'sent' AND reason IS NULL"),
        {"ids": message_ids, "reason": SETTLED},
    )
    db.session.execute(
        text(
            "UPDATE account_opening SET attributed_at = NULL "
            "WHERE opened_at > now() - interval '1 year' AND client_id IN "
            "(SELECT coalesce(merged_into_id, id) FROM client WHERE id = ANY(:clients))"
        ),
        {"clients": client_ids},
    )


def _act_on(rows: Sequence[Row[Any]]) -> None:
    """Withdraw consents and suppress addresses, once per event."""
    if not rows:
        return
    keys = _keys(rows)
    withdrawn: dict[tuple[str, str], list[Row[Any]]] = defaultdict(list)
    suppressed: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in db.session.execute(_TO_ACT, keys):
        if row.kind in _WITHDRAWALS:
            withdrawn[(row.kind, row.source)].append(row)
        if row.kind in _SUPPRESSIONS and row.address:
            suppressed[(row.kind, row.source)].add(row.address)
    for (kind, source), group in withdrawn.items():
        withdraw_consent(
            client_ids=sorted({row.client_id for row in group}),
            channel="email",
            source=source,
            wording=_WITHDRAWALS[kind],
            at=max(row.at for row in group),
            actor=None,
        )
    for (kind, source), addresses in suppressed.items():
        suppress(channel="email", addresses=sorted(addresses), reason=_SUPPRESSIONS[kind], source=source)
    db.session.execute(_ACTED, keys)


# --- partitions ------------------------------------------------------------------------------------------------------

_MISSING_MONTHS = text(
    """
    SELECT to_char(month, 'YYYYMM') AS name, month AS first, month + interval '1 month' AS next
    FROM generate_series(date_trunc('month', now()), date_trunc('month', now()) + interval '3 months',
                         interval '1 month') AS month
    WHERE to_regclass('event_' || to_char(month, 'YYYYMM')) IS NULL
    """
)


def make_partitions() -> list[str]:
    """Make the event table's months up to three ahead, moving what the default partition holds of them."""
    made = []
    for month in db.session.execute(_MISSING_MONTHS).all():
        name = f"event_{month.name}"
        first, after = month.first.isoformat(), month.next.isoformat()
        for statement in (
            f"CREATE TABLE {name} (LIKE event INCLUDING DEFAULTS INCLUDING CONSTRAINTS)",
            f"WITH moved AS (DELETE FROM event_default WHERE at >= '{first}' AND at < '{after}' RETURNING *) "  # noqa: S608
            f"INSERT INTO {name} SELECT * FROM moved",
            f"ALTER TABLE event ATTACH PARTITION {name} FOR VALUES FROM ('{first}') TO ('{after}')",
        ):
            db.session.execute(text(statement))
        made.append(name)
    return made
