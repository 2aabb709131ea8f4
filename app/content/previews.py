"""A message as a page of its own, for the sandboxed frames of the editors."""

import re
from html import escape

from flask_babel import gettext as _

from app.clients.models import Client
from app.content.models import EmailContent
from app.content.personalisation import client_values, example_values
from app.content.rendering import Footer, Preview, render_preview
from app.content.service import ContentIncomplete
from app.core.errors import AppError, NotFound
from app.core.extensions import settings

MODES = ("desktop", "phone", "text")
_HEAD = '<!doctype html><html><head><meta charset="utf-8"><base target="_blank"></head><body style="margin:0">{}</body>'
_TEXT = '<pre style="margin:0;padding:16px;white-space:pre-wrap;font:14px/21px monospace">{}</pre>'
_STRIP = (
    '<div style="padding:10px 16px;border-bottom:1px solid #dfe4ea;background:#fff;text-align:left;'
    'font:14px/20px Arial,sans-serif;color:#1d2935"><strong>{subject}</strong><br>'
    '<span style="color:#566372">{sender}</span></div>'
)


def preview_of(content: EmailContent, *, client: Client | None) -> Preview:
    """The message as this client would get it, or filled with examples."""
    config = settings()
    footer = Footer(config.firm_name, config.firm_address, _("Unsubscribe"), _("Choose what you get"))
    return render_preview(content, client_values(client) if client else example_values(), footer)


def preview_page(content: EmailContent, *, client: Client | None, mode: str) -> str:
    """The HTML (or the plain text) below a line with sender and subject, as an inbox shows them."""
    preview = preview_of(content, client=client)
    strip = _STRIP.format(subject=escape(preview.subject), sender=escape(settings().mail_from_name))
    if mode == "text":
        return _HEAD.format(strip + _TEXT.format(escape(preview.text)))
    page, found = re.subn(r"(<body\b[^>]*>)", lambda match: match[1] + strip, preview.html, count=1, flags=re.I)
    return page if found else strip + page


def refusal_page(error: AppError) -> str:
    """What the frame shows where there is nothing to preview; an e-mail that is only begun is no alarm."""
    colour = "#566372" if isinstance(error, ContentIncomplete | NotFound) else "#ad2b2b"
    words = f'<p style="padding:24px 16px;font:15px/22px Arial,sans-serif;color:{colour}">{escape(str(error))}</p>'
    return _HEAD.format(words)
