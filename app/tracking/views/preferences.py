"""The preference page: reached from every e-mail without signing in. A GET never changes anything."""

from collections.abc import Iterator
from contextlib import contextmanager

from flask import Blueprint, Response, abort, redirect, render_template, request, url_for
from flask_babel import force_locale, get_locale
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from app.clients.models import Client
from app.clients.preferences.queries import paused_until, topic_name, topics
from app.clients.preferences.service import (
    CHANNEL_WORDS,
    NO_PERSONALISATION,
    Choices,
    choices_of,
    end_pause,
    page_language,
    pause_marketing,
)
from app.core.extensions import LANGUAGES, choose_locale, csrf, signer
from app.core.permissions import public
from app.core.tokens import BadToken, Kind
from app.core.unit_of_work import unit_of_work
from app.core.web import for_clients
from app.tracking.preferences import change_preferences, recipient_of, stop_everything

MAX_BODY = 64 << 10

bp = Blueprint("preferences", __name__)
csrf.exempt(bp)  # no cookies here: the signed token is what allows it


@contextmanager
def language_of(client: Client | None) -> Iterator[None]:
    """The client's language, where we know it and speak it; else what the browser asks for."""
    with force_locale(page_language(client.locale if client else None) or choose_locale()):
        yield


def _message_id(token: str) -> int:
    try:
        return signer().read(token, Kind.PREFERENCES).message_id
    except BadToken:
        abort(404)


@bp.get("/p/<token>")
@public
@for_clients
def show(token: str) -> str:
    client = recipient_of(_message_id(token))
    with language_of(client):
        if client is None:
            return render_template("public/unsubscribed.html", known=False)
        now_chosen = choices_of(client)
        return render_template(
            "public/preferences.html",
            chosen=now_chosen,
            language=now_chosen.locale or page_language(str(get_locale())),
            channels=CHANNEL_WORDS,
            no_personalisation=NO_PERSONALISATION,
            topics=[(topic.id, topic_name(topic)) for topic in topics()],
            languages=LANGUAGES,
            paused_until=paused_until(client.id),
            done=request.args.get("done", ""),
        )


@bp.post("/p/<token>")
@public
@for_clients
def change(token: str) -> AnyResponse:
    """One of the page's buttons: save, pause, resume, none."""
    message_id = _message_id(token)
    request.max_content_length = MAX_BODY
    act = request.form.get("act", "save")
    client = recipient_of(message_id)
    with language_of(client), unit_of_work():
        if client is None:
            return Response(render_template("public/unsubscribed.html", known=False))
        client = recipient_of(message_id, lock=True) or client
        if act == "pause":
            pause_marketing(client=client)
        elif act == "resume":
            end_pause(client=client)
        elif act == "none":
            stop_everything(message_id=message_id, words=_("No marketing at all"))
        else:
            shown = _ticked("shown_") if "shown" in request.form else None
            change_preferences(message_id=message_id, shown=shown, chosen=_ticked(""))
            act = "save"
    return redirect(url_for("preferences.show", token=token, done=act), code=303)


def _ticked(prefix: str) -> Choices:
    form = request.form
    return Choices(
        channels=frozenset(form.getlist(f"{prefix}channel")) & CHANNEL_WORDS.keys(),
        topics=frozenset(form.getlist(f"{prefix}topic", type=int)),
        no_personalisation=form.get(f"{prefix}no_personalisation") == "1",
        locale=form.get(f"{prefix}locale", ""),
    )
