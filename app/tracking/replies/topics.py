"""What a reply is about, guessed by its words until a person says so."""

import re

from flask_babel import lazy_gettext as _l

TOPIC_LABELS = {
    "question": _l("Question"),
    "interested": _l("Interested"),
    "complaint": _l("Complaint"),
    "fault": _l("Fault"),
    "suggestion": _l("Suggestion"),
    "opt_out": _l("Opt-out"),
}

# In this order: a complaint that is also a question is a complaint.
_WORDS = tuple(
    (topic, re.compile(words, re.IGNORECASE))
    for topic, words in (
        (
            "complaint",
            r"\bcomplain|\bcomplaint|ombudsman|regulator\b|\bmis-?s(old|elling)|misled|misleading|\bfraud|\bscam\b|"
            r"unacceptable|disgrace|outrag|lawyer|legal action|harass|投诉|举报|欺诈|诈骗|骗人|骗子|误导|骚扰|证监会|"
            r"监管|12386|12378|12315|律师|维权|起诉|强烈不满|太差|要求赔偿",
        ),
        (
            "fault",
            r"(does|do|did)(n['’]t| not) (work|open|load)|not working|broken|\berror\b|\bbug\b|"
            r"can(not|['’]t) (open|log|sign|access|see|click)|wrong (name|number|address|link)|"
            r"打不开|无法(打开|登录|访问|显示)|登录不了|登不上|点不开|"
            r"故障|报错|乱码|链接(失效|错误)|显示不出",
        ),
        (
            "suggestion",
            r"\bsuggest|would be (better|nice|great|helpful) (if|to)|you (should|could) (add|offer|consider)|"
            r"建议|希望(能|你们|贵)|"
            r"最好能|可以改进",
        ),
        (
            "interested",
            r"\binterested\b|call me|ring me|phone me|contact me|sign me up|count me in|open an account|"
            r"i would like to (invest|buy|join|attend|book|open|apply|subscribe)|"
            r"i['’]d like to (invest|buy|join|attend|book|open|apply|subscribe)|"
            r"\byes,? please|(make|book) an appointment|感兴趣|有兴趣|想(开户|购买|买|了解|参加|申请|投资|预约)|"
            r"预约|请(联系|致电|给我打|打)|给我(打|回)(个)?电话|报名|怎么买",
        ),
        (
            "question",
            r"[?\uff1f]|\b(how|what|when|where|why|who|which|can you|could you)\b|"
            r"请问|吗|怎么|如何|什么|多少|哪|是否|能否",
        ),
    )
)


def guess_topic(text: str, *, subject: str = "") -> str:
    """The first topic whose words stand in the text; an empty one speaks through its subject."""
    said = (text or subject)[:5_000]
    return next((topic for topic, words in _WORDS if words.search(said)), "question")
