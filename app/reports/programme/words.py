"""What the parts of a programme are called, in the reader's language."""

from datetime import date

from flask_babel import format_date, get_locale
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app.campaigns.models import PURPOSE_LABELS
from app.delivery.accounts.words import channel_label
from app.reports.programme.queries import Grouping
from app.statistics.split import SplitCheck

GROUPING_LABELS = {
    Grouping.MONTH: _l("Month of launch"),
    Grouping.PURPOSE: _l("Purpose"),
    Grouping.CHANNEL: _l("Channel"),
    Grouping.TAG: _l("Tag"),
}


def part_name(grouping: Grouping, key: str) -> str:
    """A month as "March 2026"; a campaign without tags says so."""
    if grouping is Grouping.MONTH:
        first = date.fromisoformat(f"{key}-01")
        return str(format_date(first, "yyyy年M月" if str(get_locale()).startswith("zh") else "MMMM yyyy"))
    if grouping is Grouping.TAG:
        return key or str(_("Without a tag"))
    return channel_label(key) if grouping is Grouping.CHANNEL else str(PURPOSE_LABELS.get(key, key))


def split_result(check: SplitCheck | None) -> str | None:
    """The same in a word or two, for files; None where there was nothing to check."""
    if check is None:
        return None
    return str(_("Passed.") if check.ok else _("Failed: do not trust any comparison."))
