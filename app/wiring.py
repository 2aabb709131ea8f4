"""Hooks the features together: the only module that knows them all."""

from dataclasses import dataclass
from pathlib import Path

from flask import Flask, current_app, request
from flask_babel import lazy_gettext as _l

from app.config import Config
from app.core.extensions import babel, choose_locale, csrf, db, login_manager, migrate
from app.core.logs import configure_logging, log_requests
from app.core.permissions import Permission
from app.core.queues import configure_celery
from app.core.tokens import Links, Signer
from app.core.web import can, init_web

MAX_UPLOAD_BYTES = 500 << 20


def wire(app: Flask, config: Config, *, web: bool) -> None:
    """Configure the app, bind the extensions and register the features (`web=False`: no pages)."""
    configure_logging(config)
    app.config.update(
        SECRET_KEY=config.secret_key,
        SQLALCHEMY_DATABASE_URI=config.database_url,
        SQLALCHEMY_ENGINE_OPTIONS={"pool_pre_ping": True, "pool_size": 20, "max_overflow": 20},
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=config.secure_cookies,
        MAX_CONTENT_LENGTH=MAX_UPLOAD_BYTES,
        WTF_CSRF_TIME_LIMIT=None,
        BABEL_DEFAULT_LOCALE="en",
        BABEL_TRANSLATION_DIRECTORIES=str(Path(app.root_path) / "translations"),
    )
    app.extensions["bellwether_config"] = config
    signer = Signer(config.secret_key)
    app.extensions["bellwether_signer"] = signer
    app.extensions["bellwether_links"] = Links(signer, config.public_url, config.reply_domain)
    db.init_app(app)
    migrate.init_app(app, db, directory=str(Path(app.root_path).parent / "migrations"))
    babel.init_app(app, locale_selector=choose_locale)
    configure_celery(app, config)
    log_requests(app)
    if web:
        csrf.init_app(app)
        login_manager.init_app(app)
        init_web(app, config)
        app.context_processor(visible_navigation)
        register_pages(app)


def register_pages(app: Flask) -> None:
    """Blueprints and command groups of the features."""


@dataclass(frozen=True)
class NavigationEntry:
    """One line of the staff navigation; shown where the permission (if any) is granted."""

    label: object
    endpoint: str
    icon: str
    permission: Permission | None = None

    @property
    def active(self) -> bool:
        return (request.endpoint or "").split(".")[0] == self.endpoint.split(".")[0]


NAVIGATION = (
    NavigationEntry(_l("Overview"), "reports.home", "home"),
    NavigationEntry(_l("Campaigns"), "campaigns.index", "send", Permission.VIEW_CAMPAIGNS),
    NavigationEntry(_l("Segments"), "audiences.index", "filter", Permission.VIEW_SEGMENTS),
    NavigationEntry(_l("Clients"), "clients.index", "users", Permission.VIEW_CLIENTS),
    NavigationEntry(_l("E-mail templates"), "content.index", "template", Permission.EDIT_CAMPAIGNS),
    NavigationEntry(_l("Replies"), "replies.index", "message", Permission.MANAGE_REPLIES),
    NavigationEntry(_l("Account openings"), "openings.index", "building-bank", Permission.VIEW_REPORTS),
    NavigationEntry(_l("Local mailbox"), "mailbox.index", "inbox"),
    NavigationEntry(_l("Staff"), "users.index", "id-badge", Permission.ADMINISTER),
)


def visible_navigation() -> dict[str, list[NavigationEntry]]:
    """The entries that the signed-in person may use."""
    return {
        "navigation": [
            entry
            for entry in NAVIGATION
            if entry.endpoint in current_app.view_functions and (entry.permission is None or can(entry.permission))
        ]
    }
