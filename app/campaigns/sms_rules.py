"""What each market asks of SMS, and the words that opt out: defaults that the firm's counsel must confirm."""

import re
from dataclasses import dataclass

_STOP = frozenset(
    {"stop", "stopall", "stop all", "unsubscribe", "cancel", "end", "quit", "revoke", "optout", "opt out"}
)
_CHINESE = frozenset({"r", "t", "td", "n", "退订", "拒收", "退訂", "取消订阅"})
HELP_WORDS = frozenset({"help", "info", "帮助"})
_EDGES = re.compile(r"^[\s.,;:!?。，；：！？\"'“”‘’]+|[\s.,;:!?。，；：！？\"'“”‘’]+$")


@dataclass(frozen=True, slots=True)
class SmsRules:
    """`registered`: a signature and a template registered with the vendor are needed. `opt_out_hints`: marketing SMS
    say one of them, else a finding of `hint_severity`. `opt_out_words`: a reply of nothing but one of them opts out."""

    registered: bool
    opt_out_hints: tuple[str, ...]
    hint_severity: str
    opt_out_words: frozenset[str]


SMS_RULES = {
    "mainland_china": SmsRules(
        registered=True,
        opt_out_hints=("拒收请回复R", "退订回T", "退订回TD", "回T退订", "回TD退订", "退订回N"),
        hint_severity="error",
        opt_out_words=_CHINESE | _STOP,
    ),
    "other": SmsRules(
        registered=False,
        opt_out_hints=("Reply STOP to opt out", "STOP", "拒收请回复R"),
        hint_severity="warning",
        opt_out_words=_STOP | {"退订", "拒收"},
    ),
}


def meaning_of(text: str, *, market: str) -> str:
    """What a reply means: "opt_out", "help", or "reply" where it says more or something else."""
    said = " ".join(_EDGES.sub("", text).lower().split())
    if said in SMS_RULES[market].opt_out_words:
        return "opt_out"
    return "help" if said in HELP_WORDS else "reply"
