"""The clients that sending is measured with, and campaigns to them.

Of every fifty clients 39 may be sent to. The others are kept out, each by a rule of its own: closed, flagged, without
an address, suppressed, without consent, in the segment that the campaign leaves out, pausing; and by what a campaign
to everyone asks besides, as it offers a product, has a topic and speaks of personal facts: not suitable, to be looked
at by a second person first, refuses the topic, refuses personalised marketing.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from flask import Flask
from flask_migrate import upgrade
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from app import create_app
from app.audiences.models import Segment
from app.campaigns.models import Campaign, State
from app.config import load_config
from app.content.models import EmailContent
from app.core.embedded import embedded_servers, free_port
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work
from bench.big_book import FINISHED, run_statements, without_indexes
from tests.factories.campaigns import make_campaign, make_content

IN_FIFTY = 39
SAMPLE, LEFT_OUT = "Sample", "Elsewhere"
LINKS = 5
PARAGRAPH = (
    "<p>Subject {0}. Markets moved little this week while investors waited for figures of growth and prices. Our "
    "analysts look at what this means for bonds, for shares of the region and for funds that spread risk over many "
    "holdings, and answer the questions that clients asked most often in the branches since the last letter, in words "
    "that everybody understands. "
    '<a href="https://www.bellwether.example/research/{0}?from=letter">Read the note on subject {0}</a>.</p>\n'
)


class PartMissing(Exception):
    """Something that a part needs is not there; the message says what."""


@dataclass(frozen=True)
class DeliveryBook:
    """An app over `clients` clients who may be sent to, inside an application context; `messages` are the sample.

    `environ` is what every process of the system is started with; a part adds the way out.
    """

    app: Flask
    folder: Path
    environ: dict[str, str]
    clients: int
    messages: int


@contextmanager
def delivery_book(clients: int, messages: int) -> Iterator[DeliveryBook]:
    """A book in a PostgreSQL of its own (durable, as in service) and a Valkey, removed afterwards.

    With BENCH_KEEP=folder the clients are kept there and used again by the next run.
    """
    with ExitStack() as stack:
        if kept := os.environ.get("BENCH_KEEP"):
            folder = Path(kept).resolve() / f"delivery-{clients}-{messages}"
            folder.mkdir(parents=True, exist_ok=True)
        else:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bellwether-bench-")))
        folder.chmod(0o755)
        base = f"http://127.0.0.1:{free_port()}"
        environ = {"VAR_DIR": str(folder), "LOG_LEVEL": "ERROR", "BASE_URL": base, "PUBLIC_URL": "https://mail.example"}
        stack.enter_context(embedded_servers(folder, environ))
        app = create_app(load_config(environ))
        stack.enter_context(app.app_context())
        upgrade()
        if not (folder / FINISHED).exists():
            _fill(clients, messages)
            (folder / FINISHED).touch()
        try:
            yield DeliveryBook(app, folder, environ, clients, messages)
        finally:
            db.session.remove()
            db.engine.dispose()


def _fill(clients: int, messages: int) -> None:
    """Clients by number; the first `messages` of those who may be sent to are the sample."""
    total = -(-clients * 50 // IN_FIFTY)
    with without_indexes("client"):
        run_statements(
            f"""
            INSERT INTO client (number, name, first_name, email, email_consent, city, branch_id, status, flags,
                                risk_level, risk_assessed_on, birth_date, personalisation_refused)
            SELECT '80' || lpad(c::text, 8, '0'), 'Maria Lopez ' || c, 'Maria',
                CASE WHEN reason <> 2 THEN 'c' || c || '@example.com' END, reason <> 3,
                CASE WHEN reason = 4 THEN '{LEFT_OUT}' WHEN place <= {messages} AND reason NOT BETWEEN 6 AND 9
                     THEN '{SAMPLE}' ELSE 'Porto' END,
                1, CASE WHEN reason = 0 THEN 'closed' ELSE 'client' END,
                CASE WHEN reason = 1 THEN ARRAY['frozen'] ELSE ARRAY[]::text[] END,
                CASE WHEN reason = 6 THEN 1 ELSE 5 END, current_date,
                CASE WHEN reason = 7 THEN date '1950-01-01' ELSE date '1980-01-01' END, reason = 8
            FROM (
                SELECT c, c % 50 AS reason, count(*) FILTER (WHERE c % 50 > 10) OVER (ORDER BY c) AS place
                FROM generate_series(1, {total} + 50) AS c
            ) AS numbered
            WHERE place < {clients} OR place = {clients} AND reason > 10
            """,
            "INSERT INTO suppression (channel, address, reason, source) "
            "SELECT 'email', email, 'bounced', 'bench' FROM client WHERE email IS NOT NULL "
            "AND substr(number, 3)::int % 50 = 5",
            "INSERT INTO topic (name) VALUES ('Funds')",
            "INSERT INTO topic_refusal (client_id, topic_id) SELECT client.id, topic.id FROM client, topic "
            "WHERE substr(number, 3)::int % 50 = 9",
            "INSERT INTO marketing_pause (client_id, until) SELECT id, now() + interval '9 days' FROM client "
            "WHERE substr(number, 3)::int % 50 = 10",
        )
    run_statements("VACUUM (ANALYZE) client", "VACUUM (ANALYZE) suppression", "CHECKPOINT")


def forget_campaigns() -> None:
    """Empty the ledger and all that hangs on campaigns, so that each measure begins alike.

    A worker may still be looking at a batch of before, and then one of the two has to give way.
    """
    db.session.rollback()
    for attempts_left in reversed(range(5)):
        try:
            run_statements(
                "TRUNCATE campaign, run, batch, message, segment, snapshot, engagement, job, email_content "
                "RESTART IDENTITY CASCADE",
                "CHECKPOINT",
            )
        except OperationalError:
            if not attempts_left:
                raise
        else:
            return


def letter() -> EmailContent:
    """An e-mail that is some 8 kB when it leaves: five tracked links in both parts, a name, the pixel."""
    paragraphs = "".join(PARAGRAPH.format(number) for number in range(1, LINKS + 1))
    return make_content(
        subject="The week for {{ client.first_name }}",
        source=f"<html><body><p>Dear {{{{ client.first_name }}}},</p>\n{paragraphs}</body></html>",
    )


def campaign_to(*, sample: bool, state: State) -> Campaign:
    """A campaign with the letter to the sample or to everyone, leaving one segment out. To everyone it offers a
    product, and its segment asks about personal facts."""
    everyone = {"all": [{"field": "city", "op": "in", "value": [SAMPLE]}]} if sample else {"all": []}
    elsewhere = {"field": "city", "op": "in", "value": [LEFT_OUT]}
    left_out: dict[str, object] = {"all": [elsewhere]}
    offered: dict[str, object] = {}
    if not sample:
        left_out = {"any": [elsewhere, {"field": "risk_level", "op": "in", "value": [2]}]}
        topic = db.session.scalars(text("SELECT id FROM topic")).one()
        offered = {"product_name": "Fund", "product_risk": 4, "topic_id": topic}
    with unit_of_work() as session:
        segments = [Segment(name="Everyone", rule=everyone), Segment(name="Left out", rule=left_out)]
        session.add_all(segments)
    return make_campaign(state=state, content=letter(), include=segments[:1], exclude=segments[1:], **offered)


def states() -> dict[str, int]:
    """How many messages are in each state."""
    rows = db.session.execute(text("SELECT state, count(*) FROM message GROUP BY state")).all()
    db.session.rollback()
    return {row[0]: row[1] for row in rows}
