"""`flask delivery`: the stop of all marketing, the end of tests and the health of the ledger from the command line."""

import click
from flask.cli import AppGroup

from app.campaigns.queries import campaign_by_code
from app.core.commands import sentences
from app.core.errors import NotFound
from app.core.unit_of_work import unit_of_work
from app.delivery.doctor import ledger_figures
from app.delivery.experiments.service import send_to_rest
from app.delivery.stopping import restart_marketing, stop_marketing
from app.delivery.stuck import mend_stuck
from app.users.models import User
from app.users.queries import find_user

delivery_cli = AppGroup("delivery", help="What is on its way to clients.")

_as = click.option("--as", "email", required=True, metavar="EMAIL", help="The member of staff who does it.")


def _person(email: str) -> User:
    user = find_user(email)
    if user is None or not user.active:
        raise click.ClickException(f"There is no active member of staff with the address {email}.")
    return user


@delivery_cli.command("stop")
@click.option("--reason", required=True, help="Why; everybody reads it.")
@_as
def stop(reason: str, email: str) -> None:
    """Stop all marketing on every channel, until somebody else starts it again."""
    with sentences(), unit_of_work():
        stop_marketing(reason=reason, actor=_person(email))
    click.echo("All marketing is stopped.")


@delivery_cli.command("restart")
@_as
def restart(email: str) -> None:
    """Let marketing go on; not by who stopped it."""
    with sentences(), unit_of_work():
        restart_marketing(actor=_person(email))
    click.echo("Marketing goes on.")


@delivery_cli.command("send-rest")
@click.argument("code")
@click.argument("variant")
@click.option("--step", "number", default=1, show_default=True, help="The step, counted from 1.")
@_as
def send_rest(code: str, variant: str, number: int, email: str) -> None:
    """Send a variant to those who waited for the end of a test."""
    with sentences(), unit_of_work():
        actor = _person(email)
        campaign = campaign_by_code(code, viewer=actor)
        if not 1 <= number <= len(campaign.steps):
            raise NotFound
        send_to_rest(campaign=campaign, step=campaign.steps[number - 1], variant=variant.upper(), actor=actor)
    click.echo(f"The rest gets variant {variant.upper()}.")


@delivery_cli.command("doctor")
@click.option("--mend", is_flag=True, help="Mend what is stuck, as the tick does every five minutes.")
def doctor(mend: bool) -> None:
    """Print the ledger's health in figures. Ends with 1 where something is stuck or does not add up."""
    if mend:
        with unit_of_work():
            for name, rows in mend_stuck().items():
                click.echo(f"mended {rows}: {name}")
    ill = False
    for figure in ledger_figures():
        ill |= figure.ill
        click.echo(f"{'!' if figure.ill else ' '} {figure.value:>12,}  {figure.name}")
    raise SystemExit(1 if ill else 0)
