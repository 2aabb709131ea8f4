"""What a person wrote: the new text without quote and signature, and its language."""

import re

from email_reply_parser import EmailMessage as ParsedReply

from app.tracking.mail.reading import MAX_BODY

MAX_LINE = 1_000
MAX_LINES = 2_000

# Lines after which everything is the earlier message, as desktop clients and Chinese web mail write them.
_REST_IS_OLD = re.compile(
    r"^[>\s]*(-{2,}\s*(Original Message|Forwarded message|原始邮件|原邮件|原始郵件|转发邮件)\s*-{2,}"
    r"|(发件人|寄件者|發件人)\s*[:：].*)\s*$",
    re.IGNORECASE,
)
_CHINESE_QUOTE_HEADER = re.compile(r"^[>\s]*[于在於]?.{4,200}(写道|寫道|wrote)\s*[:：]\s*$")
_SENT_FROM = re.compile(r"^\s*(发自我的|從我的|来自我的|发送自|Get Outlook for|获取 Outlook).{0,60}$", re.IGNORECASE)


def new_part(text: str) -> str:
    """What the writer added: without the quoted message and the signature. Linear in the length of the text."""
    lines = [line[:MAX_LINE].rstrip() for line in text[:MAX_BODY].replace("\r\n", "\n").split("\n")[:MAX_LINES]]
    kept: list[str] = []
    for line in lines:
        if _REST_IS_OLD.match(line):
            break
        kept.append("On that day someone wrote:" if _CHINESE_QUOTE_HEADER.match(line) else line)
    reply = str(_ReplyInLinearTime("\n".join(_join_quote_headers(kept))).read().reply).strip()
    return "\n".join(line for line in reply.split("\n") if not _SENT_FROM.match(line)).strip()


class _ReplyInLinearTime(ParsedReply):  # type: ignore[misc]
    """The parser without its search for "On ... wrote:" over several lines, which takes cubic time on hostile
    input; `_join_quote_headers` has joined such lines before."""

    MULTI_QUOTE_HDR_REGEX_MULTILINE = re.compile(r"(?!)")


def _join_quote_headers(lines: list[str]) -> list[str]:
    """Make one line of "On <date>, <somebody>" and "wrote:" where mail programs folded it, over four at most."""
    joined: list[str] = []
    position = 0
    while position < len(lines):
        take = 1
        if lines[position].startswith("On "):
            for length in (2, 3, 4):
                block = lines[position : position + length]
                if len(block) < length or not block[-1] or block[-1].startswith("On "):
                    break
                if block[-1].endswith("wrote:"):
                    take = length
                    break
        joined.append(" ".join(lines[position : position + take]))
        position += take
    return joined


# ---- Language -------------------------------------------------------------------------------------------------------

_SCRIPTS = (
    ("ja", re.compile(r"[\u3040-\u30ff]")),
    ("ko", re.compile(r"[\uac00-\ud7af]")),
    ("zh", re.compile(r"[\u3400-\u9fff]")),
    ("ru", re.compile(r"[\u0400-\u04ff]")),
)
_COMMON = {
    "en": {"the", "and", "you", "is", "to", "please", "i", "me", "for", "of", "it", "yes", "my", "not", "what", "call"},
    "de": {"der", "die", "und", "ich", "nicht", "bitte", "ist", "sie", "mich", "das", "ein", "wie"},
    "fr": {"le", "la", "et", "je", "vous", "est", "pas", "merci", "les", "des", "une", "pour"},
    "es": {"el", "los", "por", "que", "gracias", "una", "para", "me", "no", "con", "quiero", "favor"},
}


def language_of(text: str, *, named: str = "") -> str | None:
    """The language of a text: what its header names, else by its script or commonest words; None where unsure."""
    if re.fullmatch(r"[A-Za-z]{2}(-[A-Za-z0-9-]{1,20})?", named.strip()):
        return named.strip()[:2].lower()
    for language, script in _SCRIPTS:
        if script.search(text[:5_000]):
            return language
    words = re.findall(r"[a-zäöüßéèàçñ']+", text[:5_000].lower())
    counted = {language: sum(word in common for word in words) for language, common in _COMMON.items()}
    best = max(counted, key=lambda language: counted[language])
    return best if counted[best] else None
