"""The adviser funnel and the rankings."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from flask import Blueprint, render_template, request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from werkzeug.wrappers import Response

from app.advising.queries import campaigns_with_tasks
from app.audit.service import record
from app.campaigns.models import Campaign
from app.core.clock import now
from app.core.extensions import db
from app.core.permissions import Permission, requires
from app.core.spreadsheet_files import Cell
from app.core.unit_of_work import unit_of_work
from app.reports.advisers.queries import FEWEST, STEPS, WHOLES, Ranked, funnels, ranking, total
from app.reports.downloads import table_file
from app.users.sessions import signed_in_user

rankings = Blueprint("rankings", __name__, url_prefix="/rankings")
PERIODS = (7, 30, 90, 365)
STEP_LABELS = {
    "assigned": _l("Assigned"),
    "tried": _l("Tried"),
    "reached": _l("Reached"),
    "interested": _l("Interested"),
    "appointment": _l("Appointment made"),
    "opened": _l("Account opened"),
    "effective": _l("Effective"),
}


@rankings.get("/")
@requires(Permission.VIEW_REPORTS)
def index() -> str:
    chosen = _chosen()
    lines = _lines(chosen)
    return render_template(
        "reports/advisers/index.html",
        **chosen,
        lines=lines,
        total=total([line.funnel for line in lines]),
        campaigns=campaigns_with_tasks(signed_in_user()),
        periods=PERIODS,
        steps=STEPS,
        wholes=WHOLES,
        labels=STEP_LABELS,
        fewest=FEWEST,
    )


@rankings.get("/ranking.<any(csv, xlsx):format>")
@requires(Permission.EXPORT)
def export(format: str) -> Response:
    """The same as a file."""
    chosen = _chosen()
    with unit_of_work():
        record(
            actor=signed_in_user(), action="report_exported", subject="report", subject_id=None,
            changes={"ranking": [None, chosen["by"]]},
        )  # fmt: skip
    head = [_("Place"), _("Team") if chosen["by"] == "team" else _("Adviser"), _("Branch")]
    for step in STEPS:
        head.append(str(STEP_LABELS[step]))
        if step in WHOLES:
            head.append(_("%(step)s, of %(whole)s", step=STEP_LABELS[step], whole=STEP_LABELS[WHOLES[step]]))
    return table_file("adviser-funnel", format, title=_("Adviser funnel"), head=head, lines=_cells(_lines(chosen)))


def _chosen() -> dict[str, Any]:
    """What the address asks for, and the usual where it asks for nothing that there is."""
    days = request.args.get("days", 30, type=int)
    by = request.args.get("by", "adviser")
    sort = request.args.get("sort", "opened")
    campaign_id = request.args.get("campaign", type=int)
    known = {known_id for known_id, _name in campaigns_with_tasks(signed_in_user())}
    return {
        "days": days if days in PERIODS else 30,
        "by": by if by in ("adviser", "team") else "adviser",
        "sort": sort if sort in STEPS else "opened",
        "share": request.args.get("share") == "1" and sort in WHOLES,
        "campaign_id": campaign_id if campaign_id in known else None,
    }


def _lines(chosen: dict[str, Any]) -> list[Ranked]:
    campaign = db.session.get(Campaign, chosen["campaign_id"]) if chosen["campaign_id"] else None
    since = now() - timedelta(days=chosen["days"])
    found = funnels(signed_in_user(), since=since, campaign=campaign, teams=chosen["by"] == "team")
    return ranking(found, by=chosen["sort"], share=chosen["share"])


def _cells(lines: list[Ranked]) -> Iterator[list[Cell]]:
    for line in lines:
        cells: list[Cell] = [line.place, line.funnel.name, line.funnel.group]
        for step in STEPS:
            cells.append(line.funnel.count(step))
            if step in WHOLES:
                cells.append(line.funnel.share(step))
        yield cells
