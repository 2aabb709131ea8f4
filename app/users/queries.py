"""Reads about staff and branches."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import ColumnElement, Select, func, or_, select, true, tuple_
from sqlalchemy.orm import contains_eager, joinedload

from app.core.clock import now
from app.core.errors import NotFound
from app.core.extensions import db, settings
from app.core.permissions import Role
from app.users.models import ApiKey, Branch, Team, User

PAGE = 50


def find_user(email: str) -> User | None:
    """The person who signs in with this address, whatever its case."""
    return db.session.scalar(select(User).where(func.lower(User.email) == email.strip().lower()))


def user_of_session(session_id: str) -> User | None:
    """The person a session belongs to; None once the account is closed or frozen, or the password has changed since."""
    user_id, _, version = session_id.partition(":")
    if not (user_id.isdecimal() and version.isdecimal()):
        return None
    user = db.session.get(User, int(user_id))
    if user is None or not user.is_active or user.sign_in_version != int(version):
        return None
    return user


def head_office() -> Branch:
    """The root of the tree of branches."""
    return db.session.scalars(select(Branch).where(Branch.parent_id.is_(None)).order_by(Branch.id).limit(1)).one()


def find_branch(code: str) -> Branch | None:
    return db.session.scalar(select(Branch).where(Branch.code == code))


def subtree_ids(branch: Branch) -> list[int]:
    """The ids of the branch and of everything below it."""
    return list(db.session.scalars(select(Branch.id).where(in_subtree(branch))))


def in_subtree(branch: Branch) -> ColumnElement[bool]:
    """For WHERE on branch: the branch itself and everything below it."""
    return Branch.path.startswith(branch.path)


def team_subtree(team: Team) -> Select[Any]:
    """Ids of the team and of the teams below it, as a subquery."""
    return select(Team.id).where(Team.path.startswith(team.path, autoescape=True))


@dataclass(frozen=True, slots=True)
class TeamLine:
    """A line of the tree of teams: `depth` from 0 at the top, active members and leaders of this team alone."""

    team: Team
    depth: int
    members: int
    leaders: Sequence[str]


def team_tree() -> list[TeamLine]:
    """Every team, parents before children, siblings by name."""
    children: dict[int | None, list[Team]] = defaultdict(list)
    for team in db.session.scalars(select(Team).order_by(Team.name)):
        children[team.parent_id].append(team)
    members: dict[int | None, list[str | None]] = defaultdict(list)
    found = select(User.team_id, User.name, User.leads_team).where(User.active, User.team_id.is_not(None))
    for team_id, name, leads in db.session.execute(found.order_by(User.name)):
        members[team_id].append(name if leads else None)
    lines: list[TeamLine] = []
    waiting = [(team, 0) for team in reversed(children[None])]
    while waiting:
        team, depth = waiting.pop()
        people = members[team.id]
        lines.append(TeamLine(team, depth, len(people), [name for name in people if name]))
        waiting.extend((child, depth + 1) for child in reversed(children[team.id]))
    return lines


def find_team(team_id: int) -> Team:
    """The team, or NotFound."""
    team = db.session.get(Team, team_id)
    if team is None:
        raise NotFound
    return team


def possible_members() -> Sequence[User]:
    """Everyone who may belong to a team: active advisers, and whoever is in one already; by name."""
    return db.session.scalars(
        select(User)
        .where(User.active, User.roles.contains([Role.ADVISER.value]) | User.team_id.is_not(None))
        .options(joinedload(User.branch), joinedload(User.team))
        .order_by(func.lower(User.name), User.id)
    ).all()


def contains(branch: Branch, other: Branch) -> bool:
    """True where `other` is the branch or lies below it."""
    return other.path.startswith(branch.path)


def branch_in_scope(branch_id: int, *, actor: User) -> Branch:
    """The branch, where it lies in the actor's part of the firm; else NotFound."""
    branch = db.session.get(Branch, branch_id)
    if branch is None or not contains(actor.branch, branch):
        raise NotFound
    return branch


def user_in_scope(user_id: int, *, actor: User) -> User:
    """The member of staff, where they belong to the actor's part of the firm; else NotFound."""
    user = db.session.get(User, user_id)
    if user is None or not contains(actor.branch, user.branch):
        raise NotFound
    return user


@dataclass(frozen=True, slots=True)
class BranchLine:
    """A line of the tree as shown: `depth` from 0 at the top shown, `staff` active people of this branch alone."""

    branch: Branch
    depth: int
    staff: int


_LEVELS = (_l("Head office"), _l("Branch"), _l("Outlet"))


def level_name(branch: Branch) -> str:
    """What the house calls branches of this depth: head office, branch, outlet, unless BRANCH_LEVELS names them
    otherwise. Those deeper than there are names are called as the last."""
    names = settings().branch_levels or _LEVELS
    return str(names[min(branch.path.count("/") - 2, len(names) - 1)])


def branch_tree(root: Branch) -> list[BranchLine]:
    """The branches below and with the root, parents before children, siblings by code."""
    children: dict[int | None, list[Branch]] = defaultdict(list)
    for branch in db.session.scalars(select(Branch).where(in_subtree(root)).order_by(Branch.code)):
        children[branch.parent_id].append(branch)
    counts = select(User.branch_id, func.count()).where(User.active).group_by(User.branch_id)
    staff: dict[int, int] = dict(iter(db.session.execute(counts)))
    lines: list[BranchLine] = []
    waiting = [(root, 0)]
    while waiting:
        branch, depth = waiting.pop()
        lines.append(BranchLine(branch, depth, staff.get(branch.id, 0)))
        waiting.extend((child, depth + 1) for child in reversed(children[branch.id]))
    return lines


@dataclass(frozen=True, slots=True)
class StaffPage:
    """One page of staff, with the ids to go on from in either direction (None at an end)."""

    users: Sequence[User]
    before: int | None
    after: int | None


def staff_page(
    *,
    scope: Branch,
    search: str = "",
    role: str = "",
    state: str = "",
    before: int | None = None,
    after: int | None = None,
) -> StaffPage:
    """The staff of a branch and below, by name; 50 a page. `state`: "active", "inactive", "frozen", "locked" or all.

    `before` and `after` are ids of the person at the page's edge; at most one of them is given.
    """
    condition = _staff_condition(scope=scope, search=search, role=role, state=state)
    key = tuple_(func.lower(User.name), User.id)
    backwards = before is not None
    edge = before if backwards else after
    position: ColumnElement[bool] = true()
    if edge is not None:
        at = select(func.lower(User.name), User.id).where(User.id == edge).scalar_subquery()
        position = key < at if backwards else key > at
    order = [part.desc() if backwards else part for part in (func.lower(User.name), User.id)]
    found = db.session.scalars(
        select(User)
        .join(User.branch)
        .options(contains_eager(User.branch))
        .where(condition, position)
        .order_by(*order)
        .limit(PAGE + 1)
    ).all()
    more = len(found) > PAGE
    users = list(found[:PAGE])
    if backwards:
        users.reverse()
    if not users:
        return StaffPage([], None, None)
    has_earlier = more if backwards else edge is not None
    has_later = True if backwards else more
    return StaffPage(users, users[0].id if has_earlier else None, users[-1].id if has_later else None)


def staff_count(*, scope: Branch, search: str = "", role: str = "", state: str = "") -> int:
    """How many people `staff_page` leads through."""
    condition = _staff_condition(scope=scope, search=search, role=role, state=state)
    return db.session.scalar(select(func.count(User.id)).join(User.branch).where(condition)) or 0


def _staff_condition(*, scope: Branch, search: str, role: str, state: str) -> ColumnElement[bool]:
    condition = in_subtree(scope)
    for word in search.split():
        condition &= or_(User.name.icontains(word, autoescape=True), User.email.icontains(word, autoescape=True))
    if role in set(Role):
        condition &= User.roles.contains([role])
    if state == "active":
        condition &= User.active & User.frozen_at.is_(None)
    elif state == "inactive":
        condition &= ~User.active
    elif state == "frozen":
        condition &= User.active & User.frozen_at.is_not(None)
    elif state == "locked":
        condition &= User.locked_until > now()
    return condition


def is_locked(user: User) -> bool:
    """True while wrong passwords keep the account closed."""
    return user.locked_until is not None and user.locked_until > now()


def all_users() -> Sequence[User]:
    """Everyone, by e-mail address, with their branches."""
    return db.session.scalars(
        select(User).join(User.branch).options(contains_eager(User.branch)).order_by(func.lower(User.email))
    ).all()


def api_keys() -> Sequence[ApiKey]:
    """Every key, usable ones first, newest first."""
    return db.session.scalars(
        select(ApiKey).order_by(ApiKey.revoked_at.is_not(None), ApiKey.created_at.desc(), ApiKey.id.desc())
    ).all()
