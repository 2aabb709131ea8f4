"""The page of the rules about machines' hits."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app.core.errors import AppError
from app.core.extensions import settings
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.tracking.machines.forms import MachineRulesForm
from app.tracking.machines.queries import hits_lately, versions
from app.tracking.machines.rules import rules_in_force
from app.tracking.machines.service import change_machine_rules
from app.users.sessions import signed_in_user

bp = Blueprint("machine_rules", __name__, url_prefix="/settings/machine-hits")

REASON_LABELS = {
    "head": _l("Asked for the address only"),
    "agent": _l("Program of the list"),
    "network": _l("Network of the list"),
    "sg_machine_open": _l("Reported as a machine's by SendGrid"),
    "too fast": _l("Too fast for a person"),
    "trap": _l("Followed the link that people do not see"),
    "all links": _l("All links within seconds"),
}


@bp.route("", methods=["GET", "POST"])
@requires(Permission.ADMINISTER)
def index() -> Any:
    form, status = MachineRulesForm(), 200
    if request.method == "GET":
        form.fill(rules_in_force())
    elif form.validate_on_submit():
        try:
            with unit_of_work():
                change_machine_rules(**form.facts(), actor=signed_in_user())
        except AppError as error:
            flash(str(error), "error")
            status = error.status
        else:
            flash(_("The rules are saved. What was recorded before is being judged by them."), "success")
            return redirect(url_for("machine_rules.index"))
    else:
        status = 422
    page = render_template(
        "settings/machine_rules.html",
        form=form,
        versions=versions(),
        switched_off=not settings().machine_hit_seconds,
        reasons=REASON_LABELS,
    )
    return page, status


@bp.get("/lately")
@requires(Permission.ADMINISTER)
def lately() -> str:
    """What the rules came to in the last days, loaded after the page."""
    hits = hits_lately()
    people = sum(row.hits for row in hits if not row.machine)
    return render_template(
        "settings/_machine_hits.html",
        people=people,
        total=sum(row.hits for row in hits),
        machines=[row for row in hits if row.machine],
        words=_words,
    )


def _words(reasons: str) -> str:
    return ", ".join(str(REASON_LABELS.get(one, one)) for one in reasons.split(", "))
