"""What a client reaches from a message besides pixel and clicks: unsubscribing, and the message in the browser."""

from flask import Blueprint, Response, abort, render_template, request

from app.core.extensions import csrf, links, signer
from app.core.permissions import public
from app.core.tokens import BadToken, Kind
from app.core.unit_of_work import unit_of_work
from app.core.web import for_clients, sandboxed
from app.delivery.rendering import render_message_html
from app.tracking.preferences import recipient_of
from app.tracking.service import unsubscribe
from app.tracking.views.preferences import language_of

bp = Blueprint("public", __name__)
csrf.exempt(bp)  # no cookies here: the signed token is what allows it


def _message_id(token: str, kind: Kind) -> int:
    try:
        return signer().read(token, kind).message_id
    except BadToken:
        abort(404)


@bp.get("/u/<token>")
@public
@for_clients
def confirm_unsubscribe(token: str) -> str:
    """Ask, and offer fewer instead of none; a GET never unsubscribes, because scanners follow links."""
    message_id = _message_id(token, Kind.UNSUBSCRIBE)
    with language_of(recipient_of(message_id)):
        return render_template("public/unsubscribe.html", preferences_url=links().preferences(message_id))


@bp.post("/u/<token>")
@public
@for_clients
def do_unsubscribe(token: str) -> str:
    """RFC 8058 (`List-Unsubscribe=One-Click`, no cookies) and the form of the page above."""
    message_id = _message_id(token, Kind.UNSUBSCRIBE)
    one_click = request.form.get("List-Unsubscribe") == "One-Click"
    with unit_of_work():
        known = unsubscribe(
            message_id=message_id,
            source="one-click" if one_click else "page",
            ip=request.remote_addr,
            user_agent=request.headers.get("User-Agent"),
        )
    with language_of(recipient_of(message_id)):
        preferences_url = links().preferences(message_id)
        return render_template("public/unsubscribed.html", known=known, preferences_url=preferences_url)


@bp.get("/v/<token>")
@public
@for_clients
def view_message(token: str) -> Response:
    """The message as the client got it. Its links work: they open outside the sandbox."""
    response = let_links_out(sandboxed(render_message_html(_message_id(token, Kind.VIEW))))
    response.headers["Cache-Control"] = "private, no-store"
    response.headers["X-Robots-Tag"] = "noindex"
    return response


def let_links_out(response: Response) -> Response:
    """Let a person follow the links of a sandboxed message: they open outside the sandbox."""
    policy = response.headers["Content-Security-Policy"]
    allowed = "allow-popups allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation"
    response.headers["Content-Security-Policy"] = policy.replace("sandbox;", f"sandbox {allowed};", 1)
    return response
