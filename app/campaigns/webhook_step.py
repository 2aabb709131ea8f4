"""A webhook as a kind of step: its content is the data that is posted about each client."""

from collections.abc import Iterable
from typing import Any

from flask_babel import lazy_gettext as _l

from app.campaigns.market_profiles import MARKET_PROFILES
from app.campaigns.models import Campaign, Step
from app.campaigns.preflight import phrases_in
from app.campaigns.service import set_step_content
from app.campaigns.step_kinds import Finding, StepKind
from app.content.webhooks.filling import texts_of
from app.content.webhooks.service import new_webhook_content
from app.core.extensions import settings
from app.core.permissions import Actor

WEBHOOK = "webhook"


def set_webhook(
    *, campaign: Campaign, step: Step, contact: str, text: str, actor: Actor | None, seen_content_id: int | None = None
) -> None:
    """Write what a step posts: a new version, unless nothing changed. Raises what `new_webhook_content` refuses,
    Conflict."""
    content = new_webhook_content(contact=contact, text=text, actor=actor)
    before = step.webhook_content
    if before is not None and (before.contact, before.data) == (content.contact, content.data):
        return
    set_step_content(campaign=campaign, step=step, content=content, actor=actor, seen_content_id=seen_content_id)


def _findings(step: Step, campaign: Campaign) -> Iterable[Finding]:
    if step.webhook_content is None:
        return
    words = "\n".join(texts_of(step.webhook_content.data))
    for phrase, negated in phrases_in(words, MARKET_PROFILES[settings().market_profile].forbidden):
        if negated:
            yield Finding(
                "warning", "message", _l("“%(phrase)s” is only allowed when denied. Check it.", phrase=phrase)
            )
        else:
            yield Finding("error", "message", _l("“%(phrase)s” is a forbidden phrase in this market.", phrase=phrase))
    yield Finding(
        "note", "message", _l("The receiver of the webhook gets these clients' data. Make sure that it may have it.")
    )


def _contact(step: Step) -> str:
    return step.webhook_content.contact if step.webhook_content else "email"


def _summary(step: Step) -> Any:
    names = list(step.webhook_content.data) if step.webhook_content else []
    return ", ".join(names)


WEBHOOK_STEP = StepKind(
    channel=WEBHOOK,
    label=_l("Webhook"),
    icon="webhook",
    contact="email",
    chosen_contact=_contact,
    content="webhook_content",
    endpoint="campaigns.webhook",
    preview="campaigns/_stored_webhook.html",
    findings=_findings,
    summary=_summary,
)
