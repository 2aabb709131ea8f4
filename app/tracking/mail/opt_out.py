"""Wishes to get no more, in plain words: one of the words for it, or one short sentence.

Care is taken against false alarms: a sentence has to be such a wish from its first word to its last. What is only like
one is read by a person.
"""

import re
from dataclasses import dataclass

# The one-letter words of SMS (R, T, TD, N) are left out: in a mail, "n" answers a question.
OPT_OUT_WORDS = {
    "unsubscribe", "unsubscribe me", "stop", "stop all", "remove", "remove me", "opt out", "opt-out", "optout",
    "退订", "退訂", "拒收", "取消订阅", "取消訂閱",
}  # fmt: skip
LONGEST_WISH = 120  # characters: whoever writes more is read by a person
LONGEST_NAME = 40

_PUNCTUATION = str.maketrans(
    {
        "\uff01": "!", "\uff1f": "?", "\uff0c": ",", "\u3002": ".", "\uff1b": ";", "\u3001": ",",
        "\u2018": "'", "\u2019": "'",
    }
)  # fmt: skip
_EDGES = re.compile(r"^[\s.!,;~\"'\u201c\u201d]+|[\s.!,;~\"'\u201c\u201d]+$")
_SENTENCE_END = re.compile(r"[.!;\n]+|,(?=\s*(?:thanks|thank you|谢谢))", re.IGNORECASE)
_CLOSING = re.compile(
    r"\s*((many |kind |best |warm )?(thanks|thank you|thx|regards|wishes|cheers|sincerely|yours)\b.*"
    r"|谢谢.*|多谢.*|此致.*|敬礼.*)$",
    re.IGNORECASE | re.DOTALL,
)


def _any(*words: str) -> str:
    return f"(?:{'|'.join(words)})"


# ---- English: politeness, the wish, what it is about, an ending ------------------------------------------------------

_HELLO = _any("hi", "hello", r"dear \w+", "good (?:morning|afternoon)")
_ASK = _any(
    "please", "pls", "plz", "kindly", "just", "can you", "could you", "would you", "will you",
    "i (?:want|wish|would like|'d like|need) (?:you )?(?:to )?", "i'd like (?:you )?(?:to )?",
)  # fmt: skip
_POLITE = rf"(?:{_HELLO}[\s,]+)?(?:{_ASK}\s*)*"
_MAIL = _any("e-?mails?", "mails?", "mailings?", "messages?", "newsletters?", "texts?", "sms", "spam", "stuff")
_LIST = rf"(?:(?:mailing |e-?mail |contact |distribution )?{_any('lists?', 'database', _MAIL)})"
_WHOSE = _any(
    "all", "any", "this", "these", "the", "your", "my", "such", "further", "future", "more", "of", "marketing"
)
_THE_LIST = rf"(?:{_WHOSE}\s+)*{_LIST}"
_ME = _any("me", "us", r"my (?:e-?mail|(?:e-?mail )?address|name|number|account)")
_SOON = _any("now", "immediately", "asap", "at once", "today", "altogether", "completely", "forever", "from now on")
_ENDING = rf"(?:[\s,]+{_any('please', 'pls', 'thanks', 'thank you', 'any ?more', 'again', _SOON)})*"
_NOT = _any("do not", "don't", "dont", "never")
_SEND = _any("sending", "e-?mailing", "mailing", "contacting", "messaging", "texting", "spamming")

_ENGLISH = (
    rf"(?:unsubscribe|opt[ -]?out|opt me out|deregister)(?:\s+{_ME})?(?:\s+(?:from|to|of|off)\s+{_THE_LIST})?",
    rf"(?:remove|delete|take|get)\s+{_ME}\s+(?:from|off|out of)\s+{_THE_LIST}",
    rf"(?:be )?(?:removed|unsubscribed|taken off)(?:\s+(?:from\s+)?{_THE_LIST})?",
    rf"(?:stop|cease|quit)\s+{_SEND}(?:\s+(?:me|us))?(?:\s+{_THE_LIST})?",
    rf"(?:stop|cancel)\s+(?:{_WHOSE}\s+)*{_any(_MAIL, 'subscription')}",
    rf"{_NOT}\s+(?:send|e-?mail|mail|contact|text|message|write)(?:\s+(?:to\s+)?(?:me|us))?(?:\s+{_THE_LIST})?",
    rf"no more (?:of (?:these|this|your) )?{_LIST}",
    rf"i (?:{_NOT}|no longer) (?:want|wish|need)(?: to (?:receive|get))? {_THE_LIST}",
)

# ---- Chinese ---------------------------------------------------------------------------------------------------------

_GREETING = r"(?:你好|您好|,|\s)*"
_PLEASE = _any(
    "请", "麻烦", "烦请", "劳驾", "拜托", "我想要", "我要", "我想", "想", "要求", "要", "申请", "帮我", "帮忙", "给我",
    "为我", "将我", "把我", "立即", "马上", "尽快", "直接",
)  # fmt: skip
_WHOSE_ZH = _any(
    "任何", "所有", "全部", "此类", "这类", "这些", "你们的", "贵司的", "贵行的", "营销", "推广", "广告", "理财"
)
_NEWS = _any("电子邮件", "邮件", "短信", "信息", "消息", "广告", "推送", "资讯", "通知", "营销")
_WHAT = rf"{_WHOSE_ZH}*(?:的)?{_NEWS}?"
_END = r"(?:了|吧|啊|呢|一下|谢谢|多谢|拜托|感谢|,|\s)*"
_NO_MORE = _any("不要", "请勿", "别", "勿", "停止", "不用", "无需", "不必", "禁止")
_SEND_ZH = _any("发送", "发来", "发", "推送", "推", "寄送", "寄", "骚扰", "打扰")
_LIST_ZH = _any("邮件列表", "订阅列表", "名单", "列表")

_CHINESE = (
    rf"{_PLEASE}*(?:退订|退訂|拒收|取消订阅|取消訂閱|取消推送|取消订购){_WHAT}",
    rf"{_PLEASE}*{_NO_MORE}(?:再|继续)?(?:[给向跟对]我)?(?:再)?{_SEND_ZH}(?:给)?(?:我)?(?:了)?{_WHAT}",
    rf"(?:我)?(?:不想|不愿意|不愿|不希望|不再想|不要|不需要)(?:再)?(?:收到|接收|收){_WHAT}",
    rf"{_PLEASE}*(?:我)?从?{_LIST_ZH}[中里上]?(?:删除|移除|去掉)(?:我)?",
)
_WISHES = [re.compile(f"{_POLITE}{wish}{_ENDING}", re.IGNORECASE) for wish in _ENGLISH]
_WISHES += [re.compile(f"{_GREETING}{wish}{_END}") for wish in _CHINESE]


@dataclass(frozen=True, slots=True)
class Wish:
    """A wish to opt out; `says_more`: there is something else in the message, for a person to read."""

    says_more: bool


def opt_out_wish(text: str, *, subject: str = "") -> Wish | None:
    """The wish to get no more, where the whole message says so in a word, or its first sentence in plain words.

    A question ("how do I unsubscribe?"), a refusal ("do not stop") and a long letter are for people to read. An empty
    message speaks through its subject.
    """
    said = (text if text.strip() else subject).strip().translate(_PUNCTUATION)
    if _EDGES.sub("", said).lower() in OPT_OUT_WORDS:
        return Wish(says_more=False)
    if not said or len(said) > LONGEST_WISH or "?" in said:
        return None
    first, rest = _split(said)
    if not any(wish.fullmatch(first) for wish in _WISHES) and first.lower() not in OPT_OUT_WORDS:
        return None
    return Wish(says_more=not (rest == "" or _CLOSING.match(rest) is not None or _is_name(rest)))


def _split(said: str) -> tuple[str, str]:
    """The first sentence without its edges, and what follows it."""
    ending = _SENTENCE_END.search(said)
    if ending is None or not said[ending.end() :].strip():
        return _EDGES.sub("", " ".join(said.split())), ""
    return _EDGES.sub("", " ".join(said[: ending.start()].split())), said[ending.end() :].strip()


def _is_name(rest: str) -> bool:
    """A short last line without a verb to speak of: the writer's name."""
    return len(rest) <= LONGEST_NAME and len(rest.split()) <= 3 and not re.search(r"[,.;:\n]", rest)
