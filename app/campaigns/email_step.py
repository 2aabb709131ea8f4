"""E-mail as a kind of step."""

from collections.abc import Iterable

from flask_babel import lazy_gettext as _l

from app.campaigns.market_profiles import MARKET_PROFILES
from app.campaigns.models import Campaign
from app.campaigns.preflight import message_findings
from app.campaigns.step_kinds import Finding, StepKind, Worded
from app.core.extensions import settings


def _findings(words: Worded, campaign: Campaign) -> Iterable[Finding]:
    profile = MARKET_PROFILES[settings().market_profile]
    return message_findings(words.content, purpose=campaign.purpose, profile=profile) if words.content else ()


def _summary(words: Worded) -> str:
    return words.content.subject if words.content else ""


EMAIL_STEP = StepKind(
    channel="email",
    label=_l("E-mail"),
    icon="mail",
    contact="email",
    content="content",
    endpoint="campaigns.message",
    preview="campaigns/_stored_preview.html",
    findings=_findings,
    summary=_summary,
    metrics=("clicked", "opened", "accounts"),
)
