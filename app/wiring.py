"""Hooks the features together: the only module that knows them all."""

from importlib import import_module
from pathlib import Path

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from app.advising.channel import ADVISERS, CALL, VENDOR, CallMaterial
from app.advising.handing_over import CONTACTS, TASKS
from app.audiences.choices import register_campaigns
from app.audiences.handing_over import BY_SEGMENT, SEGMENTS
from app.audiences.service import refuse_field_change
from app.campaigns.call_step import CALL_STEP
from app.campaigns.email_step import EMAIL_STEP
from app.campaigns.handing_over import DRAFTS, WAITING
from app.campaigns.queries import CAMPAIGN_CHOICES
from app.campaigns.service import LAUNCH, refuse_segment_archive, refuse_segment_edit
from app.campaigns.sms_step import SMS_STEP
from app.campaigns.step_kinds import register_step_kind
from app.campaigns.webhook_step import WEBHOOK_STEP
from app.channels.registry import register_vendor
from app.channels.sms.mailbox import SMS_MAILBOX
from app.clients.field_service import ARCHIVE as ARCHIVE_FIELD
from app.clients.field_service import NARROW as NARROW_FIELD
from app.clients.ownership.handing_over import register_belongings, register_selection
from app.clients.ownership.loads import register_work
from app.clients.ownership.service import refuse_to_stop_advising
from app.clients.reachability.queries import REPAIRS
from app.config import Config
from app.core.assets import init_assets
from app.core.events import listen
from app.core.extensions import babel, choose_locale, csrf, db, login_manager, migrate
from app.core.guards import guard
from app.core.logs import configure_logging, log_requests
from app.core.pool import ask_idle_connections
from app.core.queues import AUDIENCE, DEFAULT, REPORT, SEND_EMAIL, SEND_SMS, TRACK, configure_celery
from app.core.tokens import Links, Signer
from app.core.web import init_web
from app.delivery.email import EmailMaterial
from app.delivery.material import register_material
from app.delivery.routing import register_only_account
from app.delivery.sms import SmsMaterial
from app.delivery.stopping import refuse_launch
from app.delivery.webhook import WebhookMaterial
from app.users.service import STOP_ADVISING

MAX_UPLOAD_BYTES = 500 << 20

# The modules that hold the tasks, jobs and ticks of each queue. A worker loads those of its queues only.
TASK_MODULES = {
    SEND_EMAIL: ("app.delivery.tasks",),
    SEND_SMS: ("app.delivery.tasks",),
    DEFAULT: ("app.core.jobs", "app.campaigns.tasks", "app.delivery.tasks"),
    TRACK: (
        "app.core.jobs",
        "app.tracking.tasks",
        "app.tracking.mail.tasks",
        "app.tracking.openings.tasks",
        "app.tracking.lead_forms.tasks",
        "app.tracking.replies.tasks",
    ),
    AUDIENCE: (
        "app.core.jobs",
        "app.clients.tasks",
        "app.clients.duplicates.tasks",
        "app.clients.ownership.tasks",
        "app.clients.feeds.tasks",
        "app.clients.switching.tasks",
        "app.clients.metrics.tasks",
        "app.audiences.tasks",
        "app.clients.exporting.tasks",
        "app.clients.reachability.tasks",
        "app.clients.classes.tasks",
        "app.advising.tasks",
    ),
    REPORT: ("app.core.jobs", "app.reports.tasks", "app.reports.digest.tasks"),
}


def wire(app: Flask, config: Config, *, web: bool) -> None:
    """Configure the app, bind the extensions and register the features (`web=False`: no pages)."""
    configure_logging(config)
    app.config.update(
        SECRET_KEY=config.secret_key,
        SQLALCHEMY_DATABASE_URI=config.database_url,
        SQLALCHEMY_ENGINE_OPTIONS={"pool_size": 20, "max_overflow": 20},
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=config.secure_cookies,
        MAX_CONTENT_LENGTH=MAX_UPLOAD_BYTES,
        WTF_CSRF_TIME_LIMIT=None,
        BABEL_DEFAULT_LOCALE="en",
        BABEL_DEFAULT_TIMEZONE=config.time_zone,
        BABEL_TRANSLATION_DIRECTORIES=str(Path(app.root_path) / "translations"),
    )
    app.extensions["bellwether_config"] = config
    signer = Signer(config.secret_key)
    app.extensions["bellwether_signer"] = signer
    app.extensions["bellwether_links"] = Links(signer, config.public_url, config.reply_domain, config.bounce_domain)
    db.init_app(app)
    with app.app_context():
        ask_idle_connections(db.engine)
    migrate.init_app(app, db, directory=str(Path(app.root_path).parent / "migrations"))
    babel.init_app(app, locale_selector=choose_locale)
    configure_celery(app, config)
    log_requests(app)
    if web:
        csrf.init_app(app)
        login_manager.init_app(app)
        init_web(app, config)
        init_assets(app)
        # By name: a worker must not pay for the memory of pages and statistics.
        import_module("app.pages").register_pages(app)
        if config.proxy_hops:  # outermost, so that hits see the client's address too
            hops = config.proxy_hops
            app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    connect_features()


def connect_features() -> None:
    """Who listens to whose events, and who may refuse whose steps. Needed in every process that acts."""
    listen("campaign.launched", job="delivery.plan_run", queue=DEFAULT)
    listen("campaign.resumed", job="delivery.resume_run", queue=DEFAULT)
    listen("metrics.computed", job="clients.compute_classes", queue=AUDIENCE)
    listen("campaign.cancelled", job="delivery.cancel_run", queue=DEFAULT)
    register_step_kind(EMAIL_STEP)
    register_step_kind(SMS_STEP)
    register_step_kind(WEBHOOK_STEP)
    register_step_kind(CALL_STEP)
    register_material("email", EmailMaterial, queue=SEND_EMAIL)
    register_material("webhook", WebhookMaterial, queue=SEND_SMS)
    register_only_account("sms", vendor=SMS_MAILBOX.name)
    register_material("sms", SmsMaterial, queue=SEND_SMS)
    register_vendor(ADVISERS)
    register_only_account(CALL, vendor=VENDOR)
    register_material(CALL, CallMaterial, queue=DEFAULT)
    register_campaigns(CAMPAIGN_CHOICES)
    guard("archive segment", refuse_segment_archive)
    guard(ARCHIVE_FIELD, refuse_field_change)
    guard(NARROW_FIELD, refuse_field_change)
    guard(STOP_ADVISING, refuse_to_stop_advising)
    for belongings in (DRAFTS, WAITING, SEGMENTS, TASKS):
        register_belongings(belongings)
    register_selection(BY_SEGMENT)
    register_work(REPAIRS)
    register_work(CONTACTS)
    guard("edit segment", refuse_segment_edit)
    guard(LAUNCH, refuse_launch)


def load_tasks(queues: str | None = None) -> None:
    """Import the task modules of these queues (comma-separated), or of all of them."""
    for queue in queues.split(",") if queues else TASK_MODULES:
        for module in TASK_MODULES[queue.strip()]:
            import_module(module)
