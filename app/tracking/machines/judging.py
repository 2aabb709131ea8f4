"""The verdict on each hit, person or machine, and what it means for messages. Set-based, repeatable, in any order.

A verdict is a function of the hits of a message that lie near each other in time, the message and the rules. So a later
hit may show that an earlier one was a machine's (the trap was followed, all links were): its verdict is then changed,
and what followed from it is worked out anew. It never changes back, unless the rules do.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row, select, text

from app.clients.engagement.service import CLICKED, OPENED, Happening, forget_hits, note
from app.content.models import EmailContent
from app.content.rendering import compile_email
from app.core.extensions import db
from app.delivery.email import footer
from app.tracking.hits import TRAP
from app.tracking.machines.rules import IMAGE_PROXIES, IMAGE_PROXY, Rules

VISIT = timedelta(seconds=60)  # who followed the trap made all the hits that came from the same place around it
EVER = (datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC))

Key = tuple[int, datetime]  # id and time of an event

_JUDGE = text(
    """
    WITH scope AS (
        SELECT * FROM unnest(CAST(:message_ids AS bigint[]), CAST(:since AS timestamptz[]),
                             CAST(:until AS timestamptz[])) AS scope (message_id, since, until)
    ),
    pending AS (
        SELECT * FROM unnest(CAST(:ids AS bigint[]), CAST(:times AS timestamptz[])) AS pending (id, at)
    ),
    hit AS MATERIALIZED (
        SELECT event.id, event.at, event.kind, event.message_id, event.link, event.ip, event.user_agent,
               event.machine, event.machine_reasons, event.interpreted_at, event.source = :trap AS trap,
               -- further out there may be hits, not read here, that matter for the verdict
               event.at BETWEEN scope.since AND scope.until AS within,
               concat_ws(', ',
                   CASE WHEN event.method = 'HEAD' THEN 'head' END,
                   CASE WHEN event.user_agent ~* :agents THEN 'agent' END,
                   CASE WHEN event.ip = ANY(CAST(:machine_ips AS text[])) THEN 'network' END,
                   CASE WHEN event.payload ->> 'sg_machine_open' = 'true' THEN 'sg_machine_open' END,
                   CASE WHEN :too_fast > 0 AND message.reason IS NULL
                         AND event.at < message.sent_at + make_interval(secs => :too_fast) THEN 'too fast' END
               ) AS reasons
        FROM scope
        -- one by one through the index, whatever the planner thinks of it: the table may be very large
        CROSS JOIN LATERAL (
            SELECT * FROM event
            WHERE event.message_id = scope.message_id AND event.kind IN ('open', 'click')
              AND event.at BETWEEN scope.since - CAST(:reach AS interval) AND scope.until + CAST(:reach AS interval)
            OFFSET 0
        ) AS event
        LEFT JOIN message ON message.id = event.message_id
    ),
    click AS MATERIALIZED (
        SELECT DISTINCT message_id, link, date_trunc('second', at) AS at
        FROM hit WHERE kind = 'click' AND link IS NOT NULL
          AND message_id IN (SELECT message_id FROM unnest(CAST(:linked AS bigint[])) AS linked (message_id))
    ),
    burst AS MATERIALIZED (
        SELECT click.message_id, click.at
        FROM click
        JOIN unnest(CAST(:linked AS bigint[]), CAST(:links AS bigint[])) AS counted (message_id, links)
          ON counted.message_id = click.message_id
        JOIN click AS other ON other.message_id = click.message_id
                           AND other.at BETWEEN click.at AND click.at + make_interval(secs => :all_links)
        GROUP BY click.message_id, click.at, counted.links
        HAVING count(DISTINCT other.link) >= counted.links
    ),
    judged AS (
        SELECT hit.*, nullif(concat_ws(', ', nullif(reasons, ''),
                   CASE WHEN bool_or(trap) OVER visit THEN 'trap' END,
                   CASE WHEN kind = 'click' AND EXISTS (
                       SELECT FROM burst WHERE burst.message_id = hit.message_id
                          AND date_trunc('second', hit.at) BETWEEN burst.at
                                                               AND burst.at + make_interval(secs => :all_links)
                   ) THEN 'all links' END), '') AS against
        FROM hit
        WINDOW visit AS (PARTITION BY message_id, ip, user_agent ORDER BY at
                         RANGE BETWEEN CAST(:visit AS interval) PRECEDING AND CAST(:visit AS interval) FOLLOWING)
    ),
    verdict AS (
        SELECT judged.*, pending.id IS NOT NULL AS pending,
               coalesce(against, CASE WHEN user_agent ~ :proxies THEN :proxy END) AS noted
        FROM judged LEFT JOIN pending ON pending.id = judged.id AND pending.at = judged.at
    )
    UPDATE event SET machine = verdict.against IS NOT NULL, machine_reasons = verdict.noted,
                     interpreted_at = coalesce(event.interpreted_at, now())
    FROM verdict
    WHERE event.id = verdict.id AND event.at = verdict.at
      AND (verdict.pending OR verdict.interpreted_at IS NOT NULL AND verdict.within
           AND (verdict.machine, verdict.machine_reasons)
               IS DISTINCT FROM (verdict.against IS NOT NULL, verdict.noted))
    RETURNING event.id, event.at, event.message_id, event.machine, verdict.pending,
              NOT verdict.pending AND verdict.machine IS DISTINCT FROM event.machine AS turned
    """
)

_RESTATE = text(
    """
    WITH hits AS (
        SELECT stated.id,
               min(event.at) FILTER (WHERE NOT event.machine) AS opened_at,
               min(event.at) FILTER (WHERE NOT event.machine AND event.kind = 'click') AS clicked_at,
               min(event.at) FILTER (WHERE event.machine AND event.kind = 'open') AS machine_opened_at,
               min(event.at) FILTER (WHERE event.machine AND event.kind = 'click') AS machine_clicked_at
        FROM unnest(CAST(:ids AS bigint[])) AS stated (id)
        LEFT JOIN event ON event.message_id = stated.id AND event.kind IN ('open', 'click')
        GROUP BY stated.id
    )
    UPDATE message SET opened_at = hits.opened_at, clicked_at = hits.clicked_at,
                       machine_opened_at = hits.machine_opened_at, machine_clicked_at = hits.machine_clicked_at
    FROM hits
    WHERE message.id = hits.id
      AND (message.opened_at, message.clicked_at, message.machine_opened_at, message.machine_clicked_at)
          IS DISTINCT FROM (hits.opened_at, hits.clicked_at, hits.machine_opened_at, hits.machine_clicked_at)
    """
)

# Everybody's hits of the campaigns and clients (all records of one) whose messages were restated.
_PEOPLES_HITS = text(
    """
    WITH pair AS (
        SELECT DISTINCT coalesce(client.merged_into_id, client.id) AS client_id, message.campaign_id
        FROM message JOIN client ON client.id = message.client_id WHERE message.id = ANY(CAST(:ids AS bigint[]))
    )
    SELECT pair.client_id, pair.campaign_id, message.channel, event.kind, min(event.at) AS first, max(event.at) AS last
    FROM pair
    JOIN client ON client.id = pair.client_id OR client.merged_into_id = pair.client_id
    JOIN message ON message.client_id = client.id AND message.campaign_id = pair.campaign_id
    LEFT JOIN event ON event.message_id = message.id AND event.kind IN ('open', 'click') AND NOT event.machine
    GROUP BY 1, 2, 3, 4
    """
)

_CONTENTS = text(
    """
    SELECT message.id, coalesce(batch.content_id, step.content_id) AS content_id
    FROM message JOIN batch ON batch.id = message.batch_id JOIN step ON step.id = message.step_id
    WHERE message.id = ANY(CAST(:ids AS bigint[])) AND message.channel = 'email'
    """
)


@dataclass(frozen=True, slots=True)
class Judged:
    """`machine` is the verdict on each pending hit; messages of `turned` had hits whose verdict changed."""

    machine: Mapping[Key, bool]
    turned: frozenset[int]


def judge(hits: Sequence[Row[Any]], *, rules: Rules) -> Judged:
    """Judge pending hits (id, at, kind, message_id), and again those of the same messages that lie near them."""
    near = _reach(rules)
    spans: dict[int, tuple[datetime, datetime]] = {}
    for hit in hits:
        since, until = spans.get(hit.message_id, (hit.at, hit.at))
        spans[hit.message_id] = (min(since, hit.at), max(until, hit.at))
    scope = {message_id: (since - near, until + near) for message_id, (since, until) in spans.items()}
    rows = _judge(scope, [(hit.id, hit.at) for hit in hits], rules)
    return Judged(
        {(row.id, row.at): row.machine for row in rows if row.pending},
        frozenset(row.message_id for row in rows if row.turned),
    )


def judge_again(message_ids: Collection[int], *, rules: Rules) -> int:
    """Judge all interpreted hits of these messages by the rules and restate those it matters for. Returns how many."""
    rows = _judge(dict.fromkeys(message_ids, EVER), [], rules)
    turned = {row.message_id for row in rows if row.turned}
    restate(turned)
    return len(turned)


def restate(message_ids: Collection[int]) -> None:
    """Work out anew what people and machines did with these messages, for the messages and for the clients."""
    if not message_ids:
        return
    ids = {"ids": sorted(message_ids)}
    db.session.execute(_RESTATE, ids)
    rows = db.session.execute(_PEOPLES_HITS, ids).all()
    forget_hits({(row.client_id, row.campaign_id) for row in rows})
    note(_happenings(row for row in rows if row.kind is not None))


def _happenings(rows: Iterable[Row[Any]]) -> Iterator[Happening]:
    for row in rows:
        for kind in (OPENED, CLICKED) if row.kind == "click" else (OPENED,):
            for at in {row.first, row.last}:
                yield Happening(kind, row.client_id, row.campaign_id, row.channel, at)


def _reach(rules: Rules) -> timedelta:
    """How far apart hits may be that matter for each other."""
    return VISIT + timedelta(seconds=rules.all_links_seconds + 1)


def _judge(scope: Mapping[int, tuple[datetime, datetime]], pending: Sequence[Key], rules: Rules) -> Sequence[Row[Any]]:
    message_ids = sorted(scope)
    counts = _link_counts(message_ids, rules)
    return db.session.execute(
        _JUDGE,
        {
            "message_ids": message_ids,
            "since": [scope[one][0] for one in message_ids],
            "until": [scope[one][1] for one in message_ids],
            "ids": [key[0] for key in pending],
            "times": [key[1] for key in pending],
            "trap": TRAP,
            "agents": rules.agent_pattern,
            "machine_ips": _machine_ips(scope, rules),
            "too_fast": rules.too_fast_seconds,
            "all_links": rules.all_links_seconds,
            "reach": _reach(rules),
            "linked": list(counts),
            "links": list(counts.values()),
            "visit": VISIT,
            "proxies": IMAGE_PROXIES,
            "proxy": IMAGE_PROXY,
        },
    ).all()


_ADDRESSES = text(
    """
    SELECT DISTINCT event.ip
    FROM unnest(CAST(:ids AS bigint[]), CAST(:since AS timestamptz[]), CAST(:until AS timestamptz[]))
         AS scope (message_id, since, until)
    JOIN event ON event.message_id = scope.message_id
              AND event.at BETWEEN scope.since - CAST(:reach AS interval) AND scope.until + CAST(:reach AS interval)
    WHERE event.ip IS NOT NULL
    """
)


def _machine_ips(scope: Mapping[int, tuple[datetime, datetime]], rules: Rules) -> list[str]:
    """The addresses of scanners among those of these hits; looked at here because a text need not be an address."""
    if not rules.networks:
        return []
    ids = sorted(scope)
    spans = {
        "ids": ids,
        "since": [scope[one][0] for one in ids],
        "until": [scope[one][1] for one in ids],
        "reach": _reach(rules),
    }
    return rules.machines_among(db.session.scalars(_ADDRESSES, spans))


def _link_counts(message_ids: Sequence[int], rules: Rules) -> dict[int, int]:
    """How many different links each of these messages had; those with fewer than two are left out."""
    if not rules.all_links_seconds:
        return {}
    rows = db.session.execute(_CONTENTS, {"ids": message_ids}).all()
    contents = db.session.scalars(
        select(EmailContent).where(EmailContent.id.in_({row.content_id for row in rows if row.content_id}))
    )
    counts = {content.id: compile_email(content, footer()).link_count for content in contents}
    return {row.id: counts[row.content_id] for row in rows if counts.get(row.content_id, 0) > 1}
