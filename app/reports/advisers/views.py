"""The adviser funnel and the rankings."""

from collections.abc import Iterator

from flask import Blueprint, render_template, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from app.advising.queries import campaigns_with_tasks
from app.audit.service import record
from app.core.permissions import Permission, requires
from app.core.spreadsheet_files import Cell
from app.core.unit_of_work import unit_of_work
from app.reports.advisers.choice import PERIODS, Choice, choice_of, chosen_funnels
from app.reports.advisers.queries import FEWEST, STEPS, WHOLES, Ranked, ranking, total
from app.reports.advisers.words import STEP_LABELS, definition, line_name
from app.reports.downloads import table_file
from app.users.sessions import signed_in_user

rankings = Blueprint("rankings", __name__, url_prefix="/rankings")


@rankings.get("/")
@requires(Permission.VIEW_REPORTS)
def index() -> str:
    chosen = choice_of(request.args, viewer=signed_in_user())
    lines = _lines(chosen)
    return render_template(
        "reports/advisers/index.html",
        chosen=chosen,
        lines=lines,
        total=total([line.funnel for line in lines]),
        campaigns=campaigns_with_tasks(signed_in_user()),
        periods=PERIODS,
        steps=STEPS,
        wholes=WHOLES,
        labels=STEP_LABELS,
        definition=definition,
        line_name=line_name,
        fewest=FEWEST,
    )


@rankings.get("/ranking.<any(csv, xlsx):format>")
@requires(Permission.EXPORT)
def export(format: str) -> Response:
    """The same as a file."""
    chosen = choice_of(request.args, viewer=signed_in_user())
    with unit_of_work():
        record(
            actor=signed_in_user(), action="report_exported", subject="report", subject_id=None,
            changes={"ranking": [None, chosen.by]},
        )  # fmt: skip
    head = [_("Place"), _("Team") if chosen.by == "team" else _("Adviser"), _("Branch")]
    for step in STEPS:
        head.append(str(STEP_LABELS[step]))
        if step in WHOLES:
            head.append(_("%(step)s, of %(whole)s", step=STEP_LABELS[step], whole=STEP_LABELS[WHOLES[step]]))
    return table_file("adviser-funnel", format, title=_("Adviser funnel"), head=head, lines=_cells(_lines(chosen)))


def _lines(chosen: Choice) -> list[Ranked]:
    return ranking(chosen_funnels(chosen, viewer=signed_in_user()), by=chosen.sort, share=chosen.share)


def _cells(lines: list[Ranked]) -> Iterator[list[Cell]]:
    for line in lines:
        cells: list[Cell] = [line.place, line.funnel.name, line.funnel.group]
        for step in STEPS:
            cells.append(line.funnel.count(step))
            if step in WHOLES:
                cells.append(line.funnel.share(step))
        yield cells
