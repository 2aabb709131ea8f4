"""The message with the number of clients who followed each link written beside it."""

import re
from html import escape

from flask_babel import format_decimal, format_percent

from app.content.links import HREF, is_web, target_of
from app.content.models import EmailContent
from app.content.previews import preview_page
from app.reports.maps.queries import LinkLine, LinkMap, Worded

_MARK = (
    '<span style="display:inline-block;margin:0 4px;padding:1px 6px;border-radius:9px;background:{colour};color:#fff;'
    'font:bold 12px/16px Arial,sans-serif;text-decoration:none;white-space:nowrap">{words}</span>'
)
_SHADES = ("#8a97a5", "#4f80a9", "#33699a", "#1f5a85")
_FIELD = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.S)


def draw(worded: Worded, counted: LinkMap) -> str:
    """A page for the sandboxed frame, filled with examples. A link that holds merge fields has the clients of all the
    addresses it became."""
    content = worded.content
    marked = EmailContent(
        format=content.format,
        subject=content.subject,
        preheader=content.preheader,
        source="",
        html=_marked(content.html, counted),
        text=content.text,
    )
    return preview_page(marked, client=None, mode="desktop")


def _marked(html: str, counted: LinkMap) -> str:
    pieces: list[str] = []
    done = 0
    most = max((line.people for line in counted.lines), default=0)
    for match in HREF.finditer(html):
        target = target_of(match)
        end = html.find(">", match.end())
        if end < 0 or not is_web(target):
            continue
        pieces.append(html[done : end + 1])
        pieces.append(_mark([line for line in counted.lines if _leads(target, line.link)], most, counted.clickers))
        done = end + 1
    return "".join([*pieces, html[done:]])


def _leads(target: str, link: str) -> bool:
    """Whether a link of the template became this address."""
    if "{" not in target:
        return target == link
    fixed = (re.escape(piece) for piece in _FIELD.split(target))
    return re.fullmatch(".*".join(fixed), link, re.S) is not None


def _mark(lines: list[LinkLine], most: int, clickers: int) -> str:
    people = sum(line.people for line in lines)
    words = str(format_decimal(people))
    if clickers and len(lines) == 1:
        words += f" · {format_percent(people / clickers, '#,##0%')}"
    shade = _SHADES[min(len(_SHADES) - 1, 1 + people * 3 // (most + 1))] if people else _SHADES[0]
    return _MARK.format(colour=shade, words=escape(words))
