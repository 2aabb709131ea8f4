"""Verbs on staff, branches and keys of the HTTP interface."""

import secrets
from collections.abc import Collection
from datetime import date
from hashlib import sha256
from typing import Any

import structlog
from email_validator import EmailNotValidError, validate_email
from flask_babel import lazy_gettext as _l
from sqlalchemy import case, func, literal, null, or_, select, text, update
from sqlalchemy.exc import IntegrityError

from app.audit.service import record
from app.core import guards
from app.core.errors import AppError, Conflict, NotFound
from app.core.extensions import LANGUAGES, db
from app.core.permissions import Role
from app.users.models import API_RESOURCES, ApiKey, Branch, Team, User
from app.users.passwords import check_password, generate_password, hash_password, is_outdated, verify_password
from app.users.queries import contains
from app.users.teams import LeaderWithoutTeam

MAX_FAILURES = 5
LOCKED_FOR = text("interval '15 minutes'")
STOP_ADVISING = "stop advising"  # what `core.guards` is asked; clients answer
KEY_PREFIX = "bw_"
MAX_CAPACITY = 100_000

log = structlog.get_logger(__name__)


class InvalidEmail(AppError):
    message = _l("This is not a complete e-mail address.")


class EmailTaken(Conflict):
    message = _l("Somebody with this e-mail address already exists.")


class NameMissing(AppError):
    message = _l("A name is needed.")


class NoResource(AppError):
    message = _l("Choose what the key is for.")


class NoRole(AppError):
    message = _l("Everybody needs at least one role.")


class MakerIsChecker(AppError):
    message = _l(
        "Nobody can both make campaigns and check them: choose either marketing officer or compliance checker."
    )


class LastAdministrator(Conflict):
    message = _l("This is the last administrator of the whole firm. Make somebody else administrator first.")


class WrongPassword(AppError):
    message = _l("The present password is not right.")


class SamePassword(AppError):
    message = _l("The new password must differ from the present one.")


class OwnAccount(Conflict):
    message = _l("This is your own account. Ask somebody else to do this.")


class FreezeReasonMissing(AppError):
    message = _l("Please say why; it is kept in the audit trail.")


class BadCapacity(AppError):
    message = _l("A capacity is a whole number from 0 to %(most)s.", most=MAX_CAPACITY)


class UnknownLanguage(AppError):
    message = _l("This language is not available.")


class BranchCodeTaken(Conflict):
    message = _l("Another branch already has this code.")


class BranchCodeMissing(AppError):
    message = _l("A branch needs a code and a name.")


class BranchLoop(Conflict):
    message = _l("A branch cannot be moved below itself.")


class HeadOfficeStays(Conflict):
    message = _l("The head office stays at the top.")


# --- signing in ---------------------------------------------------------------------------------------------------


def count_attempt(*, email: str) -> User | None:
    """Count an attempt to sign in before the password is looked at; commit it, then verify.

    None where nobody may try: unknown, inactive, frozen, or locked after five attempts without success in a row. The
    count and the comparison are one UPDATE by the database's clock, so that any number of parallel guesses gets
    five verifications in fifteen minutes and no more.
    """
    failures = case((User.locked_until.is_not(None), 1), else_=User.failed_sign_ins + 1)
    user_id = db.session.scalar(
        update(User)
        .where(
            func.lower(User.email) == email.strip().lower(),
            User.active,
            User.frozen_at.is_(None),
            or_(User.locked_until.is_(None), User.locked_until <= func.now()),
        )
        .values(
            failed_sign_ins=failures,
            locked_until=case((failures >= MAX_FAILURES, func.now() + LOCKED_FOR), else_=null()),
        )
        .returning(User.id)
        .execution_options(synchronize_session=False)
    )
    return None if user_id is None else db.session.get(User, user_id, populate_existing=True)


def password_matches(*, user: User | None, password: str) -> bool:
    """Takes as long for nobody as for somebody."""
    return verify_password(user.password_hash if user else None, password)


def note_failure(*, user: User) -> None:
    """Note on the audit trail when an attempt that failed has locked the account."""
    if user.failed_sign_ins >= MAX_FAILURES:
        record(actor=None, action="user.lock", subject="user", subject_id=user.id)
        log.warning("user_locked", user=user.id)


def note_sign_in(*, user: User, password: str) -> None:
    """Forget the failures; renew the hash where the parameters have changed since it was made."""
    user.failed_sign_ins = 0
    user.locked_until = None
    user.last_sign_in_at = db.session.scalar(select(func.now()))
    if is_outdated(user.password_hash):
        user.password_hash = hash_password(password)
    record(actor=user, action="user.sign_in", subject="user", subject_id=user.id)


# --- staff --------------------------------------------------------------------------------------------------------


def create_user(
    *,
    email: str,
    name: str,
    password: str,
    roles: Collection[str],
    branch: Branch,
    actor: User | None = None,
    locale: str | None = None,
    must_change_password: bool = False,
) -> User:
    """Add a member of staff. `actor` None is the command line. Raises an AppError with the reason against it."""
    address, name = _checked_email(email), _checked_name(name)
    check_password(password, personal=(name, address))
    user = User(
        email=address,
        name=name,
        password_hash=hash_password(password),
        roles=_checked_roles(roles),
        branch_id=branch.id,
        locale=_checked_language(locale),
        active=True,
        failed_sign_ins=0,
        sign_in_version=1,
        must_change_password=must_change_password,
    )
    _insert(user, EmailTaken)
    record(
        actor=actor,
        action="user.create",
        subject="user",
        subject_id=user.id,
        changes={"roles": [None, user.roles], "branch": [None, branch.code]},
    )
    return user


def edit_user(
    *, user: User, email: str, name: str, roles: Collection[str], branch: Branch, active: bool, actor: User | None
) -> None:
    """Change who somebody is and what they may do. Closing an account ends its sessions at once.

    Who leaves or advises no longer is asked about at `core.guards` first: their clients need somebody else.
    """
    administrators = _administrators_of_the_firm()
    before = _facts(user)
    if Role.ADVISER in user.roles and not (active and Role.ADVISER in roles):
        guards.check(STOP_ADVISING, user.id)
    user.email, user.name = _checked_email(email), _checked_name(name)
    user.roles, user.branch = _checked_roles(roles), branch
    if user.active and not active:
        user.sign_in_version += 1
    user.active = active
    if administrators == {user.id} and not (active and Role.ADMINISTRATOR in user.roles and branch.parent_id is None):
        raise LastAdministrator
    _flush(EmailTaken)
    changes = {key: [before[key], value] for key, value in _facts(user).items() if before[key] != value}
    if changes:
        if "email" in changes:
            changes["email"] = ["changed"]
        record(actor=actor, action="user.edit", subject="user", subject_id=user.id, changes=changes)


def rename_user(*, user: User, name: str) -> None:
    """Somebody corrects their own name."""
    before, user.name = user.name, _checked_name(name)
    if before != user.name:
        record(
            actor=user, action="user.edit", subject="user", subject_id=user.id, changes={"name": [before, user.name]}
        )


def set_language(*, user: User, language: str) -> None:
    user.locale = _checked_language(language)


def change_password(*, user: User, present: str, new: str) -> None:
    """Somebody changes their own password; every other session of theirs ends."""
    if not verify_password(user.password_hash, present):
        raise WrongPassword
    if present == new:
        raise SamePassword
    check_password(new, personal=(user.name, user.email))
    _replace_password(user, new, must_change=False)
    record(actor=user, action="user.change_password", subject="user", subject_id=user.id)


def set_password(*, user: User, password: str, actor: User | None) -> None:
    """Give somebody a password of our choice, from the command line; their sessions end, a lock opens."""
    check_password(password, personal=(user.name, user.email))
    _replace_password(user, password, must_change=False)
    record(actor=actor, action="user.reset_password", subject="user", subject_id=user.id)


def reset_password(*, user: User, actor: User) -> str:
    """Give somebody a one-time password and return it, to be shown once; their sessions end, a lock opens."""
    password = generate_password()
    _replace_password(user, password, must_change=True)
    record(actor=actor, action="user.reset_password", subject="user", subject_id=user.id)
    return password


def unlock_user(*, user: User, actor: User) -> None:
    user.failed_sign_ins = 0
    user.locked_until = None
    record(actor=actor, action="user.unlock", subject="user", subject_id=user.id)


def set_post(
    *,
    user: User,
    team: Team | None,
    leads_team: bool,
    client_capacity: int | None,
    marketing_post: bool,
    registration_number: str,
    registration_until: date | None = None,
    actor: User | None,
) -> None:
    """Say what somebody's post is: their team, how many clients they may own (None: as the firm's default), whether
    the post gets targets and tasks, and the registration of an investment adviser ("": not registered) with the last
    day of its validity (None: without an end)."""
    if leads_team and team is None:
        raise LeaderWithoutTeam
    if client_capacity is not None and not 0 <= client_capacity <= MAX_CAPACITY:
        raise BadCapacity
    before = _post(user)
    user.team_id, user.leads_team = team.id if team else None, leads_team
    user.client_capacity, user.marketing_post = client_capacity, marketing_post
    user.registration_number = registration_number.replace("\x00", "").strip()[:100] or None
    user.registration_until = registration_until if user.registration_number else None
    db.session.flush()
    changes = {key: [before[key], value] for key, value in _post(user).items() if before[key] != value}
    if changes:
        record(actor=actor, action="user.edit", subject="user", subject_id=user.id, changes=changes)


def _post(user: User) -> dict[str, Any]:
    return {
        "team": db.session.scalar(select(Team.name).where(Team.id == user.team_id)),
        "leads_team": user.leads_team,
        "client_capacity": user.client_capacity,
        "marketing_post": user.marketing_post,
        "registration_number": user.registration_number,
        "registration_until": user.registration_until.isoformat() if user.registration_until else None,
    }


def freeze_user(*, user: User, reason: str, actor: User) -> None:
    """Shut somebody out at once, before it is settled who follows them: no sign-in, and their sessions end.

    Raises OwnAccount, LastAdministrator, or FreezeReasonMissing.
    """
    if user.id == actor.id:
        raise OwnAccount
    if not reason.strip():
        raise FreezeReasonMissing
    if _administrators_of_the_firm() == {user.id}:
        raise LastAdministrator
    if user.frozen_at is None:
        user.frozen_at = db.session.scalar(select(func.now()))
        user.sign_in_version += 1
        record(actor=actor, action="user.freeze", subject="user", subject_id=user.id, reason=reason.strip()[:500])
        log.info("user_frozen", user=user.id)


def unfreeze_user(*, user: User, actor: User) -> None:
    """Let somebody in again; they sign in anew."""
    if user.frozen_at is not None:
        user.frozen_at = None
        record(actor=actor, action="user.unfreeze", subject="user", subject_id=user.id)


def close_account(*, user: User, actor: User) -> None:
    """The last step of a leaver. Raises OwnAccount, LastAdministrator, or what the guards say against it."""
    if user.id == actor.id:
        raise OwnAccount
    edit_user(
        user=user, email=user.email, name=user.name, roles=user.roles, branch=user.branch, active=False, actor=actor
    )


def _replace_password(user: User, password: str, *, must_change: bool) -> None:
    user.password_hash = hash_password(password)
    user.sign_in_version += 1
    user.failed_sign_ins = 0
    user.locked_until = None
    user.must_change_password = must_change


def _administrators_of_the_firm() -> set[int]:
    """Ids of the active administrators of the whole firm, held until the end of the transaction.

    Held, so that two of them demoting each other at the same moment cannot both succeed.
    """
    return set(
        db.session.scalars(
            select(User.id)
            .join(User.branch)
            .where(
                User.active,
                User.frozen_at.is_(None),
                User.roles.contains([Role.ADMINISTRATOR.value]),
                Branch.parent_id.is_(None),
            )
            .order_by(User.id)
            .with_for_update(of=User)
        )
    )


def _facts(user: User) -> dict[str, Any]:
    return {
        "email": user.email,
        "name": user.name,
        "roles": list(user.roles),
        "branch": user.branch.code,
        "active": user.active,
    }


def _checked_email(email: str) -> str:
    try:
        return validate_email(email.strip(), check_deliverability=False).normalized
    except EmailNotValidError as error:
        raise InvalidEmail from error


def _checked_name(name: str) -> str:
    name = " ".join(name.split())
    if not name:
        raise NameMissing
    return name


def _checked_roles(roles: Collection[str]) -> list[str]:
    chosen = [role.value for role in Role if role in roles]
    if not chosen or set(roles) - set(Role):
        raise NoRole
    if Role.MARKETING in chosen and Role.COMPLIANCE in chosen:
        raise MakerIsChecker
    return chosen


def _checked_language(language: str | None) -> str | None:
    if language is not None and language not in LANGUAGES:
        raise UnknownLanguage
    return language


# --- branches -----------------------------------------------------------------------------------------------------


def create_branch(*, code: str, name: str, parent: Branch, actor: User | None) -> Branch:
    """Add a branch below another."""
    _hold_tree()
    db.session.refresh(parent)
    code, name = _checked_code_and_name(code, name)
    branch = Branch(code=code, name=name, parent_id=parent.id, path="")
    _insert(branch, BranchCodeTaken)
    branch.path = f"{parent.path}{branch.id}/"
    db.session.flush()
    record(
        actor=actor,
        action="branch.create",
        subject="branch",
        subject_id=branch.id,
        changes={"code": [None, code], "name": [None, name], "parent": [None, parent.code]},
    )
    return branch


def edit_branch(*, branch: Branch, code: str, name: str, actor: User | None) -> None:
    """Change a branch's code and name."""
    before = {"code": branch.code, "name": branch.name}
    branch.code, branch.name = _checked_code_and_name(code, name)
    _flush(BranchCodeTaken)
    after = {"code": branch.code, "name": branch.name}
    changes = {key: [before[key], after[key]] for key in after if before[key] != after[key]}
    if changes:
        record(actor=actor, action="branch.edit", subject="branch", subject_id=branch.id, changes=changes)


def move_branch(*, branch: Branch, parent: Branch, actor: User | None) -> None:
    """Hang a branch, with everything below it, under another one."""
    _hold_tree()
    db.session.refresh(branch)
    db.session.refresh(parent)
    if branch.parent is None:
        raise HeadOfficeStays
    if contains(branch, parent):
        raise BranchLoop
    if branch.parent_id == parent.id:
        return
    former, old_path, new_path = branch.parent.code, branch.path, f"{parent.path}{branch.id}/"
    branch.parent_id = parent.id
    db.session.flush()
    db.session.execute(
        update(Branch)
        .where(Branch.path.startswith(old_path))
        .values(path=literal(new_path) + func.substr(Branch.path, len(old_path) + 1))
        .execution_options(synchronize_session=False)
    )
    db.session.expire_all()
    record(
        actor=actor,
        action="branch.move",
        subject="branch",
        subject_id=branch.id,
        changes={"parent": [former, parent.code]},
    )


def _hold_tree() -> None:
    """One change to the shape of the tree at a time: two moves at once could close a loop."""
    db.session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('users.branch_tree', 0))"))


def _checked_code_and_name(code: str, name: str) -> tuple[str, str]:
    code, name = code.strip(), " ".join(name.split())
    if not code or not name:
        raise BranchCodeMissing
    return code, name


# --- keys of the HTTP interface -----------------------------------------------------------------------------------


def create_api_key(
    *, name: str, resources: Collection[str] = ("account-openings",), actor: User | None
) -> tuple[ApiKey, str]:
    """A new key for parts of the interface, and its secret, which is kept nowhere and can be shown this once only.

    Raises NoResource unless at least one of API_RESOURCES is named and nothing else.
    """
    name = _checked_name(name)
    if not resources or set(resources) - set(API_RESOURCES):
        raise NoResource
    secret = KEY_PREFIX + secrets.token_urlsafe(32)
    key = ApiKey(
        name=name,
        prefix=secret[: len(KEY_PREFIX) + 6],
        digest=_digest(secret),
        resources=sorted(resources),
        created_by_id=actor.id if actor else None,
    )
    db.session.add(key)
    db.session.flush()
    record(
        actor=actor,
        action="api_key.create",
        subject="api_key",
        subject_id=key.id,
        changes={"name": [None, name], "resources": [None, key.resources]},
    )
    return key, secret


def authenticate_api_key(secret: str) -> ApiKey | None:
    """The key that this is the secret of, unless revoked. Call inside a unit of work: the use is noted.

    The time of use is written at most once a minute, so that a busy caller does not turn into a busy row. The
    secret has 256 random bits, so a plain SHA-256 keeps it safe.
    """
    key = db.session.scalar(select(ApiKey).where(ApiKey.digest == _digest(secret), ApiKey.revoked_at.is_(None)))
    if key is not None:
        db.session.execute(
            update(ApiKey)
            .where(
                ApiKey.id == key.id,
                or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < func.now() - text("interval '1 minute'")),
            )
            .values(last_used_at=func.now())
            .execution_options(synchronize_session=False)
        )
    return key


def revoke_api_key(*, key_id: int, actor: User | None) -> None:
    """End a key at once and for good."""
    revoked = db.session.scalar(
        update(ApiKey)
        .where(ApiKey.id == key_id, ApiKey.revoked_at.is_(None))
        .values(revoked_at=func.now())
        .returning(ApiKey.id)
    )
    if revoked is None:
        raise NotFound
    record(actor=actor, action="api_key.revoke", subject="api_key", subject_id=key_id)


def _digest(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()


# --- shared -------------------------------------------------------------------------------------------------------


def _insert(row: User | Branch, taken: type[Conflict]) -> None:
    try:
        with db.session.begin_nested():
            db.session.add(row)
    except IntegrityError as error:
        raise taken from error


def _flush(taken: type[Conflict]) -> None:
    try:
        db.session.flush()
    except IntegrityError as error:
        raise taken from error
