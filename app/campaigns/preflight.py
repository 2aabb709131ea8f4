"""What is checked before a campaign goes to compliance: errors block, warnings are for people to weigh."""

import html
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace

from flask_babel import lazy_gettext as _l

from app.campaigns.experiments.control import control_findings
from app.campaigns.market_profiles import MarketProfile
from app.campaigns.models import Campaign, Step
from app.campaigns.sending_rules import CHANNEL_LABELS, rules_in_force, shut_channels
from app.campaigns.step_kinds import Finding, all_words, step_kind
from app.content.compiling import compile_source
from app.content.models import EmailContent

SUBJECT_COLUMNS = 70  # about what a desktop inbox shows; a phone shows half
CLIPPED_BYTES = 102_000  # Gmail shows no more of a message without another tap
_ALT = re.compile(r"\balt\s*=\s*(?:\"([^\"]*)\"|'([^']*)')", re.I)
_EMPTY_LINK = re.compile(r"<a\b[^>]*\bhref\s*=\s*[\"']\s*#?\s*[\"']", re.I)
_LIQUID = re.compile(r"\{[{%].*?[%}]\}", re.S)
_NEGATION = re.compile(
    r"(?:\b(?:no|not|never|nor|cannot|without|neither)\b|n't\b)[^.!?;]{0,24}$"
    r"|(?:不|未|没有|无法|严禁|禁止|非(?!常))[^。！？；，]{0,3}$",
    re.I,
)


def preflight(campaign: Campaign) -> list[Finding]:
    """Everything found about a campaign, errors first. The size of the audience is counted apart (it takes longer)."""
    found: list[Finding] = []
    if not any(link.role == "include" for link in campaign.segments):
        found.append(Finding("error", "audience", _l("Choose at least one segment to send to.")))
    for step in campaign.steps:
        found += _step_findings(step, campaign)
    found += control_findings(campaign)
    for channel in shut_channels(campaign, rules_in_force()):
        shut = _l(
            "The send window and the quiet hours leave no time for %(channel)s: it would wait for ever.",
            channel=CHANNEL_LABELS.get(channel, channel),
        )
        found.append(Finding("error", "send", shut))
    if campaign.purpose == "statutory" and campaign.product_risk is not None:
        found.append(Finding("error", "send", _l("A statutory notice offers no product.")))
    if not campaign.seeds:
        found.append(
            Finding("note", "message", _l("The seed list is empty: no colleague will see the real send arrive."))
        )
    return sorted(found, key=lambda finding: ("error", "warning", "note").index(finding.severity))


def _step_findings(step: Step, campaign: Campaign) -> Iterator[Finding]:
    """What is found about each variant of a step, and about comparing them."""
    kind = step_kind(step.channel)
    if step.variants and (campaign.spread_hours or 0) >= step.test_hours:
        long = _l("The messages are spread over more hours than the test of the variants lasts: it would end too soon.")
        yield Finding("warning", "message", long, step.id)
    for letter, words in all_words(step):
        if kind.is_written(words):
            for finding in kind.findings(words, campaign):
                yield replace(finding, step_id=step.id, variant=letter)
        elif letter not in (None, "A"):
            unwritten = _l("Variant %(letter)s says nothing yet.", letter=letter)
            yield Finding("error", "message", unwritten, step.id, letter)
        elif len(campaign.steps) == 1:
            yield Finding("error", "message", _l("Write the message first."), step.id, letter)
        else:
            unwritten = _l("Step %(number)s (%(kind)s) says nothing yet.", number=step.position + 1, kind=kind.label)
            yield Finding("error", "message", unwritten, step.id, letter)


def message_findings(content: EmailContent, *, purpose: str, profile: MarketProfile) -> Iterator[Finding]:
    """What is wrong or doubtful about a message for this purpose in this market."""
    compiled = compile_source(
        format=content.format, subject=content.subject, preheader=content.preheader, source=content.source
    )
    for problem in compiled.problems:
        yield Finding(problem.severity, "message", problem.message)
    yield from _subject_findings(content, purpose=purpose, profile=profile)
    yield from _word_findings(content, purpose=purpose, profile=profile)
    # Where the body has no words, its plain-text part is the subject.
    if not re.search(r"\w", _LIQUID.sub("", content.text)) or content.text.strip() == content.subject:
        yield Finding("error", "message", _l("The message has no text: readers without pictures would see nothing."))
    if not content.preheader:
        yield Finding("warning", "message", _l("There is no preheader: inboxes will show the first words of the body."))
    if len(content.html.encode()) > CLIPPED_BYTES:
        yield Finding("warning", "message", _l("The message is large: Gmail shows only its first 102 KB."))
    if _EMPTY_LINK.search(content.html):
        yield Finding("error", "message", _l("A link or button leads nowhere."))
    if "www.example.com" in content.html:
        yield Finding("warning", "message", _l("A link still leads to the placeholder www.example.com."))
    if "unsubscribe_url" not in content.html:
        yield Finding(
            "note", "message", _l("The firm's name, its address and the unsubscribe link are added at the end.")
        )


def _subject_findings(content: EmailContent, *, purpose: str, profile: MarketProfile) -> Iterator[Finding]:
    subject = _LIQUID.sub("", content.subject)
    if not content.subject.strip():
        yield Finding("error", "message", _l("The subject is empty."))
    columns = sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in subject)
    if columns > SUBJECT_COLUMNS:
        yield Finding("warning", "message", _l("The subject is long: many inboxes will cut it off."))
    if purpose == "marketing" and profile.subject_marks:
        marks = "|".join(re.escape(mark) for mark in profile.subject_marks)
        if not re.match(rf"[\s\[(<【（《]*(?:{marks})(?![A-Za-z])", content.subject):
            yield Finding(
                "error",
                "message",
                _l(
                    "The subject of marketing mail has to begin with %(marks)s in this market.",
                    marks=" / ".join(profile.subject_marks),
                ),
            )


def _word_findings(content: EmailContent, *, purpose: str, profile: MarketProfile) -> Iterator[Finding]:
    alternatives = " \n".join(html.unescape(one or other) for one, other in _ALT.findall(content.html))
    words = "\n".join((content.subject, content.preheader, content.text, alternatives))
    for phrase, negated in phrases_in(words, profile.forbidden):
        if negated:
            yield Finding(
                "warning", "message", _l("“%(phrase)s” is only allowed when denied. Check it.", phrase=phrase)
            )
        else:
            yield Finding("error", "message", _l("“%(phrase)s” is a forbidden phrase in this market.", phrase=phrase))
    for phrase, _negated in phrases_in(words, profile.doubtful):
        yield Finding("warning", "message", _l("“%(phrase)s” may be read as pressure or boasting.", phrase=phrase))
    if purpose != "marketing":
        for phrase, _negated in phrases_in(words, profile.promotional):
            yield Finding(
                "error",
                "message",
                _l("“%(phrase)s” is promotion: it belongs into a campaign whose purpose is marketing.", phrase=phrase),
            )


def phrases_in(text: str, phrases: tuple[str, ...]) -> Iterator[tuple[str, bool]]:
    """Each phrase that occurs, and whether every occurrence is denied ("is not guaranteed", "不保本").

    A longer phrase hides a shorter one inside it.
    """
    taken: list[tuple[int, int]] = []
    for phrase in sorted(phrases, key=len, reverse=True):
        edge = r"\b" if phrase.isascii() else ""
        pattern = re.compile(edge + r"\s+".join(map(re.escape, phrase.split())) + edge, re.I)
        spans = [match.span() for match in pattern.finditer(text)]
        spans = [(start, end) for start, end in spans if not any(a <= start and end <= b for a, b in taken)]
        taken += spans
        if spans:
            yield phrase, all(_NEGATION.search(text[max(0, start - 80) : start]) for start, _end in spans)
