"""Verbs on account openings."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO

from sqlalchemy import update

from app.audit.service import record
from app.campaigns.models import Campaign
from app.clients.models import Client
from app.clients.service import ReasonMissing
from app.core.clock import now
from app.core.errors import Conflict, NotFound
from app.core.extensions import db
from app.core.files import open_file, store_file
from app.tracking.models import AccountOpening, OpeningImport
from app.tracking.openings import attribution, judging
from app.tracking.openings.files import Refused, read_openings
from app.tracking.openings.matching import match_waiting
from app.tracking.openings.models import ParkedOpening
from app.tracking.openings.taking import Opening, insert_openings
from app.users.models import User

CHUNK = 5_000  # rows of a file at a time
FILE_SOURCE = "file"
MAX_REASON = 500


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of reported openings: `taken` are new (by external id), the others were known."""

    taken: set[str]
    known: int


def record_openings(*, source: str, openings: Sequence[Opening]) -> Recorded:
    """Take reported openings, each once by (source, external id). Ticks match what is left and credit them."""
    taken = insert_openings(source=source, openings=openings)
    return Recorded(taken=taken, known=len({opening.external_id for opening in openings}) - len(taken))


def import_openings(*, stream: BinaryIO, name: str, actor: User | None) -> OpeningImport:
    """Take the openings of a CSV, TSV or Excel file; rows that cannot be read are kept with the reason.

    Raises NotATable or ColumnsMissing. The same file again takes nothing new.
    """
    stored = store_file(stream, name=name)
    done = OpeningImport(
        file_id=stored.id,
        file_name=name[:200],
        rows=0,
        taken=0,
        known=0,
        refused=[],
        created_by_id=actor.id if actor else None,
    )
    rows = read_openings(open_file(stored.id), received_at=now())
    while chunk := list(islice(rows, CHUNK)):
        openings = [row for row in chunk if isinstance(row, Opening)]
        recorded = record_openings(source=FILE_SOURCE, openings=openings)
        done.rows += len(chunk)
        done.taken += len(recorded.taken)
        done.known += len(openings) - len(recorded.taken)
        done.refused = done.refused + [(row.row, row.reason, row.cells) for row in chunk if isinstance(row, Refused)]
    match_waiting()
    attribution.credit_pending()
    db.session.add(done)
    db.session.flush()
    record(
        actor=actor,
        action="opening_import.import",
        subject="opening_import",
        subject_id=done.id,
        changes={"rows": [0, done.rows], "taken": [0, done.taken], "refused": [0, len(done.refused)]},
    )
    return done


def credit_openings_again(*, campaign: Campaign | None) -> int:
    """Credit the openings of a campaign's clients (or all) anew. Returns how many were looked at."""
    attribution.credit_again(campaign_id=campaign.id if campaign else None)
    return attribution.credit_pending()


def match_opening(*, opening: AccountOpening, client: Client, actor: User) -> None:
    """A person says whose an unmatched opening is; it is credited anew. Conflict where it is somebody's by now."""
    _move_waiting(opening, client_id=client.id, matched_by="person", attributed_at=None, set_aside_at=None)
    record(
        actor=actor,
        action="account_opening.match",
        subject="account_opening",
        subject_id=opening.id,
        changes={"client": [None, client.id]},
    )


def set_opening_aside(*, opening: AccountOpening, reason: str, actor: User) -> None:
    """A person decided that an unmatched opening is nobody's: it is kept, and counts nowhere."""
    reason = reason.strip()
    if not reason:
        raise ReasonMissing
    _move_waiting(opening, set_aside_at=now(), set_aside_by_id=actor.id, set_aside_reason=reason[:MAX_REASON])
    record(
        actor=actor,
        action="account_opening.set_aside",
        subject="account_opening",
        subject_id=opening.id,
        reason=reason[:MAX_REASON],
    )


def take_opening_up(*, opening: AccountOpening, actor: User) -> None:
    """What was set aside waits again."""
    if opening.set_aside_at is None:
        raise Conflict
    opening.set_aside_at = opening.set_aside_by_id = opening.set_aside_reason = None
    record(actor=actor, action="account_opening.take_up", subject="account_opening", subject_id=opening.id)


def _move_waiting(opening: AccountOpening, **values: Any) -> None:
    """Compare-and-set: only an opening that is nobody's."""
    moved = db.session.execute(
        update(AccountOpening)
        .where(AccountOpening.id == opening.id, AccountOpening.client_id.is_(None))
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    if moved.rowcount != 1:  # type: ignore[attr-defined]
        raise Conflict
    db.session.expire(opening)


def settle_parked(*, parked_id: int, actor: User) -> None:
    """A person dealt with a report that could not be taken."""
    parked = db.session.get(ParkedOpening, parked_id, with_for_update=True)
    if parked is None:
        raise NotFound
    if parked.settled_at is not None:
        raise Conflict
    parked.settled_at, parked.settled_by_id = now(), actor.id
    record(actor=actor, action="parked_opening.settle", subject="parked_opening", subject_id=parked.id)


def judge_campaign(campaign: Campaign, *, everything: bool = False) -> None:
    """Work out which openings count for a campaign, which are effective, and how they stood later. Repeatable."""
    judging.count_openings(campaign)
    judging.judge_openings(campaign, everything=everything)
    judging.follow_openings(campaign)
