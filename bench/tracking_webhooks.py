"""Batches of 1,000 events as SendGrid posts them, signed, against one COPY of the same rows."""

import json
import os
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from threading import local

import psycopg
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256
from sqlalchemy import func, select

from app.core.clock import now
from app.core.extensions import db, signer
from app.core.tokens import Kind
from app.tracking.intake import RawEvent
from app.tracking.models import Event
from app.tracking.sendgrid_events import SIGNATURE_HEADER, TIMESTAMP_HEADER, raw_events
from bench.figures import Measure
from bench.tracking_system import System, postgres_seconds, web

BATCH = 1_000
WORDS = ("processed", "delivered", "open", "click")
COLUMNS = ("kind", "message_id", "at", "source", "external_id", "link", "user_agent", "ip", "method", "payload")


def body_of(first: int) -> bytes:
    """A thousand events of 250 messages, with what the vendor's examples carry."""
    at = int(time.time())
    sign = signer().sign
    reports = [
        {
            "email": f"client{number}@example.com",
            "timestamp": at,
            "event": WORDS[number % 4],
            "sg_event_id": f"ZGVsaXZlcmVkLTAt{number:012}",
            "sg_message_id": f"14c5d75ce93.dfd.64b469.filter0001.{number // 4:010}.0",
            "smtp-id": "<14c5d75ce93.dfd.64b469@ismtpd-555>",
            "bw": sign(Kind.REPLY, number // 4 + 1),
            "useragent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15",
            "ip": "203.0.113.9",
            "url": "https://www.example.com/offer",
        }
        for number in range(first, first + BATCH)
    ]
    return json.dumps(reports).encode()


def measures(system: System) -> Iterator[Measure]:
    batches = int(os.environ.get("BENCH_BATCHES", "60"))
    bodies = [body_of(number * BATCH) for number in range(batches)]
    with web(system) as ours:
        for connections in (1, 2):
            _post_all(system, ours.port, bodies[:2], connections)  # warm
            db.session.execute(db.text("TRUNCATE event"))
            db.session.commit()
            used = ours.processor_seconds() + postgres_seconds(system)
            taken, answers = _post_all(system, ours.port, bodies, connections)
            used = ours.processor_seconds() + postgres_seconds(system) - used
            kept = db.session.scalar(select(func.count(Event.id)))
            db.session.rollback()
            assert kept == batches * BATCH, kept
            copied = min(_copy(system, bodies, number) for number in range(3))
            answers.sort()
            name = f"webhook batches, {connections} at a time"
            rate = batches * BATCH / taken
            yield Measure(name, batches * BATCH, rate, "/s", batches * BATCH / copied, 10_000, "value", at_least=True)
            yield Measure(
                f"{name}: processor time, all of it", batches * BATCH, 1e6 * used / (batches * BATCH), "us/event"
            )
            yield Measure(f"{name}: answer, median", batches, 1000 * answers[batches // 2], "ms", bound=100, on="value")
            yield Measure(
                f"{name}: answer, 95 %", batches, 1000 * answers[int(batches * 0.95)], "ms", bound=100, on="value"
            )


def _post_all(system: System, port: int, bodies: Sequence[bytes], connections: int) -> tuple[float, list[float]]:
    """Post every body; returns how long all took and each answer."""
    mine = local()

    def post(body: bytes) -> float:
        if not hasattr(mine, "connection"):
            mine.connection = HTTPConnection("127.0.0.1", port, timeout=30)
        timestamp = str(int(now().timestamp()))
        signature = system.vendor._key.sign(timestamp.encode() + body, ECDSA(SHA256()))
        headers = {SIGNATURE_HEADER: b64encode(signature).decode(), TIMESTAMP_HEADER: timestamp}
        start = time.perf_counter()
        mine.connection.request("POST", "/webhooks/sendgrid/events", body, headers)
        answer = mine.connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
        return time.perf_counter() - start

    with ThreadPoolExecutor(connections) as pool:
        start = time.perf_counter()
        answers = list(pool.map(post, bodies))
        return time.perf_counter() - start, answers


def _copy(system: System, bodies: Sequence[bytes], number: int) -> float:
    """How long one COPY of the same rows takes, into an empty table with the same indexes and partitions' worth."""
    rows: list[RawEvent] = []
    for body in bodies:
        rows += raw_events(body, signer=signer(), received_at=now())
    with psycopg.connect(system.environ["DATABASE_URL"].replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("CREATE TABLE copied (LIKE event INCLUDING ALL)")
        try:
            start = time.perf_counter()
            with connection.cursor().copy(f"COPY copied ({', '.join(COLUMNS)}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row.row())
            return time.perf_counter() - start
        finally:
            connection.execute("DROP TABLE copied")
