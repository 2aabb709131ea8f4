"""HTTP of tracking: what clients reach from a message, what vendors call, and the pages of staff."""

from flask import Flask

from app.tracking.hits import install_hit_front
from app.tracking.views import public, webhooks


def register(app: Flask) -> None:
    """Put the hits in front and register the pages."""
    install_hit_front(app)
    app.register_blueprint(public.bp)
    app.register_blueprint(webhooks.bp)
