"""The pixel with group commit, against a Flask view that does nothing."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flask import Flask, Response
from sqlalchemy import func, select
from werkzeug.test import create_environ

from app.core.extensions import db, links
from app.tracking.hits import PIXEL
from app.tracking.models import Event
from bench.measuring import best, report_rate

THREADS = 64


def no_op_app() -> Flask:
    app = Flask("no_op")

    @app.get("/o/<token>")
    def pixel(token: str) -> Response:
        return Response(PIXEL, mimetype="image/gif")

    return app


def measure_hits(app: Flask, size: int) -> None:
    """Hits from many threads, each answered after its event is on disk."""
    made, before = links(), db.session.scalar(select(func.count(Event.id))) or 0
    db.session.rollback()
    environs = [create_environ(made.open_pixel(number), made.open_pixel(1)) for number in range(1, size + 1)]
    for environ, number in zip(environs, range(1, size + 1), strict=True):
        environ["PATH_INFO"] = "/o/" + made.open_pixel(number).rpartition("/")[2]
    plain_app = no_op_app()
    rounds = 3
    with ThreadPoolExecutor(THREADS) as pool:

        def through(wsgi_app: Callable[..., Any]) -> Callable[[], None]:
            def call(environ: dict[str, Any]) -> bytes:
                body = wsgi_app(dict(environ), lambda status, headers, exc_info=None: status)
                return b"".join(body)

            def work() -> None:
                assert all(body == PIXEL for body in pool.map(call, environs))

            return work

        taken, reference = best(through(app.wsgi_app), through(plain_app.wsgi_app), rounds=rounds)
    recorded = (db.session.scalar(select(func.count(Event.id))) or 0) - before
    assert recorded == rounds * size, recorded
    report_rate("record a hit", size=size, unit="hits/s", taken=taken, reference_taken=reference, bound=0.5)
