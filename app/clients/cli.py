"""Clients from the command line."""

import json
from pathlib import Path

import click
from flask.cli import AppGroup

from app.clients import tasks as tasks  # registers the job that this process may run itself
from app.clients.importing.refusals import refusal_lines
from app.clients.importing.service import receive_file, start_import
from app.clients.models import ClientImport
from app.core.commands import run_here, sentences
from app.core.extensions import db
from app.core.jobs import Job
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
    with sentences():
        person = acting_person(actor)
        with unit_of_work(), file.open("rb") as stream:
            client_import = receive_file(stream=stream, name=file.name, actor=person)
            job = start_import(client_import=client_import, mapping=_read(mapping_file), actor=person, in_worker=detach)
    import_id, job_id = client_import.id, job.id
    if detach:
        click.echo(f"Import {import_id} was handed to a worker.")
        return
    run_here(job_id, lambda job: f"{job.done:,} of {job.total:,} rows")
    _report(import_id, job_id, refused)


def acting_person(email: str | None) -> User | None:
    """Who signs in with this address; None where none is given. A stranger ends the command with a sentence."""
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
