"""Feeds from the command line."""

import json
from datetime import datetime
from pathlib import Path

import click
from flask.cli import AppGroup
from sqlalchemy import select

from app.clients.cli import acting_person
from app.clients.feeds import queries, service
from app.clients.feeds import tasks as tasks  # registers the jobs that this process may run itself
from app.clients.feeds.models import KINDS, SCHEDULES, Feed, FeedRun
from app.clients.feeds.refusals import refusal_lines
from app.core.commands import run_here, sentences
from app.core.extensions import db
from app.core.unit_of_work import unit_of_work
from app.users.models import User

feeds_cli = AppGroup("feeds", help="Load accounts, balances, transactions and positions.")


@feeds_cli.command("list")
def list_command() -> None:
    """One line a feed: name, kind, source, schedule, newest run."""
    for line in queries.feed_lines():
        feed, run = line.feed, line.run
        when = f"{feed.schedule or 'by hand'}{f' at {feed.daily_at:%H:%M}' if feed.daily_at else ''}"
        last = f"{line.state} {run.created_at:%Y-%m-%d %H:%M} {run.file_name}" if run else "never run"
        click.echo("\t".join([feed.name, feed.kind, feed.source, when if feed.enabled else "off", last]))


@feeds_cli.command("define")
@click.argument("name")
@click.option(
    "--definition",
    "file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON that says what each column becomes; see docs/importing.md.",
)
@click.option("--kind", type=click.Choice(KINDS), help="Needed for a new feed.")
@click.option("--source", help="The system that the rows come from; needed for a new feed.")
@click.option("--schedule", type=click.Choice([*SCHEDULES, "none"]), help="When its folder is looked at.")
@click.option("--at", type=click.DateTime(["%H:%M"]), help="The time of day of a daily feed, in the firm's time zone.")
@click.option("--off", is_flag=True, help="Switch the feed off.")
def define_command(
    name: str,
    file: Path,
    kind: str | None,
    source: str | None,
    schedule: str | None,
    at: datetime | None,
    off: bool,
) -> None:
    """Make the feed NAME, or define it anew."""
    try:
        definition = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError, RecursionError) as error:
        raise click.ClickException(f"{file} is not JSON: {error}") from error
    with sentences(), unit_of_work():
        feed = queries.feed_by_name(name)
        if feed is None:
            if kind is None or source is None:
                raise click.UsageError("A new feed needs --kind and --source.")
            feed = service.create_feed(name=name, kind=kind, source=source, actor=None)
        service.define_feed(feed=feed, definition=definition, actor=None)
        if schedule is not None or off or not feed.enabled:
            chosen = feed.schedule if schedule is None else None if schedule == "none" else schedule
            daily_at = at.time() if at else feed.daily_at
            service.schedule_feed(feed=feed, schedule=chosen, daily_at=daily_at, enabled=not off, actor=None)
        version = feed.version
    click.echo(f"{name}: version {version}")


@feeds_cli.command("run")
@click.argument("name")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--again", is_flag=True, help="Load the file even if the same one was loaded before.")
@click.option("--actor", help="Sign-in address of the person on whose behalf this is done.")
@click.option("--detach", is_flag=True, help="Leave the work to a worker and return at once.")
@click.option(
    "--refused", type=click.Path(dir_okay=False, path_type=Path), help="Write the refused rows to this CSV file."
)
def run_command(
    name: str, file: Path | None, again: bool, actor: str | None, detach: bool, refused: Path | None
) -> None:
    """Load FILE (CSV, TSV, XLSX) through the feed NAME; without FILE, what lies in its folder.

    Prints the counts; ends with 1 where the file was not loaded.
    """
    feed = queries.feed_by_name(name)
    if feed is None:
        raise click.ClickException(f"There is no feed {name}.")
    with sentences():
        job_id, run_id = _start(feed, file, again=again, actor=acting_person(actor), detach=detach)
    if detach:
        click.echo("The work was handed to a worker.")
        return
    run_here(job_id, lambda job: f"{job.done:,} rows read")
    if run_id is None:
        _report_folder(job_id)
    else:
        _report(run_id, refused)


def _start(feed: Feed, file: Path | None, *, again: bool, actor: User | None, detach: bool) -> tuple[int, int | None]:
    """The job, and the run of a single file."""
    with unit_of_work():
        if file is None:
            job = service.collect_now(feed=feed, actor=actor, in_worker=detach)
            if job is None:
                raise click.ClickException("A worker is looking into the folder already.")
            return job.id, None
        with file.open("rb") as stream:
            run = service.receive_file(
                feed=feed, stream=stream, name=file.name, actor=actor, again=again, in_worker=detach
            )
        return run.job_id or 0, run.id


def _report(run_id: int, refused: Path | None) -> None:
    run = db.session.get_one(FeedRun, run_id, populate_existing=True)
    if refused is not None and run.refused:
        with refused.open("w", encoding="utf-8-sig", newline="") as out:
            out.writelines(refusal_lines(run))
    if run.state == "repeated":
        click.echo(f"The same file was loaded before, by run {run.repeats_id}. Nothing was changed.")
        return
    if run.state != "done":
        raise click.ClickException(run.error or "The load was taken over by a worker.")
    for label in ("rows_read", "created", "changed", "unchanged", "refused", "left_out"):
        click.echo(f"{label.replace('_', ' ')} {getattr(run, label)}")


def _report_folder(job_id: int) -> None:
    found = db.session.scalars(select(FeedRun).where(FeedRun.job_id == job_id).order_by(FeedRun.id)).all()
    for run in found:
        click.echo(f"{run.file_name}\t{run.state}\t{run.error or ''}".rstrip())
    if not found:
        click.echo("The folder holds no file.")
    if any(run.state == "failed" for run in found):
        raise click.ClickException("Not every file was loaded.")
