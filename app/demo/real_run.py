"""`make demo DATA=FILE`: the whole job on a real client file, headless, against the real processes.

Embedded PostgreSQL and Valkey over a fresh folder, the web server on loopback, Celery worker processes, beat, and
a local SMTP sink. The file is imported by a worker, a campaign is launched and delivered by a worker over SMTP,
and the clients act from the messages that the sink received, over HTTP. Nothing is short-circuited.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from flask_migrate import upgrade
from sqlalchemy import func, select

from app import create_app
from app.audiences.service import create_segment
from app.campaigns.models import Campaign, State
from app.campaigns.service import approve, create_campaign, launch, set_content, set_segments, submit
from app.clients.importing.service import receive_file, start_import
from app.clients.models import ClientImport
from app.config import load_config
from app.core.embedded import embedded_servers, free_port
from app.core.extensions import db
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from app.demo.acting import Acts, act_as_clients
from app.demo.processes import ROOT, system
from app.reports.response import Outcome, Response, campaign_response
from app.tracking.models import AccountOpening, Event
from app.users.models import User
from app.users.queries import head_office
from app.users.service import create_api_key, create_user

CAMPAIGN = "Term deposit, spring"
MAPPING = ROOT / "app" / "demo" / "uci_bank_mapping.json"
SEGMENTS: dict[str, dict[str, Any]] = {
    "everyone": {"all": []},
    "students": {"all": [{"field": "custom.job", "op": "is", "value": "student"}]},
    "retired": {"all": [{"field": "custom.job", "op": "is", "value": "retired"}]},
    "savers": {
        "all": [
            {"field": "custom.balance", "op": "gt", "value": 1500},
            {"field": "custom.housing", "op": "is_no"},
            {"field": "custom.loan", "op": "is_no"},
        ]
    },
    "earlier success": {"all": [{"field": "custom.poutcome", "op": "is", "value": "success"}]},
    "age 60+": {"all": [{"field": "custom.age", "op": "gte", "value": 60}]},
}
SUBJECT = "{{ client.number | prepend: 'Client ' }}, a term deposit for your savings"
PREHEADER = "A fixed rate for twelve months"
SOURCE = """
<mjml><mj-body background-color="#f4f6f8"><mj-section background-color="#ffffff"><mj-column>
  <mj-text font-size="20px">Your savings, at a fixed rate</mj-text>
  <mj-text>Dear client {{ client.number | default: "" }},
    {% if custom.balance > 1500 %}your balance qualifies for our best rate.{% else %}small sums are welcome.{% endif %}
  </mj-text>
  <mj-button href="https://www.example.com/deposit?c={{ client.number | default: '' }}">Open a deposit</mj-button>
  <mj-text>Questions? <a href="https://www.example.com/advice">Ask for advice</a> or answer this mail.</mj-text>
</mj-column></mj-section></mj-body></mjml>
"""
PATIENCE_SECONDS = 600

Wait = Callable[[Callable[[], bool], str], None]


def run(data: Path, *, var_dir: Path) -> int:
    """Run the job on the file; prints the response table and writes `report.json`. Returns the exit code."""
    folder = var_dir / "demo"
    live = folder / "run"
    shutil.rmtree(live, ignore_errors=True)
    live.mkdir(parents=True)
    environ = _environment(live)
    started = time.monotonic()
    with ExitStack() as stack:
        stack.enter_context(embedded_servers(live, environ))
        os.environ.update(environ)
        app = create_app(load_config(environ), web=False)
        stack.enter_context(app.app_context())
        upgrade()
        say(f"Started PostgreSQL and Valkey in {time.monotonic() - started:.1f} s.")
        say("The too-fast rule for machine hits is off (MACHINE_HIT_SECONDS=0): these clients answer within seconds.")
        processes = stack.enter_context(_running(environ, live))
        watch = partial(_wait_until, processes=processes)
        officer, checker, api_key = _staff()
        seconds = {"import": _timed(lambda: _import_clients(data, officer, watch))}
        campaign_id = _prepare_campaign(officer, checker)
        with _peak_memory(processes["send"]) as peak:
            seconds["send"] = _timed(lambda: _deliver(campaign_id, officer, watch))
        acts: list[Acts] = []
        store = live / "sink.mbox"
        seconds["track"] = _timed(lambda: acts.append(_act(store, data, environ, api_key, watch)))
        seconds["total"] = round(time.monotonic() - started, 1)
        campaign = db.session.get_one(Campaign, campaign_id)
        response = campaign_response(campaign)
        report = {
            "campaign": campaign.name,
            "seconds": seconds,
            "segments": [_figures(row) for row in response.segments],
        }
        (folder / "report.json").write_text(json.dumps(report, indent=2) + "\n")
        _print(response, seconds, peak[0], acts[0])
    return 0


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _environment(live: Path) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "BROKER_URL")},
        "VAR_DIR": str(live),
        "BASE_URL": f"http://127.0.0.1:{free_port()}",
        "EMAIL_CHANNEL": "smtp",
        "SMTP_URL": f"smtp://127.0.0.1:{free_port()}",
        "SMTP_CONNECTIONS": "1",
        "INBOUND_TOKEN": "demo-inbound",
        "MACHINE_HIT_SECONDS": "0",
        "LOG_LEVEL": "WARNING",
        "FLASK_APP": "wsgi",
    }


def _timed(step: Callable[[], object]) -> float:
    started = time.monotonic()
    step()
    return round(time.monotonic() - started, 1)


@contextmanager
def _running(environ: dict[str, str], live: Path) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Web, workers, beat and the sink as processes of their own; ended together."""
    commands = dict(system(environ["BASE_URL"], live))
    sink = [sys.executable, "-m", "app.demo.sink", "--port", environ["SMTP_URL"].rpartition(":")[2]]
    commands["sink"] = ([*sink, "--store", str(live / "sink.mbox")], {})
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, (command, extra) in commands.items():
            with (live / f"{name}.log").open("wb") as log:
                processes[name] = subprocess.Popen(  # noqa: S603
                    command, cwd=ROOT, env={**environ, **extra}, stdout=log, stderr=subprocess.STDOUT
                )
        yield processes
    finally:
        for process in reversed(processes.values()):
            process.terminate()
        for process in processes.values():
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


def _staff() -> tuple[User, User, str]:
    with unit_of_work():
        branch = head_office()
        officer, checker = (
            create_user(
                email=f"{role}@bellwether.example",
                name=name,
                password="a demo that lives for minutes",  # noqa: S106  the database is thrown away
                roles=[role],
                branch=branch,
            )
            for role, name in ((Role.MARKETING, "Mei Lin"), (Role.COMPLIANCE, "Paul Berg"))
        )
        _, secret = create_api_key(name="core banking", actor=officer)
    return officer, checker, secret


def _import_clients(data: Path, officer: User, wait_until: Wait) -> None:
    with data.open("rb") as file, unit_of_work():
        client_import = receive_file(stream=file, name=data.name, actor=officer)
        start_import(client_import=client_import, mapping=json.loads(MAPPING.read_text()), actor=officer)
    import_id = client_import.id

    def state() -> str:
        return db.session.execute(select(ClientImport.state).where(ClientImport.id == import_id)).scalar_one()

    wait_until(lambda: state() in ("done", "failed"), "the import to end")
    done = db.session.get_one(ClientImport, import_id)
    if done.state == "failed":
        raise SystemExit(f"The import failed: {done.error}")
    say(f"Imported {done.created:,} clients; {done.refused:,} rows refused.")


def _prepare_campaign(officer: User, checker: User) -> int:
    with unit_of_work():
        segments = [create_segment(name=name, rule=rule, actor=officer) for name, rule in SEGMENTS.items()]
        campaign = create_campaign(name=CAMPAIGN, tags=["deposit"], actor=officer)
        set_segments(campaign=campaign, include=segments[:1], report=segments[1:], actor=officer)
        set_content(
            campaign=campaign, format="mjml", subject=SUBJECT, preheader=PREHEADER, source=SOURCE, actor=officer
        )
    with unit_of_work():
        submit(campaign=campaign, actor=officer)
    with unit_of_work():
        approve(campaign=campaign, actor=checker)
    return campaign.id


def _deliver(campaign_id: int, officer: User, wait_until: Wait) -> None:
    with unit_of_work():
        launch(campaign=db.session.get_one(Campaign, campaign_id), actor=officer)

    def complete() -> bool:
        return db.session.scalar(select(Campaign.state).where(Campaign.id == campaign_id)) == State.COMPLETE

    wait_until(complete, "the campaign to be delivered")


def _act(store: Path, data: Path, environ: dict[str, str], api_key: str, wait_until: Wait) -> Acts:
    acts = act_as_clients(
        store=store, data=data, base_url=environ["BASE_URL"], inbound_token=environ["INBOUND_TOKEN"], api_key=api_key
    )

    def processed() -> bool:
        pending = db.session.scalar(select(func.count(Event.id)).where(Event.interpreted_at.is_(None)))
        uncredited = db.session.scalar(
            select(func.count(AccountOpening.id)).where(AccountOpening.attributed_at.is_(None))
        )
        return pending == 0 and uncredited == 0

    wait_until(processed, "what came back to be interpreted")
    if acts.refused:
        raise SystemExit(f"{acts.refused} requests were refused; see the logs in the demo's folder.")
    return acts


def _wait_until(condition: Callable[[], bool], what: str, *, processes: dict[str, subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"Gave up waiting for {what}.")
        for name, process in processes.items():
            if process.poll() is not None:
                raise SystemExit(f"The process “{name}” ended unexpectedly; its log is in the demo's folder.")
        db.session.rollback()
        time.sleep(0.2)
    db.session.rollback()


@contextmanager
def _peak_memory(process: subprocess.Popen[bytes]) -> Iterator[list[float]]:
    """Watches a process and its children; the yielded list's one item is their peak PSS in MB."""
    watcher = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "app.demo.memory", str(process.pid)], cwd=ROOT, stdout=subprocess.PIPE
    )
    peak = [0.0]
    try:
        yield peak
    finally:
        watcher.terminate()
        output, _ = watcher.communicate()
        peak[0] = float(output or 0)


def _figures(row: Any) -> dict[str, Any]:
    return {
        "name": row.name,
        "targeted": row.targeted,
        "sent": row.count(Outcome.SENT),
        "opened": row.count(Outcome.OPENED),
        "clicked": row.count(Outcome.CLICKED),
        "replied": row.count(Outcome.REPLIED),
        "accounts_opened": row.count(Outcome.ACCOUNTS_OPENED),
    }


def _print(response: Response, seconds: dict[str, float], peak: float, acts: Acts) -> None:
    figures = [_figures(row) for row in response.segments]
    columns = list(figures[0])
    widths = [max(len(name), *(len(f"{row[name]}") for row in figures)) + 2 for name in columns]
    say("")
    say("".join(name.replace("_", " ").rjust(width) for name, width in zip(columns, widths, strict=True)))
    for row in figures:
        say("".join(f"{row[name]}".rjust(width) for name, width in zip(columns, widths, strict=True)))
    say("")
    say(
        f"Clients' acts: {acts.opens} pixel loads, {acts.clicks} clicks, {acts.replies} replies, "
        f"{acts.openings} account openings."
    )
    say("Seconds: " + ", ".join(f"{name} {value}" for name, value in seconds.items()))
    say(f"Peak memory of the sending worker's process tree: {peak:.0f} MB (PSS).")
