"""Finding the links of a message, in HTML and in plain text."""

import html as html_entities
import re
from urllib.parse import urlsplit

# Quantifiers are possessive or bounded, so that no text, however odd, keeps the search busy.
_FIELD = r"\{\{.{0,500}?\}\}"
HREF = re.compile(
    r"(<(?:a|area)\b(?:[^<>\"']|\"[^\"]*\"|'[^']*'){0,1000}?(?<![\w-])href\s*=\s*)"
    rf"(\"((?>{_FIELD}|[^\"])*+)\"|'((?>{_FIELD}|[^'])*+)'|((?>{_FIELD}|[^\s>\"'])++))",
    re.I | re.S,
)
URL_IN_TEXT = re.compile(rf"https?://(?>{_FIELD}|(?!{{%)[^\s()<>])++", re.S)
AFTER_URL = ".,;:!?'\"]。，；：！？」』”"


def target_of(match: re.Match[str]) -> str:
    """Where a link leads, as its reader would see it."""
    target = html_entities.unescape(match[3] or match[4] or match[5] or "").strip()
    return target if "{" in target else as_address(target)


def as_address(text: str) -> str:
    """As a browser reads it: without line ends and controls, a space written %20."""
    return re.sub("[\x00-\x1f\x7f]", "", text.strip()).replace(" ", "%20")


def is_web(target: str) -> bool:
    return target.lower().startswith(("http://", "https://"))


def has_host(target: str) -> bool:
    try:
        return bool(urlsplit(target).hostname)
    except ValueError:
        return False
