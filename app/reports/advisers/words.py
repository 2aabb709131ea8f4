"""What the steps of the funnel are called and what each of them counts."""

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app.reports.advisers.queries import WHOLES, Funnel

STEP_LABELS = {
    "assigned": _l("Assigned"),
    "tried": _l("Tried"),
    "reached": _l("Reached"),
    "interested": _l("Interested"),
    "appointment": _l("Appointment made"),
    "opened": _l("Account opened"),
    "effective": _l("Effective"),
}
_DEFINITIONS = {
    "assigned": _l("Clients whom at least one campaign of the period asked to contact, each once."),
    "tried": _l("Assigned clients with at least one attempt noted."),
    "reached": _l("Clients who were spoken to at least once."),
    "interested": _l("Clients whose last result is interested, appointment made or account opened."),
    "appointment": _l("Clients whose last result is appointment made or account opened."),
    "opened": _l(
        "Assigned clients with an account opening that a campaign which asked for the contact claims, each once "
        "however many campaigns claim it."
    ),
    "effective": _l("Those with an opening that is effective by the rule of a campaign that claims it."),
}


def definition(step: str) -> str:
    """What a step counts and, where it is a share, by which method its interval is."""
    told = str(_DEFINITIONS[step])
    if step not in WHOLES:
        return told
    whole = str(STEP_LABELS[WHOLES[step]]).lower()
    return str(_("%(what)s As a share of %(whole)s, with a 95 %% Wilson interval.", what=told, whole=whole))


def line_name(line: Funnel, by: str) -> str:
    """Whose line it is."""
    nobody = _("No team") if by == "team" else _("Nobody’s, in the queue of the branch")
    return line.name or str(nobody)
