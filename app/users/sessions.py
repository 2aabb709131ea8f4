"""Who the request comes from: the session of a member of staff, and where strangers are sent."""

from datetime import timedelta
from typing import Any, cast

from flask import Flask, current_app, jsonify, redirect, request, session, url_for
from flask_babel import gettext as _
from flask_login import current_user, login_user, logout_user

from app.core.extensions import login_manager
from app.users.models import User
from app.users.queries import user_of_session

IDLE = timedelta(hours=10)
_WITHOUT_NEW_PASSWORD = {"users.change_password", "users.sign_out", "users.set_language"}


def init_sessions(app: Flask) -> None:
    """Teach Flask-Login our staff; end idle sessions; hold people with a one-time password to a new one."""
    app.config["PERMANENT_SESSION_LIFETIME"] = IDLE
    login_manager.login_view = "users.sign_in"
    login_manager.user_loader(user_of_session)
    login_manager.unauthorized_handler(ask_to_sign_in)
    app.before_request(ask_for_new_password)


def signed_in_user() -> User:
    """The member of staff whose request this is. For views that let nobody else in."""
    return cast(User, current_user._get_current_object())


def start_session(user: User) -> None:
    """Sign somebody in with a session that shares nothing with the stranger's before."""
    session.clear()
    login_user(user)
    session.permanent = True


def end_session() -> None:
    """Sign out; the sign-in page keeps speaking the person's language."""
    locale = current_user.locale if current_user.is_authenticated else None
    logout_user()
    session.clear()
    if locale:
        session["locale"] = locale


def ask_to_sign_in() -> Any:
    """A stranger at a page for staff: 401 for programs and page fragments, else the sign-in page and back."""
    sentence = _("Please sign in to go on.")
    if request.path.startswith("/api/"):
        return jsonify(error={"status": 401, "message": sentence}), 401
    if request.headers.get("HX-Request"):
        return sentence, 401
    wanted = request.full_path.rstrip("?") if request.method == "GET" else None
    return redirect(url_for("users.sign_in", next=None if wanted == "/" else wanted))


def ask_for_new_password() -> Any:
    """Whoever signed in with a one-time password goes to the page that changes it, and nowhere else."""
    view = current_app.view_functions.get(request.endpoint or "")
    if getattr(view, "access", "public") == "public" or request.endpoint in _WITHOUT_NEW_PASSWORD:
        return None
    if not (current_user.is_authenticated and current_user.must_change_password):
        return None
    page = url_for("users.change_password")
    return ("", 204, {"HX-Redirect": page}) if request.headers.get("HX-Request") else redirect(page)


def safe_path(wanted: str | None) -> str:
    """The path to go on to, where it is one of this site; else the start page.

    Browsers read a backslash as a slash and drop tabs and newlines, so `/\\host` and `/<tab>/host` lead away too.
    """
    if not wanted or not wanted.startswith("/") or wanted.startswith("//"):
        return "/"
    if "\\" in wanted or any(ord(character) < 33 for character in wanted):
        return "/"
    return wanted
