"""The firm's control group over all marketing campaigns."""

from app.campaigns.models import GlobalControl
from app.core.extensions import db


def global_control() -> GlobalControl | None:
    """The group in force; None where the firm has none."""
    row = db.session.get(GlobalControl, 1)
    return row if row is not None and row.percent > 0 else None
