"""E-mails to start from, written for a securities firm or bank: MJML bodies (one file each) in one common frame.

They are offered beside the firm's own templates; choosing one copies its words, so that what is sent never depends on
these files.
"""

from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path

from flask_babel import lazy_gettext as _l

from app.core.extensions import settings

_FOLDER = Path(__file__).parent
_RISK_WARNING = (
    "Investing carries risk, and prices can fall as well as rise. This message is general information, not "
    "advice on your situation; check your risk level before you decide."
)
_NO_PROMOTION = "You receive this notice because it concerns the service of your account. It is not advertising."


@dataclass(frozen=True)
class Starter:
    """One stock e-mail; `key` names its file. Subject and preheader are to be rewritten by the author."""

    key: str
    name: object
    description: object
    subject: str
    preheader: str
    notice: str = _RISK_WARNING

    @cached_property
    def _words(self) -> str:
        body = (_FOLDER / f"{self.key}.mjml").read_text()
        frame = (_FOLDER / "_frame.mjml").read_text()
        return frame.replace("[[body]]", body.rstrip("\n")).replace("[[notice]]", self.notice)

    @property
    def source(self) -> str:
        """The MJML with the firm's own name in its head."""
        return self._words.replace("[[firm]]", escape(settings().firm_name))


STARTERS = (
    Starter(
        "welcome",
        _l("Welcome"),
        _l("Thanks a new client and leads through the first three steps."),
        'Welcome, {{ client.first_name | default: "your account is ready" }}',
        "Three short steps to make the most of your account",
    ),
    Starter(
        "account_opening",
        _l("Account opening"),
        _l("Invites a bank client to open a securities account: what to bring, where, how long it takes."),
        "Your securities account, opened in one visit",
        "What to bring and how long it takes",
    ),
    Starter(
        "market_brief",
        _l("Market brief"),
        _l("Three figures, three headlines and the dates of next week."),
        "The week in three points",
        "What moved markets, and what is due next week",
    ),
    Starter(
        "event_invitation",
        _l("Event invitation"),
        _l("A talk or an evening at the branch: date, place and one button to reserve a seat."),
        "Your invitation: an evening on planning for retirement",
        "Talk and questions, with your adviser",
    ),
    Starter(
        "service_notice",
        _l("Service notice"),
        _l("Tells clients what changes for their account. Holds no promotion."),
        "Maintenance of our trading systems",
        "You need not do anything",
        notice=_NO_PROMOTION,
    ),
)


def starter(key: str) -> Starter | None:
    """The stock e-mail of this key, if there is one."""
    return next((one for one in STARTERS if one.key == key), None)
