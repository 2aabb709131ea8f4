"""From what is kept to what a channel sends.

    EmailContent > compile_email > static text and slots (once per process) > fill(recipient) > slot texts

Links are slots too, so that each recipient's link is signed. A slot that is a plain merge field, the usual case, is
read without entering Liquid. What stands in several places, as a link does in the HTML and in the text, is one slot.
"""

import html as html_entities
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from operator import mul
from typing import Any

from flask_babel import gettext as _
from liquid import RenderContext
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import FilteredExpression, Path, PositionalArgument, StringLiteral
from liquid.builtin.output import OutputNode
from liquid.exceptions import LiquidError, OutputStreamLimitError
from liquid.output import LimitedStringIO
from liquid.template import BoundTemplate
from markupsafe import escape

from app.channels.base import EmailTemplate, Segments
from app.content.links import AFTER_URL, HREF, URL_IN_TEXT, as_address, is_web, target_of
from app.content.liquid import HTML, MAX_OUTPUT, TEXT, ContentInvalid, Context, parse
from app.content.models import EmailContent
from app.content.personalisation import URL_VARIABLES
from app.core.tokens import MAX_TARGET_BYTES, Links

Values = Mapping[str, Any]
_MARK = re.compile("\x02(\\w+)\x03")


@dataclass(frozen=True, slots=True)
class Preview:
    subject: str
    html: str
    text: str


class MessageLinks:
    """The signed addresses of one message, or plain ones (`links` None) in a preview."""

    def __init__(self, links: Links | None, message_id: int = 0, *, pixel: bool = True, trap: bool = False) -> None:
        self._links = links
        self._message_id = message_id
        self._pixel = pixel
        self._trap = trap
        self._clicks: dict[int, str] = {}
        self._urls: dict[str, str] = {}

    def click(self, position: int, target: str) -> str:
        """The address of a link; one that stands in both parts is signed once."""
        made = self._clicks.get(position)
        if made is None:
            signed = self._links is not None and len(target.encode()) <= MAX_TARGET_BYTES
            made = self._links.click(self._message_id, position, target) if self._links and signed else target
            self._clicks[position] = made
        return made

    def pixel(self) -> str:
        if self._links is None or not self._pixel:
            return ""
        return (
            f'<img src="{self._links.open_pixel(self._message_id)}" width="1" height="1" alt="" style="display:block">'
        )

    def trap(self) -> str:
        """A link without words that no mail program shows and no reader speaks: who follows it is a machine."""
        if self._links is None or not self._trap:
            return ""
        address = self._links.trap(self._message_id)
        return f'<a href="{address}" style="display:none" tabindex="-1" aria-hidden="true"></a>'

    def url(self, name: str) -> str:
        """One of the addresses that an author may place (URL_VARIABLES), signed when it is first asked for."""
        made = self._urls.get(name)
        if made is None:
            made = self._urls[name] = "#" if self._links is None else _URL_MAKERS[name](self._links, self._message_id)
        return made


_URL_MAKERS: Mapping[str, Callable[[Links, int], str]] = {
    "unsubscribe_url": Links.unsubscribe,
    "preferences_url": Links.preferences,
    "view_url": Links.view_in_browser,
    "form_url": Links.lead_form,
    "tracking_code": Links.tracking_code,
}


class _Reader:
    """One recipient of one part: the values, and Liquid's context where a slot needs it."""

    def __init__(self, template: BoundTemplate, values: Values, links: MessageLinks) -> None:
        self._template = template
        self.values = values
        self.links = links

    @cached_property
    def context(self) -> RenderContext:
        return Context(self._template, globals=self.values)

    def render(self, node: Any) -> str:
        buffer = LimitedStringIO(limit=MAX_OUTPUT)
        node.render(self.context, buffer)
        return buffer.getvalue()


Slot = Callable[[_Reader], str]


class _Part:
    """One part of a message as static text and slots. `known` are the merge fields of the parts before it."""

    def __init__(
        self,
        template: BoundTemplate,
        slot_of_mark: Callable[[str, bool], Slot],
        known: dict[tuple[str, bool], Slot | None],
    ) -> None:
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
                field = str(node), escaped
                if field not in known:
                    known[field] = _merge_field(node, escaped)
                self._add((known[field] if plain else None) or _block(node, slot_of_mark, escaped))
        if not self.pieces:
            self.pieces.append("")

    def _add(self, piece: str | Slot) -> None:
        if isinstance(piece, str) and self.pieces and isinstance(self.pieces[-1], str):
            self.pieces[-1] += piece
        elif piece != "":
            self.pieces.append(piece)

    def slots(self) -> Iterator[Slot]:
        return (piece for piece in self.pieces if not isinstance(piece, str))

    def segments(self, numbers: Mapping[Slot, int]) -> Segments:
        return tuple(piece if isinstance(piece, str) else numbers[piece] for piece in self.pieces)


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
            return _quoted(value) if escaped else value
        if type(value) is int:
            return str(value)
        return (
            default if type(values) is dict and value is None and values is not reader.values else reader.render(node)
        )

    return read


def _quoted(text: str) -> str:
    """Escaped for HTML; most names and all signed addresses have nothing to escape, and looking is faster."""
    plain = "&" not in text and '"' not in text and "'" not in text and "<" not in text and ">" not in text
    return text if plain else str(escape(text))


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
        known: dict[tuple[str, bool], Slot | None] = {}
        self._marks: dict[tuple[str, bool], Slot] = {}
        self._parts = (
            _Part(parse(TEXT, content.subject, "subject"), self._slot, known),
            _Part(parse(HTML, html, "message"), self._slot, known),
            _Part(parse(TEXT, text, "plain text"), self._slot, known),
        )
        self._slots: dict[Slot, int] = {}  # with the place of the part that it first stands in
        times: Counter[Slot] = Counter()
        for place, part in enumerate(self._parts):
            for slot in part.slots():
                self._slots.setdefault(slot, place)
                times[slot] += 1
        self._times = [times[slot] for slot in self._slots]
        numbers = {slot: number for number, slot in enumerate(self._slots)}
        subject, html_segments, text_segments = (part.segments(numbers) for part in self._parts)
        self.template = EmailTemplate(subject=subject, html=html_segments, text=text_segments)
        used = self._merge_keys()
        self.keys = sorted(used - set(URL_VARIABLES))
        self._urls = [name for name in URL_VARIABLES if name in used]

    @property
    def link_count(self) -> int:
        """How many different addresses its counted links lead to."""
        return len(self._targets)

    def fill(self, values: Values, links: MessageLinks) -> list[str]:
        """The texts of all slots for one recipient, in the order of the template's slot numbers.

        Raises LiquidError, and nothing else, where this recipient's values cannot be filled in.
        """
        values = {**values, **{name: links.url(name) for name in self._urls}}
        readers = [_Reader(part.template, values, links) for part in self._parts]
        try:
            texts = [slot(readers[place]) for slot, place in self._slots.items()]
            if sum(map(mul, map(len, texts), self._times)) > MAX_OUTPUT:
                raise OutputStreamLimitError("the message is too long", token=None)
        except (ArithmeticError, LookupError, MemoryError, RecursionError, TypeError, ValueError) as error:
            raise LiquidError(type(error).__name__, token=None) from error
        return texts

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
            target = target_of(match)
            return f'{match[1]}"\x02link{self._position(target)}\x03"' if is_web(target) else match[0]

        marked = HREF.sub(mark, body)
        pixel = "\x02trap\x03\x02pixel\x03"
        head, body_end, tail = marked.rpartition("</body>")
        return head + pixel + body_end + tail if body_end else marked + pixel

    def _mark_text(self, text: str) -> str:
        def mark(match: re.Match[str]) -> str:
            target = match[0].rstrip(AFTER_URL)
            return f"\x02link{self._position(target)}\x03" + match[0][len(target) :]

        return URL_IN_TEXT.sub(mark, text)

    def _slot(self, mark: str, escaped: bool) -> Slot:
        """What stands for a mark: one slot wherever it reads the same."""
        if (mark, escaped) not in self._marks:
            self._marks[mark, escaped] = self._new_slot(mark, escaped)
        return self._marks[mark, escaped]

    def _new_slot(self, mark: str, escaped: bool) -> Slot:
        if mark == "pixel":
            return lambda reader: reader.links.pixel()
        if mark == "trap":
            return lambda reader: reader.links.trap()
        position = int(mark.removeprefix("link"))
        target = next(target for target, place in self._targets.items() if place == position)
        quote: Callable[[str], str] = _quoted if escaped else str
        if "{" not in target:
            if escaped and _quoted(target) == target:
                return self._slot(mark, escaped=False)
            return lambda reader: quote(reader.links.click(position, target))
        template = parse(TEXT, target, "link")

        def personal(reader: _Reader) -> str:
            inner = _Reader(template, reader.values, reader.links)
            filled = "".join(inner.render(node) for node in template.nodes)
            return quote(reader.links.click(position, as_address(filled)))

        return personal

    def _merge_keys(self) -> set[str]:
        keys = set()
        sources = [part.template for part in self._parts]
        sources += [parse(TEXT, target, "link") for target in self._targets]
        for template in sources:
            for variables in template.analyze().globals.values():
                keys |= {".".join(str(segment) for segment in variable.segments) for variable in variables}
        return keys


@dataclass(frozen=True, slots=True)
class Footer:
    """The firm's name, address, the way out and the way to the preference page, as far as the author placed neither.

    `preferences` are the words of that second link; without them there is none.
    """

    firm_name: str
    firm_address: str
    unsubscribe: str
    preferences: str = ""

    def _ways(self, body: str) -> list[tuple[str, str]]:
        """(words, variable) of the links that the author did not place."""
        ways = [(self.unsubscribe, "unsubscribe_url"), (self.preferences, "preferences_url")]
        return [(words, variable) for words, variable in ways if words and variable not in body]

    def add_to_html(self, body: str) -> str:
        ways = self._ways(body)
        if not ways:
            return body
        firm = f"{html_entities.escape(self.firm_name)} · {html_entities.escape(self.firm_address)}<br>"
        links = " · ".join(
            f'<a href="{{{{ {variable} }}}}" style="color:#5f6b7a">{html_entities.escape(words)}</a>'
            for words, variable in ways
        )
        block = (
            '<div style="font-family:Arial,sans-serif;font-size:12px;line-height:18px;color:#5f6b7a;'
            f'text-align:center;padding:24px 16px">{"" if "unsubscribe_url" in body else firm}{links}</div>'
        )
        head, body_end, tail = body.rpartition("</body>")
        return head + block + body_end + tail if body_end else body + block

    def add_to_text(self, text: str) -> str:
        ways = "".join(f"{words}: {{{{ {variable} }}}}\n" for words, variable in self._ways(text))
        if "unsubscribe_url" in text:
            return text if not ways else f"{text.rstrip()}\n{ways}"
        return f"{text}\n-- \n{self.firm_name} · {self.firm_address}\n{ways}"


@lru_cache(maxsize=64)
def _compiled(content_id: int, html: str, text: str, subject: str, footer: Footer) -> CompiledEmail:
    return CompiledEmail(EmailContent(id=content_id, html=html, text=text, subject=subject), footer)


def compile_email(content: EmailContent, footer: Footer) -> CompiledEmail:
    """The compiled form of a content, made once per process and content (contents never change)."""
    return _compiled(content.id, content.html, content.text, content.subject, footer)


def render_preview(content: EmailContent, values: Values, footer: Footer) -> Preview:
    """The message as one reader would see it, with plain links and without the pixel."""
    return CompiledEmail(content, footer).preview(values)
