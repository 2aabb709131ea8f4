"""Account openings: the list and what claims each, one with its reasons, what waits for a person, and files."""

from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app.campaigns.effective_rule import KIND_LABELS, read_rule, rule_sentences
from app.campaigns.queries import campaign_by_code
from app.clients.masking import mask_account, mask_email, mask_mobile
from app.clients.queries import find_client
from app.core.errors import AppError
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.delivery.accounts.words import channel_label
from app.tracking.openings import queries, service
from app.tracking.openings.files import refused_csv
from app.tracking.openings.forms import OpeningsFileForm, SetAsideForm
from app.tracking.openings.models import FOLLOWED_DAYS
from app.users.sessions import signed_in_user

bp = Blueprint("openings", __name__, url_prefix="/account-openings")

STATES = {
    "claimed": _l("Claimed by a campaign"),
    "shared": _l("Claimed by several campaigns"),
    "unprompted": _l("Unprompted"),
    "unmatched": _l("Client unknown"),
    "waiting": _l("Being matched"),
    "set_aside": _l("Set aside"),
}
STATE_TONES = {"claimed": "success", "shared": "info", "unmatched": "warning"}
MATCHED_BY_LABELS = {
    "number": _l("client number"),
    "tracking_code": _l("tracking code"),
    "email": _l("e-mail address"),
    "mobile": _l("mobile number"),
    "person": _l("a person"),
}


@bp.context_processor
def words() -> dict[str, Any]:
    return {
        "states": STATES,
        "state_tones": STATE_TONES,
        "state_of": queries.state_of,
        "opening_kinds": KIND_LABELS,
        "matched_by_labels": MATCHED_BY_LABELS,
        "waiting": queries.waiting_counts(signed_in_user()),
        "channel_label": channel_label,
        "rule_sentences": lambda campaign: rule_sentences(read_rule(campaign.effective_rule)),
        "masks": {"email": mask_email, "mobile": mask_mobile, "account_number": mask_account},
    }


@bp.get("")
@requires(Permission.VIEW_REPORTS)
def index() -> Any:
    user = signed_in_user()
    state, code = request.args.get("state", ""), request.args.get("campaign", "")
    campaign = campaign_by_code(code, viewer=user) if code else None
    page = queries.openings_page(
        user=user,
        state=state if state in STATES else "",
        campaign=campaign,
        newer_than=request.args.get("newer", type=int),
        older_than=request.args.get("older", type=int),
    )
    return render_template("openings/index.html", page=page, state=state, campaign=campaign)


@bp.get("/<int:opening_id>")
@requires(Permission.VIEW_REPORTS)
def show(opening_id: int) -> Any:
    return _show(opening_id, SetAsideForm(formdata=None))


def _show(opening_id: int, form: SetAsideForm) -> str:
    user = signed_in_user()
    opening, client = queries.find_opening(opening_id, user=user)
    typed = request.args.get("search", "")
    return render_template(
        "openings/show.html",
        opening=opening,
        client=client,
        touches=queries.touches(opening) if client else [],
        outcomes=queries.outcomes_of(opening),
        followed_days=FOLLOWED_DAYS,
        fitting=[] if client else queries.fitting_clients(opening, user=user),
        typed=typed,
        found=[] if client or not typed else queries.clients_found(typed, user=user),
        form=form,
    )


@bp.get("/campaign/<code>")
@requires(Permission.VIEW_REPORTS)
def figures(code: str) -> Any:
    """What a campaign's openings came to, and how they stood later."""
    campaign = campaign_by_code(code, viewer=signed_in_user())
    return render_template(
        "openings/figures.html",
        campaign=campaign,
        figures=queries.campaign_figures(campaign, user=signed_in_user()),
    )


# ---- What waits for a person ----------------------------------------------------------------------------------------


@bp.post("/<int:opening_id>/match")
@requires(Permission.IMPORT_OPENINGS)
def match(opening_id: int) -> Any:
    """This client's it is."""
    user = signed_in_user()
    opening, _client = queries.find_opening(opening_id, user=user)
    client = find_client(request.form.get("number", ""), user=user)
    with unit_of_work():
        service.match_opening(opening=opening, client=client, actor=user)
    flash(_("The account opening is matched. Campaigns claim it within a minute."), "success")
    return redirect(url_for("openings.show", opening_id=opening_id))


@bp.post("/<int:opening_id>/set-aside")
@requires(Permission.IMPORT_OPENINGS)
def set_aside(opening_id: int) -> Any:
    user, form = signed_in_user(), SetAsideForm()
    opening, _client = queries.find_opening(opening_id, user=user)
    if not form.validate_on_submit():
        return _show(opening_id, form), 422
    with unit_of_work():
        service.set_opening_aside(opening=opening, reason=form.reason.data, actor=user)
    flash(_("The account opening is set aside."), "success")
    return redirect(url_for("openings.index", state="unmatched"))


@bp.post("/<int:opening_id>/take-up")
@requires(Permission.IMPORT_OPENINGS)
def take_up(opening_id: int) -> Any:
    user = signed_in_user()
    opening, _client = queries.find_opening(opening_id, user=user)
    with unit_of_work():
        service.take_opening_up(opening=opening, actor=user)
    return redirect(url_for("openings.show", opening_id=opening_id))


@bp.get("/parked")
@requires(Permission.IMPORT_OPENINGS)
def parked() -> Any:
    """Reports of openings that could not be taken."""
    settled = request.args.get("state") == "settled"
    page = queries.parked_page(
        user=signed_in_user(),
        settled=settled,
        newer_than=request.args.get("newer", type=int),
        older_than=request.args.get("older", type=int),
    )
    return render_template("openings/parked.html", page=page, settled=settled)


@bp.post("/parked/<int:parked_id>/settle")
@requires(Permission.IMPORT_OPENINGS)
def settle(parked_id: int) -> Any:
    with unit_of_work():
        service.settle_parked(parked_id=parked_id, actor=signed_in_user())
    return redirect(url_for("openings.parked"))


# ---- Files ----------------------------------------------------------------------------------------------------------


@bp.route("/import", methods=["GET", "POST"])
@requires(Permission.IMPORT_OPENINGS)
def upload() -> Any:
    form = OpeningsFileForm()
    status = 200
    if form.validate_on_submit():
        try:
            with unit_of_work():
                done = service.import_openings(
                    stream=form.file.data.stream, name=form.file.data.filename or "", actor=signed_in_user()
                )
        except AppError as refusal:
            form.file.errors = [str(refusal)]
        else:
            flash(_("The file has been read."), "success")
            return redirect(url_for("openings.result", import_id=done.id))
    if form.errors or form.file.errors:
        status = 422
    return render_template("openings/upload.html", form=form, imports=queries.newest_imports()), status


@bp.get("/import/<int:import_id>")
@requires(Permission.IMPORT_OPENINGS)
def result(import_id: int) -> Any:
    return render_template("openings/result.html", done=queries.find_import(import_id), shown=50)


@bp.get("/import/<int:import_id>/refused.csv")
@requires(Permission.IMPORT_OPENINGS)
def refused(import_id: int) -> Response:
    done = queries.find_import(import_id)
    response = Response(refused_csv(done.refused), mimetype="text/csv")
    response.headers["Content-Disposition"] = f"attachment; filename=refused-{done.id}.csv"
    return response
