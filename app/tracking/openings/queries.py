"""Reads of account openings: the list and its states, one with its claims, the parked ones, and the imports."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from flask_babel import gettext as _
from pyroaring import BitMap64
from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import aliased

from app.campaigns.models import Campaign
from app.clients.models import Client
from app.clients.queries import sees_whole_book, visible_clients
from app.clients.timeline import TimelineEntry
from app.core.errors import NotFound
from app.core.extensions import db
from app.core.paging import Page, newest_first
from app.delivery.models import Message
from app.tracking.models import AccountOpening, Attribution, Event, OpeningImport
from app.tracking.openings.figures import also_claimed_by, openings_of_campaign
from app.tracking.openings.models import CountedOpening, OpeningFollowUp, ParkedOpening
from app.users.models import User

MOST_TOUCHES = 100
MOST_FITTING = 20

# ---- The list -------------------------------------------------------------------------------------------------------


def _claims() -> Any:
    """How many campaigns claim the opening."""
    return (
        select(func.count(Attribution.campaign_id.distinct()))
        .where(Attribution.opening_id == AccountOpening.id)
        .correlate(AccountOpening)
        .scalar_subquery()
    )


_claimed = select(Attribution.opening_id).where(Attribution.opening_id == AccountOpening.id).exists()
_matched = AccountOpening.client_id.is_not(None)
STATE_CONDITIONS: dict[str, ColumnElement[bool]] = {
    "claimed": _claimed,
    "shared": and_(_claimed, _claims() > 1),
    "unprompted": and_(_matched, AccountOpening.attributed_at.is_not(None), ~_claimed),
    "unmatched": and_(~_matched, AccountOpening.set_aside_at.is_(None)),
    "waiting": and_(_matched, AccountOpening.attributed_at.is_(None)),
    "set_aside": AccountOpening.set_aside_at.is_not(None),
}


def _in_scope(user: User) -> ColumnElement[bool]:
    """Openings of the clients a person may see; those of nobody yet are for who sees the whole book."""
    seen = visible_clients(user)
    return or_(AccountOpening.client_id.is_(None), seen) if sees_whole_book(user) else and_(_matched, seen)


def openings_page(
    *, user: User, state: str, campaign: Campaign | None, newer_than: int | None, older_than: int | None
) -> Page:
    """Account openings a person may see, newest first, with the campaigns that claim each ({code: name})."""
    claimed_by = (
        select(func.jsonb_object_agg(Campaign.code, Campaign.name))
        .join(Attribution, Attribution.campaign_id == Campaign.id)
        .where(Attribution.opening_id == AccountOpening.id)
        .correlate(AccountOpening)
        .scalar_subquery()
    )
    query = (
        select(
            AccountOpening.id, AccountOpening.client_number, AccountOpening.product, AccountOpening.amount,
            AccountOpening.opened_at, AccountOpening.attributed_at, AccountOpening.source, AccountOpening.client_id,
            AccountOpening.kind, AccountOpening.matched_by, AccountOpening.set_aside_at, AccountOpening.email,
            AccountOpening.mobile, Client.name, Client.number, claimed_by.label("claimed_by"),
        )
        .outerjoin(Client, Client.id == AccountOpening.client_id)
        .where(_in_scope(user))
    )  # fmt: skip
    if state in STATE_CONDITIONS:
        query = query.where(STATE_CONDITIONS[state])
    if campaign is not None:
        query = query.where(
            select(Attribution.opening_id)
            .where(Attribution.opening_id == AccountOpening.id, Attribution.campaign_id == campaign.id)
            .exists()
        )
    return newest_first(query, AccountOpening.id.expression, newer_than=newer_than, older_than=older_than)


def state_of(opening: Any, claims: int) -> str:
    """The key of STATE_CONDITIONS that an opening is in; claimed by several is "shared"."""
    if opening.set_aside_at is not None:
        return "set_aside"
    if opening.client_id is None:
        return "unmatched"
    if claims:
        return "claimed" if claims == 1 else "shared"
    return "waiting" if opening.attributed_at is None else "unprompted"


@dataclass(frozen=True, slots=True)
class FollowedLine:
    """Of `looked_at` clients, so many were `still` effective `days` after the opening, and `assets` were left then."""

    days: int
    looked_at: BitMap64
    still: BitMap64
    assets: Mapping[int, Decimal]


@dataclass(frozen=True, slots=True)
class CampaignFigures:
    """Clients by what their openings came to for a campaign, of those a person may see; amounts by client.

    `others` are the campaigns that claim openings of these clients too, with the clients.
    """

    claimed: BitMap64
    shared: BitMap64
    effective: BitMap64
    brought_in: Mapping[int, Decimal]
    followed: list[FollowedLine]
    others: list[tuple[Campaign, BitMap64]]


def campaign_figures(campaign: Campaign, *, user: User) -> CampaignFigures:
    """The figures of what a campaign claims: each client once."""
    found = openings_of_campaign(campaign)
    claimed = _seen(found.claimed, user)
    effective = claimed & found.effective_claimed
    return CampaignFigures(
        claimed=claimed,
        shared=claimed & found.shared,
        effective=effective,
        brought_in=_of(claimed, found.brought_in),
        followed=[
            FollowedLine(days, effective & one.looked_at, effective & one.still, _of(effective, one.assets))
            for days, one in found.followed.items()
        ],
        others=also_claimed_by(campaign, clients=claimed),
    )


def _of(clients: BitMap64, amounts: Mapping[int, Decimal]) -> dict[int, Decimal]:
    return {client_id: amount for client_id, amount in amounts.items() if client_id in clients}


def _seen(clients: BitMap64, user: User) -> BitMap64:
    if sees_whole_book(user):
        return clients
    return BitMap64(db.session.scalars(select(Client.id).where(Client.id.in_(list(clients)), visible_clients(user))))


def waiting_counts(user: User) -> dict[str, int]:
    """How much waits for a person: openings without a client, and reports that could not be taken."""
    if not sees_whole_book(user):
        return {"unmatched": 0, "parked": 0}
    openings = select(func.count()).select_from(AccountOpening).where(STATE_CONDITIONS["unmatched"])
    parked = select(func.count()).select_from(ParkedOpening).where(ParkedOpening.settled_at.is_(None))
    return {"unmatched": db.session.scalar(openings) or 0, "parked": db.session.scalar(parked) or 0}


# ---- One opening ----------------------------------------------------------------------------------------------------


def find_opening(opening_id: int, *, user: User) -> tuple[AccountOpening, Client | None]:
    """An opening and its client, where the person may see it; else NotFound."""
    row = db.session.execute(
        select(AccountOpening, Client)
        .outerjoin(Client, Client.id == AccountOpening.client_id)
        .where(AccountOpening.id == opening_id, _in_scope(user))
    ).one_or_none()
    if row is None:
        raise NotFound
    return row[0], row[1]


@dataclass(frozen=True, slots=True)
class Touch:
    """A message sent to the client before an opening, and what part of it the campaign gives to it (None: none).

    `at` is when the campaign's model sees a touch: the sending, or the last click by a person before the opening.
    """

    message: Message
    campaign: Campaign
    at: datetime | None
    in_window: bool
    weight: Any


def touches(opening: AccountOpening) -> list[Touch]:
    """What the claims on an opening were chosen from: the newest messages before it, those out of the window too."""
    merged = aliased(Client)
    records = select(merged.id).where(or_(merged.id == opening.client_id, merged.merged_into_id == opening.client_id))
    clicked = (
        select(func.max(Event.at))
        .where(
            Event.message_id == Message.id,
            Event.kind == "click",
            Event.machine.is_(False),
            Event.at <= opening.opened_at,
            Event.at >= Message.clicked_at,
        )
        .correlate(Message)
        .scalar_subquery()
    )
    rows = db.session.execute(
        select(Message, Campaign, clicked.label("clicked"), Attribution.weight)
        .join(Campaign, Campaign.id == Message.campaign_id)
        .outerjoin(Attribution, and_(Attribution.opening_id == opening.id, Attribution.message_id == Message.id))
        .where(Message.client_id.in_(records), Message.state == "sent", Message.sent_at <= opening.opened_at)
        .order_by(Message.sent_at.desc(), Message.id.desc())
        .limit(MOST_TOUCHES)
    )
    found = []
    for message, campaign, clicked_at, weight in rows:
        at = clicked_at if campaign.attribution_model == "last_click" else message.sent_at
        in_window = at is not None and (opening.opened_at - at).total_seconds() <= campaign.window_days * 86_400
        found.append(Touch(message, campaign, at, in_window, weight))
    return found


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an opening came to for one campaign: the rule, what it brought in, and how it stood later by days."""

    campaign: Campaign
    counted: CountedOpening
    claimed: bool
    followed: dict[int, OpeningFollowUp]


def outcomes_of(opening: AccountOpening) -> list[Outcome]:
    """Its outcome for each campaign it counts for, the newest campaign first."""
    rows = db.session.execute(
        select(Campaign, CountedOpening, _claim_of_campaign())
        .join(CountedOpening, CountedOpening.campaign_id == Campaign.id)
        .where(CountedOpening.opening_id == opening.id)
        .order_by(Campaign.id.desc())
    ).all()
    followed: dict[int, dict[int, OpeningFollowUp]] = {}
    for note in db.session.scalars(select(OpeningFollowUp).where(OpeningFollowUp.opening_id == opening.id)):
        followed.setdefault(note.campaign_id, {})[note.days] = note
    return [Outcome(row[0], row[1], row[2], followed.get(row[0].id, {})) for row in rows]


def _claim_of_campaign() -> ColumnElement[bool]:
    return (
        select(Attribution.opening_id)
        .where(
            Attribution.opening_id == CountedOpening.opening_id,
            Attribution.campaign_id == CountedOpening.campaign_id,
        )
        .exists()
    )


# ---- Who it may be --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fitting:
    """A client whom something in the report names; `by` are number, email, mobile."""

    client: Client
    by: list[str]


def fitting_clients(opening: AccountOpening, *, user: User) -> list[Fitting]:
    """Clients that the report of an unmatched opening fits, for a person to choose from."""
    ways = {
        "number": Client.number == opening.client_number,
        "email": func.lower(Client.email) == (opening.email or "").lower(),
        "mobile": Client.mobile == opening.mobile,
    }
    given = {"number": opening.client_number, "email": opening.email, "mobile": opening.mobile}
    asked = {by: way for by, way in ways.items() if given[by]}
    if not asked:
        return []
    rows = db.session.execute(
        select(Client, *asked.values()).where(or_(*asked.values()), visible_clients(user)).limit(MOST_FITTING)
    )
    return [Fitting(row[0], [by for by, hit in zip(asked, row[1:], strict=True) if hit]) for row in rows]


def clients_found(typed: str, *, user: User) -> Sequence[Client]:
    """Clients by the beginning of their number or name, or by a whole e-mail address or mobile number."""
    typed = typed.strip().replace("\0", "")[:100]
    if not typed:
        return []
    ways = or_(
        Client.number.startswith(typed, autoescape=True),
        func.lower(Client.name).startswith(typed.lower(), autoescape=True),
        func.lower(Client.email) == typed.lower(),
        Client.mobile == typed,
    )
    return db.session.scalars(select(Client).where(ways, visible_clients(user)).order_by(Client.id).limit(20)).all()


# ---- What could not be taken, and files ----------------------------------------------------------------------------


def parked_page(*, user: User, settled: bool, newer_than: int | None, older_than: int | None) -> Page:
    """Reports that could not be taken, newest first, for who sees the whole book: nobody knows whose they are."""
    if not sees_whole_book(user):
        return Page([], None, None)
    query = select(
        ParkedOpening.id, ParkedOpening.source, ParkedOpening.row, ParkedOpening.reason, ParkedOpening.received_at,
        ParkedOpening.settled_at,
    ).where(ParkedOpening.settled_at.is_not(None) if settled else ParkedOpening.settled_at.is_(None))  # fmt: skip
    return newest_first(query, ParkedOpening.id.expression, newer_than=newer_than, older_than=older_than)


def newest_imports() -> Sequence[OpeningImport]:
    """The last ten files of account openings."""
    return db.session.scalars(select(OpeningImport).order_by(OpeningImport.id.desc()).limit(10)).all()


def find_import(import_id: int) -> OpeningImport:
    """A file's import; NotFound where there is none."""
    found = db.session.get(OpeningImport, import_id)
    if found is None:
        raise NotFound
    return found


# ---- A client's time line -------------------------------------------------------------------------------------------


def opening_timeline(client_ids: Sequence[int], limit: int, until: datetime) -> list[TimelineEntry]:
    """Accounts the client opened, and assets they moved here."""
    rows = db.session.execute(
        select(AccountOpening.opened_at, AccountOpening.product, AccountOpening.kind)
        .where(AccountOpening.client_id.in_(client_ids), AccountOpening.opened_at <= until)
        .order_by(AccountOpening.opened_at.desc(), AccountOpening.id.desc())
        .limit(limit)
    )
    return [TimelineEntry(at=row.opened_at, kind="account_opened", text=_opening_words(row)) for row in rows]


def _opening_words(row: Any) -> str:
    words = {"product": row.product or ""}
    if row.kind == "transfer_in":
        return str(_("Transferred assets in: %(product)s", **words) if row.product else _("Transferred assets in"))
    return str(_("Opened an account: %(product)s", **words) if row.product else _("Opened an account"))
