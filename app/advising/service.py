"""Verbs on contact tasks: recording what came of a contact, calling, giving another day, the firm's figures."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from flask_babel import format_datetime
from flask_babel import lazy_gettext as _l
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as upsert

from app.advising.models import (
    NEXT,
    OUTCOMES,
    UNFINISHED,
    AdviserTask,
    AdvisingRules,
    ContactResult,
    TaskState,
)
from app.advising.offering import OFFERED_STATES, barred_tasks, offered_campaigns, quiet_until
from app.advising.placing import one_at_a_time, place_tasks
from app.advising.trading_days import after, rules_in_force, trading_days
from app.audit.service import record
from app.campaigns.models import Campaign
from app.clients.engagement.service import CONTACTED, Happening, note
from app.clients.models import Client
from app.clients.queries import visible_clients
from app.clients.reachability.service import report_wrong_address
from app.clients.service import withdraw_consent
from app.core.clock import now, today
from app.core.errors import AppError, Conflict, Forbidden
from app.core.extensions import db, settings
from app.core.permissions import Permission, allows, require
from app.users.models import User

MAX_NOTE = 1_000
OLDEST = timedelta(days=92)
FURTHEST = timedelta(days=366)
MORNING = time(10)
SOURCE = "adviser call"


class NothingToContact(Conflict):
    message = _l("There is no open task for this client. Somebody may have done it in the meantime.")


class UnknownOutcome(AppError):
    message = _l("Choose one of the contact results.")


class BadTime(AppError):
    message = _l("The time of the next contact lies ahead, within a year.")


class BadMoment(AppError):
    message = _l("The time of the contact lies in the past three months.")


class NoteTooLong(AppError):
    message = _l("A note has %(count)s characters at most.", count=MAX_NOTE)


class NotToBeCalled(Conflict):
    message = _l("This client must not be called for these campaigns any more.")


class NoNumber(AppError):
    message = _l("No phone number of this client is known.")


class QuietHours(Conflict):
    def __init__(self, until: datetime) -> None:
        super().__init__(
            _l(
                "These are quiet hours where the client is. Call from %(time)s on.",
                time=format_datetime(until, "short"),
            )
        )


@dataclass(frozen=True, slots=True)
class Contact:
    """A contact that took place at `at`. `key` tells it from every other; `no_calls`: the client wants no calls."""

    key: str
    client_id: int
    outcome: str
    at: datetime
    again_at: datetime | None = None
    note: str = ""
    no_calls: bool = False


# ---- Contact results ------------------------------------------------------------------------------------------------


def record_contact(*, contact: Contact, actor: User) -> ContactResult | None:
    """What came of a contact with a client, for all tasks on the card; None where it is known already.

    Raises NothingToContact where the client has no task that it could be about, and UnknownOutcome, BadTime, BadMoment
    or NoteTooLong.
    """
    check_contact(contact)
    recorded, _refused = record_contacts(contacts=[contact], actor=actor, source="page")
    if _refused:
        raise NothingToContact
    return recorded[0] if recorded else None


def check_contact(contact: Contact) -> None:
    """Raise the AppError that says what is wrong with it."""
    if contact.outcome not in OUTCOMES:
        raise UnknownOutcome
    if not now() - OLDEST <= contact.at <= now() + timedelta(minutes=5):
        raise BadMoment
    if contact.again_at is not None and not contact.at < contact.again_at <= now() + FURTHEST:
        raise BadTime
    if len(contact.note) > MAX_NOTE:
        raise NoteTooLong


def record_contacts(*, contacts: Sequence[Contact], actor: User, source: str) -> tuple[list[ContactResult], set[str]]:
    """Record contacts that were checked, of clients the actor may see, in the order they took place.

    Returns those that are new, and the keys of those without a task they could be about.
    """
    client_ids = {contact.client_id for contact in contacts}
    # In one order, so that two people never wait for each other crosswise.
    tasks: dict[int, list[AdviserTask]] = {}
    for task in db.session.scalars(
        select(AdviserTask)
        .join(Campaign, Campaign.id == AdviserTask.campaign_id)
        .where(AdviserTask.client_id.in_(client_ids), Campaign.state.in_(OFFERED_STATES))
        .order_by(AdviserTask.id)
        .with_for_update(of=AdviserTask)
    ):
        tasks.setdefault(task.client_id, []).append(task)
    known = set(
        db.session.scalars(
            select(ContactResult.key).where(ContactResult.key.in_([contact.key for contact in contacts]))
        )
    )
    recorded: list[ContactResult] = []
    happenings: list[Happening] = []
    refused: set[str] = set()
    for contact in sorted(contacts, key=lambda one: one.at):
        if contact.key in known:
            continue
        known.add(contact.key)
        served = served_tasks(tasks.get(contact.client_id, []), actor)
        if not served:
            refused.add(contact.key)
            continue
        for task in served:
            _move(task, contact)
        recorded.append(
            ContactResult(
                key=contact.key,
                client_id=contact.client_id,
                task_ids=[task.id for task in served],
                actor_id=actor.id,
                outcome=contact.outcome,
                at=contact.at,
                again_at=served[0].again_at,
                note=contact.note.strip() or None,
                source=source,
            )
        )
        # Only who was talked to was contacted.
        if OUTCOMES[contact.outcome].reached:
            happenings += [
                Happening(CONTACTED, contact.client_id, task.campaign_id, "call", contact.at) for task in served
            ]
        _consequences(contact, actor)
    db.session.add_all(recorded)
    db.session.flush()
    note(happenings)
    return recorded, refused


def served_tasks(tasks: Iterable[AdviserTask], actor: User) -> list[AdviserTask]:
    """Which of a client's tasks a contact is about: those on today's card; else those planned for later; else, as a
    correction, those that the actor's day has done already."""
    all_tasks = list(tasks)
    unfinished = [task for task in all_tasks if task.state in UNFINISHED]
    listed = [task for task in unfinished if task.state != TaskState.OPEN or is_listed(task)]
    if listed or unfinished:
        return listed or unfinished
    return [
        task
        for task in all_tasks
        if task.state == TaskState.DONE
        and task.result_at is not None
        and _local_day(task.result_at) == today()
        and (task.adviser_id == actor.id or task.adviser_id is None or task.escalated_to_id == actor.id)
    ]


def is_listed(task: AdviserTask) -> bool:
    return task.planned_on is not None and task.planned_on <= today()


def _move(task: AdviserTask, contact: Contact) -> None:
    outcome = OUTCOMES[contact.outcome]
    again_at = contact.again_at or (_next_morning() if outcome.again and not contact.no_calls else None)
    target = TaskState.AGAIN if again_at else TaskState.DONE
    if target not in NEXT[TaskState(task.state)]:
        raise Conflict
    task.state = target
    task.result, task.result_at = contact.outcome, contact.at
    task.attempts += 1
    task.tried_at = task.tried_at or contact.at
    if outcome.reached:
        task.reached_at = task.reached_at or contact.at
    task.again_at = again_at
    task.closed_at = None if again_at else now()
    if again_at:
        rules = rules_in_force()
        task.planned_on = _local_day(again_at)
        task.due_on = after(task.planned_on, rules.grace_days, rules.holidays)


def _next_morning() -> datetime:
    rules = rules_in_force()
    day = trading_days(today() + timedelta(days=1), 1, rules.holidays)[0]
    return datetime.combine(day, MORNING, ZoneInfo(settings().time_zone))


def _local_day(moment: datetime) -> date:
    return moment.astimezone(ZoneInfo(settings().time_zone)).date()


def _consequences(contact: Contact, actor: User) -> None:
    """What a contact means beyond its tasks."""
    if contact.outcome == "wrong_number":
        client = db.session.get_one(Client, contact.client_id)
        if client.mobile:
            report_wrong_address(client=client, channel="phone", actor=actor)
    if contact.no_calls:
        withdraw_consent(client_ids=[contact.client_id], channel="call", source=SOURCE, at=contact.at, actor=actor)
    record(
        actor=actor,
        action="client.contact",
        subject="client",
        subject_id=contact.client_id,
        changes={"contact_result": [None, contact.outcome]},
    )


# ---- Calling --------------------------------------------------------------------------------------------------------


def dial(*, client: Client, actor: User) -> str:
    """The number to call, which nobody is shown; that it was called is kept in the audit trail.

    Raises NothingToContact, NotToBeCalled, QuietHours or NoNumber.
    """
    tasks = db.session.execute(
        select(AdviserTask, Campaign.purpose, offered_campaigns())
        .join(Campaign, Campaign.id == AdviserTask.campaign_id)
        .where(AdviserTask.client_id == client.id, AdviserTask.state.in_(UNFINISHED))
    ).all()
    if not tasks:
        raise NothingToContact
    reasons = barred_tasks(client.id)
    open_tasks = [(task, purpose) for task, purpose, offered in tasks if offered and task.id not in reasons]
    if not open_tasks:
        raise NotToBeCalled
    until = quiet_until(client.id, purposes={purpose for _task, purpose in open_tasks})
    if until is not None:
        raise QuietHours(until)
    if not client.mobile:
        raise NoNumber
    for task, _purpose in open_tasks:
        task.tried_at = task.tried_at or now()
    record(actor=actor, action="client.call", subject="client", subject_id=client.id)
    return client.mobile


# ---- What managers do -----------------------------------------------------------------------------------------------


def give_another_day(*, task: AdviserTask, actor: User) -> None:
    """An overdue task goes back to the adviser, to be listed on the next day with a free place."""
    _check_decides(actor)
    _lock_escalated(task)
    rules = rules_in_force()
    task.state, task.planned_on, task.escalated_at, task.escalated_to_id = TaskState.OPEN, None, None, None
    task.due_on = after(today(), rules.grace_days, rules.holidays)
    _note_decision(task, "another_day", actor)


def close_uncontacted(*, task: AdviserTask, actor: User) -> None:
    """Nobody will contact the client for this any more."""
    _check_decides(actor)
    _lock_escalated(task)
    task.state, task.closed_at, task.planned_on = TaskState.NOT_CONTACTED, now(), None
    _note_decision(task, "close", actor)


def decides(user: User) -> bool:
    """Whether overdue tasks and absences of others are this person's to decide: a manager's, or a team leader's."""
    return allows(user, Permission.MANAGE_CONTACTS) or (user.leads_team and user.team_id is not None)


def _check_decides(actor: User) -> None:
    if not decides(actor):
        raise Forbidden


def _lock_escalated(task: AdviserTask) -> None:
    db.session.refresh(task, with_for_update=True)
    if task.state != TaskState.ESCALATED:
        raise Conflict


def _note_decision(task: AdviserTask, verb: str, actor: User) -> None:
    db.session.flush()
    record(actor=actor, action=f"contact_task.{verb}", subject="client", subject_id=task.client_id)


def change_rules(
    *, daily_cap: int, grace_days: int, escalation_days: int, holidays: Collection[date], actor: User
) -> None:
    """Put other figures in force; the lists of this day and those to come are made anew. Raises AppError."""
    require(actor, Permission.SET_CONTACT_RULES)
    if not (1 <= daily_cap <= 500 and 0 <= grace_days <= 60 and 1 <= escalation_days <= 60):
        raise AppError(_l("One of the figures is out of range."))
    if len(holidays) > 500:
        raise AppError(_l("At most 500 holidays can be kept."))
    one_at_a_time()
    before = rules_in_force()
    values = {
        "daily_cap": daily_cap,
        "grace_days": grace_days,
        "escalation_days": escalation_days,
        "holidays": sorted(set(holidays)),
    }
    changes = {
        key: [str(getattr(before, key)), str(value)]
        for key, value in values.items()
        if getattr(before, key) != value and key != "holidays"
    }
    if sorted(before.holidays) != values["holidays"]:
        changes["holidays"] = [str(len(before.holidays)), str(len(set(holidays)))]
    if not changes:
        return
    db.session.execute(
        upsert(AdvisingRules).values(id=1, **values).on_conflict_do_update(index_elements=["id"], set_=values)
    )
    db.session.expire_all()
    record(actor=actor, action="settings.contact_rules", subject="settings", subject_id=None, changes=changes)
    place_tasks(now_too=True)


def client_ids_by_number(numbers: Collection[str], *, user: User) -> dict[str, int]:
    """The ids of the clients with these numbers whom the person may see."""
    rows = db.session.execute(
        select(Client.number, Client.id).where(Client.number.in_(list(numbers)), visible_clients(user))
    )
    return {row.number: row.id for row in rows}


def form_key(typed: str) -> str:
    """The key of a form that a page gave out. Raises Conflict where it is none of ours."""
    try:
        return f"page:{UUID(typed)}"
    except ValueError as error:
        raise Conflict from error
