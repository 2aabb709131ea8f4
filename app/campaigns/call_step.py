"""A call or visit of an adviser as a kind of step: its content is a script."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from flask_babel import lazy_gettext as _l

from app.campaigns.market_profiles import MARKET_PROFILES
from app.campaigns.models import Campaign, Step, Variant
from app.campaigns.preflight import phrases_in
from app.campaigns.service import set_step_content
from app.campaigns.step_kinds import Finding, StepKind, Worded
from app.content.calls.models import CallScript
from app.content.calls.service import all_words, new_script, same_script
from app.core.extensions import settings
from app.core.permissions import Actor

CALL = "call"


def set_script(
    *,
    campaign: Campaign,
    step: Step,
    kind: str,
    goal: str,
    words: str,
    parts: Mapping[int, str],
    objections: Sequence[tuple[str, str]],
    actor: Actor | None,
    seen_script_id: int | None = None,
    variant: Variant | None = None,
) -> CallScript:
    """Write the script of a step: a new version, unless nothing changed. Raises what `new_script` refuses, Conflict."""
    script = new_script(
        kind=kind,
        goal=goal,
        words=words,
        parts=parts,
        objections=objections,
        segment_ids=script_segments(campaign),
        actor=actor,
    )
    before = (variant or step).call_script
    if before is not None and same_script(before, script):
        return before
    set_step_content(
        campaign=campaign, step=step, content=script, actor=actor, seen_content_id=seen_script_id, variant=variant
    )
    return script


def script_segments(campaign: Campaign) -> Collection[int]:
    """The segments of the campaign that may have words of their own, in the order in which the first counts."""
    return list(dict.fromkeys(link.segment_id for role in ("include", "report") for link in campaign.segments
                              if link.role == role))  # fmt: skip


def _findings(words: Worded, campaign: Campaign) -> Iterable[Finding]:
    if words.call_script is None:
        return
    profile, said = MARKET_PROFILES[settings().market_profile], all_words(words.call_script)
    for phrase, negated in phrases_in(said, profile.forbidden):
        if negated:
            yield Finding(
                "warning", "message", _l("“%(phrase)s” is only allowed when denied. Check it.", phrase=phrase)
            )
        else:
            yield Finding("error", "message", _l("“%(phrase)s” is a forbidden phrase in this market.", phrase=phrase))
    for phrase, _negated in phrases_in(said, profile.doubtful):
        yield Finding("warning", "message", _l("“%(phrase)s” may be read as pressure or boasting.", phrase=phrase))
    if campaign.purpose != "marketing":
        for phrase, _negated in phrases_in(said, profile.promotional):
            yield Finding(
                "error",
                "message",
                _l("“%(phrase)s” is promotion: it belongs into a campaign whose purpose is marketing.", phrase=phrase),
            )
    if not words.call_script.objections:
        yield Finding("note", "message", _l("The script has no answers to objections."))
    if campaign.product_risk is not None:
        yield Finding(
            "note",
            "message",
            _l("The campaign offers a product: only advisers with a registration number get these tasks."),
        )


def _summary(words: Worded) -> str:
    return words.call_script.goal if words.call_script else ""


CALL_STEP = StepKind(
    channel=CALL,
    label=_l("Call or visit"),
    icon="phone",
    contact=CALL,
    content="call_script",
    endpoint="campaigns.script",
    preview="campaigns/_stored_script.html",
    findings=_findings,
    summary=_summary,
    metrics=("accounts",),
)
