"""Wishes to get no more, in plain words: one of the words for it, or one short sentence.

Care is taken against false alarms: a sentence has to be such a wish from its first word to its last. "Stop" may be said
of an order too, so what follows a bare "please stop" is always read by a person. What is only like a wish is too.
"""

import re
from dataclasses import dataclass

# The one-letter words of SMS (R, T, TD, N) are left out: in a mail, "n" answers a question.
OPT_OUT_WORDS = {
    "unsubscribe", "unsubscribe me", "stop", "stop all", "remove", "remove me", "opt out", "opt-out", "optout",
    "退订", "拒收", "取消订阅",
}  # fmt: skip
LONGEST_WISH = 120  # characters: whoever writes more is read by a person
LONGEST_NAME = 40

_WRITTEN_ALIKE = str.maketrans(
    {
        "\uff01": "!", "\uff1f": "?", "\uff0c": ",", "\u3002": ".", "\uff1b": ";", "\u3001": ",",
        "\u2018": "'", "\u2019": "'",
    }
    # the characters of such wishes that are written in another way in Hong Kong and Taiwan
    | dict(zip("請發訂閱電郵聯別來資訊廣擾騷從單刪將給對幫煩謝絕這類們貴銷營勞馬盡嗎煩簡東過會無須",
               "请发订阅电邮联别来资讯广扰骚从单删将给对帮烦谢绝这类们贵销营劳马尽吗烦简东过会无须", strict=True))
)  # fmt: skip
_EDGES = re.compile(r"^[\s.!,;~\"'\u201c\u201d]+|[\s.!,;~\"'\u201c\u201d]+$")
_SENTENCE_END = re.compile(r"[.!?;\n]+|,(?=\s*(?:thanks|thank you|谢谢))", re.IGNORECASE)
# A line that goes on in the next one, told by the small word that it goes on with.
_WRAPPED = re.compile(
    r"[ \t]*\n[ \t]*(?=(?:a|an|any|as|at|before|by|e-?mails?|emailing|for|from|if|in|me|my|of|off|on|or|our|out|"
    r"sending|such|that|the|their|these|this|to|unless|until|us|when|with|your)\b)"
)
_CLOSING = re.compile(
    r"\s*((many |kind |best |warm )?(thanks|thank you|thx|regards|wishes|cheers|sincerely|yours)\b.*"
    r"|谢谢.*|多谢.*|此致.*|敬礼.*)$",
    re.IGNORECASE | re.DOTALL,
)


def _any(*words: str) -> str:
    return f"(?:{'|'.join(words)})"


# ---- English: politeness, the wish, what it is about, an ending ------------------------------------------------------

_HELLO = _any("hi", "hello", "hey", r"dear \w+", "good (?:morning|afternoon|evening)")
_DECLINE = _any(
    "no,? (?:thanks|thank you)",
    "(?:(?:i am|i'm|we are|we're) )?(?:not|no longer) interested",
    "(?:thanks|thank you),? but",
)
_ASK = _any(
    "please", "pls", "plz", "kindly", "just", "can you", "could you", "would you", "will you",
    "i (?:want|wish|would like|'d like|need) (?:you )?(?:to )?", "i'd like (?:you )?(?:to )?", "i hereby", "we hereby",
)  # fmt: skip
_OPEN = rf"(?:(?:{_HELLO}|{_DECLINE})[\s,]+)*"
_POLITE = rf"{_OPEN}(?:{_ASK}[\s,]*)*"
# What a bare "stop" may follow: "I want to stop" may be said of a savings plan.
_NICELY = _any(
    "please", "pls", "plz", "kindly", "just", "can you", "could you", "would you", "will you",
    "(?:i|we) (?:want|wish|would like|need|ask|beg) you to", "i'd like you to",
)  # fmt: skip
_POLITE_BARE = rf"{_OPEN}(?:{_NICELY}[\s,]*)*"
_MAIL = _any("e-?mails?", "mails?", "mailings?", "messages?", "newsletters?", "texts?", "sms", "spam", "stuff")
_LIST = rf"(?:(?:mailing |e-?mail |contact |distribution )?{_any('lists?', 'database', _MAIL)})"
_WHOSE = _any(
    "all", "any", "this", "these", "the", "your", "my", "such", "further", "future", "more", "of", "marketing"
)
_THE_LIST = rf"(?:{_WHOSE}\s+)*{_LIST}"
_ME = _any("me", "us", r"(?:my|this) (?:e-?mail|(?:e-?mail )?address|name|number|account)")
_SOON = _any("now", "immediately", "asap", "at once", "today", "altogether", "completely", "forever", "from now on")
_ENDING = rf"(?:[\s,]+{_any('please', 'pls', 'thanks', 'thank you', 'any ?more', 'again', _SOON)})*"
_NOT = _any("do not", "don't", "dont", "never")
_SEND = _any(
    "sending", "e-?mailing", "mailing", "contacting", "messaging", "texting", "spamming", "writing(?: to)?",
    "bothering", "harassing", "pestering", "disturbing",
)  # fmt: skip
_ANYTHING = "(?:anything|any)(?:\\s+(?:else|more|further))?(?:\\s+from you)?"

_FROM = rf"(?:\s+(?:from|to|of|off)\s+{_THE_LIST})?"

_LEAVE = rf"(?:unsub|unsubscribe|opt[ -]?out|opt me out|deregister)(?:\s+{_ME})?{_FROM}"
_STOP = r"(?:stop|cease)(?:\s+(?:it|this|these|all|already|stop))*"
_ENGLISH = (
    rf"(?:remove|delete|take|get)\s+{_ME}\s+(?:from|off|out of)\s+{_THE_LIST}",
    rf"(?:remove|take)\s+(?:from|off)\s+{_THE_LIST}",
    r"(?:take|get)\s+(?:me|us)\s+off(?:\s+(?:of\s+)?(?:it|this|these))?",
    rf"(?:be )?(?:removed|unsubscribed|taken off)(?:\s+(?:from\s+)?{_THE_LIST})?",
    rf"(?:stop|cease|quit)\s+{_SEND}(?:\s+(?:me|us))?(?:\s+(?:{_THE_LIST}|{_ANYTHING}))?",
    rf"(?:stop|quit)\s+with\s+{_THE_LIST}",
    rf"(?:stop|cancel)\s+(?:{_WHOSE}\s+)*{_any(_MAIL, 'subscription')}",
    rf"{_NOT}\s+(?:send|e-?mail|mail|contact|text|message|write)(?:\s+(?:to\s+)?(?:me|us))?"
    rf"(?:\s+(?:{_THE_LIST}|{_ANYTHING}))?",
    rf"no (?:more|further) (?:of (?:these|this|your) )?{_LIST}",
    rf"(?:i|we) (?:{_NOT}|no longer) (?:want|wish|need)(?: to (?:receive|get))? {_THE_LIST}",
    rf"(?:i|we) (?:{_NOT}|no longer) (?:want|wish) to (?:(?:receive|get) {_ANYTHING}|be contacted|hear from you)",
    r"leave (?:me|us) alone",
)
_ENGLISH_BARE = (_STOP, r"make (?:it|this|these) stop", r"remove(?:\s+(?:me|us))?", r"no more")
# Asked of us: "could you take me off your list?". "Can you unsubscribe?" asks whether anybody can.
_CAN_YOU = rf"{_OPEN}(?:can|could|would|will) you[\s,]+(?:{_NICELY}[\s,]*)*"
_ENGLISH_ASKED = (*_ENGLISH, _STOP, rf"(?:(?:unsubscribe|deregister|remove)\s+{_ME}|opt me out){_FROM}")
_PERSON = r"(?-i:[A-Z][\w'-]+)"
# A line before the wish that says nothing by itself.
_OPENING = re.compile(
    rf"(?:(?:hi|hello|hey|good (?:morning|afternoon|evening))(?:[\s,]+(?:there|all|team|everyone|{_PERSON})){{0,3}}"
    rf"|dear(?:\s+(?:sirs?|madam|or|and|all|team|{_PERSON})){{1,4}}|to whom it may concern|no|thanks|thank you"
    rf"|{_DECLINE}|你好|您好|不感兴趣|没兴趣|没有兴趣|不需要)",
    re.IGNORECASE,
)

# ---- Chinese ---------------------------------------------------------------------------------------------------------

_GREETING = r"(?:你好|您好|不感兴趣|没兴趣|没有兴趣|不需要|,|\s)*"
# No word here is made of others here: a long row of them could be read in a million ways.
_PLEASE = _any(
    "请", "麻烦", "烦请", "劳驾", "拜托", "我要", "我想", "想", "要求", "要", "申请", "帮我", "帮忙", "给我",
    "为我", "将我", "把我", "立即", "马上", "尽快", "直接",
)  # fmt: skip
# "我要停止" may be said of a savings plan.
_PLEASE_BARE = _any("请", "麻烦", "烦请", "劳驾", "拜托", "你们", "立即", "马上", "尽快", "都", "快")
_WHOSE_ZH = _any(
    "任何", "所有", "全部", "此类", "这类", "这些", "你们的", "贵司的", "贵行的", "营销", "推广", "广告", "理财"
)
_NEWS = _any(
    "电子邮件", "电邮", "邮件", "短信", "短讯", "简讯", "信息", "讯息", "消息", "广告", "推送", "资讯", "通知", "营销",
    "东西", "内容",
)  # fmt: skip
_WHAT = rf"{_WHOSE_ZH}*(?:的)?{_NEWS}?"
_END = r"(?:了|吧|啊|呢|一下|谢谢|多谢|拜托|感谢|,|\s)*"
_NO_MORE = _any("不要", "请勿", "别", "勿", "停止", "不用", "无需", "无须", "不必", "禁止")
_SEND_ZH = _any("发送", "发来", "发", "推送", "推", "寄送", "寄", "骚扰", "打扰")
_LIST_ZH = _any("邮件列表", "订阅列表", "发送名单", "名单", "列表")
_REMOVE_ZH = _any("删除", "移除", "去掉", "去除", "删掉", "删了", "剔除", "移出")
_SEND_NO_MORE = rf"{_NO_MORE}(?:再|继续)?(?:[给向跟对]我(?:们)?)?(?:再)?{_SEND_ZH}(?:给)?(?:我(?:们)?)?(?:了)?{_WHAT}"

_CHINESE = (
    rf"{_PLEASE}*(?:退订|拒收|取消订阅|停止订阅|取消推送|取消订购|取消接收){_WHAT}",
    rf"{_PLEASE}*(?:我)?(?:不再订阅|不订阅|不订|停发){_WHAT}",
    rf"{_PLEASE}*{_SEND_NO_MORE}",
    rf"(?:请)?(?:我)?(?:不想|不愿意|不愿|不希望|不再想|不要|不需要|不再|拒绝|停止|谢绝)(?:再)?(?:收到|接收|收){_WHAT}",
    r"(?:请)?(?:谢绝|拒绝|停止)(?:推销|推广|营销|广告|推送|打扰|骚扰)",
    rf"{_PLEASE}*(?:不要|请勿|别|勿|停止|禁止)(?:再|继续)?(?:联系|打扰|打搅|骚扰|烦)我(?:们)?",
    r"(?:请)?(?:勿扰|免打扰)",
    rf"{_PLEASE}*(?:我)?从?{_LIST_ZH}[中里上]?{_REMOVE_ZH}(?:我)?",
    rf"{_PLEASE}*(?:移除|移出|剔除|退出)(?:我)?(?:你们的|贵司的|贵行的)?{_LIST_ZH}",
    rf"(?:请|麻烦|烦请)?[把将]我{_REMOVE_ZH}",
)
_CAN_YOU_ZH = _any("请问", "你们", "能不能", "可不可以", "可否", "能否", "是否可以", "能", "可以", "请", "麻烦")
_OR_NOT_ZH = _any("了", "吗", "好吗", "可以吗", "行吗", "好不好", "行不行", "可以不", "嘛", "呢", "谢谢", r"[\s,]")

_WISHES = [re.compile(f"{_POLITE}{wish}{_ENDING}", re.IGNORECASE) for wish in (_LEAVE, *_ENGLISH)]
_WISHES += [re.compile(f"{_GREETING}(?!要不要|想不想){wish}{_END}") for wish in _CHINESE]
_BARE = [re.compile(f"{_POLITE_BARE}{wish}{_ENDING}", re.IGNORECASE) for wish in _ENGLISH_BARE]
_BARE += [re.compile(rf"{_GREETING}{_PLEASE_BARE}*停止?(?:吧|一下|谢谢|多谢|拜托|感谢|,|\s)*")]
_ASKED = [re.compile(f"{_CAN_YOU}{wish}{_ENDING}", re.IGNORECASE) for wish in _ENGLISH_ASKED]
_ASKED += [re.compile(f"{_GREETING}{_CAN_YOU_ZH}*{_SEND_NO_MORE}{_OR_NOT_ZH}*")]


@dataclass(frozen=True, slots=True)
class Wish:
    """A wish to opt out; `says_more`: there is something else in the message, for a person to read."""

    says_more: bool


def opt_out_wish(text: str, *, subject: str = "") -> Wish | None:
    """The wish to get no more, where the whole message says so in a word, or its first sentence in plain words.

    A question ("how do I unsubscribe?"), a refusal ("do not stop") and a long letter are for people to read. An empty
    message speaks through its subject.
    """
    said = (text.strip() or subject.strip()).translate(_WRITTEN_ALIKE)
    if len(said) > LONGEST_WISH:
        return None
    said = _EDGES.sub("", said)
    if said.lower() in OPT_OUT_WORDS:
        return Wish(says_more=False)
    first, mark, rest = _split(_WRAPPED.sub(" ", said))
    while rest and "?" not in mark and _OPENING.fullmatch(first):
        first, mark, rest = _split(rest)
    if "?" in rest:
        return None
    plain = first.lower() in OPT_OUT_WORDS or _says(first, _WISHES)
    if not (_says(first, _ASKED) if "?" in mark else plain or _says(first, _BARE)):
        return None
    return Wish(says_more=not (rest == "" or _CLOSING.match(rest) is not None or (plain and _is_name(rest))))


def _says(sentence: str, wishes: list[re.Pattern[str]]) -> bool:
    return any(wish.fullmatch(sentence) for wish in wishes)


def _split(said: str) -> tuple[str, str, str]:
    """The first sentence without its edges, the mark behind it, and what follows."""
    ending = _SENTENCE_END.search(said)
    start, end = ending.span() if ending else (len(said), len(said))
    return _EDGES.sub("", " ".join(said[:start].split())), said[start:end], said[end:].strip()


def _is_name(rest: str) -> bool:
    """A short last line without a verb to speak of: the writer's name."""
    return len(rest) <= LONGEST_NAME and len(rest.split()) <= 3 and not re.search(r"[,.;:\n]", rest)
