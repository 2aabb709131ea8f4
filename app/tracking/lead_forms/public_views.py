"""The hosted page of a lead form, for anyone with the link. No cookies, no script; served on PUBLIC_URL."""

from dataclasses import replace
from secrets import token_hex
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import structlog
from flask import Blueprint, abort, redirect, render_template, request, url_for

from app.core.extensions import csrf, db, signer
from app.core.permissions import public
from app.core.tokens import BadToken, Kind
from app.core.unit_of_work import unit_of_work
from app.core.web import for_clients
from app.tracking.lead_forms.addresses import Arrival, arrival
from app.tracking.lead_forms.forms import TRAP, Entry, read_entry
from app.tracking.lead_forms.limits import may_send, sender_of
from app.tracking.lead_forms.models import LeadForm
from app.tracking.lead_forms.queries import is_open
from app.tracking.lead_forms.service import take_submission
from app.tracking.openings.codes import code_of_submission

MAX_BODY = 64 << 10

bp = Blueprint("lead_form", __name__, url_prefix="/f")
csrf.exempt(bp)  # no cookies here: anybody may send the form, and nothing is done in a person's name
log = structlog.get_logger(__name__)


@bp.get("/<token>")
@public
@for_clients
def show(token: str) -> Any:
    arrived = _arrival(token)
    if not is_open(arrived.form):
        return render_template("public/lead_form_closed.html", form=arrived.form), 410
    return form_page(arrived.form, Entry({}))


@bp.post("/<token>")
@public
@for_clients
def send(token: str) -> Any:
    """Take the form in. Machines that fill in what people do not see are thanked, and nothing is kept."""
    request.max_content_length = request.max_form_memory_size = MAX_BODY
    arrived = _arrival(token)
    if not is_open(arrived.form):
        return render_template("public/lead_form_closed.html", form=arrived.form), 410
    entry = read_entry(request.form, arrived.form.fields)
    with unit_of_work():
        allowed = may_send(arrived.form.id, sender_of(request.remote_addr))
    if not allowed:
        return render_template("public/lead_form_busy.html", form=arrived.form), 429
    if entry.trapped:
        log.info("lead_form_trap", form=arrived.form.id)
        return redirect(url_for("lead_form.thanks", token=token), 303)
    if entry.said is None:
        return form_page(arrived.form, entry), 422
    with unit_of_work():
        submission = take_submission(
            arrival=replace(arrived, form=db.session.get_one(LeadForm, arrived.form.id)),
            said=entry.said if entry.said.nonce else replace(entry.said, nonce=token_hex(16)),
        )
        code = code_of_submission(submission.id)
    return redirect(url_for("lead_form.thanks", token=token, code=code), 303)


@bp.get("/<token>/thanks")
@public
@for_clients
def thanks(token: str) -> Any:
    form = _arrival(token).form
    return render_template("public/lead_form_thanks.html", form=form, next_url=_next_url(form))


def form_page(form: LeadForm, entry: Entry, *, preview: bool = False) -> str:
    """The page with what was typed and what is wrong with it; a preview cannot be sent."""
    return render_template(
        "public/lead_form.html", form=form, entry=entry, nonce=token_hex(16), trap=TRAP, preview=preview
    )


def _arrival(token: str) -> Arrival:
    arrived = arrival(token)
    if arrived is None:
        abort(404)
    return arrived


def _next_url(form: LeadForm) -> str | None:
    """The address to go on to, with the tracking code of what was sent in."""
    if form.next_url is None:
        return None
    code = request.args.get("code", "")
    try:
        signer().read(code, Kind.LEAD)
    except BadToken:
        return form.next_url
    parts = urlsplit(form.next_url)
    return urlunsplit(parts._replace(query="&".join(filter(None, (parts.query, urlencode({"code": code}))))))
