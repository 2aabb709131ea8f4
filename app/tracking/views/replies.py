"""What clients wrote back."""

from typing import Any, cast

from flask import Blueprint, render_template, request
from flask_babel import lazy_gettext as _l
from flask_login import current_user

from app.core.permissions import Permission, requires
from app.tracking import queries
from app.users.models import User

bp = Blueprint("replies", __name__, url_prefix="/replies")

KINDS = {"reply": _l("Reply"), "opt_out": _l("Opt-out"), "auto_reply": _l("Automatic answer")}
TONES = {"reply": "info", "opt_out": "warning", "auto_reply": "neutral"}


@bp.get("")
@requires(Permission.MANAGE_REPLIES)
def index() -> Any:
    filters = {name: request.args.get(name, "") for name in ("kind", "campaign")}
    page = queries.replies_page(
        user=cast(User, current_user),
        kind=filters["kind"],
        campaign_code=filters["campaign"],
        newer_than=request.args.get("newer", type=int),
        older_than=request.args.get("older", type=int),
    )
    return render_template(
        "replies/index.html",
        page=page,
        filters=filters,
        campaigns=queries.campaigns_with_replies(),
        kinds=KINDS,
        tones=TONES,
    )


@bp.get("/<int:reply_id>")
@requires(Permission.MANAGE_REPLIES)
def show(reply_id: int) -> Any:
    reply, client, campaign, message = queries.find_reply(reply_id, user=cast(User, current_user))
    return render_template(
        "replies/show.html",
        reply=reply,
        client=client,
        campaign=campaign,
        message=message,
        kinds=KINDS,
        tones=TONES,
    )
