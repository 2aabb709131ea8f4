"""Who may do what. The one table of roles and permissions, and the one decorator that enforces it.

Every route carries exactly one of `@requires(...)`, `@signed_in` or `@public`; a route without any is refused
at request time and fails a test.
"""

from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from typing import Any, ParamSpec, Protocol, TypeVar, cast

from flask import current_app
from flask_babel import lazy_gettext as _l
from flask_login import current_user

from app.core.errors import Forbidden

P = ParamSpec("P")
R = TypeVar("R")


class Role(StrEnum):
    MARKETING = "marketing"
    COMPLIANCE = "compliance"
    ADVISER = "adviser"
    BRANCH_MANAGER = "branch_manager"
    HEAD_OFFICE = "head_office"
    ADMINISTRATOR = "administrator"


ROLE_LABELS = {
    Role.MARKETING: _l("Marketing officer"),
    Role.COMPLIANCE: _l("Compliance checker"),
    Role.ADVISER: _l("Adviser"),
    Role.BRANCH_MANAGER: _l("Branch manager"),
    Role.HEAD_OFFICE: _l("Head-office manager"),
    Role.ADMINISTRATOR: _l("Administrator"),
}


class Permission(StrEnum):
    VIEW_CLIENTS = "view clients"
    EDIT_CLIENTS = "create and edit clients"
    CONFIRM_CLIENT_DATA = "confirm corrections and change guarded facts of clients"
    MERGE_CLIENTS = "merge duplicate clients"
    IMPORT_CLIENTS = "import clients"
    MANAGE_FEEDS = "manage feeds"
    MANAGE_OWNERSHIP = "assign clients to advisers"
    VIEW_LOADS = "see how many clients advisers look after"
    VIEW_POOL = "see the pool of clients without an owner"
    CLAIM_CLIENTS = "claim clients of the pool"
    REVEAL_CONTACT = "reveal contact data"
    CONTACT_CLIENTS = "do contact tasks"
    VIEW_CONTACTS = "see how contact tasks stand"
    MANAGE_CONTACTS = "decide about overdue contact tasks and absences"
    SET_CONTACT_RULES = "change the rules of contact tasks"
    EDIT_SEGMENTS = "edit segments"
    VIEW_SEGMENTS = "view segments"
    MANAGE_MODELS = "change value models"
    OVERRIDE_CLASSES = "override the class of a client"
    VIEW_CAMPAIGNS = "view campaigns"
    EDIT_CAMPAIGNS = "edit campaigns"
    EDIT_TEMPLATES = "edit the e-mail templates of the house"
    APPROVE_CAMPAIGNS = "approve campaigns"
    RUN_CAMPAIGNS = "launch, pause and cancel campaigns"
    STOP_MARKETING = "stop all marketing and start it again"
    SETTLE_MESSAGES = "settle messages awaiting receipt and retry failed ones"
    VIEW_DELIVERABILITY = "see how messages arrive"
    VIEW_REPORTS = "view reports"
    SET_TARGETS = "set targets"
    EXPORT = "export"
    ALLOW_EXPORTS = "allow exports"
    IMPORT_OPENINGS = "import account openings"
    MANAGE_REPLIES = "read replies"
    CLOSE_COMPLAINTS = "close complaints"
    OPEN_MAILBOX = "open the local mailbox"
    VIEW_AUDIT = "view the audit trail"
    ADMINISTER = "administer users, branches and settings"


_EVERY_ROLE_READS = {Permission.VIEW_CLIENTS}
GRANTS: dict[Role, set[Permission]] = {
    Role.MARKETING: _EVERY_ROLE_READS
    | {
        Permission.EDIT_CLIENTS,
        Permission.CONFIRM_CLIENT_DATA,
        Permission.MERGE_CLIENTS,
        Permission.IMPORT_CLIENTS,
        Permission.EDIT_SEGMENTS,
        Permission.VIEW_SEGMENTS,
        Permission.VIEW_CAMPAIGNS,
        Permission.EDIT_CAMPAIGNS,
        Permission.EDIT_TEMPLATES,
        Permission.RUN_CAMPAIGNS,
        Permission.STOP_MARKETING,
        Permission.SETTLE_MESSAGES,
        Permission.VIEW_DELIVERABILITY,
        Permission.VIEW_REPORTS,
        Permission.SET_TARGETS,
        Permission.EXPORT,
        Permission.IMPORT_OPENINGS,
        Permission.MANAGE_REPLIES,
        Permission.OPEN_MAILBOX,
        Permission.VIEW_CONTACTS,
    },
    Role.COMPLIANCE: _EVERY_ROLE_READS
    | {
        Permission.VIEW_SEGMENTS,
        Permission.VIEW_CAMPAIGNS,
        Permission.APPROVE_CAMPAIGNS,
        Permission.STOP_MARKETING,
        Permission.VIEW_DELIVERABILITY,
        Permission.VIEW_REPORTS,
        Permission.ALLOW_EXPORTS,
        Permission.REVEAL_CONTACT,
        Permission.MANAGE_REPLIES,
        Permission.CLOSE_COMPLAINTS,
        Permission.VIEW_AUDIT,
    },
    Role.ADVISER: _EVERY_ROLE_READS
    | {
        Permission.EDIT_CLIENTS,
        Permission.VIEW_LOADS,
        Permission.VIEW_POOL,
        Permission.CLAIM_CLIENTS,
        Permission.CONTACT_CLIENTS,
        Permission.MANAGE_REPLIES,
        Permission.VIEW_CONTACTS,
    },
    Role.BRANCH_MANAGER: _EVERY_ROLE_READS
    | {
        Permission.MANAGE_REPLIES,
        Permission.OVERRIDE_CLASSES,
        Permission.MANAGE_OWNERSHIP,
        Permission.VIEW_LOADS,
        Permission.VIEW_POOL,
        Permission.EDIT_CLIENTS,
        Permission.CONFIRM_CLIENT_DATA,
        Permission.MERGE_CLIENTS,
        Permission.VIEW_SEGMENTS,
        Permission.VIEW_CAMPAIGNS,
        Permission.EDIT_CAMPAIGNS,
        Permission.VIEW_REPORTS,
        Permission.SET_TARGETS,
        Permission.EXPORT,
        Permission.REVEAL_CONTACT,
        Permission.CONTACT_CLIENTS,
        Permission.VIEW_CONTACTS,
        Permission.MANAGE_CONTACTS,
    },
    Role.HEAD_OFFICE: _EVERY_ROLE_READS
    | {
        Permission.MANAGE_REPLIES,
        Permission.VIEW_DELIVERABILITY,
        Permission.MANAGE_FEEDS,
        Permission.STOP_MARKETING,
        Permission.MANAGE_MODELS,
        Permission.OVERRIDE_CLASSES,
        Permission.MANAGE_OWNERSHIP,
        Permission.VIEW_LOADS,
        Permission.VIEW_POOL,
        Permission.EDIT_CLIENTS,
        Permission.CONFIRM_CLIENT_DATA,
        Permission.MERGE_CLIENTS,
        Permission.VIEW_SEGMENTS,
        Permission.VIEW_CAMPAIGNS,
        Permission.VIEW_REPORTS,
        Permission.SET_TARGETS,
        Permission.EXPORT,
        Permission.REVEAL_CONTACT,
        Permission.VIEW_CONTACTS,
        Permission.MANAGE_CONTACTS,
        Permission.SET_CONTACT_RULES,
    },
    Role.ADMINISTRATOR: _EVERY_ROLE_READS
    | {
        Permission.MANAGE_FEEDS,
        Permission.STOP_MARKETING,
        Permission.MANAGE_MODELS,
        Permission.OVERRIDE_CLASSES,
        Permission.MANAGE_OWNERSHIP,
        Permission.VIEW_LOADS,
        Permission.VIEW_POOL,
        Permission.EDIT_CLIENTS,
        Permission.CONFIRM_CLIENT_DATA,
        Permission.MERGE_CLIENTS,
        Permission.IMPORT_CLIENTS,
        Permission.VIEW_SEGMENTS,
        Permission.VIEW_CAMPAIGNS,
        Permission.VIEW_REPORTS,
        Permission.IMPORT_OPENINGS,
        Permission.REVEAL_CONTACT,
        Permission.VIEW_AUDIT,
        Permission.ADMINISTER,
        Permission.SETTLE_MESSAGES,
        Permission.VIEW_DELIVERABILITY,
        Permission.OPEN_MAILBOX,
        Permission.VIEW_CONTACTS,
        Permission.MANAGE_CONTACTS,
        Permission.SET_CONTACT_RULES,
    },
}


class Actor(Protocol):
    """What is needed to know of a person who does something."""

    @property
    def id(self) -> int: ...
    @property
    def roles(self) -> list[str]: ...


def allows(actor: Actor, permission: Permission) -> bool:
    """True where one of the actor's roles grants the permission."""
    return any(permission in GRANTS[Role(role)] for role in actor.roles)


def require(actor: Actor, permission: Permission) -> None:
    """Raise Forbidden where no role of the actor grants the permission."""
    if not allows(actor, permission):
        raise Forbidden


def _mark(view: Callable[P, R], access: str) -> None:
    view.access = access  # type: ignore[attr-defined]


def public(view: Callable[P, R]) -> Callable[P, R]:
    """A route for anyone: sign-in, health, and what clients reach from a message."""
    _mark(view, "public")
    return view


def signed_in(view: Callable[P, R]) -> Callable[P, R]:
    """A route for every member of staff, whatever the role."""

    @wraps(view)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        if not current_user.is_authenticated:
            return cast(R, _unauthorised())
        return view(*args, **kwargs)

    _mark(checked, "signed_in")
    return checked


def requires(permission: Permission) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A route for staff whose role grants the permission; others read why not (403), strangers sign in."""

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            if not current_user.is_authenticated:
                return cast(R, _unauthorised())
            require(current_user, permission)
            return view(*args, **kwargs)

        _mark(checked, permission.value)
        return checked

    return decorate


def _unauthorised() -> Any:
    """Send a stranger to the sign-in page and back afterwards."""
    return current_app.login_manager.unauthorized()  # type: ignore[attr-defined]
