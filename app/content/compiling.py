"""From what staff write to what is kept: MJML or HTML with Liquid becomes HTML, plain text and a list of findings."""

import html as html_entities
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import mrml
from flask_babel import gettext as _
from inscriptis import get_text
from inscriptis.model.config import ParserConfig
from liquid.template import BoundTemplate

from app.content.links import HREF, has_host, is_web, target_of
from app.content.liquid import HTML, TEXT, ContentInvalid, parse
from app.content.personalisation import URL_VARIABLES, merge_fields
from app.core.tokens import MAX_TARGET_BYTES

MAX_SOURCE = 500_000


@dataclass(frozen=True, slots=True)
class Problem:
    """A finding about a message; an `error` must be mended before it can be sent."""

    message: str
    severity: str = "warning"


@dataclass(frozen=True, slots=True)
class CompiledSource:
    html: str
    text: str
    problems: list[Problem] = field(default_factory=list)


def compile_source(*, format: str, subject: str, preheader: str, source: str) -> CompiledSource:
    """Turn what was written into HTML and plain text and say what is doubtful about it.

    Raises ContentInvalid where MJML or Liquid cannot be read. No remote font, script or include survives, nor a
    control character: those mark the slots.
    """
    if len(source) > MAX_SOURCE:
        raise ContentInvalid(_("The message is longer than %(size)s characters.", size=MAX_SOURCE))
    subject, preheader, source = (_CONTROLS.sub("", part) for part in (subject, preheader, source))
    parse(TEXT, preheader, _("preheader"))
    body = _compile_mjml(source) if format == "mjml" else source
    if "<body" not in body.lower():
        body = f"<!doctype html><html><head><meta charset='utf-8'></head><body>{body}</body></html>"
    body, removed = _without_remote_code(body)
    if preheader:
        body = _insert_preheader(body, preheader)
    templates = [parse(TEXT, subject, _("subject")), parse(HTML, body, _("message"))]
    text = _plain_text(body) or subject + "\n"
    parse(TEXT, text, _("plain text"))
    return CompiledSource(body, text, [*removed, *_problems(templates), *_markup_problems(body), *_link_problems(body)])


def _compile_mjml(source: str) -> str:
    try:
        output = mrml.to_html(source, None, mrml.RenderOptions(disable_comments=True, fonts={}))
    except OSError as error:
        raise ContentInvalid(_("The MJML cannot be read: %(why)s.", why=str(error))) from error
    return str(output.content)


_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
_REMOTE_CODE = re.compile(r"<script\b.*?(?:</script\s*>|$)|<link\b[^>]*>|@import\b[^;<]*;?", re.I | re.S)
_LIQUID = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.S)


def _without_remote_code(body: str) -> tuple[str, list[Problem]]:
    """The body without scripts and remote styles, and a word about it; what only appears by removing goes too."""
    kept, count = _REMOTE_CODE.subn("", body)
    while count and _REMOTE_CODE.search(kept):
        kept = _REMOTE_CODE.sub("", kept)
    warning = Problem(_("Scripts and remote style sheets were removed: mail programs do not load them."))
    return kept, [warning] if count else []


def _insert_preheader(body: str, preheader: str) -> str:
    words = "".join(
        piece if index % 2 else html_entities.escape(piece, quote=False)
        for index, piece in enumerate(re.split(f"({_LIQUID.pattern})", preheader, flags=re.S))
    )
    hidden = _PREHEADER + words + "&#847;&zwnj;&nbsp;" * 20 + "</div>"
    return re.sub(r"(<body\b[^>]*>)", lambda match: match.group(1) + hidden, body, count=1, flags=re.I)


_PREHEADER = '<div style="display:none;max-height:0;overflow:hidden;mso-hide:all">'


def _plain_text(body: str) -> str:
    """The readable text with link addresses in brackets, or "" where there is none.

    Liquid is set aside meanwhile, so that an HTML reader neither splits nor escapes it.
    """
    liquid: list[str] = []

    def set_aside(match: re.Match[str]) -> str:
        liquid.append(match[0])
        return f"\ue000{len(liquid) - 1}\ue001"

    without_preheader = re.sub(re.escape(_PREHEADER) + ".*?</div>", "", body, count=1, flags=re.S)
    text = get_text(_LIQUID.sub(set_aside, without_preheader), ParserConfig(display_links=True))
    text = re.sub("\ue000(\\d+)\ue001", lambda match: liquid[int(match[1])], text)
    lines = (line.strip() for line in text.replace("\xa0", " ").splitlines())
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
    return text + "\n" if text else ""


def _problems(templates: list[BoundTemplate]) -> Iterator[Problem]:
    known = {merge.key for merge in merge_fields()}
    seen: set[str] = set()
    for template in templates:
        for variables in template.analyze().globals.values():
            for variable in variables:
                key = ".".join(str(segment) for segment in variable.segments)
                if key in seen or key in URL_VARIABLES:
                    continue
                seen.add(key)
                if key not in known:
                    yield Problem(_("“%(field)s” is not a merge field.", field=key), "error")
                elif not re.search(r"\{\{-?\s*" + re.escape(key) + r"\s*\|\s*default", str(template)) and not re.search(
                    r"\{%-?\s*(?:if|unless|case)[^%]*" + re.escape(key), str(template)
                ):
                    yield Problem(_("“%(field)s” has no default for clients without it.", field=key))


_HANDLER = re.compile(r"<\w(?:[^<>\"']|\"[^\"]*\"|'[^']*'){0,2000}?[\s\"'/](on[a-z]+)\s*=", re.I)
_UNSHOWN = re.compile(
    r"<(iframe|object|embed|form|input|button|base|video|audio|meta(?=[^>]*http-equiv=.refresh))\b", re.I
)


def _markup_problems(body: str) -> Iterator[Problem]:
    """What mail programs refuse to run or to show, and often take for an attack."""
    for handler in sorted({match[1].lower() for match in _HANDLER.finditer(body)}):
        yield Problem(_("The attribute %(name)s is a script. Remove it.", name=handler), "error")
    for name in sorted({match[1].lower() for match in _UNSHOWN.finditer(body)}):
        yield Problem(_("Mail programs do not show <%(name)s>. Remove it.", name=name), "error")


def _link_problems(body: str) -> Iterator[Problem]:
    for target in dict.fromkeys(target_of(match) for match in HREF.finditer(body)):
        scheme = "".join(target.split()).partition(":")[0].lower()
        if scheme in ("javascript", "vbscript", "data", "file") or (is_web(target) and not has_host(target)):
            yield Problem(_("The link %(target)s does not lead to a page.", target=target[:80]), "error")
        elif scheme == "http":
            yield Problem(_("The link %(target)s is not https.", target=target[:80]))
        elif len(target.encode()) > MAX_TARGET_BYTES:
            yield Problem(_("The link %(target)s is too long to be counted.", target=target[:80]))
        elif target.startswith("{{") and not any(name in target for name in URL_VARIABLES):
            yield Problem(
                _("The link %(target)s begins with a merge field, so its clicks are not counted.", target=target)
            )
    for image in re.findall(r"<img\b[^>]*>", body, flags=re.I):
        if not re.search(r"\balt\s*=", image, flags=re.I):
            yield Problem(_("An image has no alternative text."))
