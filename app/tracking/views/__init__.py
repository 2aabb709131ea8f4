"""HTTP of tracking: what clients reach from a message, what vendors call, and the pages of staff."""

from flask import Flask

from app.config import Config
from app.core.web import health_notes
from app.tracking.cli import tracking_cli
from app.tracking.hits import install_hit_front
from app.tracking.intake import Intake
from app.tracking.lead_forms import public_views as lead_form
from app.tracking.lead_forms import views as lead_forms
from app.tracking.mail import polling
from app.tracking.openings import views as openings
from app.tracking.openings import webhook_views as opening_webhook
from app.tracking.replies.views import bp as replies
from app.tracking.views import mailbox, preferences, public, sms, sms_mailbox, webhooks


def register(app: Flask) -> None:
    """Put the hits in front and register the pages; the mailbox only where mail stays here."""
    config: Config = app.extensions["bellwether_config"]
    install_hit_front(app)
    intake: Intake = app.extensions["bellwether_intake"]
    health_notes["events_unrecorded"] = lambda: str(intake.unrecorded)
    health_notes["mailbox"] = polling.health
    for blueprint in (
        public.bp,
        preferences.bp,
        webhooks.bp,
        sms.bp,
        sms.parked,
        sms_mailbox.bp,
        replies,
        openings.bp,
        opening_webhook.bp,
        lead_form.bp,
        lead_forms.bp,
    ):
        app.register_blueprint(blueprint)
    if config.email_channel == "mailbox":
        app.register_blueprint(mailbox.bp)
    app.cli.add_command(tracking_cli)
