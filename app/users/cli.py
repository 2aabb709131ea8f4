"""`flask users`: the first administrator, and first aid where nobody can sign in."""

import sys

import click
from flask.cli import AppGroup

from app.core.commands import sentences
from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from app.users import queries, service
from app.users.models import API_RESOURCES, User

users_cli = AppGroup("users", help="Staff and keys of the HTTP interface.")

_password_stdin = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input instead of asking for it."
)


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))


def _person(email: str) -> User:
    user = queries.find_user(email)
    if user is None:
        raise click.ClickException(f"Nobody has the e-mail address {email}.")
    return user


@users_cli.command("create")
@click.option("--email", prompt="E-mail address")
@click.option("--name", prompt="Name")
@click.option(
    "--role",
    "roles",
    multiple=True,
    type=click.Choice([role.value for role in Role]),
    help="May be given more than once.  [default: administrator]",
)
@click.option("--branch", "branch_code", default="HO", show_default=True, help="The branch's code.")
@_password_stdin
def create(email: str, name: str, roles: tuple[str, ...], branch_code: str, password_stdin: bool) -> None:
    """Add a member of staff; without --role, an administrator."""
    branch = queries.find_branch(branch_code)
    if branch is None:
        raise click.ClickException(f"There is no branch with the code {branch_code}.")
    password = _password(password_stdin)
    with sentences(), unit_of_work():
        user = service.create_user(
            email=email, name=name, password=password, roles=roles or (Role.ADMINISTRATOR.value,), branch=branch
        )
        line = f"{user.email} can sign in now: {', '.join(user.roles)} at {branch.name}."
    click.echo(line)


@users_cli.command("list")
def list_users() -> None:
    """Everyone: e-mail address, roles, branch, state, name, with tabs between."""
    for user in queries.all_users():
        state = "locked" if queries.is_locked(user) else "active" if user.active else "inactive"
        click.echo("\t".join((user.email, ",".join(user.roles), user.branch.code, state, user.name)))


@users_cli.command("set-password")
@click.argument("email")
@_password_stdin
def set_password(email: str, password_stdin: bool) -> None:
    """Give somebody a new password, end their sessions and open a lock."""
    user = _person(email)
    password = _password(password_stdin)
    with sentences(), unit_of_work():
        service.set_password(user=user, password=password, actor=None)
    click.echo("The password is set. Older sessions have ended.")


@users_cli.command("create-api-key")
@click.argument("name")
@click.option("--for", "resources", multiple=True, type=click.Choice(API_RESOURCES), default=("account-openings",))
def create_api_key(name: str, resources: tuple[str, ...]) -> None:
    """Print a new key of the HTTP interface. It is shown this once only.

    --for may be given several times. A key made here reads the clients of the whole firm.
    """
    with sentences(), unit_of_work():
        _key, secret = service.create_api_key(name=name, resources=resources, actor=None)
    click.echo(secret)
