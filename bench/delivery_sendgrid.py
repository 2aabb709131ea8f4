"""A campaign through SendGrid by the real workers to a mock held to the vendor's description."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from sqlalchemy import text

from app.channels.base import EmailTemplate, Envelope, OutgoingEmail
from app.channels.email.sendgrid import request_body
from app.core.extensions import db
from app.demo.processes import ROOT
from bench.delivery_book import DeliveryBook, PartMissing
from bench.delivery_smtp import PROCESSES, ROUNDS, send_sample
from bench.delivery_system import mock, run_together, send_workers
from bench.figures import Measure
from bench.schema_check import compile_schema
from bench.sendgrid_mock import mail_send_schema

DESCRIPTION = ROOT.parent / "shared" / "data" / "sendgrid" / "openapi" / "tsg_mail_v3.json"


def measures(book: DeliveryBook) -> Iterator[Measure]:
    """BENCH_SENDGRID names the vendor's description (tsg_mail_v3.json) where it is not beside the project."""
    description = Path(os.environ.get("BENCH_SENDGRID", DESCRIPTION))
    if not description.exists():
        raise PartMissing("the vendor's description of its requests is not beside the project")
    _check_the_check(description)
    ours, bare = [], []
    with mock("bench.sendgrid_mock", str(description)) as url:
        environ = {"EMAIL_CHANNEL": "sendgrid", "SENDGRID_API_KEY": "key", "SENDGRID_HOST": url}
        for _ in range(ROUNDS):
            with send_workers(book, **environ):
                ours.append(send_sample(book))
            bare.append(_send_bare(book, environ))
    value, reference = book.messages / min(ours), book.messages / min(bare)
    name = "send through SendGrid"
    yield Measure(name, book.messages, value, "messages/s", reference, bound=0.6, at_least=True)
    yield Measure(f"{name}, absolute", book.messages, value, "messages/s", bound=10_000, on="value", at_least=True)


def _send_bare(book: DeliveryBook, environ: dict[str, str]) -> float:
    """The same rows by as many processes, in seconds."""
    with db.engine.connect() as connection:
        first, last = connection.execute(text("SELECT min(id), max(id) FROM message")).one()
    share = -(-(last - first + 1) // PROCESSES)
    starts = range(first, last + 1, share)
    commands = [
        [sys.executable, "-m", "bench.bare_sendgrid", str(start), str(min(start + share - 1, last))] for start in starts
    ]
    return run_together(commands, {**book.environ, **environ})


def _check_the_check(description: Path) -> None:
    """The compiled check must say of good and of broken requests what `jsonschema` says."""
    schema, document = mail_send_schema(description)
    fits = compile_schema(schema, document)
    validator = Draft202012Validator({**schema, "components": document["components"]})
    email = OutgoingEmail(
        1, "token", "c1@example.com", ["Ana"], "r1@reply.example", "https://x.example", "u1@x.example"
    )
    envelope = Envelope("news@firm.example", "Firm", "<list.firm.example>", "7:firm")
    good = json.loads(json.dumps(request_body(EmailTemplate(("s",), ("<p>", 0), ("t", 0)), envelope, [email])))
    person = good["personalizations"][0]
    variants: tuple[dict[str, Any], ...] = (
        {}, {"from": {}}, {"from": "x"}, {"subject": ""}, {"content": [{"type": ""}]}, {"content": []},
        {"personalizations": [person] * 1001}, {"personalizations": [person | {"to": "a@x.example"}]},
        {"personalizations": [person | {"substitutions": {"-a-": 1}}]}, {"headers": [1]}, {"send_at": "now"},
    )  # fmt: skip
    for changes in variants:
        body = good | changes
        assert fits(body) == validator.is_valid(body), changes
    assert fits(good)
