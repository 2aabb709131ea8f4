"""Verbs of a switch: take the file in, look at it, carry it out."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from itertools import islice
from typing import Any, BinaryIO

import structlog
from flask_babel import force_locale
from flask_babel import lazy_gettext as _l
from sqlalchemy import ColumnElement, select, update

from app.audit.service import record
from app.clients.importing.limits import refuse_too_large
from app.clients.importing.service import default_region
from app.clients.queries import visible_clients
from app.clients.switching.applying import Changes, apply_consents, apply_opt_outs
from app.clients.switching.layouts import AGREED, BOUNCED, OPTED_OUT
from app.clients.switching.models import ClientSwitch
from app.clients.switching.products import PRODUCTS
from app.clients.switching.reading import ReadRow, Statement, product_of, read_export
from app.core.clock import now
from app.core.errors import AppError, Conflict
from app.core.extensions import db
from app.core.files import open_file, store_file
from app.core.jobs import Job, Lease, enqueue, noting_failure
from app.core.queues import AUDIENCE
from app.core.unit_of_work import unit_of_work
from app.users.models import User

SWITCH_FILE = "clients.switch_file"
CHUNK_ROWS = 5_000
MAX_REFUSED = 1_000  # refused rows kept with their reasons; all are counted

log = structlog.get_logger(__name__)


class NotReady(Conflict):
    message = _l("This file is being looked at, or was taken over already.")


class BasisMissing(AppError):
    message = _l(
        "To take over consents, state the words that the clients agreed to and the legal basis. "
        "Leave both empty to take over opt-outs only."
    )


def receive_export(
    *,
    stream: BinaryIO,
    name: str,
    product: str | None,
    everyone_out: bool = False,
    wording: str = "",
    legal_basis: str = "",
    actor: User | None,
    in_worker: bool = True,
) -> ClientSwitch:
    """Store an export file and have it looked at. Call within a unit of work.

    `product` is a key of PRODUCTS, or None to tell it by the columns. Raises NotATable, UnknownExport, FileTooLarge or
    BasisMissing.
    """
    wording, legal_basis = wording.strip(), legal_basis.strip()
    if bool(wording) != bool(legal_basis):
        raise BasisMissing
    refuse_too_large(stream)
    stored = store_file(stream, name=name)
    found = product_of(open_file(stored.id), name, product=product)
    switch = ClientSwitch(
        product=found.key,
        file_id=stored.id,
        file_name=name[:200],
        everyone_out=everyone_out,
        wording=wording or None,
        legal_basis=legal_basis or None,
        state="looking",
        rows_done=0,
        counts={},
        refused=[],
        created_by_id=actor.id if actor else None,
    )
    db.session.add(switch)
    db.session.flush()
    switch.job_id = _enqueue(switch.id, in_worker=in_worker).id
    record(
        actor=actor,
        action="switch.upload",
        subject="client_switch",
        subject_id=switch.id,
        changes={"product": [None, found.key], "everyone_out": [None, everyone_out]},
        reason=legal_basis or None,
    )
    return switch


def start_switch(*, switch: ClientSwitch, actor: User | None, in_worker: bool = True) -> Job:
    """Carry out what the preview showed. Call within a unit of work. Raises NotReady."""
    locked = db.session.scalars(select(ClientSwitch).where(ClientSwitch.id == switch.id).with_for_update()).one()
    db.session.refresh(locked)
    if locked.state != "ready":
        raise NotReady
    locked.state = "running"
    locked.rows_done = 0
    job = _enqueue(locked.id, in_worker=in_worker)
    locked.job_id = job.id
    record(actor=actor, action="switch.start", subject="client_switch", subject_id=locked.id)
    return job


def _enqueue(switch_id: int, *, in_worker: bool) -> Job:
    return enqueue(SWITCH_FILE, queue=AUDIENCE, delay=None if in_worker else timedelta(), switch_id=switch_id)


# ---- The jobs -------------------------------------------------------------------------------------------------------


def run_switch(*, lease: Lease, switch_id: int) -> None:
    """Look at the file, or carry it out, whichever its state asks for; done again after a crash it repeats nothing."""
    switch = db.session.get_one(ClientSwitch, switch_id)
    if switch.state not in ("looking", "running"):
        return
    actor = db.session.get(User, switch.created_by_id) if switch.created_by_id else None
    with (
        force_locale((actor.locale if actor else None) or "en"),
        noting_failure(partial(_note_failure, switch_id), fault=_l("The work stopped because of a fault.")),
    ):
        _Pass(lease, switch, actor).run()


def _note_failure(switch_id: int, sentence: str) -> None:
    db.session.execute(
        update(ClientSwitch)
        .where(ClientSwitch.id == switch_id)
        .values(state="failed", error=sentence, finished_at=now())
    )


class _Pass:
    """One job over the file: the opt-outs of all its rows first, the consents after them, so that whatever the order
    of the rows an opt-out is known before a consent is believed."""

    def __init__(self, lease: Lease, switch: ClientSwitch, actor: User | None) -> None:
        self._lease = lease
        self._switch_id, self._file_id, self._file_name = switch.id, switch.file_id, switch.file_name
        self._product, self._everyone_out = switch.product, switch.everyone_out
        self._wording = f"{switch.wording} ({switch.legal_basis})" if switch.wording else None
        self._dry = switch.state == "looking"
        self._done = 0 if self._dry else switch.rows_done
        self._counts: dict[str, int] = {} if self._dry or not self._done else dict(switch.counts)
        self._refused: list[list[Any]] = [] if self._dry else list(switch.refused)
        self._actor_id = actor.id if actor else None
        self._visible: ColumnElement[bool] = visible_clients(actor)

    def run(self) -> None:
        position = 0
        for opt_outs in (True, False) if self._wording else (True,):
            rows = self._rows()
            while some := list(islice(rows, CHUNK_ROWS)):
                position += len(some)
                if position > self._done:
                    self._chunk(some, position, opt_outs)
        self._finish(position)

    def _rows(self) -> Iterator[ReadRow]:
        return read_export(
            open_file(self._file_id),
            self._file_name,
            product=self._product,
            everyone_out=self._everyone_out,
            region=default_region(),
        )

    def _chunk(self, rows: list[ReadRow], position: int, opt_outs: bool) -> None:
        statements = [one for row in rows for one in row.statements]
        with unit_of_work() as session:
            self._lease.renew(done=position)
            changes = self._apply(statements, opt_outs)
            if opt_outs:
                self._count(rows, statements)
            for name in ("suppressed", "withdrawn", "granted"):
                self._counts[name] = self._counts.get(name, 0) + getattr(changes, name)
            session.execute(
                update(ClientSwitch)
                .where(ClientSwitch.id == self._switch_id)
                .values(rows_done=position, counts=dict(self._counts), refused=self._refused)
            )

    def _apply(self, statements: list[Statement], opt_outs: bool) -> Changes:
        source = f"{PRODUCTS[self._product].name} export"
        if opt_outs:
            return apply_opt_outs(
                statements, source=source, actor_id=self._actor_id, dry=self._dry, visible=self._visible
            )
        return apply_consents(
            statements,
            source=source,
            wording=self._wording or "",
            actor_id=self._actor_id,
            dry=self._dry,
            visible=self._visible,
        )

    def _count(self, rows: list[ReadRow], statements: list[Statement]) -> None:
        found = {"rows": len(rows), "refused": sum(row.problem is not None for row in rows)}
        for name, said in (("opted_out", OPTED_OUT), ("bounced", BOUNCED), ("agreed", AGREED)):
            found[name] = sum(one.said == said for one in statements)
        for name, number in found.items():
            self._counts[name] = self._counts.get(name, 0) + number
        if self._dry:
            room = MAX_REFUSED - len(self._refused)
            self._refused += [[row.number, row.problem] for row in rows if row.problem is not None][:room]

    def _finish(self, position: int) -> None:
        with unit_of_work() as session:
            self._lease.renew()
            switch = session.get_one(ClientSwitch, self._switch_id, populate_existing=True)
            switch.state = "ready" if self._dry else "done"
            switch.rows_total = position
            switch.rows_done = position
            if not self._dry:
                switch.finished_at = now()
                record(
                    actor=None,
                    action="switch.done",
                    subject="client_switch",
                    subject_id=switch.id,
                    changes={name: [0, number] for name, number in self._counts.items()},
                )
        log.info("export_looked_at" if self._dry else "export_taken_over", switch_id=self._switch_id)
