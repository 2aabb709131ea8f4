"""A switch from the command line."""

from pathlib import Path

import click

from app.clients.cli import acting_person, clients_cli
from app.clients.switching import tasks as tasks  # registers the job that this process runs itself
from app.clients.switching.products import PRODUCTS
from app.clients.switching.service import receive_export, start_switch
from app.core.commands import sentences
from app.core.extensions import db
from app.core.jobs import run_job
from app.core.unit_of_work import unit_of_work

COUNTS = ("rows", "opted_out", "bounced", "agreed", "refused", "suppressed", "withdrawn", "granted")


@clients_cli.command("switch")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--from", "product", type=click.Choice(list(PRODUCTS)), help="The product; told by the columns if not.")
@click.option("--everyone-out", is_flag=True, help="Everyone in the file opted out.")
@click.option("--wording", default="", help="What those who agreed were asked; without it, only opt-outs count.")
@click.option("--legal-basis", default="", help="Why those consents hold.")
@click.option("--actor", help="Sign-in address of the person on whose behalf this is done.")
@click.option("--dry-run", is_flag=True, help="Only tell what would change.")
def switch_command(
    file: Path,
    product: str | None,
    everyone_out: bool,
    wording: str,
    legal_basis: str,
    actor: str | None,
    dry_run: bool,
) -> None:
    """Take over opt-outs, bounces and consents from FILE, an export of another product. Prints the counts."""
    person = acting_person(actor)
    with sentences():
        with unit_of_work(), file.open("rb") as stream:
            switch = receive_export(
                stream=stream,
                name=file.name,
                product=product,
                everyone_out=everyone_out,
                wording=wording,
                legal_basis=legal_basis,
                actor=person,
                in_worker=False,
            )
        _run(switch.job_id)
        if not dry_run and switch.state == "ready":
            with unit_of_work():
                job = start_switch(switch=switch, actor=person, in_worker=False)
            _run(job.id)
    if switch.state not in ("ready", "done"):
        raise click.ClickException(switch.error or "The work was taken over by a worker.")
    for name in COUNTS:
        click.echo(f"{name} {switch.counts.get(name, 0)}")
    for number, reason in switch.refused:
        click.echo(f"row {number}: {reason}", err=True)


def _run(job_id: int | None) -> None:
    if job_id is not None:
        run_job(job_id)
    db.session.expire_all()
