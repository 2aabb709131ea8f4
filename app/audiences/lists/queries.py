"""Reads about lists of client numbers, and the hold of who saves a rule that asks for one."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from flask_babel import lazy_gettext as _l
from sqlalchemy import BigInteger, Text, cast, func, select
from sqlalchemy.dialects.postgresql import JSONPATH

from app.audiences.lists.models import NumberList
from app.audiences.models import Segment
from app.clients.models import Client
from app.clients.queries import visible_clients
from app.core.errors import Conflict, NotFound
from app.core.extensions import db
from app.core.paging import Page, newest_first
from app.users.models import User

# The lists that a rule asks for, anywhere in it.
_LISTS_OF_RULE = '$.** ? (@.field == "number_list").value[*]'


class ListGone(Conflict):
    message = _l("A list of numbers in this rule has been deleted meanwhile. Choose another one.")


class SegmentUse(NamedTuple):
    """A segment whose rule asks for a list."""

    id: int
    name: str
    archived: bool


def find_list(list_id: int) -> NumberList:
    """The list; else NotFound."""
    found = db.session.get(NumberList, list_id)
    if found is None:
        raise NotFound
    return found


def lists_page(*, search: str = "", newer_than: int | None = None, older_than: int | None = None) -> Page:
    """The newest lists whose name has all words of `search`, 50 a page: id, name, size, owner_id, created_at, by."""
    query = select(
        NumberList.id,
        NumberList.name,
        NumberList.size,
        NumberList.owner_id,
        NumberList.created_at,
        User.name.label("by"),
    ).outerjoin(User, User.id == NumberList.owner_id)
    for word in search.split():
        query = query.where(NumberList.name.icontains(word, autoescape=True))
    return newest_first(query, NumberList.id.expression, newer_than=newer_than, older_than=older_than)


def segments_using(list_ids: Sequence[int]) -> dict[int, list[SegmentUse]]:
    """List id to the segments, archived ones as well, whose rule asks for it, by name; in one pass over the rules."""
    asked = func.jsonb_path_query(Segment.rule, cast(_LISTS_OF_RULE, JSONPATH))
    named = select(
        Segment.id, Segment.name, Segment.archived_at, cast(cast(asked, Text), BigInteger).label("list_id")
    ).subquery()
    rows = db.session.execute(
        select(named).where(named.c.list_id.in_(list_ids)).distinct().order_by(named.c.name, named.c.id)
    )
    found: dict[int, list[SegmentUse]] = {list_id: [] for list_id in list_ids}
    for row in rows:
        found[row.list_id].append(SegmentUse(row.id, row.name, row.archived_at is not None))
    return found


def any_in_book(numbers: Sequence[str], *, user: User | None) -> bool:
    """True where one of these is the number of a client that the person may see."""
    known = select(Client.id).where(Client.number.in_(numbers), visible_clients(user))
    return db.session.scalar(select(known.exists())) or False


def hold_lists(list_ids: Collection[int]) -> None:
    """Keep these lists from being deleted until the transaction ends. Raises ListGone where one is gone already."""
    if not list_ids:
        return
    held = select(NumberList.id).where(NumberList.id.in_(list_ids)).with_for_update(read=True, key_share=True)
    if len(db.session.scalars(held).all()) < len(list_ids):
        raise ListGone
