"""The inbox of replies: lists, one reply with its thread, and what is parked."""

from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app.clients.queries import find_client
from app.core.clock import now
from app.core.errors import NotFound
from app.core.extensions import db
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.core.web import can
from app.tracking.mail import polling
from app.tracking.mail.receiving import PARKED_REASONS, raw_mail_of
from app.tracking.mail.rules import change_inbox_rules, inbox_rules
from app.tracking.replies import queries, service
from app.tracking.replies.forms import AnswerForm, GiveForm, InboxRulesForm
from app.tracking.replies.queries import Filters
from app.tracking.replies.topics import TOPIC_LABELS
from app.users.models import User
from app.users.sessions import signed_in_user

bp = Blueprint("replies", __name__, url_prefix="/replies")

VIEW_LABELS = {
    "open": _l("To do"),
    "mine": _l("Mine"),
    "unassigned": _l("Nobody's"),
    "overdue": _l("Overdue"),
    "complaints": _l("Complaints"),
    "closed": _l("Dealt with"),
    "automatic": _l("Automatic"),
    "everything": _l("Everything"),
}
TONES = {
    "complaint": "danger",
    "fault": "warning",
    "opt_out": "warning",
    "interested": "success",
    "question": "info",
    "suggestion": "neutral",
}
CHANNELS = {"email": _l("E-mail"), "sms": _l("SMS")}
ANSWER_STATES = {
    "waiting": _l("Waiting to be sent"),
    "handing": _l("Being sent"),
    "sent": _l("Sent"),
    "failed": _l("Not sent"),
    "unconfirmed": _l("Awaiting receipt"),
}
_WORDS = {
    "views": VIEW_LABELS,
    "topics": TOPIC_LABELS,
    "tones": TONES,
    "channels": CHANNELS,
    "answer_states": ANSWER_STATES,
}
MAX_SEARCH = 200


def _asked() -> Filters:
    asked = {
        name: request.args.get(name, "").replace("\0", "")[:MAX_SEARCH] for name in ("topic", "channel", "campaign")
    }
    view = request.args.get("view", "open")
    search = request.args.get("q", "").replace("\0", "").strip()[:MAX_SEARCH]
    return Filters(view=view if view in queries.VIEWS else "open", search=search, **asked)


@bp.get("")
@requires(Permission.MANAGE_REPLIES)
def index() -> str:
    user, filters = signed_in_user(), _asked()
    page = queries.inbox_page(
        filters,
        user=user,
        newer_than=request.args.get("newer", type=int),
        older_than=request.args.get("older", type=int),
    )
    narrowed = {"topic": filters.topic, "channel": filters.channel, "campaign": filters.campaign, "q": filters.search}
    return render_template(
        "replies/index.html",
        page=page,
        filters=filters,
        kept={name: value for name, value in narrowed.items() if value},
        counts=queries.counts(user),
        campaigns=queries.campaigns_with_replies(),
        parked=queries.count_parked() if queries.may_see_parked(user) else 0,
        mailbox=polling.mailbox_state() if queries.may_see_parked(user) else None,
        now=now(),
        **_WORDS,
    )


@bp.get("/<int:reply_id>")
@requires(Permission.MANAGE_REPLIES)
def show(reply_id: int) -> str:
    return _page(reply_id, AnswerForm())


def _page(reply_id: int, form: AnswerForm) -> str:
    user = signed_in_user()
    shown = queries.find_reply(reply_id, user=user)
    form.seen.data = str(service.last_entry(shown.client.id))
    return render_template(
        "replies/show.html",
        shown=shown,
        reply=shown.reply,
        client=shown.client,
        thread=queries.thread_of(shown.client.id),
        assignees=queries.possible_assignees(shown.client),
        form=form,
        next_id=queries.next_open(user=user, after=reply_id),
        may_close=shown.reply.topic != "complaint" or can(Permission.CLOSE_COMPLAINTS),
        now=now(),
        me=user,
        **_WORDS,
    )


def _reply(reply_id: int) -> Any:
    return queries.find_reply(reply_id, user=signed_in_user()).reply


def _on(reply_id: int) -> Any:
    """Back to the reply, or on to the next one that is open."""
    if request.form.get("then") == "next":
        following = queries.next_open(user=signed_in_user(), after=reply_id)
        return redirect(url_for("replies.show", reply_id=following) if following else url_for("replies.index"))
    return redirect(url_for("replies.show", reply_id=reply_id))


@bp.post("/<int:reply_id>/topic")
@requires(Permission.MANAGE_REPLIES)
def set_topic(reply_id: int) -> Any:
    with unit_of_work():
        service.set_topic(reply=_reply(reply_id), topic=request.form.get("topic", ""), actor=signed_in_user())
    return redirect(url_for("replies.show", reply_id=reply_id))


@bp.post("/<int:reply_id>/assign")
@requires(Permission.MANAGE_REPLIES)
def assign(reply_id: int) -> Any:
    with unit_of_work():
        wanted = request.form.get("user", type=int)
        assignee = db.session.get(User, wanted) if wanted and wanted < 1 << 62 else None
        if wanted and assignee is None:
            raise NotFound
        service.assign(reply=_reply(reply_id), assignee=assignee, actor=signed_in_user())
    return redirect(url_for("replies.show", reply_id=reply_id))


@bp.post("/<int:reply_id>/answer")
@requires(Permission.MANAGE_REPLIES)
def answer(reply_id: int) -> Any:
    form = AnswerForm()
    if not form.validate_on_submit():
        return _page(reply_id, form), 422
    with unit_of_work():
        reply, actor = _reply(reply_id), signed_in_user()
        seen = form.seen.data or ""
        service.answer(reply=reply, text=form.text.data, seen=int(seen) if seen.isdecimal() else -1, actor=actor)
        if request.form.get("then") == "next":
            service.close(reply=reply, actor=actor)
    flash(_("The answer is on its way."), "success")
    return _on(reply_id)


@bp.post("/answers/<int:answer_id>/again")
@requires(Permission.MANAGE_REPLIES)
def send_again(answer_id: int) -> Any:
    with unit_of_work():
        made = queries.find_answer(answer_id, user=signed_in_user())
        reply_id = made.reply_id
        service.send_again(made=made, actor=signed_in_user())
    return redirect(url_for("replies.show", reply_id=reply_id))


@bp.post("/<int:reply_id>/close")
@requires(Permission.MANAGE_REPLIES)
def close(reply_id: int) -> Any:
    with unit_of_work():
        service.close(reply=_reply(reply_id), actor=signed_in_user())
    return _on(reply_id)


@bp.post("/<int:reply_id>/reopen")
@requires(Permission.MANAGE_REPLIES)
def reopen(reply_id: int) -> Any:
    with unit_of_work():
        service.reopen(reply=_reply(reply_id), actor=signed_in_user())
    return redirect(url_for("replies.show", reply_id=reply_id))


# ---- Parked ---------------------------------------------------------------------------------------------------------


def _whole_book_only() -> None:
    if not queries.may_see_parked(signed_in_user()):
        raise NotFound


@bp.get("/parked")
@requires(Permission.MANAGE_REPLIES)
def parked() -> str:
    """Mail and SMS that answer nothing, or could not be read."""
    _whole_book_only()
    return render_template(
        "replies/parked.html",
        mails=queries.parked_mails(),
        texts=queries.parked_sms(),
        reasons=PARKED_REASONS,
        most=queries.SHOWN_PARKED,
    )


@bp.post("/parked/<int:mail_id>/settle")
@requires(Permission.MANAGE_REPLIES)
def settle_parked(mail_id: int) -> Any:
    _whole_book_only()
    with unit_of_work():
        service.settle_mail(mail=queries.find_mail(mail_id), actor=signed_in_user())
    return redirect(url_for("replies.parked"))


@bp.post("/parked/<int:mail_id>/read")
@requires(Permission.MANAGE_REPLIES)
def read_parked(mail_id: int) -> Any:
    _whole_book_only()
    with unit_of_work():
        service.read_again(mail=queries.find_mail(mail_id), actor=signed_in_user())
    flash(_("It is being read once more."), "success")
    return redirect(url_for("replies.parked"))


@bp.post("/parked/<int:mail_id>/give")
@requires(Permission.MANAGE_REPLIES)
def give_parked(mail_id: int) -> Any:
    _whole_book_only()
    form = GiveForm()
    if not form.validate_on_submit():
        flash(" ".join(str(error) for errors in form.errors.values() for error in errors), "danger")
        return redirect(url_for("replies.parked"))
    with unit_of_work():
        user = signed_in_user()
        client = find_client(form.number.data.strip().replace("\0", ""), user=user)
        reply = service.give_to_client(mail=queries.find_mail(mail_id), client=client, actor=user)
        reply_id = reply.id
    return redirect(url_for("replies.show", reply_id=reply_id))


@bp.get("/parked/<int:mail_id>/raw")
@requires(Permission.MANAGE_REPLIES)
def raw_parked(mail_id: int) -> Response:
    """The mail as it came, to be saved: nothing of it is shown here."""
    _whole_book_only()
    mail = queries.find_mail(mail_id)
    if mail.state != "parked":
        raise NotFound
    response = Response(raw_mail_of(mail), mimetype="application/octet-stream")
    response.headers["Content-Disposition"] = f"attachment; filename=mail-{mail.id}.eml"
    return response


# ---- Rules ----------------------------------------------------------------------------------------------------------


@bp.route("/rules", methods=["GET", "POST"])
@requires(Permission.SET_CONTACT_RULES)
def rules() -> Any:
    form = InboxRulesForm(obj=inbox_rules())
    if form.validate_on_submit():
        with unit_of_work():
            change_inbox_rules(
                soft_bounces=form.soft_bounces.data,
                soft_days=form.soft_days.data,
                answer_days=form.answer_days.data,
                actor=signed_in_user(),
            )
        flash(_("The rules are in force."), "success")
        return redirect(url_for("replies.rules"))
    mailbox = polling.configured_mailbox()
    page = render_template(
        "replies/rules.html", form=form, mailbox=mailbox and mailbox.name, state=polling.mailbox_state()
    )
    return page, 422 if form.errors else 200
