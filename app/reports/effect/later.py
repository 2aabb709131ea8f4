"""A segment put on a report after the launch: rates that describe, and no lift.

Who is in the segment now may be in it because of what the campaign did. So its clients are not compared with anybody.
"""

from pyroaring import BitMap64

from app.audiences.compiler import condition, tune_statements
from app.audiences.fields import load_catalogue
from app.audiences.models import Segment
from app.audiences.queries import understood
from app.audiences.snapshots import client_ids
from app.campaigns.models import Campaign
from app.core.clock import today
from app.reports.response import Row, rows_of
from app.users.models import User


def later_row(campaign: Campaign, segment: Segment, viewer: User | None = None) -> Row | None:
    """The figures of the campaign's clients who are in the segment now; None where its rule is understood no more."""
    ids = segment_clients(segment)
    if ids is None:
        return None
    return rows_of(campaign, [(str(segment.id), segment.name, ids)], viewer)[0]


def segment_clients(segment: Segment) -> BitMap64 | None:
    """Everybody in the book who is in the segment now, as one query."""
    catalogue = load_catalogue()
    rule = understood(segment, catalogue)
    if rule is None:
        return None
    tune_statements()
    return client_ids(condition(rule, catalogue=catalogue, today=today()))
