"""The clients behind a step of the funnel."""

from collections.abc import Mapping

from flask import url_for
from flask_babel import gettext as _

from app.reports.advisers.choice import choice_of, chosen_funnels
from app.reports.advisers.queries import STEPS, total
from app.reports.advisers.words import STEP_LABELS, line_name
from app.reports.behind.listing import Behind
from app.users.models import User


def clients_of_step(args: Mapping[str, str], viewer: User) -> Behind | None:
    """`step` of the line `who` (an id, "none" for the one without; all lines together where it is not named)."""
    choice = choice_of(args, viewer=viewer)
    lines = chosen_funnels(choice, viewer=viewer)
    who, step = args.get("who"), args.get("step", "")
    if who is None:
        line, part = total(lines), _("In all")
    else:
        found = next((one for one in lines if who == str(one.id or "none")), None)
        if found is None:
            return None
        line, part = found, line_name(found, choice.by)
    if step not in STEPS:
        return None
    page = (_("Adviser funnel and rankings"), url_for("rankings.index", **choice.address))
    return Behind(str(STEP_LABELS[step]), page, part, line.clients[step])
