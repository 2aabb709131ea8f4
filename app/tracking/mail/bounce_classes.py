"""What a refusal or a return of mail means: is the address bad, its mailbox full, or is it the sender or the message
that is not wanted? Tables, so that a new word is a new line; read at interpretation, so that a changed table can be
applied to what came before.

Sources: RFC 3463 and the IANA registry of enhanced status codes, RFC 5321 (reply codes), RFC 7504 (521, 556), the
vendor's "Bounce and Block Classifications" and the reasons of its "dropped" events.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HARD, SOFT, FULL, BLOCK, UNKNOWN = "hard", "soft", "full", "block", "unknown"
MAX_WORDS = 300

# Codes that say what it is. Those left out say little (x.0.0, 5.7.1), so that the words beside them decide.
_STATUS = {
    "5.1.1": HARD,  # no such mailbox
    "5.1.2": HARD,  # no such system
    "5.1.3": HARD,  # bad syntax of the address
    "5.1.6": HARD,  # moved, without a new address
    "5.1.10": HARD,  # the domain takes no mail (null MX)
    "5.1.7": BLOCK,  # the sender's address
    "5.1.8": BLOCK,
    "5.1.9": BLOCK,
    "5.2.1": HARD,  # disabled
    "5.2.2": FULL,
    "4.2.2": FULL,
    "5.2.3": BLOCK,  # larger than the mailbox takes
    "5.3.4": BLOCK,  # larger than the system takes
    "5.4.4": HARD,  # no way to the domain
    "5.4.7": SOFT,  # expired in the queue
    "5.4.6": SOFT,  # a loop
    "5.7.13": HARD,  # account disabled
    "5.7.17": HARD,  # the mailbox has another owner now (RFC 7293)
    "5.7.18": HARD,
}
# By the second number, where the code itself is not in the table. Of 4.x.x, the second line.
_SUBJECT = {"1": HARD, "2": SOFT, "3": SOFT, "4": SOFT, "5": UNKNOWN, "6": BLOCK, "7": BLOCK}
_SUBJECT_FOR_NOW = {"1": SOFT, "2": SOFT, "3": SOFT, "4": SOFT, "5": SOFT, "6": BLOCK, "7": BLOCK}
_VAGUE = re.compile(r"[45]\.(\d+\.0|0\.\d+|1\.[045]|5\.\d+|7\.1|4\.1)$")
_REPLY = {"521": HARD, "552": FULL, "452": FULL, "553": HARD, "554": BLOCK, "556": HARD, "571": BLOCK}

# What systems say, in the order of how surely it decides. Source: replies of common mail systems.
_WORDS = tuple(
    (what, re.compile(words, re.IGNORECASE))
    for what, words in (
        (
            FULL,
            r"(mail ?box|inbox|quota|account|user|storage).{0,40}(is |are )?(full|exceeded|over ?quota|over limit)|"
            r"(over|exceed\w*|out of) (the |his |her |your |their |its )?(allowed |maximum |mailbox |disk |storage )*"
            r"(quota|storage|mailbox size)|overquota|insufficient (disk|system)? ?(space|storage)|"
            r"full (mail ?box|inbox)|邮箱(已满|空间不足|容量)",
        ),
        (
            BLOCK,
            r"spam|\bspf\b|dkim|dmarc|black ?list|block ?list|\brbl\b|dnsbl|spamhaus|reputation|greylist|"
            r"(rejected|refused|denied|blocked).{0,30}(polic|content|virus)|polic(y|ies).{0,30}"
            r"(reject|refus|denied|violat)|virus|not authori[sz]ed to send|banned|unsolicited|"
            r"too many (messages|connections)|"
            r"rate limit|垃圾邮件|拒绝(接收|投递)策略|发信频率",
        ),
        (
            HARD,
            r"(user|recipient|address(ee)?|mail ?box|account|alias|destination|person|customer|member)\b.{0,60}"
            r"(unknown|not (found|known|exist|listed|valid|active|available here)|"
            r"n['o]t exist|doesn['’]?t exist|does not exist|invalid|"
            r"disabled|inactive|suspended|deactivated|unavailable permanently|no longer|rejected|undeliverable|"
            r"isn['’]?t (found|valid)|is not recogni[sz]ed|not recogni[sz]ed|has (been )?(closed|left|moved))|"
            r"mail ?box unavailable|no matches to nameserver query|invalid final delivery|n['’]existe pas|"
            r"did not exactly match|"
            r"(no such|unknown|invalid|non-?existent|bad|unrouteable|illegal|unlisted)\s+"
            r"(destination |local |virtual |e-?mail )?"
            r"(user|recipient|address|mail ?box|account|host|domain|alias|person|mailbox name)|"
            r"not our customer|no mailbox|does not (have|like) (a|the) .{0,30}(account|recipient)|"
            r"doesn['’]?t have an? .{0,60}account|"
            r"(host|domain)( name)? (\S+ )?(not found|unknown|does not exist|lookup failed)|host unknown|"
            r"name service error|"
            r"couldn['’]?t find any host|not (in|listed in) .{0,40}(directory|address book)|no mx|nxdomain|"
            r"(收件人|用户|邮箱|地址|帐号|账号).{0,12}(不存在|无效|错误|停用|禁用|注销)|查无此(人|用户)",
        ),
        (
            SOFT,
            r"time(d)? ?out|try again|temporar|deferred|connection (refused|lost|reset)|network (is )?unreachable|"
            r"too busy|unavailable|expired|could not be delivered for|delivery time|no answer|retry|暂时|稍后再试|超时",
        ),
    )
)

# A vendor's own words for a class. Another word leaves it to the code and the words of the receiving system.
_VENDOR = {
    "invalid address": HARD,
    "invalid": HARD,
    "bounced address": HARD,
    "content": BLOCK,
    "reputation": BLOCK,
    "frequency or volume too high": BLOCK,
    "spam content": BLOCK,
    "spam reporting address": BLOCK,
    "unsubscribed address": BLOCK,
    "mailbox unavailable": SOFT,
    "technical failure": SOFT,
    "technical": SOFT,
}
# Where nothing else is said: a vendor that calls it a bounce means that the address is bad.
_BY_KIND = {"bounce": HARD, "blocked": BLOCK}
_OWN_SOURCES = {"mail", "smtp"}  # the words of strangers, not of a vendor

_STATUS_IN_WORDS = re.compile(r"(?<![\d.])([45]\.\d{1,3}\.\d{1,3})(?![\d.])")
_REPLY_IN_WORDS = re.compile(r"(?:^|[\s:;(<])([45]\d\d)(?=[\s-])")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The class of a bounce, with the code and words it was taken from."""

    bounce_class: str
    status: str | None
    words: str


def classify(*, kind: str, source: str, payload: Mapping[str, Any]) -> Verdict:
    """The class of an event `kind` (bounce, blocked, dropped, refused) by what its source said.

    Read are `status`, the words in `diagnostic`, `reply`, `reason` or `response`, and a vendor's
    `bounce_classification`.
    """
    words = next(
        (str(payload[name]) for name in ("diagnostic", "reply", "reason", "response") if payload.get(name)), ""
    )
    words = " ".join(words.split())[: 2 * MAX_WORDS]
    status = _status(str(payload.get("status") or ""), words)
    found = _VENDOR.get(str(payload.get("bounce_classification") or "").strip().lower())
    if found is None and source not in _OWN_SOURCES:
        found = _VENDOR.get(words.lower())
    if found is None:
        found = _by_code(status, words)
    if found is None:
        found = UNKNOWN if source in _OWN_SOURCES else _BY_KIND.get(kind, UNKNOWN)
    return Verdict(found, status, words[:MAX_WORDS])


def _by_code(status: str | None, words: str) -> str | None:
    """By the enhanced code where it says enough, else the words, the code's second number, and the reply code."""
    if status in _STATUS and status is not None:
        return _STATUS[status]
    reply = _REPLY_IN_WORDS.search(f" {words}")
    for_now = status.startswith("4") if status else reply is not None and reply[1].startswith("4")
    vague = status is None or _VAGUE.match(status) is not None
    if vague:
        said = by_words(words)
        if said is not None:
            return SOFT if for_now and said == HARD else said
    if status is not None and status.split(".")[1] != "0":
        return (_SUBJECT_FOR_NOW if for_now else _SUBJECT).get(status.split(".")[1], UNKNOWN)
    if reply is not None:
        return SOFT if for_now and reply[1] != "452" else _REPLY.get(reply[1], UNKNOWN)
    if status is not None:
        return SOFT if for_now else UNKNOWN
    return None


def by_words(words: str) -> str | None:
    """The class that a mail system's sentence names; None where it names none."""
    return next((what for what, pattern in _WORDS if pattern.search(words[:1_000])), None)


def _status(given: str, words: str) -> str | None:
    for said in (given, words):
        found = _STATUS_IN_WORDS.search(said)
        if found is not None:
            return found[1]
    return None
