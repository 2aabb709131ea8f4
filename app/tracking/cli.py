"""Tracking from the command line."""

from pathlib import Path

import click
from flask.cli import AppGroup

from app.campaigns.models import Campaign
from app.campaigns.queries import campaign_by_code
from app.core.commands import sentences
from app.core.extensions import settings
from app.core.unit_of_work import unit_of_work
from app.tracking import service
from app.tracking.openings import service as openings
from app.tracking.sms import sms_accounts, webhook_addresses

tracking_cli = AppGroup("tracking", help="Account openings, and what events mean.")


def _campaign(code: str | None) -> Campaign | None:
    return campaign_by_code(code, viewer=None) if code else None


@tracking_cli.command("import-openings")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def import_openings(file: Path) -> None:
    """Import account openings from FILE (CSV, TSV, XLSX) and credit them. Ends with 1 where FILE is no such table."""
    with sentences(), unit_of_work(), file.open("rb") as stream:
        done = openings.import_openings(stream=stream, name=file.name, actor=None)
    click.echo(f"{done.rows} rows: {done.taken} taken, {done.known} known already, {len(done.refused)} refused.")
    for row, reason, _cells in done.refused[:20]:
        click.echo(f"row {row}: {reason}", err=True)


@tracking_cli.command("reinterpret")
@click.option("--campaign", "code", help="The code of one campaign; all where it is not given.")
def reinterpret(code: str | None) -> None:
    """Work out anew what the recorded events mean. Raw events and clients' consents stay as they are."""
    with sentences(), unit_of_work():
        events = service.reinterpret(campaign=_campaign(code))
    click.echo(f"{events} events interpreted.")


@tracking_cli.command("credit-openings")
@click.option("--campaign", "code", help="The code of one campaign; all where it is not given.")
def credit_openings(code: str | None) -> None:
    """Credit account openings to messages anew, for instance after a campaign's window was changed."""
    with sentences(), unit_of_work():
        credited = openings.credit_openings_again(campaign=_campaign(code))
    click.echo(f"{credited} account openings credited anew.")


@tracking_cli.command("sms-addresses")
def sms_addresses() -> None:
    """The addresses that SMS vendors are to call: account, what for, address, with tabs between."""
    base = settings().public_url
    for account in sms_accounts():
        for use, address in webhook_addresses(account).items():
            click.echo("\t".join((account.name, use, base + address)))
