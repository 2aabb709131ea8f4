"""The clients behind the figures of the last 30 days on the overview."""

from collections.abc import Mapping

from flask import url_for
from flask_babel import gettext as _

from app.reports.behind.listing import Behind
from app.reports.over_time import TIMED, recent_clients
from app.reports.response import Outcome
from app.reports.words import OUTCOME_LABELS
from app.users.models import User


def recent_figure(args: Mapping[str, str], viewer: User) -> Behind | None:
    """`figure` is an outcome."""
    named = {outcome.value: outcome for outcome in (Outcome.SENT, *TIMED)}
    outcome = named.get(args.get("figure", ""))
    if outcome is None:
        return None
    page = (_("Overview"), url_for("reports.home"))
    return Behind(str(OUTCOME_LABELS[outcome]), page, _("The last 30 days"), recent_clients(outcome, viewer))
