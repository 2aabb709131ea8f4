"""From what staff write to what a channel sends.

    source (MJML or HTML, with Liquid) > compile_source > html + text, kept in `EmailContent`
    EmailContent > compile_email > static text and slots (once per process) > fill(recipient) > slot texts

Liquid runs restricted: no file access, no loops beyond a limit, output bounded, every value HTML-escaped in
the HTML part. Links are slots too, so that each recipient's link is signed.
"""

import html as html_entities
import re
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from functools import lru_cache
from io import StringIO
from typing import Any

import mrml
from flask_babel import gettext as _
from inscriptis import get_text
from inscriptis.model.config import ParserConfig
from liquid import Environment, RenderContext
from liquid.builtin.content import ContentNode
from liquid.exceptions import LiquidError
from liquid.output import LimitedStringIO
from liquid.template import BoundTemplate

from app.channels.base import EmailTemplate, Segments
from app.content.models import EmailContent
from app.content.personalisation import URL_VARIABLES, merge_fields
from app.core.errors import AppError
from app.core.tokens import Links

MAX_SOURCE = 500_000
MAX_OUTPUT = 200_000
Values = Mapping[str, Any]


class ContentInvalid(AppError):
    """The message cannot be read; the sentence says where."""

    status = 422


class _Restricted(Environment):
    loop_iteration_limit = 1_000
    output_stream_limit = MAX_OUTPUT
    local_namespace_limit = 100_000
    block_nesting_limit = 10


def _environment(*, autoescape: bool) -> Environment:
    environment = _Restricted(autoescape=autoescape, strict_filters=True)
    for tag in ("include", "render", "liquid", "increment", "decrement"):
        environment.tags.pop(tag)
    environment.filters.pop("safe")
    return environment


_HTML = _environment(autoescape=True)
_TEXT = _environment(autoescape=False)


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


@dataclass(frozen=True, slots=True)
class Preview:
    subject: str
    html: str
    text: str


def compile_source(*, format: str, subject: str, preheader: str, source: str) -> CompiledSource:
    """Turn what was written into HTML and plain text and say what is doubtful about it.

    Raises ContentInvalid where MJML or Liquid cannot be read. No remote font, script or include survives.
    """
    if len(source) > MAX_SOURCE:
        raise ContentInvalid(_("The message is longer than %(size)s characters.", size=MAX_SOURCE))
    body = _compile_mjml(source) if format == "mjml" else source
    if "<body" not in body.lower():
        body = f"<!doctype html><html><head><meta charset='utf-8'></head><body>{body}</body></html>"
    body = re.sub(r"<script\b.*?</script\s*>", "", body, flags=re.I | re.S)
    if preheader:
        body = _insert_preheader(body, preheader)
    templates = [_parse(_TEXT, subject, _("subject")), _parse(_HTML, body, _("message"))]
    _parse(_TEXT, preheader, _("preheader"))
    text = _plain_text(body)
    _parse(_TEXT, text, _("plain text"))
    return CompiledSource(html=body, text=text, problems=[*_problems(templates), *_link_problems(body)])


def _compile_mjml(source: str) -> str:
    try:
        output = mrml.to_html(source, None, mrml.RenderOptions(disable_comments=True, fonts={}))
    except OSError as error:
        raise ContentInvalid(_("The MJML cannot be read: %(why)s.", why=str(error))) from error
    return str(output.content)


def _insert_preheader(body: str, preheader: str) -> str:
    hidden = (
        '<div style="display:none;max-height:0;overflow:hidden;mso-hide:all">' + preheader + "&#847;&zwnj;&nbsp;" * 20
    ) + "</div>"
    return re.sub(r"(<body\b[^>]*>)", lambda match: match.group(1) + hidden, body, count=1, flags=re.I)


def _plain_text(body: str) -> str:
    without_preheader = re.sub(r'<div style="display:none.*?</div>', "", body, count=1, flags=re.S)
    text = get_text(without_preheader, ParserConfig(display_links=True))
    lines = (line.strip() for line in text.replace("\xa0", " ").splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


def _parse(environment: Environment, source: str, part: str) -> BoundTemplate:
    try:
        return environment.from_string(source)
    except LiquidError as error:
        raise ContentInvalid(
            _("The %(part)s has a merge field that cannot be read: %(why)s.", part=part, why=str(error.args[0]))
        ) from error


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


def _link_problems(body: str) -> Iterator[Problem]:
    for target in _targets(body):
        if target.startswith("http://"):
            yield Problem(_("The link %(target)s is not https.", target=target[:80]))
    for image in re.findall(r"<img\b[^>]*>", body, flags=re.I):
        if not re.search(r"\balt\s*=", image, flags=re.I):
            yield Problem(_("An image has no alternative text."))


_HREF = re.compile(
    r"(<(?:a|area)\b[^>]*?\bhref\s*=\s*)(\"((?:\{\{.*?\}\}|[^\"])*)\"|'((?:\{\{.*?\}\}|[^'])*)')", re.I | re.S
)
_URL_IN_TEXT = re.compile(r"https?://(?:\{\{.*?\}\}|[^\s()<>])+")
_MARK = re.compile("\x02(\\w+)\x03")


def _targets(body: str) -> list[str]:
    found = (html_entities.unescape(match[3] or match[4] or "").strip() for match in _HREF.finditer(body))
    return [target for target in found if target.lower().startswith(("http://", "https://"))]


class MessageLinks:
    """The signed addresses of one message, or plain ones (`links` None) in a preview."""

    def __init__(self, links: Links | None, message_id: int = 0, *, pixel: bool = True) -> None:
        self._links = links
        self._message_id = message_id
        self._pixel = pixel

    def click(self, position: int, target: str) -> str:
        return self._links.click(self._message_id, position, target) if self._links else target

    def pixel(self) -> str:
        if self._links is None or not self._pixel:
            return ""
        return (
            f'<img src="{self._links.open_pixel(self._message_id)}" width="1" height="1" alt="" style="display:block">'
        )

    def urls(self) -> dict[str, str]:
        if self._links is None:
            return dict.fromkeys(URL_VARIABLES, "#")
        return {
            "unsubscribe_url": self._links.unsubscribe(self._message_id),
            "view_url": self._links.view_in_browser(self._message_id),
        }


Slot = Callable[[RenderContext, MessageLinks], str]


class _Part:
    """One part of a message as static text and slots."""

    def __init__(self, template: BoundTemplate, slot_of_mark: Callable[[str], Slot]) -> None:
        self.template = template
        self.pieces: list[str | Slot] = []
        for node in template.nodes:
            if isinstance(node, ContentNode):
                for index, piece in enumerate(_MARK.split(node.text)):
                    self._add(slot_of_mark(piece) if index % 2 else piece)
            else:
                self._add(_render_node(node))
        if not self.pieces:
            self.pieces.append("")

    def _add(self, piece: str | Slot) -> None:
        if isinstance(piece, str) and self.pieces and isinstance(self.pieces[-1], str):
            self.pieces[-1] += piece
        elif piece != "":
            self.pieces.append(piece)

    def segments(self, first_slot: int) -> tuple[Segments, int]:
        result: list[str | int] = []
        for piece in self.pieces:
            if isinstance(piece, str):
                result.append(piece)
            else:
                result.append(first_slot)
                first_slot += 1
        return tuple(result), first_slot

    def fill(self, values: Values, links: MessageLinks) -> Iterator[str]:
        context = RenderContext(self.template, globals=values)
        for piece in self.pieces:
            if not isinstance(piece, str):
                yield piece(context, links)


def _render_node(node: Any) -> Slot:
    def render(context: RenderContext, links: MessageLinks) -> str:
        buffer = LimitedStringIO(limit=MAX_OUTPUT)
        node.render(context, buffer)
        return buffer.getvalue()

    return render


class CompiledEmail:
    """An e-mail ready to be filled for any number of recipients."""

    def __init__(self, content: EmailContent, footer: "Footer") -> None:
        self._targets: list[str] = []
        html = self._mark_html(footer.add_to_html(content.html))
        text = self._mark_text(footer.add_to_text(content.text))
        self._parts = (
            _Part(_parse(_TEXT, content.subject, "subject"), self._slot),
            _Part(_parse(_HTML, html, "message"), self._slot),
            _Part(_parse(_TEXT, text, "plain text"), self._slot),
        )
        segments: list[Segments] = []
        slot = 0
        for part in self._parts:
            made, slot = part.segments(slot)
            segments.append(made)
        self.template = EmailTemplate(subject=segments[0], html=segments[1], text=segments[2])
        self.keys = sorted(self._merge_keys())

    def fill(self, values: Values, links: MessageLinks) -> list[str]:
        """The texts of all slots for one recipient, in the order of the template's slot numbers."""
        values = {**values, **links.urls()}
        return [text for part in self._parts for text in part.fill(values, links)]

    def with_subject_mark(self, mark: str) -> "CompiledEmail":
        """The same e-mail with a mark before its subject, e.g. for a test."""
        marked = copy(self)
        marked.template = replace(self.template, subject=(f"{mark} ", *self.template.subject))
        return marked

    def preview(self, values: Values) -> Preview:
        slots = self.fill(values, MessageLinks(None))
        subject, html, text = (
            "".join(piece if isinstance(piece, str) else slots[piece] for piece in segments)
            for segments in (self.template.subject, self.template.html, self.template.text)
        )
        return Preview(" ".join(subject.split()), html, text)

    def _position(self, target: str) -> int:
        if target not in self._targets:
            self._targets.append(target)
        return self._targets.index(target)

    def _mark_html(self, body: str) -> str:
        def mark(match: re.Match[str]) -> str:
            target = html_entities.unescape(match[3] or match[4] or "").strip()
            if not target.lower().startswith(("http://", "https://")):
                return match[0]
            return f'{match[1]}"\x02link{self._position(target)}\x03"'

        marked = _HREF.sub(mark, body)
        pixel = "\x02pixel\x03"
        head, body_end, tail = marked.rpartition("</body>")
        return head + pixel + body_end + tail if body_end else marked + pixel

    def _mark_text(self, text: str) -> str:
        return _URL_IN_TEXT.sub(lambda match: f"\x02link{self._position(match[0])}\x03", text)

    def _slot(self, mark: str) -> Slot:
        if mark == "pixel":
            return lambda context, links: links.pixel()
        position = int(mark.removeprefix("link"))
        target = self._targets[position]
        if "{" not in target:
            return lambda context, links: links.click(position, target)
        template = _parse(_TEXT, target, "link")

        def personal(context: RenderContext, links: MessageLinks) -> str:
            buffer = StringIO()
            for node in template.nodes:
                node.render(context, buffer)
            return links.click(position, "".join(buffer.getvalue().split()))

        return personal

    def _merge_keys(self) -> set[str]:
        keys = set()
        sources = [part.template for part in self._parts]
        sources += [_parse(_TEXT, target, "link") for target in self._targets]
        for template in sources:
            for variables in template.analyze().globals.values():
                keys |= {".".join(str(segment) for segment in variable.segments) for variable in variables}
        return keys - set(URL_VARIABLES)


@dataclass(frozen=True, slots=True)
class Footer:
    """The firm's name, address and way out, added where the author did not place the link."""

    firm_name: str
    firm_address: str
    unsubscribe: str

    def add_to_html(self, body: str) -> str:
        if "unsubscribe_url" in body:
            return body
        block = (
            '<div style="font-family:Arial,sans-serif;font-size:12px;line-height:18px;color:#5f6b7a;'
            'text-align:center;padding:24px 16px">'
            f"{html_entities.escape(self.firm_name)} · {html_entities.escape(self.firm_address)}<br>"
            f'<a href="{{{{ unsubscribe_url }}}}" style="color:#5f6b7a">{html_entities.escape(self.unsubscribe)}</a>'
            "</div>"
        )
        head, body_end, tail = body.rpartition("</body>")
        return head + block + body_end + tail if body_end else body + block

    def add_to_text(self, text: str) -> str:
        if "unsubscribe_url" in text:
            return text
        return f"{text}\n-- \n{self.firm_name} · {self.firm_address}\n{self.unsubscribe}: {{{{ unsubscribe_url }}}}\n"


@lru_cache(maxsize=64)
def _compiled(content_id: int, html: str, text: str, subject: str, footer: Footer) -> CompiledEmail:
    return CompiledEmail(EmailContent(id=content_id, html=html, text=text, subject=subject), footer)


def compile_email(content: EmailContent, footer: Footer) -> CompiledEmail:
    """The compiled form of a content, made once per process and content (contents never change)."""
    return _compiled(content.id, content.html, content.text, content.subject, footer)


def render_preview(content: EmailContent, values: Values, footer: Footer) -> Preview:
    """The message as one reader would see it, with plain links and without the pixel."""
    return CompiledEmail(content, footer).preview(values)
