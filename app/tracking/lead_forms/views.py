"""The pages of staff about a campaign's lead form: design, opening, links with QR codes, and what was sent in."""

from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app.campaigns.models import STATE_LABELS, Campaign, State
from app.campaigns.queries import campaign_by_code, in_own_part
from app.clients.masking import mask_email, mask_mobile
from app.clients.queries import find_client
from app.core.errors import AppError, NotFound
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.core.web import can
from app.tracking.lead_forms import queries, service
from app.tracking.lead_forms.addresses import form_address, qr_code
from app.tracking.lead_forms.forms import ASKED_LABELS, DesignForm, Entry, OpenForm
from app.tracking.lead_forms.models import LeadForm
from app.tracking.lead_forms.public_views import form_page
from app.users.sessions import signed_in_user

bp = Blueprint("lead_forms", __name__, url_prefix="/campaigns/<code>/form")

MATCH_LABELS = {
    "new": _l("New lead"),
    "email": _l("Known by e-mail"),
    "mobile": _l("Known by mobile"),
    "several": _l("Several clients fit"),
}
CONSENT_LABELS = {
    "granted": _l("Given"),
    "not_given": _l("Not given"),
    "opted_out_before": _l("Had opted out before: unchanged"),
    "waiting": _l("Waits for the client"),
}


def _campaign(code: str) -> Campaign:
    return campaign_by_code(code, viewer=signed_in_user())


def _form(campaign: Campaign) -> LeadForm:
    form = queries.form_of(campaign)
    if form is None:
        raise NotFound
    return form


@bp.route("", methods=["GET", "POST"])
@requires(Permission.VIEW_CAMPAIGNS)
def design(code: str) -> Any:
    campaign = _campaign(code)
    if request.method == "POST":
        return _save(campaign)
    return _page(campaign, DesignForm(formdata=None).fill(queries.form_of(campaign)))


@requires(Permission.EDIT_CAMPAIGNS)
def _save(campaign: Campaign) -> Any:
    form = DesignForm()
    if not form.validate_on_submit():
        return _page(campaign, form), 422
    try:
        with unit_of_work():
            service.design_form(campaign=campaign, design=form.design(), actor=signed_in_user())
    except AppError as error:
        flash(str(error), "error")
        return _page(_campaign(campaign.code), form), error.status
    flash(_("The lead form is saved."), "success")
    return redirect(url_for("lead_forms.design", code=campaign.code))


@bp.post("/open")
@requires(Permission.EDIT_CAMPAIGNS)
def open_close(code: str) -> Any:
    campaign, form = _campaign(code), OpenForm()
    stored = _form(campaign)
    if not form.validate_on_submit():
        return _page(campaign, DesignForm(formdata=None).fill(stored), opening=form), 422
    with unit_of_work():
        service.open_form(
            campaign=campaign,
            form=stored,
            enabled=form.enabled.data,
            closes_on=form.closes_on.data,
            actor=signed_in_user(),
        )
    flash(_("The lead form is saved."), "success")
    return redirect(url_for("lead_forms.design", code=code))


def _page(campaign: Campaign, form: DesignForm, *, opening: OpenForm | None = None) -> str:
    user, stored = signed_in_user(), queries.form_of(campaign)
    adviser_id = _adviser_id(stored)
    open_states = (State.DRAFT, State.REVISING, State.APPROVED)
    editable = can(Permission.EDIT_CAMPAIGNS) and in_own_part(campaign, user) and State(campaign.state) in open_states
    return render_template(
        "lead_forms/design.html",
        campaign=campaign,
        state_label=STATE_LABELS[State(campaign.state)],
        form=form,
        stored=stored,
        opening=opening or OpenForm(formdata=None, obj=stored),
        editable=editable,
        open_now=stored is not None and queries.is_open(stored),
        address=form_address(stored.id, adviser_id=adviser_id) if stored else None,
        adviser_id=adviser_id,
        advisers=queries.advisers_for_links(user) if stored else [],
        count=queries.submission_count(stored, user=user) if stored else 0,
        asked_labels=ASKED_LABELS,
    )


def _adviser_id(stored: LeadForm | None) -> int | None:
    """The adviser whose own link is asked for; NotFound for one outside the person's part of the firm."""
    chosen = request.args.get("adviser", type=int)
    if chosen is None or stored is None:
        return None
    if chosen not in dict(queries.advisers_for_links(signed_in_user())):
        raise NotFound
    return chosen


@bp.get("/preview")
@requires(Permission.VIEW_CAMPAIGNS)
def preview(code: str) -> str:
    """The page as visitors see it; it cannot be sent from here."""
    return form_page(_form(_campaign(code)), Entry({}), preview=True)


@bp.get("/qr.<any(svg, png):kind>")
@requires(Permission.VIEW_CAMPAIGNS)
def qr(code: str, kind: str) -> Response:
    """The QR code of the form's address as a picture: svg for the page and print, png to put into other documents."""
    stored = _form(_campaign(code))
    address = form_address(stored.id, adviser_id=_adviser_id(stored))
    response = Response(qr_code(address, kind=kind), mimetype="image/png" if kind == "png" else "image/svg+xml")
    if request.args.get("download"):
        response.headers["Content-Disposition"] = f"attachment; filename=form-{stored.id}.{kind}"
    return response


@bp.get("/answers")
@requires(Permission.VIEW_CAMPAIGNS)
def answers(code: str) -> str:
    """What was sent in, of the clients the reader may see."""
    campaign = _campaign(code)
    stored = _form(campaign)
    page = queries.submissions_page(
        stored,
        user=signed_in_user(),
        newer_than=request.args.get("newer", type=int),
        older_than=request.args.get("older", type=int),
    )
    return render_template(
        "lead_forms/answers.html",
        campaign=campaign,
        page=page,
        match_labels=MATCH_LABELS,
        consent_labels=CONSENT_LABELS,
        mask_email=mask_email,
        mask_mobile=mask_mobile,
    )


@bp.post("/answers/<int:submission_id>/client")
@requires(Permission.EDIT_CAMPAIGNS)
def assign(code: str, submission_id: int) -> Any:
    """Say whose a submission is that several clients fit."""
    user, stored = signed_in_user(), _form(_campaign(code))
    submission = queries.find_submission(stored, submission_id, user=user)
    client = find_client(request.form.get("number", "").strip(), user=user)
    with unit_of_work():
        service.assign_submission(submission=submission, form=stored, client=client, actor=user)
    flash(_("The entry belongs to %(client)s now.", client=client.name or client.number), "success")
    return redirect(url_for("lead_forms.answers", code=code))
