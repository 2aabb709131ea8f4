"""The local mailbox: messages opened, clicked and answered as a client would.

Only while no provider is set up, and only for those who try campaigns out: whole messages with addresses are shown.
"""

from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.core.web import sandboxed
from app.tracking import queries
from app.tracking.forms import AnswerForm
from app.tracking.mail.receiving import receive_reply
from app.tracking.mailbox import for_frame, open_message, write_answer
from app.tracking.views.public import let_links_out
from app.users.sessions import signed_in_user

bp = Blueprint("mailbox", __name__, url_prefix="/mailbox")


@bp.get("")
@requires(Permission.OPEN_MAILBOX)
def index() -> Any:
    recipient = request.args.get("recipient", "").strip()
    page = queries.mailbox_page(
        user=signed_in_user(),
        recipient=recipient,
        newer_than=request.args.get("newer", type=int),
        older_than=request.args.get("older", type=int),
    )
    return render_template("mailbox/index.html", page=page, recipient=recipient)


@bp.get("/<int:message_id>")
@requires(Permission.OPEN_MAILBOX)
def show(message_id: int) -> Any:
    message = queries.find_mailbox_message(message_id, user=signed_in_user())
    part = request.args.get("part", "html")
    return render_template(
        "mailbox/show.html", message=message, opened=open_message(message), part=part, form=AnswerForm()
    )


@bp.get("/<int:message_id>/html")
@requires(Permission.OPEN_MAILBOX)
def html(message_id: int) -> Response:
    """The HTML part for the sandboxed frame. Loading it loads its pictures, so the message counts as opened."""
    message = queries.find_mailbox_message(message_id, user=signed_in_user())
    return let_links_out(sandboxed(for_frame(open_message(message).html)))


@bp.post("/<int:message_id>/answer")
@requires(Permission.OPEN_MAILBOX)
def answer(message_id: int) -> Any:
    message = queries.find_mailbox_message(message_id, user=signed_in_user())
    form = AnswerForm()
    if not form.validate_on_submit():
        page = render_template(
            "mailbox/show.html", message=message, opened=open_message(message), part="html", form=form
        )
        return page, 422
    raw, address = write_answer(message, text=form.text.data)
    with unit_of_work():
        reply = receive_reply(raw=raw, recipient=address)
    if reply is None:
        flash(_("This is a copy for staff: answers to it are not recorded."), "warning")
    else:
        flash(_("The answer has arrived; it is under Replies."), "success")
    return redirect(url_for("mailbox.show", message_id=message_id))
