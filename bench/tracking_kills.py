"""Hits and signed webhooks while the web process is killed: what was answered is in the database."""

import os
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from itertools import count

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256
from sqlalchemy import select

from app.core.clock import now
from app.core.extensions import db, links, signer
from app.core.tokens import Kind
from app.tracking.models import Event
from app.tracking.sendgrid_events import SIGNATURE_HEADER, TIMESTAMP_HEADER
from bench.figures import Measure
from bench.tracking_system import System, Web

KILLS = 20
HITTERS, POSTERS = 6, 2
FEW = 25  # events of a webhook here
MOST_SECONDS = 5.0


def measures(system: System) -> Iterator[Measure]:
    kills = int(os.environ.get("BENCH_KILLS", str(KILLS)))
    made, sign = links(), signer().sign
    numbers, answered = count(1_000_000), set[int]()

    def hit(port: int) -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        for number in numbers:
            try:
                connection.request("GET", "/o/" + made.open_pixel(number).rpartition("/")[2])
                if connection.getresponse().read():
                    answered.add(number)
            except (OSError, HTTPException):
                return

    def post(port: int) -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        while True:
            mine = [next(numbers) for _number in range(FEW)]
            tokens = (sign(Kind.REPLY, number) for number in mine)
            body = ("[" + ",".join(f'{{"event":"delivered","bw":"{token}"}}' for token in tokens) + "]").encode()
            timestamp = str(int(now().timestamp()))
            signature = system.vendor._key.sign(timestamp.encode() + body, ECDSA(SHA256()))
            headers = {SIGNATURE_HEADER: b64encode(signature).decode(), TIMESTAMP_HEADER: timestamp}
            try:
                connection.request("POST", "/webhooks/sendgrid/events", body, headers)
                answer = connection.getresponse()
                answer.read()
                if answer.status == 200:
                    answered.update(mine)
            except (OSError, HTTPException):
                return

    for kill in range(kills):
        web, before = Web(system), len(answered)
        threads = [threading.Thread(target=work, args=(web.port,)) for work in [hit] * HITTERS + [post] * POSTERS]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + MOST_SECONDS
        while len(answered) < before + 300 + 37 * kill and time.monotonic() < deadline:
            time.sleep(0.001)
        web.kill()
        for thread in threads:
            thread.join()
        assert len(answered) > before
    kept = set(db.session.scalars(select(Event.message_id)))
    db.session.rollback()
    lost = len(answered - kept)
    yield Measure(f"answered, then kill -9 ({kills} times): lost", len(answered), lost, "events", bound=0, on="value")
