"""A campaign that was sent to many: clients, messages with what came back, raw events, segments, variants, openings."""

from collections.abc import Iterable, Mapping
from datetime import timedelta

from pyroaring import BitMap64
from sqlalchemy import ColumnElement, select, text

from app.audiences.models import Segment, Snapshot
from app.audiences.snapshots import packed, read_set
from app.campaigns.models import Campaign, State
from app.clients.models import Client
from app.core.clock import now
from app.core.extensions import db
from app.delivery.models import Run, RunGroup, RunSegment, RunSplit
from bench.big_book import run_statements, without_indexes
from tests.factories.campaigns import make_campaign

SEGMENTS = 20
LETTERS = "ABCD"
CONTROL = 0.1
CITY = {"all": [{"field": "city", "op": "in", "value": ["City 3", "City 4"]}]}


def forget_all() -> None:
    """Empty what a measure fills."""
    db.session.rollback()
    run_statements(
        "TRUNCATE client, campaign, run, batch, message, segment, snapshot, event, account_opening, outcome_set, "
        "uncounted_clients RESTART IDENTITY CASCADE",
        "DROP TABLE IF EXISTS bench_member",
    )


def fill_campaign(messages: int) -> int:
    """A complete campaign of so many messages, three events each; every client in about five of the segments."""
    clients = round(messages / (1 - CONTROL))
    with without_indexes("client"):
        run_statements(
            "INSERT INTO client (number, name, email, email_consent, city, branch_id, status) "
            "SELECT c::text, 'Client ' || c, 'c' || c || '@example.com', true, 'City ' || c % 25, 1, 'client' "
            f"FROM generate_series(1, {clients}) AS c"
        )
    campaign = make_campaign(state=State.COMPLETE)
    step_id = campaign.steps[0].id
    everybody = _ids(Client.id > 0)
    control = BitMap64(client for client in everybody if client * 7919 % 10 == 0)
    treated = sorted(everybody - control)[:messages]
    segments = {f"Segment {n}": BitMap64(c for c in everybody if c * (2 * n + 3) % 97 < 24) for n in range(SEGMENTS)}
    variants = {letter: BitMap64(c for c in everybody if c * 31 % 4 == place) for place, letter in enumerate(LETTERS)}
    run_id, known = _write_run(campaign, everybody, control, segments, variants)
    _write_messages(run_id, campaign.id, step_id, treated[0], treated[-1], len(treated))
    _write_members(known, variants)
    run_statements(
        "INSERT INTO account_opening (source, external_id, client_id, opened_at, attributed_at) "
        "SELECT 'bench', id::text, id, now() - make_interval(secs => 3600 + id * 7919 % 82800), now() "
        "FROM client WHERE id % 33 = 0",
        "INSERT INTO attribution (opening_id, campaign_id, message_id, client_id) "
        "SELECT opening.id, message.campaign_id, message.id, message.client_id FROM account_opening AS opening "
        "JOIN message ON message.client_id = opening.client_id",
        "INSERT INTO counted_opening (campaign_id, opening_id, effective_on, brought_in) "
        f"SELECT {campaign.id}, id, current_date, 1000 + id % 5000 FROM account_opening",
        "VACUUM (ANALYZE) client",
        "VACUUM (ANALYZE) message",
        "VACUUM (ANALYZE) attribution",
        "ANALYZE bench_member, account_opening, counted_opening, run_segment, snapshot",
        "CHECKPOINT",
    )
    return campaign.id


def _ids(where: ColumnElement[bool]) -> BitMap64:
    found = read_set(select(packed(Client.id.expression)).where(where))
    db.session.rollback()
    return found


def _write_run(
    campaign: Campaign,
    everybody: BitMap64,
    control: BitMap64,
    segments: Mapping[str, BitMap64],
    variants: Mapping[str, BitMap64],
) -> tuple[int, dict[int, BitMap64]]:
    """The run, and the segments by id."""
    campaign.launched_at = now() - timedelta(days=2)
    audience = _frozen("Audience", everybody)
    run = Run(
        campaign_id=campaign.id,
        state="complete",
        audience=audience,
        control=_frozen("Control group", control),
        matched=len(everybody),
        eligible=len(everybody),
        created_at=campaign.launched_at,
        planned_at=campaign.launched_at,
    )
    db.session.add(run)
    db.session.flush()
    db.session.add(RunSplit(run_id=run.id, control_share=CONTROL, assigned=audience))
    known = {}
    for position, (name, ids) in enumerate(segments.items()):
        segment = Segment(name=name, rule={"all": []})
        snapshot = _frozen(name, ids)
        db.session.add_all([segment, snapshot])
        db.session.flush()
        known[segment.id] = ids
        db.session.add(RunSegment(run_id=run.id, segment_id=segment.id, position=position, snapshot_id=snapshot.id))
    for letter, ids in variants.items():
        group = RunGroup(run_id=run.id, dimension=f"variant:{campaign.steps[0].id}", key=letter, name=letter)
        group.bitmap, group.size = ids.serialize(), len(ids)
        db.session.add(group)
    db.session.commit()
    return run.id, known


def _frozen(name: str, ids: Iterable[int]) -> Snapshot:
    bitmap = BitMap64(ids)
    return Snapshot(name=name, bitmap=bitmap.serialize(), size=len(bitmap))


def _write_messages(run_id: int, campaign_id: int, step_id: int, first: int, last: int, messages: int) -> None:
    """Sent, delivered but for one in fifty, opened by a quarter, clicked by a twentieth; three raw events each."""
    statements = (
        f"INSERT INTO batch (run_id, step_id, channel, state, size, sent) "
        f"SELECT {run_id}, {step_id}, 'email', 'done', 500, 500 FROM generate_series(1, {messages // 500 + 1})",
        f"""
        INSERT INTO message (run_id, campaign_id, step_id, client_id, batch_id, channel, branch_id, state, sent_at,
            delivered_at, bounced_at, opened_at, clicked_at, replied_at, unsubscribed_at)
        SELECT {run_id}, {campaign_id}, {step_id}, id,
            (SELECT min(id) FROM batch) + (row_number() OVER (ORDER BY id) - 1) / 500, 'email', 1, 'sent', now(),
            CASE WHEN id % 50 > 0 THEN now() END, CASE WHEN id % 50 = 0 THEN now() END,
            CASE WHEN id % 4 = 1 THEN now() END, CASE WHEN id % 20 = 3 THEN now() END,
            CASE WHEN id % 101 = 7 THEN now() END, CASE WHEN id % 307 = 9 THEN now() END
        FROM client WHERE id BETWEEN {first} AND {last} AND id * 7919 % 10 <> 0
        """,
    )
    with db.engine.begin() as connection:  # not by `run_statements`, which leaves triggers out
        for statement in statements:
            connection.execute(text(statement))
    run_statements(
        "INSERT INTO event (at, kind, message_id, source, external_id, interpreted_at, acted_at) "
        "SELECT now(), kind, message.id, 'bench', message.id || kind, now(), now() "
        "FROM message CROSS JOIN unnest(ARRAY['delivered', 'open', 'click']) AS kind"
    )


def _write_members(segments: dict[int, BitMap64], variants: dict[str, BitMap64]) -> None:
    """Who is in which segment and variant, as a table: what the plain statement groups by."""
    run_statements("CREATE UNLOGGED TABLE bench_member (segment_id bigint, variant text, client_id bigint)")
    with db.engine.connect() as connection, connection.begin():
        raw = connection.connection.driver_connection
        assert raw is not None
        with raw.cursor() as cursor, cursor.copy("COPY bench_member FROM STDIN") as copy:
            for segment_id, ids in segments.items():
                for letter, chosen in variants.items():
                    for client_id in ids & chosen:
                        copy.write_row((segment_id, letter, client_id))
    run_statements("CREATE INDEX ON bench_member (client_id)")
