"""One page for the list behind any figure. It shows and pages; lists are taken out at the campaign's own report."""

from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint, render_template, request, url_for
from werkzeug.datastructures import MultiDict

from app.clients.masking import mask_email
from app.core.errors import NotFound
from app.core.permissions import Permission, requires
from app.reports.advisers.behind import clients_of_step
from app.reports.behind.campaigns import clients_left_out, clients_with_reason
from app.reports.behind.listing import Behind
from app.reports.behind.openings import opening_figure
from app.reports.behind.queries import client_rows, clients_of_openings, opening_rows
from app.reports.behind.recent import recent_figure
from app.reports.maps.behind import clients_of_hour, clients_of_link
from app.reports.programme.behind import programme_figure
from app.reports.queries import ids_after, ids_before
from app.reports.sheets.behind import sheet_figure
from app.reports.targets.behind import target_result
from app.users.models import User
from app.users.sessions import signed_in_user

behind = Blueprint("behind", __name__)

FINDERS: Mapping[str, Callable[[MultiDict[str, str], User], Behind | None]] = {
    "programme": programme_figure,
    "advisers": clients_of_step,
    "sheet": sheet_figure,
    "link": clients_of_link,
    "hour": clients_of_hour,
    "target": target_result,
    "openings": opening_figure,
    "left-out": clients_left_out,
    "reason": clients_with_reason,
    "recent": recent_figure,
}
"""By kind: what the figure counts that the query of an address names, as the reader may count it; None where there is
no such figure."""


@behind.get(f"/figures/<any({', '.join(repr(kind) for kind in FINDERS)}):kind>")
@requires(Permission.VIEW_REPORTS)
def show(kind: str) -> str:
    """The clients, or the account openings, that a figure counts."""
    me = signed_in_user()
    found = FINDERS[kind](request.args, me)
    if found is None:
        raise NotFound
    ids = found.ids
    before = request.args.get("before", type=int)
    page = ids_before(ids, before) if before else ids_after(ids, request.args.get("after", 0, type=int))
    place: dict[str, Any] = {
        name: value for name, value in request.args.items() if name not in ("kind", "before", "after")
    }
    return render_template(
        "reports/behind.html",
        found=found,
        lines=(client_rows if found.openings is None else opening_rows)(page, viewer=me),
        clients=len(ids) if found.openings is None else clients_of_openings(ids),
        previous_url=page and page[0] > ids.min() and url_for("behind.show", kind=kind, **place, before=page[0]),
        next_url=page and page[-1] < ids.max() and url_for("behind.show", kind=kind, **place, after=page[-1]),
        mask_email=mask_email,
    )
