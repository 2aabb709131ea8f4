"""E-mail as a kind of step."""

from collections.abc import Iterable

from flask_babel import lazy_gettext as _l

from app.campaigns.market_profiles import MARKET_PROFILES
from app.campaigns.models import Campaign, Step
from app.campaigns.preflight import message_findings
from app.campaigns.step_kinds import Finding, StepKind
from app.core.extensions import settings


def _findings(step: Step, campaign: Campaign) -> Iterable[Finding]:
    profile = MARKET_PROFILES[settings().market_profile]
    return message_findings(step.content, purpose=campaign.purpose, profile=profile) if step.content else ()


def _summary(step: Step) -> str:
    return step.content.subject if step.content else ""


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
)
