"""Reads about switches."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, select, true

from app.clients.queries import sees_whole_book
from app.clients.switching.models import ClientSwitch
from app.core.errors import NotFound
from app.core.extensions import db
from app.core.jobs import Job
from app.users.models import User

SHOWN = 30


def _visible(user: User) -> ColumnElement[bool]:
    """Who sees the whole book sees every file; the others those they brought."""
    return true() if sees_whole_book(user) else ClientSwitch.created_by_id == user.id


def find_switch(switch_id: int, *, user: User) -> ClientSwitch:
    """The switch, where the person may see it; else NotFound."""
    found = db.session.scalar(select(ClientSwitch).where(ClientSwitch.id == switch_id, _visible(user)))
    if found is None:
        raise NotFound
    return found


def latest_switches(*, user: User) -> Sequence[ClientSwitch]:
    """The newest 30."""
    return db.session.scalars(
        select(ClientSwitch).where(_visible(user)).order_by(ClientSwitch.id.desc()).limit(SHOWN)
    ).all()


def switch_state(switch: ClientSwitch) -> str:
    """Its state; one whose job was given up has failed."""
    if switch.state in ("looking", "running"):
        job_state = db.session.scalar(select(Job.state).where(Job.id == switch.job_id))
        return "failed" if job_state == "failed" else switch.state
    return switch.state
