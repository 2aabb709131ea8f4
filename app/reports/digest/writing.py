"""A digest as an e-mail: subject, HTML and plain text in its reader's language, with links and no client's data."""

from dataclasses import dataclass
from urllib.parse import quote

from flask import current_app
from flask_babel import force_locale, format_decimal
from flask_babel import gettext as _

from app.core.extensions import LANGUAGES, settings
from app.core.web import day
from app.reports.digest.queries import DigestLine, Figures
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
    """The e-mail for one member of staff. Its HTML is a template of its own kind: what holds of pages (no styles in
    the markup) does not hold of mail."""
    base = settings().base_url.rstrip("/")
    with force_locale(user.locale if user.locale in LANGUAGES else "en"):
        days = day(figures.last)
        if figures.period == "weekly":
            days = _("%(first)s to %(last)s", first=day(figures.first), last=days)
        values = {
            "figures": figures,
            "title": _("Campaigns on %(days)s", days=days),
            "news": {line.campaign.id: _news(line) for line in figures.lines},
            "note": _(
                "Clients are counted since the launch, as far as you may see them. Details open in Bellwether after "
                "you sign in."
            ),
            "change": _("Change or end this e-mail"),
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
            for form in ("xhtml", "txt")
        }
        return Written(
            subject=str(values["title"]),
            html=made["xhtml"],
            text=made["txt"],
        )


def _news(line: DigestLine) -> str:
    return str(
        _(
            "New: %(accounts)s accounts opened, %(replies)s replies.",
            accounts=format_decimal(line.new_accounts),
            replies=format_decimal(line.new_replies),
        )
    )
