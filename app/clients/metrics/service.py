"""Bringing the metrics up to date: of the whole book, or of the clients who changed."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any

from sqlalchemy import BigInteger, Connection, Select, column, delete, func, insert, literal, select, table, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert

from app.audit.service import record
from app.clients.metrics.computing import CHOSEN
from app.clients.metrics.models import MetricsRun, StaleClient
from app.clients.metrics.queries import last_run, open_job, stale_clients
from app.clients.metrics.writing import bring_total_assets, write_all, write_chosen
from app.clients.models import Client
from app.core.clock import now, today
from app.core.events import emit
from app.core.extensions import db
from app.core.jobs import Job, enqueue
from app.core.queues import AUDIENCE
from app.users.models import User

COMPUTE = "clients.compute_metrics"
COMPUTED = "metrics.computed"  # emitted after the whole book
ANEW_ABOVE = 0.2  # of the clients stale: the whole book is then the shorter way

_chosen = table(CHOSEN, column("client_id"))
_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtextextended('metrics', 0))")
_SETTINGS = ("work_mem = '192MB'", "hash_mem_multiplier = 2", "jit = off")


def default_as_of() -> date:
    """Yesterday in the firm's time zone: the last day whose balances and trades are complete."""
    return today() - timedelta(days=1)


def refresh_metrics(*, as_of: date | None = None, client_ids: Iterable[int] | Select[Any] | None = None) -> int:
    """Compute the metrics of the whole book, or of some clients (their ids, or a SELECT of them), as of a day.

    In the caller's transaction; `default_as_of()` where no day is given. `client.total_assets` follows. Returns the
    number of clients. Raises MetricsInUse where readers never leave the table alone.
    """
    as_of = as_of or default_as_of()
    started = now()
    for setting in _SETTINGS:
        db.session.execute(text(f"SET LOCAL {setting}"))
    db.session.execute(_ONE_AT_A_TIME)
    if client_ids is not None:
        _choose(client_ids)
        clients = write_chosen(as_of)
    else:
        _take_stale()
        clients = write_all(as_of)
        db.session.add(MetricsRun(as_of=as_of, clients=clients, started_at=started, finished_at=now()))
        emit(COMPUTED)
    bring_total_assets(as_of, chosen=client_ids is not None)
    db.session.expire_all()
    return clients


def mark_stale(client_ids: Iterable[int] | Select[Any], *, connection: Connection | None = None) -> None:
    """Have the metrics of these clients (their ids, or a SELECT of them) computed anew within a minute.

    For whoever changes accounts, balances, transactions or positions, in the same transaction (the session's, unless
    told another connection). A mark that is there
    is locked, so that nobody takes it before the change can be seen.
    """
    wanted = _as_select(client_ids).subquery().c[0]
    rows = upsert(StaleClient).from_select(["client_id"], select(wanted).distinct().order_by(wanted))
    locking = rows.on_conflict_do_update(index_elements=["client_id"], set_={"client_id": rows.excluded.client_id})
    (connection or db.session).execute(locking)


def refresh_stale() -> Sequence[int]:
    """Compute the metrics of the clients marked as stale, as of the day of the last whole run. Returns their ids.

    Where they are a large part of the book, a worker is asked to compute the whole, and nothing is computed here.
    """
    stale = stale_clients()
    if not stale:
        return []
    run = last_run()
    if run is None or stale > ANEW_ABOVE * (db.session.scalar(select(func.count(Client.id))) or 0):
        start_computing(actor=None)
        return []
    client_ids = db.session.scalars(select(Client.id).where(Client.id.in_(_as_select(_take_stale())))).all()
    refresh_metrics(as_of=run.as_of, client_ids=client_ids)
    return client_ids


def start_computing(*, actor: User | None) -> Job:
    """Have a worker compute the whole book; the job that is waiting or at it already, where there is one."""
    job = open_job(COMPUTE) or enqueue(COMPUTE, queue=AUDIENCE)
    if actor is not None:
        record(actor=actor, action="metrics.start", subject="metrics", subject_id=job.id)
    return job


def _choose(client_ids: Iterable[int] | Select[Any]) -> None:
    """Put the clients into the temporary table that the query reads."""
    db.session.execute(text(f"CREATE TEMPORARY TABLE IF NOT EXISTS {CHOSEN} (client_id bigint) ON COMMIT DROP"))
    db.session.execute(text(f"TRUNCATE {CHOSEN}"))
    wanted = _as_select(client_ids).subquery().c[0]
    db.session.execute(insert(_chosen).from_select(["client_id"], select(wanted).distinct()))
    db.session.execute(text(f"ANALYZE {CHOSEN}"))


def _as_select(client_ids: Iterable[int] | Select[Any]) -> Select[Any]:
    if isinstance(client_ids, Select):
        return client_ids
    return select(func.unnest(literal(list(client_ids), ARRAY(BigInteger))).label("client_id"))


def _take_stale() -> Sequence[int]:
    """Forget the marks whose change is committed and return whose they were; others stay for the next time."""
    free = select(StaleClient.client_id).with_for_update(skip_locked=True)
    return db.session.scalars(
        delete(StaleClient).where(StaleClient.client_id.in_(free)).returning(StaleClient.client_id)
    ).all()
