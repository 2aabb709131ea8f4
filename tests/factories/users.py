"""Branches and staff for tests."""

from functools import cache
from itertools import count

from flask.testing import FlaskClient

from app.core.permissions import Role
from app.core.unit_of_work import unit_of_work
from app.users.models import Branch, Team, User
from app.users.passwords import hash_password
from app.users.queries import head_office
from app.users.service import create_branch
from app.users.teams import create_team

PASSWORD = "correct horse battery staple"
_numbers = count(1)


@cache
def _password_hash() -> str:
    """Made once a process: Argon2 is slow by design."""
    return hash_password(PASSWORD)


def make_branch(*, name: str | None = None, code: str | None = None, parent: Branch | None = None) -> Branch:
    """A committed branch, below the head office unless told otherwise."""
    number = next(_numbers)
    with unit_of_work():
        return create_branch(
            code=code or f"B{number}", name=name or f"Branch {number}", parent=parent or head_office(), actor=None
        )


def make_team(*, name: str | None = None, parent: Team | None = None) -> Team:
    """A committed team, at the top unless told otherwise."""
    with unit_of_work():
        return create_team(name=name or f"Team {next(_numbers)}", parent=parent, actor=None)


def make_user(
    *,
    role: str = Role.MARKETING,
    roles: list[str] | None = None,
    branch: Branch | None = None,
    name: str | None = None,
    email: str | None = None,
    locale: str | None = None,
    active: bool = True,
    team: Team | None = None,
    leads_team: bool = False,
    client_capacity: int | None = None,
) -> User:
    """A committed member of staff with one role (or `roles`) at the head office (or `branch`) and PASSWORD."""
    number = next(_numbers)
    with unit_of_work() as session:
        user = User(
            email=email or f"staff{number}@example.com",
            name=name or f"Staff {number}",
            password_hash=_password_hash(),
            roles=[Role(one).value for one in (roles or [role])],
            branch_id=(branch or head_office()).id,
            locale=locale,
            active=active,
            failed_sign_ins=0,
            sign_in_version=1,
            must_change_password=False,
            team_id=team.id if team else None,
            leads_team=leads_team,
            client_capacity=client_capacity,
        )
        session.add(user)
    return user


def sign_in(client: FlaskClient, user: User) -> FlaskClient:
    """Sign a test client in, without the page. Returns the client."""
    with client.session_transaction() as session:
        session.clear()
        session["_user_id"] = user.get_id()
        session["_fresh"] = True
    return client
