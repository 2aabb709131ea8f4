"""Contact tasks of advisers, what came of each contact, and the firm's rules of the work.

A task moves through `NEXT` only:

    open > again (to be contacted once more) > done
    open | again > escalated (overdue, with the team leader or manager) > open | again | done | not_contacted
    anything that is not over > withdrawn (the campaign was cancelled, or the client may not be contacted any more)
"""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import CheckConstraint, Date, ForeignKey, Index, SmallInteger, Text, func, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import BigInteger

from app.core.extensions import Model, Timestamp


class TaskState(StrEnum):
    OPEN = "open"
    AGAIN = "again"
    ESCALATED = "escalated"
    DONE = "done"
    NOT_CONTACTED = "not_contacted"
    WITHDRAWN = "withdrawn"


# A done task may be corrected on the day it was done: a tap on the wrong button happens.
NEXT: dict[TaskState, set[TaskState]] = {
    TaskState.OPEN: {TaskState.AGAIN, TaskState.DONE, TaskState.ESCALATED, TaskState.WITHDRAWN},
    TaskState.AGAIN: {TaskState.AGAIN, TaskState.DONE, TaskState.ESCALATED, TaskState.WITHDRAWN},
    TaskState.ESCALATED: {
        TaskState.OPEN,
        TaskState.AGAIN,
        TaskState.DONE,
        TaskState.NOT_CONTACTED,
        TaskState.WITHDRAWN,
    },
    TaskState.DONE: {TaskState.AGAIN, TaskState.DONE},
    TaskState.NOT_CONTACTED: set(),
    TaskState.WITHDRAWN: set(),
}
UNFINISHED = (TaskState.OPEN, TaskState.AGAIN, TaskState.ESCALATED)
STATE_LABELS = {
    TaskState.OPEN: _l("To contact"),
    TaskState.AGAIN: _l("To contact again"),
    TaskState.ESCALATED: _l("Overdue, with the manager"),
    TaskState.DONE: _l("Done"),
    TaskState.NOT_CONTACTED: _l("Not contacted"),
    TaskState.WITHDRAWN: _l("Withdrawn"),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """A contact result. `reached`: somebody talked to the client. `again`: the client is to be contacted once more
    unless the adviser says otherwise; a task without it is done. `words` recognise it in a file."""

    label: object
    reached: bool
    again: bool
    tone: str
    words: tuple[str, ...]


OUTCOMES = {
    "reached": Outcome(_l("Reached"), True, False, "success", ("reached", "talked", "connected", "已接通", "接通")),
    "no_answer": Outcome(
        _l("No answer"), False, True, "neutral", ("no answer", "not reached", "busy", "未接通", "未接", "无人接听")
    ),
    "interested": Outcome(_l("Interested"), True, False, "success", ("interested", "有意向", "意向")),
    "appointment": Outcome(
        _l("Appointment made"), True, True, "success", ("appointment", "appointment made", "已预约", "预约")
    ),
    "opened": Outcome(_l("Account opened"), True, False, "success", ("account opened", "opened", "已开户", "开户")),
    "refused": Outcome(
        _l("Declined"), True, False, "warning", ("refused", "not interested", "declined", "已拒绝", "拒绝")
    ),
    "wrong_number": Outcome(
        _l("Wrong number"), False, False, "danger", ("wrong number", "dead number", "空号", "错号")
    ),
}


class AdviserTask(Model):
    """One client whom one step of a campaign asks an adviser to call or visit; one task per message of the ledger.

    `segment_id` is the first of the campaign's segments in which the client was frozen, `script_id` the approved
    script. `adviser_id` is who has it (None: nobody may yet, it waits in the branch's queue), `deputy_for_id` for whom,
    where that is somebody absent. `planned_on` is the day it is listed for, `due_on` the last day to do it. `result` is
    the last contact's; `tried_at` and `reached_at` are the first times.
    """

    __tablename__ = "adviser_task"
    __table_args__ = (
        CheckConstraint(f"state IN ({', '.join(repr(state.value) for state in TaskState)})", name="state"),
        CheckConstraint(f"result IN ({', '.join(repr(one) for one in OUTCOMES)})", name="result"),
        CheckConstraint("kind IN ('call', 'visit')", name="kind"),
        Index("ix_adviser_task_client_id", "client_id", "id"),
        Index("ix_adviser_task_campaign_id", "campaign_id", "state"),
        Index(
            "ix_adviser_task_adviser_id",
            "adviser_id",
            "planned_on",
            postgresql_where=text("state IN ('open', 'again', 'escalated')"),
        ),
        Index(
            "ix_adviser_task_due_on",
            "due_on",
            postgresql_where=text("state IN ('open', 'again', 'escalated')"),
        ),
        Index("ix_adviser_task_result_at", "result_at", postgresql_where=text("result_at IS NOT NULL")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    message_id: Mapped[int] = mapped_column(unique=True)
    client_id: Mapped[int] = mapped_column(ForeignKey("client.id"))
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id"))
    step_id: Mapped[int] = mapped_column(ForeignKey("step.id"))
    script_id: Mapped[int] = mapped_column(ForeignKey("call_script.id"))
    segment_id: Mapped[int | None] = mapped_column(ForeignKey("segment.id"))
    kind: Mapped[str] = mapped_column(default="call", server_default="call")
    priority: Mapped[int] = mapped_column(SmallInteger, default=2, server_default="2")
    branch_id: Mapped[int | None] = mapped_column(ForeignKey("branch.id"))
    adviser_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    deputy_for_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    state: Mapped[TaskState] = mapped_column(Text, default=TaskState.OPEN, server_default="open")
    planned_on: Mapped[date | None] = mapped_column(Date)
    due_on: Mapped[date] = mapped_column(Date)
    again_at: Mapped[datetime | None] = mapped_column(Timestamp)
    result: Mapped[str | None]
    result_at: Mapped[datetime | None] = mapped_column(Timestamp)
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    tried_at: Mapped[datetime | None] = mapped_column(Timestamp)
    reached_at: Mapped[datetime | None] = mapped_column(Timestamp)
    escalated_at: Mapped[datetime | None] = mapped_column(Timestamp)
    escalated_to_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    withdrawn_reason: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    closed_at: Mapped[datetime | None] = mapped_column(Timestamp)


class ContactResult(Model):
    """What came of one contact with a client, for all tasks that it served. Kept for good; a correction is another row.

    `key` makes it unique: a form that is sent twice, or the same row of a file again, is the same contact.
    """

    __tablename__ = "contact_result"
    __table_args__ = (
        CheckConstraint(f"outcome IN ({', '.join(repr(one) for one in OUTCOMES)})", name="outcome"),
        CheckConstraint("source IN ('page', 'file')", name="source"),
        Index("ix_contact_result_client_id", "client_id", "at"),
        Index("ix_contact_result_actor_id", "actor_id", "at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    client_id: Mapped[int] = mapped_column(ForeignKey("client.id"))
    task_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    actor_id: Mapped[int] = mapped_column(ForeignKey("user_account.id"))
    outcome: Mapped[str]
    at: Mapped[datetime] = mapped_column(Timestamp)
    again_at: Mapped[datetime | None] = mapped_column(Timestamp)
    note: Mapped[str | None]
    source: Mapped[str] = mapped_column(default="page", server_default="page")
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())


class ResultImport(Model):
    """A file of contact results: how many rows were taken, were known before, and were refused for which reason.

    `refused` is [[row, reason, cells]]; the row counts from 1 below the header.
    """

    __tablename__ = "result_import"

    id: Mapped[int] = mapped_column(primary_key=True)
    file_name: Mapped[str]
    rows: Mapped[int] = mapped_column(default=0, server_default="0")
    taken: Mapped[int] = mapped_column(default=0, server_default="0")
    known: Mapped[int] = mapped_column(default=0, server_default="0")
    refused: Mapped[list[Any]] = mapped_column(JSONB, default=list, server_default="[]")
    created_by_id: Mapped[int] = mapped_column(ForeignKey("user_account.id"))
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())


class AdvisingRules(Model):
    """The firm's own figures: a single row, made when it is first needed.

    `daily_cap` clients an adviser is asked to contact on one day. A task is overdue `grace_days` trading days after the
    day it was listed for, and closes as not contacted `escalation_days` trading days after that. `holidays` are the
    days of the week from Monday to Friday on which the exchanges are closed. `placed_on` is the day whose list was last
    made.
    """

    __tablename__ = "advising_rules"
    __table_args__ = (
        CheckConstraint("id = 1", name="one_row"),
        CheckConstraint("daily_cap BETWEEN 1 AND 500", name="daily_cap"),
        CheckConstraint("grace_days BETWEEN 0 AND 60", name="grace_days"),
        CheckConstraint("escalation_days BETWEEN 1 AND 60", name="escalation_days"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    daily_cap: Mapped[int] = mapped_column(default=25, server_default="25")
    grace_days: Mapped[int] = mapped_column(default=2, server_default="2")
    escalation_days: Mapped[int] = mapped_column(default=3, server_default="3")
    holidays: Mapped[list[date]] = mapped_column(ARRAY(Date), default=list, server_default="{}")
    placed_on: Mapped[date | None] = mapped_column(Date)
