"""The local mailbox of SMS: read and answered as a client would, while no provider is set up."""

from uuid import uuid4

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.tracking.forms import AnswerForm
from app.tracking.sms import InboundSms, receive_sms
from app.tracking.sms_mailbox import find_sms, sms_page
from app.users.sessions import signed_in_user

bp = Blueprint("sms_mailbox", __name__, url_prefix="/mailbox/sms")
SOURCE = "mailbox"


@bp.get("")
@requires(Permission.OPEN_MAILBOX)
def index() -> str:
    recipient = request.args.get("recipient", "").strip().replace("\0", "")
    page = sms_page(
        user=signed_in_user(),
        recipient=recipient,
        newer_than=request.args.get("newer", type=int),
        older_than=request.args.get("older", type=int),
    )
    return render_template("mailbox/sms.html", page=page, recipient=recipient)


@bp.route("/<int:sms_id>", methods=["GET", "POST"])
@requires(Permission.OPEN_MAILBOX)
def show(sms_id: int) -> str | Response | tuple[str, int]:
    """One SMS and the client's answer to it."""
    sms, form = find_sms(sms_id, user=signed_in_user()), AnswerForm()
    if not form.validate_on_submit():
        return render_template("mailbox/show_sms.html", sms=sms, form=form), 422 if form.errors else 200
    with unit_of_work():
        received = receive_sms(InboundSms(SOURCE, uuid4().hex, sms.recipient, form.text.data))
    if received.meaning == "opt_out":
        flash(_("It was taken as an opt-out: the client gets no more marketing SMS."), "success")
    elif received.parked:
        flash(_("It answers nothing that was sent to a client, so it is parked."), "warning")
    else:
        flash(_("The answer has arrived; it is under Replies."), "success")
    return redirect(url_for("sms_mailbox.show", sms_id=sms_id))
