"""From what staff write to what a channel sends.

    source (MJML or HTML, with Liquid) > compile_source > html + text, kept in `EmailContent`
    EmailContent > compile_email > static text and slots (once per process) > fill(recipient) > slot texts

Liquid runs restricted: no file access, loops, filters and output bounded, every value HTML-escaped in the HTML
part. Links are slots too, so that each recipient's link is signed. A slot that is a plain merge field, the usual
case, is read without entering Liquid.
"""

import html as html_entities
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, wraps
from typing import Any
from urllib.parse import urlsplit

import mrml
from flask_babel import gettext as _
from inscriptis import get_text
from inscriptis.model.config import ParserConfig
from liquid import Environment, RenderContext
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import FilteredExpression, Path, PositionalArgument, StringLiteral
from liquid.builtin.output import OutputNode
from liquid.exceptions import (
    FilterArgumentError,
    LiquidError,
    LoopIterationLimitError,
    OutputStreamLimitError,
    UnknownFilterError,
)
from liquid.output import LimitedStringIO
from liquid.template import BoundTemplate
from markupsafe import escape

from app.channels.base import EmailTemplate, Segments
from app.content.models import EmailContent
from app.content.personalisation import URL_VARIABLES, merge_fields
from app.core.errors import AppError
from app.core.tokens import MAX_TARGET_BYTES, Links

MAX_SOURCE = 500_000
MAX_OUTPUT = 200_000
MAX_LOOP = 1_000
MAX_ITERATIONS = 10_000
Values = Mapping[str, Any]


class ContentInvalid(AppError):
    """The message cannot be read; the sentence says where."""

    status = 422


class _Restricted(Environment):
    loop_iteration_limit = MAX_LOOP
    output_stream_limit = MAX_OUTPUT
    local_namespace_limit = 100_000
    block_nesting_limit = 10


def _environment(*, autoescape: bool) -> Environment:
    environment = _Restricted(autoescape=autoescape, strict_filters=True)
    for tag in ("include", "render", "liquid", "increment", "decrement"):
        environment.tags.pop(tag)
    environment.filters.pop("safe")
    environment.filters.update({name: _bounded(name, apply) for name, apply in environment.filters.items()})
    return environment


def _bounded(name: str, apply: Callable[..., Any]) -> Callable[..., Any]:
    """The filter with its input and output bounded: the library bounds loops and output, not filters."""

    @wraps(apply)
    def bounded(left: Any, *args: Any, **kwargs: Any) -> Any:
        if any(isinstance(value, range) and len(value) > MAX_LOOP for value in (left, *args)):
            raise FilterArgumentError(f"{name}: the range is too long", token=None)
        if _size_before(name, left, args) > MAX_OUTPUT:
            raise FilterArgumentError(f"{name}: the result is too long", token=None)
        result = apply(left, *args, **kwargs)
        if isinstance(result, str | list) and len(result) > MAX_OUTPUT:
            raise FilterArgumentError(f"{name}: the result is too long", token=None)
        return result

    return bounded


def _size_before(name: str, left: Any, args: tuple[Any, ...]) -> int:
    """About how long the result of a filter that multiplies will be; 0 for the others, which at most add up."""
    if name == "replace" and len(args) == 2:
        return str(left).count(str(args[0])) * len(str(args[1]))
    if name == "join" and args and hasattr(left, "__len__"):
        return len(left) * len(str(args[0]))
    return 0


class _Context(RenderContext):
    """Counts the iterations of all loops: the library bounds each nest of loops by itself."""

    iterations = 0

    def raise_for_loop_limit(self, length: int = 1) -> None:
        super().raise_for_loop_limit(length)
        self.iterations += length
        if self.iterations > MAX_ITERATIONS:
            raise LoopIterationLimitError("too many iterations of loops", token=None)


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

    Raises ContentInvalid where MJML or Liquid cannot be read. No remote font, script or include survives, nor a
    control character: those mark the slots.
    """
    if len(source) > MAX_SOURCE:
        raise ContentInvalid(_("The message is longer than %(size)s characters.", size=MAX_SOURCE))
    subject, preheader, source = (_CONTROLS.sub("", part) for part in (subject, preheader, source))
    _parse(_TEXT, preheader, _("preheader"))
    body = _compile_mjml(source) if format == "mjml" else source
    if "<body" not in body.lower():
        body = f"<!doctype html><html><head><meta charset='utf-8'></head><body>{body}</body></html>"
    body, removed = _without_remote_code(body)
    if preheader:
        body = _insert_preheader(body, preheader)
    templates = [_parse(_TEXT, subject, _("subject")), _parse(_HTML, body, _("message"))]
    text = _plain_text(body) or subject + "\n"
    _parse(_TEXT, text, _("plain text"))
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


def _parse(environment: Environment, source: str, part: str) -> BoundTemplate:
    try:
        template = environment.from_string(source)
        for name in template.analyze().filters:
            if name not in environment.filters:
                raise UnknownFilterError(f"unknown filter '{name}'", token=None)
        return template
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
    for target in dict.fromkeys(_target(match) for match in _HREF.finditer(body)):
        scheme = "".join(target.split()).partition(":")[0].lower()
        if scheme in ("javascript", "vbscript", "data", "file") or (_is_web(target) and not _has_host(target)):
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


# Quantifiers are possessive or bounded, so that no text, however odd, keeps the search busy.
_FIELD = r"\{\{.{0,500}?\}\}"
_HREF = re.compile(
    r"(<(?:a|area)\b(?:[^<>\"']|\"[^\"]*\"|'[^']*'){0,1000}?(?<![\w-])href\s*=\s*)"
    rf"(\"((?>{_FIELD}|[^\"])*+)\"|'((?>{_FIELD}|[^'])*+)'|((?>{_FIELD}|[^\s>\"'])++))",
    re.I | re.S,
)
_URL_IN_TEXT = re.compile(rf"https?://(?>{_FIELD}|(?!{{%)[^\s()<>])++", re.S)
_AFTER_URL = ".,;:!?'\"]。，；：！？」』”"
_MARK = re.compile("\x02(\\w+)\x03")


def _target(match: re.Match[str]) -> str:
    """Where a link leads, as its reader would see it."""
    target = html_entities.unescape(match[3] or match[4] or match[5] or "").strip()
    return target if "{" in target else _as_address(target)


def _as_address(text: str) -> str:
    """As a browser reads it: without line ends and controls, a space written %20."""
    return re.sub("[\x00-\x1f\x7f]", "", text.strip()).replace(" ", "%20")


def _is_web(target: str) -> bool:
    return target.lower().startswith(("http://", "https://"))


def _has_host(target: str) -> bool:
    try:
        return bool(urlsplit(target).hostname)
    except ValueError:
        return False


class MessageLinks:
    """The signed addresses of one message, or plain ones (`links` None) in a preview."""

    def __init__(self, links: Links | None, message_id: int = 0, *, pixel: bool = True) -> None:
        self._links = links
        self._message_id = message_id
        self._pixel = pixel

    def click(self, position: int, target: str) -> str:
        if self._links is None or len(target.encode()) > MAX_TARGET_BYTES:
            return target
        return self._links.click(self._message_id, position, target)

    def pixel(self) -> str:
        if self._links is None or not self._pixel:
            return ""
        return (
            f'<img src="{self._links.open_pixel(self._message_id)}" width="1" height="1" alt="" style="display:block">'
        )

    def urls(self, names: Sequence[str] = URL_VARIABLES) -> dict[str, str]:
        """The addresses that an author may place; only those named, because each costs a signature."""
        if self._links is None:
            return dict.fromkeys(names, "#")
        makers = {"unsubscribe_url": self._links.unsubscribe, "view_url": self._links.view_in_browser}
        return {name: makers[name](self._message_id) for name in names}


class _Reader:
    """One recipient of one part: the values, and Liquid's context where a slot needs it."""

    def __init__(self, template: BoundTemplate, values: Values, links: MessageLinks) -> None:
        self._template = template
        self.values = values
        self.links = links

    @cached_property
    def context(self) -> RenderContext:
        return _Context(self._template, globals=self.values)

    def render(self, node: Any) -> str:
        buffer = LimitedStringIO(limit=MAX_OUTPUT)
        node.render(self.context, buffer)
        return buffer.getvalue()


Slot = Callable[[_Reader], str]


class _Part:
    """One part of a message as static text and slots."""

    def __init__(self, template: BoundTemplate, slot_of_mark: Callable[[str, bool], Slot]) -> None:
        self.template = template
        self.pieces: list[str | Slot] = []
        escaped = template.env.autoescape
        # An `assign` may shadow a merge field, so then all slots are Liquid's.
        plain = not template.analyze().locals
        for node in template.nodes:
            if isinstance(node, ContentNode):
                for index, piece in enumerate(_MARK.split(node.text)):
                    self._add(slot_of_mark(piece, escaped) if index % 2 else piece)
            else:
                self._add((_merge_field(node, escaped) if plain else None) or _block(node, slot_of_mark, escaped))
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

    def fill(self, values: Values, links: MessageLinks) -> list[str]:
        reader = _Reader(self.template, values, links)
        texts = [piece(reader) for piece in self.pieces if not isinstance(piece, str)]
        if sum(map(len, texts)) > MAX_OUTPUT:
            raise OutputStreamLimitError("the message is too long", token=None)
        return texts


def _block(node: Any, slot_of_mark: Callable[[str, bool], Slot], escaped: bool) -> Slot:
    """A node that Liquid renders; the links within it (in a condition, say) are slots of their own."""
    slots = {mark: slot_of_mark(mark, escaped) for mark in _MARK.findall(str(node))}

    def render(reader: _Reader) -> str:
        text = reader.render(node)
        return _MARK.sub(lambda match: slots[match[1]](reader) if match[1] in slots else "", text) if slots else text

    return render


def _merge_field(node: Any, escaped: bool) -> Slot | None:
    """`{{ name }}` or `{{ group.name | default: "text" }}` read from the values; None for anything else.

    Whatever is not a text or a number is left to Liquid, so that the outcome is always Liquid's own.
    """
    if type(node) is not OutputNode or type(node.expression) is not FilteredExpression:
        return None
    path, filters = node.expression.left, node.expression.filters or []
    if type(path) is not Path or not all(type(name) is str for name in path.path):
        return None
    if len(path.path) > 2 or path.path[-1] in ("size", "first", "last"):  # Liquid answers these itself
        return None
    default = _constant_default(filters)
    if default is None:
        return None
    has_default, group, name = bool(filters), path.path[0], path.path[-1]

    def read(reader: _Reader) -> str:
        values = reader.values if len(path.path) == 1 else reader.values.get(str(group))
        value = values.get(name) if type(values) is dict else None
        if type(value) is str:
            if has_default and not value:
                return default
            return str(escape(value)) if escaped else value
        if type(value) is int:
            return str(value)
        return (
            default if type(values) is dict and value is None and values is not reader.values else reader.render(node)
        )

    return read


def _constant_default(filters: list[Any]) -> str | None:
    """The text of a single `default: "text"`, "" without any filter, None for other filters."""
    if not filters:
        return ""
    arguments = filters[0].args
    if len(filters) > 1 or filters[0].name != "default" or len(arguments) != 1:
        return None
    constant = arguments[0]
    if type(constant) is not PositionalArgument or type(constant.value) is not StringLiteral:
        return None
    return str(constant.value.value)


class CompiledEmail:
    """An e-mail ready to be filled for any number of recipients."""

    def __init__(self, content: EmailContent, footer: "Footer") -> None:
        self._targets: dict[str, int] = {}
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
        used = self._merge_keys()
        self.keys = sorted(used - set(URL_VARIABLES))
        self._urls = [name for name in URL_VARIABLES if name in used]

    def fill(self, values: Values, links: MessageLinks) -> list[str]:
        """The texts of all slots for one recipient, in the order of the template's slot numbers.

        Raises LiquidError, and nothing else, where this recipient's values cannot be filled in.
        """
        values = {**values, **links.urls(self._urls)}
        try:
            return [text for part in self._parts for text in part.fill(values, links)]
        except (ArithmeticError, LookupError, MemoryError, RecursionError, TypeError, ValueError) as error:
            raise LiquidError(type(error).__name__, token=None) from error

    def with_subject_mark(self, mark: str) -> "CompiledEmail":
        """The same e-mail with a mark before its subject, e.g. for a test."""
        marked = copy(self)
        marked.template = replace(self.template, subject=(f"{mark} ", *self.template.subject))
        return marked

    def preview(self, values: Values) -> Preview:
        """Raises ContentInvalid where these values cannot be filled in."""
        try:
            slots = self.fill(values, MessageLinks(None))
        except LiquidError as error:
            raise ContentInvalid(
                _("The message cannot be filled in for this client: %(why)s.", why=str(error.args[0]))
            ) from error
        subject, html, text = (
            "".join(piece if isinstance(piece, str) else slots[piece] for piece in segments)
            for segments in (self.template.subject, self.template.html, self.template.text)
        )
        return Preview(" ".join(subject.split()), html, text)

    def _position(self, target: str) -> int:
        return self._targets.setdefault(target, len(self._targets))

    def _mark_html(self, body: str) -> str:
        def mark(match: re.Match[str]) -> str:
            target = _target(match)
            return f'{match[1]}"\x02link{self._position(target)}\x03"' if _is_web(target) else match[0]

        marked = _HREF.sub(mark, body)
        pixel = "\x02pixel\x03"
        head, body_end, tail = marked.rpartition("</body>")
        return head + pixel + body_end + tail if body_end else marked + pixel

    def _mark_text(self, text: str) -> str:
        def mark(match: re.Match[str]) -> str:
            target = match[0].rstrip(_AFTER_URL)
            return f"\x02link{self._position(target)}\x03" + match[0][len(target) :]

        return _URL_IN_TEXT.sub(mark, text)

    def _slot(self, mark: str, escaped: bool) -> Slot:
        if mark == "pixel":
            return lambda reader: reader.links.pixel()
        position = int(mark.removeprefix("link"))
        target = next(target for target, place in self._targets.items() if place == position)
        quote: Callable[[str], str] = (lambda url: str(escape(url))) if escaped else str
        if "{" not in target:
            return lambda reader: quote(reader.links.click(position, target))
        template = _parse(_TEXT, target, "link")

        def personal(reader: _Reader) -> str:
            inner = _Reader(template, reader.values, reader.links)
            filled = "".join(inner.render(node) for node in template.nodes)
            return quote(reader.links.click(position, _as_address(filled)))

        return personal

    def _merge_keys(self) -> set[str]:
        keys = set()
        sources = [part.template for part in self._parts]
        sources += [_parse(_TEXT, target, "link") for target in self._targets]
        for template in sources:
            for variables in template.analyze().globals.values():
                keys |= {".".join(str(segment) for segment in variable.segments) for variable in variables}
        return keys


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
