"""A digest as an e-mail: subject, HTML and plain text in its reader's language, with links and no client's data."""

from dataclasses import dataclass
from urllib.parse import quote

from flask import current_app
from flask_babel import force_locale, format_date
from flask_babel import gettext as _

from app.core.extensions import LANGUAGES, settings
from app.reports.digest.queries import Figures
from app.reports.response import Outcome
from app.reports.words import OUTCOME_LABELS
from app.users.models import User

SHOWN = (
    Outcome.SENT, Outcome.DELIVERED, Outcome.OPENED, Outcome.CLICKED, Outcome.REPLIED, Outcome.ACCOUNTS_OPENED,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Written:
    subject: str
    html: str
    text: str


def write(figures: Figures, user: User) -> Written:
    """The e-mail for one member of staff."""
    base = settings().base_url.rstrip("/")
    with force_locale(user.locale if user.locale in LANGUAGES else "en"):
        days = format_date(figures.last, "medium")
        if figures.period == "weekly":
            days = _("%(first)s to %(last)s", first=format_date(figures.first, "medium"), last=days)
        values = {
            "figures": figures,
            "days": days,
            "name": user.name,
            "outcomes": SHOWN,
            "labels": OUTCOME_LABELS,
            "firm": settings().firm_name,
            "settings_url": f"{base}/digest",
            "addresses": {
                line.campaign.id: f"{base}/reports/{quote(line.campaign.code, safe='')}" for line in figures.lines
            },
        }
        # The environment itself: what pages get besides is about a request, and there is none.
        made = {
            form: current_app.jinja_env.get_template(f"reports/digest/mail.{form}").render(values)
            for form in ("html", "txt")
        }
        return Written(
            subject=str(_("Campaigns on %(days)s", days=days)),
            html=made["html"],
            text=made["txt"],
        )
