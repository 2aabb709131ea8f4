"""The pages of messages that wait for a person: those awaiting receipt, and those that failed."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import ngettext

from app.clients.masking import mask_address
from app.core.errors import AppError
from app.core.permissions import Permission, requires
from app.core.unit_of_work import unit_of_work
from app.delivery.models import MessageState
from app.delivery.outcomes import queries, service
from app.delivery.outcomes.queries import Filter
from app.delivery.outcomes.words import reason_words
from app.users.sessions import signed_in_user

outcomes = Blueprint("outcomes", __name__)
MOST_AT_ONCE = 50


@outcomes.app_context_processor
def outcome_words() -> dict[str, Any]:
    return {"reason_words": reason_words}


def _filter() -> Filter:
    group = request.values.get("group")
    return Filter(
        campaign=request.values.get("campaign", "").strip().replace("\x00", "")[:100],
        account_id=request.values.get("account", type=int),
        group=group.replace("\x00", "")[:400] if group else None,
    )


def _kept(chosen: Filter) -> dict[str, Any]:
    return {"campaign": chosen.campaign or None, "account": chosen.account_id, "group": chosen.group}


@outcomes.get("/awaiting-receipt")
@requires(Permission.VIEW_CAMPAIGNS)
def awaiting() -> Any:
    me, chosen = signed_in_user(), _filter()
    return render_template(
        "delivery/awaiting.html",
        page=queries.awaiting_page(
            me, chosen, newer=request.args.get("newer", type=int), older=request.args.get("older", type=int)
        ),
        groups=queries.awaiting_groups(me, Filter()),
        extent=queries.extent(queries.awaiting_receipt(me, chosen)),
        chosen=chosen,
        kept=_kept(chosen),
        words=queries.masked_words,
        masked_address=mask_address,
    )


@outcomes.get("/failed-messages")
@requires(Permission.VIEW_CAMPAIGNS)
def failed() -> Any:
    me, chosen = signed_in_user(), _filter()
    narrowed = bool(chosen.campaign or chosen.group)
    return render_template(
        "delivery/failed.html",
        page=queries.failed_page(
            me, chosen, newer=request.args.get("newer", type=int), older=request.args.get("older", type=int)
        ),
        groups=queries.failed_groups(me, Filter(campaign=chosen.campaign)),
        extent=queries.extent(queries.failed(me, chosen)),
        narrowed=narrowed,
        chosen=chosen,
        kept=_kept(chosen),
        words=queries.masked_words,
        masked_address=mask_address,
    )


@outcomes.post("/awaiting-receipt")
@requires(Permission.SETTLE_MESSAGES)
def settle() -> Any:
    """Settle the ticked ones, or all that the filter shows."""
    verb = request.form.get("verb", "")
    if verb not in ("sent", "failed"):
        verb = ""
    return _decide(verb, back=".awaiting")


@outcomes.post("/failed-messages")
@requires(Permission.SETTLE_MESSAGES)
def retry() -> Any:
    """Try the ticked ones again, or all that the filter shows."""
    return _decide("retry", back=".failed")


def _decide(verb: str, *, back: str) -> Any:
    chosen, reason = _filter(), request.form.get("reason", "").replace("\x00", "")[:500]
    ids = request.form.getlist("message", type=int)[:MOST_AT_ONCE]
    try:
        if request.form.get("which") == "all":
            _order(verb, chosen, reason)
        elif not ids or not verb:
            flash(_("Choose messages, and what became of them."), "error")
        else:
            _do(verb, Filter(ids=ids), reason)
    except AppError as error:
        flash(str(error), "error")
    return redirect(url_for(back, **_kept(chosen)))


def _order(verb: str, chosen: Filter, reason: str) -> None:
    seen = Filter(chosen.campaign, chosen.account_id, chosen.group, up_to=request.form.get("up_to", type=int))
    with unit_of_work():
        service.order(verb=verb, chosen=seen, reason=reason, actor=signed_in_user())
    flash(_("All of them are on their way through a worker; reload the page in a moment."), "success")


def _do(verb: str, chosen: Filter, reason: str) -> None:
    with unit_of_work():
        if verb == "retry":
            done = service.retry(chosen=chosen, reason=reason, actor=signed_in_user())
        else:
            done = service.settle(chosen=chosen, state=MessageState(verb), reason=reason, actor=signed_in_user())
    if verb == "retry":
        flash(ngettext("%(num)s message is sent again.", "%(num)s messages are sent again.", done), "success")
    else:
        flash(ngettext("%(num)s message is settled.", "%(num)s messages are settled.", done), "success")
