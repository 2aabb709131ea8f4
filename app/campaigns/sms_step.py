"""SMS as a kind of step: writing it, and what is wrong or doubtful about it."""

from collections.abc import Iterator

from flask_babel import lazy_gettext as _l

from app.campaigns.market_profiles import MARKET_PROFILES
from app.campaigns.models import Campaign, Step, Variant
from app.campaigns.preflight import phrases_in
from app.campaigns.service import set_step_content
from app.campaigns.sms_rules import SMS_RULES
from app.campaigns.step_kinds import Finding, StepKind, Worded
from app.channels.sms.length import sms_length
from app.content.personalisation import example_values
from app.content.sms.measuring import strange_characters
from app.content.sms.models import Registration, SmsContent
from app.content.sms.rendering import compile_sms
from app.content.sms.service import new_sms, same_sms
from app.core.extensions import settings
from app.core.permissions import Actor

LONG_PARTS = 3


def set_sms(
    *,
    campaign: Campaign,
    step: Step,
    text: str,
    signature_id: int | None,
    template_id: int | None,
    actor: Actor | None,
    seen_content_id: int | None = None,
    variant: Variant | None = None,
) -> SmsContent:
    """Write the SMS of a step: a new version, unless nothing changed. Raises what `new_sms` refuses, and Conflict."""
    content = new_sms(text=text, signature_id=signature_id, template_id=template_id, actor=actor)
    before = (variant or step).sms_content
    if before is not None and same_sms(before, content):
        return before
    set_step_content(
        campaign=campaign, step=step, content=content, actor=actor, seen_content_id=seen_content_id, variant=variant
    )
    return content


def example_text(content: SmsContent) -> str:
    """The whole SMS filled with example values."""
    sms = compile_sms(content.text, content.signature.name if content.signature else "")
    return sms.whole(sms.body(example_values()))


def _findings(words: Worded, campaign: Campaign) -> Iterator[Finding]:
    content = words.sms_content
    if content is None:
        return
    yield from _registration_findings(content)
    yield from _word_findings(content, campaign.purpose)
    text = example_text(content)
    length = sms_length(text)
    if length.parts > LONG_PARTS:
        yield Finding("warning", "message", _l("The SMS is %(parts)s parts long.", parts=length.parts))
    strange = strange_characters(text)
    if strange:
        yield Finding(
            "note",
            "message",
            _l("A part holds 70 characters only because of: %(characters)s", characters=" ".join(strange)),
        )


def _registration_findings(content: SmsContent) -> Iterator[Finding]:
    rules = SMS_RULES[settings().market_profile]
    if content.signature is None and rules.registered:
        yield Finding("error", "message", _l("Choose a signature: SMS of this market need a registered one."))
    if content.signature and not _good(content.signature.state, content.signature.archived_at):
        name = content.signature.name
        yield Finding("error", "message", _l("The signature “%(name)s” is not registered with the vendor.", name=name))
    if content.template is None and rules.registered:
        yield Finding("error", "message", _l("Choose a template: SMS of this market need a registered one."))
    if content.template is None:
        return
    name = content.template.name
    if not _good(content.template.state, content.template.archived_at):
        yield Finding("error", "message", _l("The template “%(name)s” is not registered with the vendor.", name=name))
    if content.template.text != content.text:
        yield Finding(
            "error", "message", _l("The template “%(name)s” has another wording by now. Choose it again.", name=name)
        )


def _word_findings(content: SmsContent, purpose: str) -> Iterator[Finding]:
    profile = MARKET_PROFILES[settings().market_profile]
    rules = SMS_RULES[settings().market_profile]
    if purpose == "marketing" and not any(hint in content.text for hint in rules.opt_out_hints):
        yield Finding(
            rules.hint_severity,
            "message",
            _l("The SMS does not say how to opt out, such as: %(hint)s", hint=rules.opt_out_hints[0]),
        )
    for phrase, negated in phrases_in(content.text, profile.forbidden):
        if negated:
            yield Finding(
                "warning", "message", _l("“%(phrase)s” is only allowed when denied. Check it.", phrase=phrase)
            )
        else:
            yield Finding("error", "message", _l("“%(phrase)s” is a forbidden phrase in this market.", phrase=phrase))
    for phrase, _negated in phrases_in(content.text, profile.doubtful):
        yield Finding("warning", "message", _l("“%(phrase)s” may be read as pressure or boasting.", phrase=phrase))
    if purpose != "marketing":
        for phrase, _negated in phrases_in(content.text, profile.promotional):
            yield Finding(
                "error",
                "message",
                _l("“%(phrase)s” is promotion: it belongs into a campaign whose purpose is marketing.", phrase=phrase),
            )


def _good(state: str, archived_at: object) -> bool:
    return state == Registration.REGISTERED and archived_at is None


def _summary(words: Worded) -> str:
    return words.sms_content.text if words.sms_content else ""


SMS_STEP = StepKind(
    channel="sms",
    label=_l("SMS"),
    icon="message",
    contact="sms",
    content="sms_content",
    endpoint="campaigns.sms",
    preview="campaigns/_sms_preview.html",
    findings=_findings,
    summary=_summary,
    metrics=("accounts",),
)
