"""What the tables for a partner are called, in the reader's language."""

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app.reports.partner.queries import Category, Dimension, PartnerReport

DIMENSION_LABELS = {Dimension.BRANCH: _l("Branch"), Dimension.TIER: _l("Tier")}
WITHHELD = "∗"


def category_labels(report: PartnerReport) -> list[str]:
    """The heads of the columns before the total."""
    apart = Category.EFFECTIVE in report.categories
    words = {
        Category.EFFECTIVE: _("Effective account"),
        Category.OPENED: _("Account opened, not effective") if apart else _("Account opened"),
        Category.NONE: _("No account opened"),
    }
    return [str(words[category]) for category in report.categories]
