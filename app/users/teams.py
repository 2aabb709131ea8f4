"""Verbs on teams: advisers who work together, a tree of its own beside the branches."""

from collections.abc import Collection, Mapping

from flask_babel import lazy_gettext as _l
from sqlalchemy import func, literal, select, text, update
from sqlalchemy.exc import IntegrityError

from app.audit.service import record
from app.core.errors import AppError, Conflict
from app.core.extensions import db
from app.users.models import Team, User

MAX_NAME = 100


class TeamNameMissing(AppError):
    message = _l("A team needs a name of at most %(count)s characters.", count=MAX_NAME)


class TeamNameTaken(Conflict):
    message = _l("Another team already has this name.")


class TeamLoop(Conflict):
    message = _l("A team cannot be moved below itself.")


class TeamInUse(Conflict):
    message = _l("This team has members or teams below it. Move them first.")


class LeaderWithoutTeam(AppError):
    message = _l("Who leads a team belongs to it: choose the team as well.")


def create_team(*, name: str, parent: Team | None, actor: User | None) -> Team:
    """Add a team, at the top or below another."""
    _hold_tree()
    if parent is not None:
        db.session.refresh(parent)
    team = Team(name=_checked_name(name), parent_id=parent.id if parent else None, path="")
    try:
        with db.session.begin_nested():
            db.session.add(team)
    except IntegrityError as error:
        raise TeamNameTaken from error
    team.path = f"{parent.path if parent else '/'}{team.id}/"
    db.session.flush()
    _note("create", team, actor, {"name": [None, team.name], "parent": [None, parent.name if parent else None]})
    return team


def rename_team(*, team: Team, name: str, actor: User | None) -> None:
    before, team.name = team.name, _checked_name(name)
    if before == team.name:
        return
    try:
        db.session.flush()
    except IntegrityError as error:
        raise TeamNameTaken from error
    _note("rename", team, actor, {"name": [before, team.name]})


def move_team(*, team: Team, parent: Team | None, actor: User | None) -> None:
    """Hang a team, with everything below it, under another one or (None) at the top."""
    _hold_tree()
    db.session.refresh(team)
    if parent is not None:
        db.session.refresh(parent)
        if parent.path.startswith(team.path):
            raise TeamLoop
    parent_id = parent.id if parent else None
    if team.parent_id == parent_id:
        return
    former, old_path = team.parent.name if team.parent else None, team.path
    new_path = f"{parent.path if parent else '/'}{team.id}/"
    team.parent_id = parent_id
    db.session.flush()
    db.session.execute(
        update(Team)
        .where(Team.path.startswith(old_path, autoescape=True))
        .values(path=literal(new_path) + func.substr(Team.path, len(old_path) + 1))
        .execution_options(synchronize_session=False)
    )
    db.session.expire_all()
    _note("move", team, actor, {"parent": [former, parent.name if parent else None]})


def set_members(*, team: Team, members: Collection[User], leaders: Collection[User], actor: User | None) -> None:
    """Say who belongs to the team and who of them leads it. A member of another team leaves it.

    Raises LeaderWithoutTeam where a leader is not among the members.
    """
    if not set(leaders) <= set(members):
        raise LeaderWithoutTeam
    present = db.session.scalars(select(User).where(User.team_id == team.id).with_for_update()).all()
    before = {user.id: user.leads_team for user in present}
    for user in present:
        if user not in members:
            user.team_id, user.leads_team = None, False
    for user in members:
        user.team_id, user.leads_team = team.id, user in leaders
    db.session.flush()
    after = {user.id: user.leads_team for user in members}
    if before != after:
        changes = {
            "members": [sorted(before), sorted(after)],
            "leaders": [_leading(before), _leading(after)],
        }
        _note("members_changed", team, actor, changes)


def delete_team(*, team: Team, actor: User | None) -> None:
    """Remove a team that is empty. Raises TeamInUse."""
    _hold_tree()
    below = select(Team.id).where(Team.parent_id == team.id).exists()
    members = select(User.id).where(User.team_id == team.id).exists()
    if db.session.scalar(select(below | members)):
        raise TeamInUse
    _note("delete", team, actor, {"name": [team.name, None]})
    db.session.delete(team)
    db.session.flush()


def _leading(members: dict[int, bool]) -> list[int]:
    return sorted(user_id for user_id, leads in members.items() if leads)


def _note(verb: str, team: Team, actor: User | None, changes: Mapping[str, object]) -> None:
    record(actor=actor, action=f"team.{verb}", subject="team", subject_id=team.id, changes=changes)


def _hold_tree() -> None:
    """One change to the shape of the tree at a time: two moves at once could close a loop."""
    db.session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('users.team_tree', 0))"))


def _checked_name(name: str) -> str:
    name = " ".join(name.replace("\x00", "").split())
    if not name or len(name) > MAX_NAME:
        raise TeamNameMissing
    return name
