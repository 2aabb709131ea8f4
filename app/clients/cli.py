"""Clients from the command line."""

import json
from pathlib import Path
from threading import Thread

import click
from flask import current_app
from flask.cli import AppGroup
from sqlalchemy import select

from app.clients import tasks as tasks  # registers the job that this process may run itself
from app.clients.importing.refusals import refusal_lines
from app.clients.importing.service import receive_file, start_import
from app.clients.models import ClientImport
from app.core.errors import AppError
from app.core.extensions import db
from app.core.jobs import Job, run_job
from app.core.unit_of_work import unit_of_work
from app.users.models import User
from app.users.queries import find_user

clients_cli = AppGroup("clients", help="Import clients.")


@clients_cli.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--mapping",
    "mapping_file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON that says what each column becomes; see docs/importing.md.",
)
@click.option("--actor", help="Sign-in address of the person on whose behalf this is done; sets branch and scope.")
@click.option("--detach", is_flag=True, help="Leave the work to a worker and return at once.")
@click.option(
    "--refused", type=click.Path(dir_okay=False, path_type=Path), help="Write the refused rows to this CSV file."
)
def import_command(file: Path, mapping_file: Path, actor: str | None, detach: bool, refused: Path | None) -> None:
    """Import FILE (CSV, TSV, XLSX). Prints the counts; ends with 1 where the import failed."""
    try:
        person = _person(actor)
        with unit_of_work(), file.open("rb") as stream:
            client_import = receive_file(stream=stream, name=file.name, actor=person)
            job = start_import(client_import=client_import, mapping=_read(mapping_file), actor=person, in_worker=detach)
    except AppError as error:
        raise click.ClickException(str(error)) from error
    import_id, job_id = client_import.id, job.id
    if detach:
        click.echo(f"Import {import_id} was handed to a worker.")
        return
    _run_here(job_id)
    _report(import_id, job_id, refused)


def _person(email: str | None) -> User | None:
    if email is None:
        return None
    person = find_user(email)
    if person is None:
        raise click.ClickException(f"Nobody signs in with the address {email}.")
    return person


def _read(path: Path) -> dict[str, object]:
    try:
        mapping: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{path} is not JSON: {error}") from error
    return mapping


def _run_here(job_id: int) -> None:
    """Run the job in a thread and tell its progress on standard error until it ends."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]

    def work() -> None:
        with app.app_context():
            run_job(job_id)

    worker = Thread(target=work, daemon=True)
    worker.start()
    told = None
    while worker.is_alive():
        worker.join(timeout=0.2)
        db.session.rollback()
        row = db.session.execute(select(Job.done, Job.total).where(Job.id == job_id)).one()
        if row.done and row.done != told:
            told = row.done
            click.echo(f"{row.done:,} of {row.total:,} rows", err=True)


def _report(import_id: int, job_id: int, refused: Path | None) -> None:
    db.session.rollback()
    client_import = db.session.get_one(ClientImport, import_id)
    job = db.session.get_one(Job, job_id)
    if client_import.state != "done":
        raise click.ClickException(client_import.error or job.error or "The import was taken over by a worker.")
    for name in ("created", "updated", "unchanged", "refused"):
        click.echo(f"{name} {getattr(client_import, name)}")
    if client_import.opt_outs_kept:
        click.echo(f"opt-outs kept {client_import.opt_outs_kept}")
    if refused is not None:
        with refused.open("w", encoding="utf-8-sig", newline="") as out:
            out.writelines(refusal_lines(client_import))
