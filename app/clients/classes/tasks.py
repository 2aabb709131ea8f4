"""What workers do for value models: compute classes each night and on demand, put scheduled versions in force."""

from datetime import time
from zoneinfo import ZoneInfo

from sqlalchemy import exists, select

from app.clients.classes.computing import compute_all
from app.clients.classes.models import ClassRun
from app.clients.classes.service import COMPUTE, activate_due
from app.core import clock
from app.core.extensions import db, settings
from app.core.jobs import Job, Lease, enqueue, job
from app.core.queues import AUDIENCE, tick

# Classes follow the metrics of the night (an event, see the wiring); where those fail, classes come by themselves.
AT_THE_LATEST = time(3, 30)  # segments are counted from four


@job(COMPUTE)
def compute_classes(lease: Lease) -> None:
    """Compute the classes of the whole book; see `computing.compute_all`."""
    compute_all(lease.renew)


@tick("clients.value_models", every=60, queue=AUDIENCE)
def look_after_value_models() -> None:
    """Put versions in force whose day has come; have today's classes computed where nothing else did by the hour."""
    if activate_due():
        return
    if clock.now().astimezone(ZoneInfo(settings().time_zone)).time() < AT_THE_LATEST:
        return
    begun = exists().where(ClassRun.on_date == clock.today())
    waiting = exists().where(Job.name == COMPUTE, Job.state.in_(("due", "running")))
    if not db.session.scalar(select(begun | waiting)):
        enqueue(COMPUTE, queue=AUDIENCE)
