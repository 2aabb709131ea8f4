"""Pages of frozen audiences, of what segments share, and of how a segment changes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import format_date, format_decimal, get_locale
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from pyroaring import BitMap64
from sqlalchemy import select

from app.audiences import history, overlap, queries
from app.audiences.models import Segment, Snapshot
from app.audiences.obstacles import REASON_LABELS, by_channel
from app.audiences.service import freeze_combination, freeze_segment
from app.audiences.snapshots import overlap_matrix
from app.audiences.venn import HEIGHT, WIDTH, venn
from app.clients.queries import sees_whole_book
from app.core.clock import today
from app.core.errors import AppError, NotFound
from app.core.extensions import db
from app.core.paging import newest_first
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.users.models import User
from app.users.sessions import signed_in_user

snapshots = Blueprint("snapshots", __name__, url_prefix="/segments")
CHANGES = {"joined", "left"}
CHANNEL_LABELS = {"email": _l("E-mail"), "sms": _l("SMS"), "call": _l("Call")}
DAYS_BACK = 30


# ---- Snapshots ----


@snapshots.get("/snapshots")
@requires(Permission.VIEW_SEGMENTS)
def index() -> Any:
    search = request.args.get("search", "").strip().replace("\x00", "")
    query = select(
        Snapshot.id, Snapshot.name, Snapshot.sentence, Snapshot.created_at, Snapshot.bitmap, User.name.label("by")
    )
    query = query.outerjoin(User, User.id == Snapshot.created_by_id)
    for word in search.split():
        query = query.where(Snapshot.name.icontains(word, autoescape=True))
    page = newest_first(
        query,
        Snapshot.id.expression,
        newer_than=request.args.get("newer", type=int),
        older_than=request.args.get("older", type=int),
    )
    sight = overlap.sight_of(signed_in_user())
    sizes = {row.id: len(sight(BitMap64.deserialize(row.bitmap))) for row in page.rows}
    return render_template("audiences/snapshots.html", page=page, sizes=sizes, search=search)


@snapshots.post("/<int:segment_id>/freeze")
@requires(Permission.EDIT_SEGMENTS)
def freeze(segment_id: int) -> Any:
    with unit_of_work():
        snapshot = freeze_segment(segment=queries.find_segment(segment_id), actor=signed_in_user())
        snapshot_id = snapshot.id
    flash(_("Frozen: these clients stay together, whatever happens to the rule."), "success")
    return redirect(url_for("snapshots.show", snapshot_id=snapshot_id))


@snapshots.get("/snapshots/<int:snapshot_id>")
@requires(Permission.VIEW_SEGMENTS)
def show(snapshot_id: int) -> Any:
    snapshot = overlap.find_snapshot(snapshot_id)
    whole = sees_whole_book(signed_in_user())
    return render_template(
        "audiences/snapshot.html",
        snapshot=snapshot,
        segment=db.session.get(Segment, snapshot.segment_id) if snapshot.segment_id else None,
        size=len(overlap.sight_of(signed_in_user())(snapshot.client_ids)),
        # Counted over the firm when it was frozen; somebody with a part of it gets no numbers of the rest.
        exclusions=_exclusion_table(snapshot) if whole or snapshot.created_by_id == signed_in_user().id else None,
    )


@dataclass(frozen=True, slots=True)
class ExclusionTable:
    """Names of channels, and rows of a reason with its clients on each; `reachable` is the row of those left."""

    channels: list[object]
    rows: list[tuple[object, list[int]]]
    reachable: list[int]


def _exclusion_table(snapshot: Snapshot) -> ExclusionTable | None:
    counts = by_channel(snapshot.exclusions)
    if counts is None:
        return None
    occurring = [reason for reason in REASON_LABELS if any(reason in found for found in counts.values())]
    return ExclusionTable(
        [CHANNEL_LABELS[channel] for channel in counts],
        [(REASON_LABELS[reason], [found.get(reason, 0) for found in counts.values()]) for reason in occurring],
        [snapshot.size - sum(found.values()) for found in counts.values()],
    )


@snapshots.get("/snapshots/<int:snapshot_id>/clients")
@requires(Permission.VIEW_SEGMENTS)
def members(snapshot_id: int) -> Any:
    snapshot = overlap.find_snapshot(snapshot_id)
    return _client_list(
        overlap.sight_of(signed_in_user())(snapshot.client_ids),
        title=_("Clients of %(name)s", name=snapshot.name),
        back=url_for("snapshots.show", snapshot_id=snapshot_id),
        here=url_for("snapshots.members", snapshot_id=snapshot_id),
    )


# ---- How a segment changes ----


@snapshots.get("/<int:segment_id>/history")
@requires(Permission.VIEW_SEGMENTS)
def changes(segment_id: int) -> Any:
    segment, since = queries.find_segment(segment_id), _since()
    whole = sees_whole_book(signed_in_user())
    own_choice = overlap.chosen_by_sight(segment, user=signed_in_user())
    change = None if own_choice else history.change_since(segment_id, since)
    return render_template(
        "audiences/history.html",
        segment=segment,
        since=since,
        change=change.seen_by(overlap.sight_of(signed_in_user())) if change else None,
        days=history.days_with_sets(segment_id)[1:],
        chart=_growth_chart(history.growth(segment_id)) if whole else None,
        whole=whole,
        own_choice=own_choice,
    )


@snapshots.get("/<int:segment_id>/history/<any(joined, left):which>")
@requires(Permission.VIEW_SEGMENTS)
def changed_clients(segment_id: int, which: str) -> Any:
    segment, since = queries.find_segment(segment_id), _since()
    change = history.change_since(segment_id, since)
    if change is None or overlap.chosen_by_sight(segment, user=signed_in_user()):
        raise NotFound
    names = {"joined": _("Joined %(name)s", name=segment.name), "left": _("Left %(name)s", name=segment.name)}
    return _client_list(
        getattr(change.seen_by(overlap.sight_of(signed_in_user())), which),
        title=names[which],
        back=url_for("snapshots.changes", segment_id=segment_id, since=since),
        here=url_for("snapshots.changed_clients", segment_id=segment_id, which=which, since=since),
    )


def _since() -> date:
    """The day to compare with, of the address; a month ago where it says none."""
    try:
        return date.fromisoformat(request.args.get("since", ""))
    except ValueError:
        return today() - timedelta(days=DAYS_BACK)


def _growth_chart(points: Sequence[tuple[date, int]]) -> dict[str, Any] | None:
    """Size by day as an ECharts option; None where there are not two points to draw a line through."""
    if len(points) < 2:
        return None
    pattern = "M月d日" if str(get_locale()).startswith("zh") else "d MMM"
    first, last = points[0], points[-1]
    words = _(
        "From %(first)s clients on %(start)s to %(last)s on %(end)s",
        first=format_decimal(first[1]),
        start=format_date(first[0]),
        last=format_decimal(last[1]),
        end=format_date(last[0]),
    )
    return {
        "aria": {"label": {"description": words}},
        "tooltip": {"trigger": "axis"},
        "grid": {"left": 12, "right": 32, "top": 24, "bottom": 12, "containLabel": True},
        "xAxis": {
            "type": "category",
            "boundaryGap": False,
            "data": [format_date(day, pattern) for day, _size in points],
        },
        "yAxis": {"type": "value", "min": 0, "minInterval": 1, "splitNumber": 3},
        "series": [
            {
                "type": "line",
                "name": _("Clients"),
                "showSymbol": len(points) < 40,
                "areaStyle": {"opacity": 0.08},
                "data": [size for _day, size in points],
            }
        ],
    }


# ---- Overlap ----


@snapshots.get("/overlap")
@requires(Permission.VIEW_SEGMENTS)
def compare() -> Any:
    keys, way = request.args.getlist("set"), _way()
    problem, chosen = None, []
    try:
        chosen = overlap.chosen_sets(keys, user=signed_in_user())
    except (AppError, NotFound) as refusal:
        problem = refusal
    sets = [one.ids for one in chosen]
    segment_ids = [one.id for one in chosen if one.kind == overlap.SEGMENT]
    page = render_template(
        "audiences/overlap.html",
        chosen=chosen,
        keys=[one.key for one in chosen] or keys,
        problem=problem,
        segments=queries.all_segments(),
        snapshots=_recent_snapshots(),
        matrix=overlap_matrix(sets),
        venn=venn(sets),
        box=(WIDTH, HEIGHT),
        way=way,
        ways=overlap.WAYS,
        combined=len(overlap.combine(sets, way)),
        rule=overlap.combined_rule(segment_ids, way) if chosen and len(segment_ids) == len(chosen) else None,
        most=overlap.MAX_SETS,
    )
    return page, problem.status if problem else 200


@snapshots.get("/overlap/clients")
@requires(Permission.VIEW_SEGMENTS)
def shared_clients() -> Any:
    """The clients of a combination, or of one cell of the matrix (two sets, in all of them)."""
    keys, way = request.args.getlist("set"), _way()
    chosen = overlap.chosen_sets(keys, user=signed_in_user())
    names = [one.name for one in chosen]
    return _client_list(
        overlap.combine([one.ids for one in chosen], way),
        title=_("Clients %(where)s", where=overlap.combined_sentence(names, way)) if names else _("Clients"),
        back=url_for("snapshots.compare", set=request.args.getlist("all") or keys),
        here=url_for("snapshots.shared_clients", set=keys, way=way, all=request.args.getlist("all")),
    )


@snapshots.post("/overlap/freeze")
@requires(Permission.EDIT_SEGMENTS)
def freeze_shared() -> Any:
    keys, way = request.form.getlist("set"), _way()
    with unit_of_work():
        chosen = overlap.chosen_sets(keys, user=signed_in_user())
        snapshot = freeze_combination(
            sets=[one.ids for one in chosen],
            names=[one.name for one in chosen],
            way=way,
            name=request.form.get("name", ""),
            actor=signed_in_user(),
        )
        snapshot_id = snapshot.id
    flash(_("Frozen: these clients stay together, whatever happens to the rule."), "success")
    return redirect(url_for("snapshots.show", snapshot_id=snapshot_id))


def _way() -> str:
    way = request.values.get("way", "any")
    return way if way in overlap.WAYS else "any"


def _recent_snapshots() -> list[Any]:
    """What may be chosen beside the segments: the newest hundred."""
    query = select(Snapshot.id, Snapshot.name, Snapshot.created_at)
    return list(newest_first(query, Snapshot.id.expression, newer_than=None, older_than=None, size=100).rows)


def _client_list(ids: BitMap64, *, title: str, back: str, here: str) -> Any:
    page = overlap.page_of(
        ids,
        user=signed_in_user(),
        before=request.args.get("before", type=int),
        after=request.args.get("after", type=int),
    )
    return render_template("audiences/set_clients.html", page=page, total=len(ids), title=title, back=back, here=here)
