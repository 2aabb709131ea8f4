"""The morning and the evening sheet, one page each, made to be printed."""

from flask import Blueprint, render_template, request

from app.core.clock import today
from app.core.permissions import Permission, requires
from app.reports.sheets.queries import place_of, places, sheet
from app.reports.sheets.words import DEFINITIONS, LABELS, TITLES
from app.reports.targets.models import Measure
from app.users.sessions import signed_in_user

sheets = Blueprint("sheets", __name__, url_prefix="/sheets")


@sheets.get("/<any(morning, evening):kind>")
@requires(Permission.VIEW_REPORTS)
def show(kind: str) -> str:
    me = signed_in_user()
    value = request.args.get("of", "")
    place = place_of(value, viewer=me)
    return render_template(
        "reports/sheets/show.html",
        kind=kind,
        titles=TITLES,
        sheet=sheet(kind, place, viewer=me, today=today()),
        today=today(),
        places=places(me),
        chosen=f"team:{place.team.id}" if place.team else f"branch:{place.branch.id}" if place.branch else "",
        Measure=Measure,
        labels=LABELS,
        definitions=DEFINITIONS,
    )
