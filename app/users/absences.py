"""Who is away, and who stands in."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import Select, select
from sqlalchemy.orm import joinedload

from app.audit.service import record
from app.core.clock import now, today
from app.core.errors import AppError, Conflict
from app.core.extensions import db
from app.core.permissions import Role
from app.users.models import Absence, User

LONGEST_DAYS = 366


class BadDays(AppError):
    message = _l("Give a first and a last day in this order, a year apart at most and not over yet.")


class UnfitDeputy(AppError):
    message = _l("The deputy is another adviser who is not away on these days.")


class AlreadyAway(Conflict):
    message = _l("An absence on some of these days is noted already.")


def stood_in_for(user: User) -> Select[Any]:
    """The ids of those for whom somebody stands in today, as a subquery."""
    return select(Absence.user_id).where(
        Absence.deputy_id == user.id, Absence.first_day <= today(), Absence.last_day >= today()
    )


def absences_of(user_ids: Select[Any]) -> Sequence[Absence]:
    """Absences of these people that are not over, soonest first."""
    return db.session.scalars(
        select(Absence)
        .options(joinedload(Absence.user), joinedload(Absence.deputy))
        .where(Absence.user_id.in_(user_ids), Absence.last_day >= today())
        .order_by(Absence.first_day, Absence.id)
    ).all()


def note_absence(*, user: User, deputy: User | None, first_day: date, last_day: date, actor: User) -> Absence:
    """Somebody will be away; the deputy, an adviser, stands in. Raises BadDays, UnfitDeputy, AlreadyAway."""
    if last_day < max(first_day, today()) or (last_day - first_day).days > LONGEST_DAYS:
        raise BadDays
    db.session.refresh(user, with_for_update=True)  # one absence of a person at a time
    if _away(user.id, first_day, last_day):
        raise AlreadyAway
    if deputy is not None and (
        deputy.id == user.id
        or not deputy.is_active
        or Role.ADVISER not in deputy.roles
        or _away(deputy.id, first_day, last_day)
    ):
        raise UnfitDeputy
    absence = Absence(
        user_id=user.id,
        deputy_id=deputy.id if deputy else None,
        first_day=first_day,
        last_day=last_day,
        created_by_id=actor.id,
    )
    db.session.add(absence)
    db.session.flush()
    record(
        actor=actor,
        action="user.absence",
        subject="user",
        subject_id=user.id,
        changes={
            "first_day": [None, first_day.isoformat()],
            "last_day": [None, last_day.isoformat()],
            "deputy": [None, deputy.name if deputy else None],
        },
    )
    return absence


def end_absence(*, absence: Absence, actor: User) -> None:
    """The person is back, or does not go: the absence is gone from now on."""
    record(
        actor=actor,
        action="user.end_absence",
        subject="user",
        subject_id=absence.user_id,
        changes={"last_day": [absence.last_day.isoformat(), now().date().isoformat()]},
    )
    db.session.delete(absence)
    db.session.flush()


def _away(user_id: int, first_day: date, last_day: date) -> bool:
    found = select(Absence.id).where(
        Absence.user_id == user_id, Absence.first_day <= last_day, Absence.last_day >= first_day
    )
    return db.session.scalar(found.limit(1)) is not None
