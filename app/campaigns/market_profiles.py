"""What each market's rules make of a message: the defaults a firm starts from and edits here.

The lists follow the practice of the trade (advertising and securities conduct rules on promises of return, haste
and superlatives; the mark on commercial e-mail in mainland China). They are a first net, conservative on purpose:
the firm's counsel must confirm them, and compliance reads every message anyway.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time

_CAPS = {
    "email": {"day": 2, "week": 4, "month": 12},
    "sms": {"day": 1, "week": 2, "month": 4},
    "call": {"day": 1, "week": 2, "month": 4},
}


@dataclass(frozen=True, slots=True)
class MarketProfile:
    """One market's word lists and rules of sending. Latin phrases match whole words in any case, Chinese ones anywhere.

    `subject_marks`: the subject of marketing mail must begin with one of them (none: no mark needed).
    `forbidden`: block approval. `doubtful`: are pointed out. `promotional`: block service and statutory messages.
    `quiet_hours` (from, until) are clock times of the client and hold for `quiet_channels`: those that ring. `caps` are
    {channel: {period: marketing messages per client}}, see `sending_rules.py`.
    """

    subject_marks: tuple[str, ...]
    forbidden: tuple[str, ...]
    doubtful: tuple[str, ...]
    promotional: tuple[str, ...]
    quiet_hours: tuple[time, time]
    caps: Mapping[str, Mapping[str, int]]
    quiet_channels: tuple[str, ...] = ("sms", "call")
    launch_tolerance: float = 5.0  # percent of the approved count


_FORBIDDEN = (
    "guaranteed",
    "guarantee",
    "risk-free",
    "risk free",
    "without risk",
    "no risk",
    "zero risk",
    "cannot lose",
    "can't lose",
    "sure profit",
    "certain profit",
    "capital protected",
    "保本",
    "保收益",
    "保息",
    "无风险",
    "零风险",
    "稳赚",
    "只赚不赔",
    "包赚",
    "必涨",
    "承诺收益",
    "绝对收益",
    "内幕消息",
)
_DOUBTFUL = (
    "the best",
    "number one",
    "no. 1",
    "the highest",
    "the lowest",
    "unbeatable",
    "hurry",
    "act now",
    "last chance",
    "once in a lifetime",
    "don't miss",
    "最好",
    "最佳",
    "最高",
    "最低",
    "最优",
    "第一",
    "首选",
    "唯一",
    "顶级",
    "国家级",
    "抓紧",
    "赶快",
    "最后机会",
    "机不可失",
    "错过不再",
)
_PROMOTIONAL = (
    "special offer",
    "discount",
    "promotion",
    "bonus",
    "cashback",
    "cash back",
    "free gift",
    "limited time",
    "prize draw",
    "open an account today",
    "优惠",
    "折扣",
    "促销",
    "特惠",
    "限时",
    "抽奖",
    "赠送",
    "返现",
    "立即开户",
    "新客专享",
)

MARKET_PROFILES = {
    "mainland_china": MarketProfile(
        subject_marks=("广告", "AD"),
        forbidden=_FORBIDDEN,
        doubtful=_DOUBTFUL,
        promotional=_PROMOTIONAL,
        quiet_hours=(time(20), time(9)),
        caps=_CAPS,
    ),
    "other": MarketProfile(
        subject_marks=(),
        forbidden=_FORBIDDEN,
        doubtful=_DOUBTFUL,
        promotional=_PROMOTIONAL,
        quiet_hours=(time(21), time(8)),
        caps=_CAPS,
    ),
}
