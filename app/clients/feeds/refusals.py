"""Refused rows of a run, with account numbers and contact data masked."""

from collections.abc import Iterator
from dataclasses import replace

from sqlalchemy import select

from app.clients.feeds.definitions import Definition, read_definition
from app.clients.feeds.masks import account_targets, mask_of_file
from app.clients.feeds.models import Feed, FeedRefusal, FeedRun
from app.clients.feeds.running import Rehearsal, TriedRow
from app.clients.importing.refusals import lines_of
from app.clients.importing.row_masks import ACCOUNT, OPEN, RowMask, masked
from app.core.extensions import db


def refusal_lines(run: FeedRun) -> Iterator[str]:
    """Lines of CSV: row number, reason, then the file's own columns; masked, formulas neutralised. Streamed."""
    refusals = select(FeedRefusal.row_number, FeedRefusal.reason, FeedRefusal.cells)
    return lines_of(
        run.columns or [],
        refusals.where(FeedRefusal.run_id == run.id).order_by(FeedRefusal.row_number),
        mask_of_run(run),
    )


def mask_of_run(run: FeedRun) -> RowMask:
    """The mask of the rows of a run, by what the feed makes of their columns today."""
    feed = db.session.get_one(Feed, run.feed_id)
    definition = read_definition(feed.definition, feed.kind) if feed.definition else None
    return mask_of_file(run.columns or [], definition, feed.kind)


def shown_rehearsal(tried: Rehearsal, *, columns: list[str], definition: Definition, kind: str) -> Rehearsal:
    """The rows that were tried, as people see them."""
    mask = mask_of_file(columns, definition, kind)
    targets = [ACCOUNT if target in account_targets(kind) else OPEN for target in tried.targets]
    return replace(tried, rows=[_shown(row, mask, targets) for row in tried.rows])


def _shown(row: TriedRow, mask: RowMask, targets: list[str]) -> TriedRow:
    values = row.values and [
        value if value is None else masked(value, kind) for value, kind in zip(row.values, targets, strict=True)
    ]
    reason = row.reason and mask.reason(row.reason, row.cells)
    return replace(row, cells=mask.cells(row.cells), values=values, reason=reason)
