"""What every web response shares: security headers, error pages, health, the split of hosts, page helpers."""

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any
from urllib.parse import urlsplit

import structlog
from alembic.script import ScriptDirectory
from babel import Locale
from babel.numbers import format_decimal, format_percent
from flask import Blueprint, Flask, Response, g, jsonify, render_template, request
from flask_babel import format_date, format_datetime, get_locale
from flask_babel import gettext as _
from flask_login import current_user
from flask_wtf.csrf import CSRFError
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import DataError, ProgrammingError, SQLAlchemyError
from werkzeug.exceptions import HTTPException, NotFound

from app.config import Config
from app.core.errors import AppError
from app.core.extensions import LANGUAGES, db, migrate, settings
from app.core.permissions import Permission, allows, public

log = structlog.get_logger(__name__)
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; img-src 'self' data:; style-src 'self'; script-src 'self'; object-src 'none'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
SANDBOX_POLICY = "sandbox; default-src 'none'; img-src 'self' https: http: data:; style-src 'unsafe-inline'"

_ENGLISH_MOMENTS = {"short": "d MMM y, HH:mm", "medium": "d MMM y, HH:mm:ss"}

# What features add to /readyz for the person who looks: name > its value now. They do not decide readiness.
health_notes: dict[str, Callable[[], str]] = {}

Number = int | float | Decimal

health = Blueprint("health", __name__)


def init_web(app: Flask, config: Config) -> None:
    """Register headers, error pages, health checks and template globals."""
    app.register_blueprint(health)
    app.jinja_env.globals.update(
        languages=LANGUAGES, can=can, firm_name=config.firm_name, get_locale=get_locale, Permission=Permission
    )
    app.jinja_env.filters.update(
        number=number, numberformat=_decimal, decimalformat=_decimal, percentformat=_percent, moment=moment, day=day
    )

    @app.before_request
    def keep_hosts_and_access_apart() -> None:
        view = app.view_functions.get(request.endpoint or "")
        if view is None or request.endpoint == "static":
            return
        access = getattr(view, "access", None)
        if access is None:
            log.error("route_without_access_rule", endpoint=request.endpoint)
            raise NotFound
        on_public_host = request.host.lower() == urlsplit(config.public_url).netloc.lower()
        if config.separate_public_host and on_public_host and not getattr(view, "for_clients", False):
            raise NotFound

    @app.after_request
    def harden(response: Response) -> Response:
        response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        response.headers.setdefault("Referrer-Policy", "same-origin")
        if config.secure_cookies:
            response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
        if current_user and getattr(current_user, "is_authenticated", False):
            response.headers.setdefault("Cache-Control", "no-store")
        return response

    app.register_error_handler(AppError, _app_error)
    app.register_error_handler(CSRFError, _csrf_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected)


def for_clients(view: Any) -> Any:
    """Mark a public route as one that clients reach from messages: it is served on PUBLIC_URL too."""
    view.for_clients = True
    return view


def sandboxed(html: str) -> Response:
    """A page holding HTML written by staff or clients: no script, no cookies, no same-origin."""
    response = Response(html, mimetype="text/html")
    response.headers["Content-Security-Policy"] = SANDBOX_POLICY
    return response


def can(permission: Permission) -> bool:
    """For templates: may the signed-in person do this?"""
    return bool(current_user.is_authenticated) and allows(current_user, permission)


def number(value: Number | None) -> str:
    """A number in the reader's format; a dash where there is none."""
    return "–" if value is None else _decimal(value)


def _decimal(value: Number, pattern: str | None = None) -> str:
    return _written(format_decimal, value, pattern, get_locale())


def _percent(value: Number, pattern: str | None = None) -> str:
    return _written(format_percent, value, pattern, get_locale())


@lru_cache(maxsize=20_000)
def _written(write: Callable[..., str], value: Number, pattern: str | None, locale: Locale | None) -> str:
    """Kept, because Babel takes 80 microseconds for a number and a report has a thousand, many of them alike."""
    return write(value, pattern, locale)


def moment(value: datetime | None, style: str = "medium") -> str:
    """A time in the reader's language and the firm's zone; a dash where there is none.

    English has the day before the month's name: 3/4 is two different days on two sides of an ocean.
    """
    if value is None:
        return "–"
    if str(get_locale()) == "en":
        style = _ENGLISH_MOMENTS.get(style, style)
    return str(format_datetime(value, style))


def day(value: date | None) -> str:
    """A date in the reader's language, in English with the day before the month's name; a dash where there is none."""
    if value is None:
        return "–"
    return str(format_date(value, "d MMM y" if str(get_locale()) == "en" else "medium"))


def _error(status: int, title: str, message: str) -> tuple[Any, int]:
    if request.path.startswith("/api/") or request.accept_mimetypes.best == "application/json":
        return jsonify(error={"status": status, "message": message}), status
    if request.headers.get("HX-Request"):
        return Response(message, status=status, mimetype="text/plain"), status
    page = render_template("error.html", status=status, title=title, message=message, back=_page_before())
    return page, status


def _page_before() -> str | None:
    """The page of ours that a refused form was sent from, to go back to."""
    parts = urlsplit(request.referrer or "")
    if request.method != "POST" or parts.netloc != request.host or parts.path == request.path:
        return None
    return parts.path + (f"?{parts.query}" if parts.query else "")


def _titles() -> dict[int, str]:
    return {
        400: _("This request could not be understood"),
        403: _("Not for your role"),
        404: _("Not found"),
        405: _("Not possible here"),
        409: _("This changed in the meantime"),
        413: _("The file is too large"),
        429: _("Too many requests"),
        500: _("Something went wrong on our side"),
        503: _("Not available at the moment"),
    }


def _app_error(error: AppError) -> tuple[Any, int]:
    db.session.rollback()
    return _error(error.status, _titles().get(error.status, _("That did not work")), str(error))


def _csrf_error(error: CSRFError) -> tuple[Any, int]:
    return _error(400, _titles()[400], _("The form has expired. Go back, reload the page and send it again."))


def _http_error(error: HTTPException) -> Any:
    status = error.code or 500
    if status < 400 or error.response is not None:
        return error
    sentences = {
        403: _("Your role does not allow this."),
        404: _("This does not exist, or it is outside the part of the firm you work for."),
        405: _("This address does not take that kind of request."),
        413: _("The largest file accepted is %(size)s MB.", size=500),
        429: _("Please wait a minute and try again."),
    }
    return _error(status, _titles().get(status, _("That did not work")), sentences.get(status, _titles()[400]))


def _unexpected(error: Exception) -> tuple[Any, int]:
    log.exception("unexpected_error", error=type(error).__name__)
    try:
        db.session.rollback()
    except SQLAlchemyError:
        g.pop("_login_user", None)
    if isinstance(error, DataError):
        return _error(400, _titles()[400], _("A value in it is out of range."))
    if isinstance(error, SQLAlchemyError):
        return "Bellwether cannot reach its database. Please try again in a minute.", 503
    return _error(
        500,
        _titles()[500],
        _("It has been recorded. Please try again, and tell an administrator if it stays."),
    )


@health.get("/healthz")
@public
@for_clients
def healthz() -> dict[str, str]:
    """The process answers. Looks at nothing else."""
    return {"status": "ok"}


@health.get("/readyz")
@public
@for_clients
def readyz() -> tuple[dict[str, str], int]:
    """The process can do its work: the database answers at the newest migration, the broker answers."""
    parts = {"database": _database_state(), "broker": _broker_state()}
    ready = parts["database"] == "ok"
    for name, state in health_notes.items():
        parts[name] = state()
    return {"status": "ready" if ready else "not ready", **parts}, 200 if ready else 503


def _database_state() -> str:
    try:
        versions = set(db.session.scalars(text("SELECT version_num FROM alembic_version")))
    except ProgrammingError:
        return "not migrated"
    except SQLAlchemyError:
        return "unreachable"
    return "ok" if versions and not versions & _outdated_versions() else "not migrated"


@cache
def _outdated_versions() -> set[str]:
    """The migrations before the newest. One unknown here is newer: this process is about to be replaced, not broken."""
    scripts = ScriptDirectory(migrate.directory)
    return {script.revision for script in scripts.walk_revisions()} - set(scripts.get_heads())


def _broker_state() -> str:
    url = settings().broker_url
    if not url.startswith(("redis://", "rediss://")):
        return "not checked"
    try:
        Redis.from_url(url, socket_connect_timeout=1, socket_timeout=1).ping()
    except RedisError:
        return "unreachable"
    return "ok"
