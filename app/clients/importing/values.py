"""From the words in a cell to typed values.

Every parser takes the text of one cell, trimmed and not empty, and returns its value or raises BadValue with
the words for the reader; nothing else escapes. They know nothing of columns or rows.
"""

import re
import unicodedata
from collections.abc import Callable
from datetime import date, time
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Literal
from zoneinfo import available_timezones

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from flask_babel import lazy_gettext as _l

from app.clients.models import EXCLUDING_FLAGS

DateOrder = Literal["dmy", "mdy"]
DecimalMark = Literal[".", ","]
Parser = Callable[[str], Any]

MAX_TEXT = 10_000
MAX_NUMBER = 64
_MONEY_LIMIT = Decimal("1e16")
_CENT = Decimal("0.01")


class BadValue(ValueError):
    """The cell cannot be what its column should hold; `message` says why, with a place for the %(value)s."""

    def __init__(self, message: object) -> None:
        super().__init__()
        self.message = message
        self.text = ""


_TOO_LONG = _l("“%(value)s” is longer than 10,000 signs.")
_NOT_NUMBER = _l("“%(value)s” is not a number.")
_TOO_LARGE = _l("“%(value)s” is too large a number.")
_NOT_DATE = _l("“%(value)s” is not a date.")
_TWO_WAYS = _l("“%(value)s” can be read as two dates; choose in the mapping whether the day or the month comes first.")
_NOT_YESNO = _l("“%(value)s” is neither yes nor no.")
_NOT_EMAIL = _l("“%(value)s” is not a complete e-mail address.")
_NO_NUMBER = _l("“%(value)s” is not a telephone number.")
_NOT_MOBILE = _l(
    "“%(value)s” is not a telephone number; without a country it needs the region to be chosen in the mapping."
)
_NOT_RISK = _l("“%(value)s” is not a risk level from C1 to C5.")
_NOT_STATUS = _l("“%(value)s” is not one of lead, prospect, client, dormant, closed.")
_NOT_KIND = _l("“%(value)s” is neither person nor company.")
_NOT_GENDER = _l("“%(value)s” is not one of female, male, other.")
_NOT_LOCALE = _l("“%(value)s” is not a language code such as en or zh_CN.")
_NOT_ZONE = _l("“%(value)s” is not a time zone such as Asia/Shanghai.")
_NOT_FLAG = _l("“%(value)s” holds a flag other than deceased, minor, frozen, vulnerable, open_complaint.")
_NOT_CLIENT_NUMBER = _l(
    "“%(value)s” is not a client number: up to 64 signs without spaces at the ends, slashes or line breaks."
)

_NOT_IDENTITY = _l("“%(value)s” is not the number of an identity document.")


def parse_text(text: str) -> str:
    """The words as they are."""
    if len(text) > MAX_TEXT:
        raise BadValue(_TOO_LONG)
    return text


def parse_client_number(text: str) -> str:
    """A number kept as text, leading zeros and all."""
    if len(text) > MAX_NUMBER or "/" in text or not text.isprintable():
        raise BadValue(_NOT_CLIENT_NUMBER)
    return text


_IDENTITY = re.compile(r"[0-9A-Z][0-9A-Z()/.-]{2,31}", re.ASCII)


def parse_identity_number(text: str) -> str:
    """The number of an identity card, passport or licence, in capitals and without spaces."""
    number = re.sub(r"\s", "", unicodedata.normalize("NFKC", text[:100])).upper()
    if not _IDENTITY.fullmatch(number) or not any(sign.isdigit() for sign in number):
        raise BadValue(_NOT_IDENTITY)
    return number


# ---- Numbers --------------------------------------------------------------------------------------------------------

_CURRENCY = re.compile(
    r"^(?:CNY|RMB|USD|EUR|GBP|HKD|JPY|CHF|[¥￥$€£元])\s*|\s*(?:CNY|RMB|USD|EUR|GBP|HKD|JPY|CHF|[¥￥$€£元])$", re.I
)
_SPACES = "   '’"
_MARKED = {
    ".": re.compile(r"\d+(?:\.\d*)?|\d{1,3}(?:[,    '’]\d{3})+(?:\.\d*)?|\.\d+"),
    ",": re.compile(r"\d+(?:,\d*)?|\d{1,3}(?:[.    '’]\d{3})+(?:,\d*)?|,\d+"),
}
_SCIENTIFIC = re.compile(r"\d+(?:\.\d+)?[eE][+-]?\d{1,3}")
_PLAIN = re.compile(r"-?[0-9]{1,15}")
_PLAIN_DECIMAL = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,6})?")
_MYRIADS = {"万": Decimal(10_000), "亿": Decimal(100_000_000)}


def parse_decimal(text: str, *, mark: DecimalMark = ".") -> Decimal:
    """`1,234.50`, `(1 234.50)`, `¥1,234`, `-3%` (as -3), `1.5万`; with mark "," `1.234,50`.

    Thousands must stand in threes, so that a decimal comma is refused rather than read as a thousand.
    """
    if _PLAIN.fullmatch(text) or (mark == "." and _PLAIN_DECIMAL.fullmatch(text)):
        return Decimal(text)
    if len(text) > 60:
        raise BadValue(_NOT_NUMBER)
    clean = unicodedata.normalize("NFKC", text).replace("−", "-").strip()
    negative = clean.startswith("(") and clean.endswith(")")
    if negative:
        clean = clean[1:-1].strip()
    scale = Decimal(1)
    clean = clean.removesuffix("%").removesuffix("元").strip()
    if clean[-1:] in _MYRIADS:
        scale = _MYRIADS[clean[-1]]
        clean = clean[:-1].strip()
    clean = _CURRENCY.sub("", _CURRENCY.sub("", clean))
    if clean[:1] in ("-", "+"):
        negative ^= clean[0] == "-"
        clean = _CURRENCY.sub("", clean[1:].strip())
    if _MARKED[mark].fullmatch(clean):
        for separator in {",", "."} - {mark}:
            clean = clean.replace(separator, "")
        for space in _SPACES:
            clean = clean.replace(space, "")
        clean = clean.replace(mark, ".")
    elif not _SCIENTIFIC.fullmatch(clean):
        raise BadValue(_NOT_NUMBER)
    try:
        number = Decimal(clean) * scale
    except InvalidOperation as error:
        raise BadValue(_NOT_NUMBER) from error
    return -number if negative else number


def parse_number(text: str, *, mark: DecimalMark = ".") -> float:
    """A number as double precision; one too large for it is refused."""
    if _PLAIN.fullmatch(text):
        return float(text)
    number = float(parse_decimal(text, mark=mark))
    if number in (float("inf"), float("-inf")):
        raise BadValue(_TOO_LARGE)
    return number


def parse_money(text: str, *, mark: DecimalMark = ".") -> Decimal:
    """An amount in the firm's currency, to the cent."""
    amount = parse_decimal(text, mark=mark)
    if abs(amount) >= _MONEY_LIMIT:
        raise BadValue(_TOO_LARGE)
    return amount.quantize(_CENT)


# ---- Dates ----------------------------------------------------------------------------------------------------------

_TIME_OF_DAY = re.compile(
    r"[ T](?P<clock>\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)(?:\s?(?P<half>[AaPp])[Mm])?(?P<zone>Z|[+-]\d{2}:?\d{2})?$"
)
_PLAIN_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_YEAR_FIRST = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})")
_CHINESE = re.compile(r"(\d{4})\s*年\s*(\d{1,2})\s*月\s*(\d{1,2})\s*[日号]?")
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})")
_YEAR_LAST = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4})")
_DAY_WORD = re.compile(r"(\d{1,2})(?:st|nd|rd|th)?[ -]([A-Za-z]{3,9})\.?,?[ -](\d{4})")
_WORD_DAY = re.compile(r"([A-Za-z]{3,9})\.? (\d{1,2})(?:st|nd|rd|th)?,? (\d{4})")
_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            ("jan", "january"),
            ("feb", "february"),
            ("mar", "march"),
            ("apr", "april"),
            ("may",),
            ("jun", "june"),
            ("jul", "july"),
            ("aug", "august"),
            ("sep", "sept", "september"),
            ("oct", "october"),
            ("nov", "november"),
            ("dec", "december"),
        ),
        start=1,
    )
    for name in names
}


def parse_date(text: str, *, order: DateOrder | None = None) -> date:
    """`2026-01-31`, `2026/1/31`, `20260131`, `2026年1月31日`, `31.1.2026`, `31 Jan 2026`, with or without a time.

    `31/1/2026` and `1/31/2026` are read where only one reading exists or `order` says which comes first;
    with dots the day comes first. Years from 1000.
    """
    if _PLAIN_DATE.fullmatch(text):
        return _date(text[:4], text[5:7], text[8:])
    if len(text) > 60:
        raise BadValue(_NOT_DATE)
    clean = unicodedata.normalize("NFKC", text).strip()
    clean = _TIME_OF_DAY.sub("", clean).strip()
    if match := _YEAR_FIRST.fullmatch(clean):
        return _date(match[1], match[3], match[4])
    if match := _CHINESE.fullmatch(clean) or _COMPACT.fullmatch(clean):
        return _date(match[1], match[2], match[3])
    if match := _YEAR_LAST.fullmatch(clean):
        return _year_last(int(match[1]), int(match[3]), match[4], "dmy" if match[2] == "." and not order else order)
    if match := _DAY_WORD.fullmatch(clean):
        return _date(match[3], _month(match[2]), match[1])
    if match := _WORD_DAY.fullmatch(clean):
        return _date(match[3], _month(match[1]), match[2])
    raise BadValue(_NOT_DATE)


def parse_time_of_day(text: str) -> time | None:
    """The time that stands behind a date as `parse_date` reads it, with its offset where it names one; None without."""
    found = _TIME_OF_DAY.search(unicodedata.normalize("NFKC", text).strip())
    if found is None:
        return None
    hour, rest = found["clock"].split(":", 1)
    try:
        read = time.fromisoformat(f"{hour:0>2}:{rest}{found['zone'] or ''}")
    except ValueError as error:
        raise BadValue(_NOT_DATE) from error
    if found["half"] and read.hour <= 12:
        read = read.replace(hour=read.hour % 12 + (12 if found["half"] in "Pp" else 0))
    return read


def _year_last(first: int, second: int, year: str, order: DateOrder | None) -> date:
    if order is None:
        if first <= 12 and second <= 12 and first != second:
            raise BadValue(_TWO_WAYS)
        order = "dmy" if second <= 12 else "mdy"
    day, month = (first, second) if order == "dmy" else (second, first)
    return _date(year, month, day)


def _month(word: str) -> int:
    try:
        return _MONTHS[word.lower()]
    except KeyError as error:
        raise BadValue(_NOT_DATE) from error


def _date(year: str, month: str | int, day: str | int) -> date:
    try:
        made = date(int(year), int(month), int(day))
    except ValueError as error:
        raise BadValue(_NOT_DATE) from error
    if made.year < 1000:
        raise BadValue(_NOT_DATE)
    return made


# ---- Words from a list ----------------------------------------------------------------------------------------------

YES = {"yes", "y", "true", "t", "1", "on", "是", "有", "真", "同意", "已同意", "愿意", "开", "√", "✓"}
NO = {
    "no",
    "n",
    "false",
    "f",
    "0",
    "off",
    "否",
    "无",
    "假",
    "不",
    "没有",
    "不同意",
    "拒绝",
    "已拒绝",
    "不愿意",
    "关",
    "×",
}


def parse_yesno(text: str) -> bool:
    """Yes or no in English or Chinese."""
    word = text.casefold()
    if word in YES:
        return True
    if word in NO:
        return False
    raise BadValue(_NOT_YESNO)


_RISK = re.compile(r"[CcRr]?\s?([1-5])")
_STATUS_WORDS = {
    "lead": "lead",
    "prospect": "prospect",
    "client": "client",
    "active": "client",
    "dormant": "dormant",
    "closed": "closed",
    "线索": "lead",
    "潜在客户": "prospect",
    "客户": "client",
    "正常": "client",
    "休眠": "dormant",
    "休眠客户": "dormant",
    "已销户": "closed",
    "销户": "closed",
}
_KIND_WORDS = {
    "person": "person",
    "individual": "person",
    "company": "company",
    "organisation": "company",
    "organization": "company",
    "个人": "person",
    "公司": "company",
    "企业": "company",
    "机构": "company",
}
_GENDER_WORDS = {
    "female": "female",
    "f": "female",
    "woman": "female",
    "女": "female",
    "male": "male",
    "m": "male",
    "man": "male",
    "男": "male",
    "other": "other",
    "其他": "other",
}


def _from_list(words: dict[str, str], problem: object) -> Parser:
    def parse(text: str) -> str:
        found = words.get(text.casefold())
        if found is None:
            raise BadValue(problem)
        return found

    return parse


parse_status = _from_list(_STATUS_WORDS, _NOT_STATUS)
parse_kind = _from_list(_KIND_WORDS, _NOT_KIND)
parse_gender = _from_list(_GENDER_WORDS, _NOT_GENDER)


def parse_risk_level(text: str) -> int:
    """`C3`, `R3` or `3`."""
    match = _RISK.fullmatch(text)
    if not match:
        raise BadValue(_NOT_RISK)
    return int(match[1])


def parse_locale(text: str) -> str:
    """`en`, `zh_CN`, `zh-cn`."""
    match = re.fullmatch(r"([A-Za-z]{2,3})(?:[-_]([A-Za-z]{2}))?", text)
    if not match:
        raise BadValue(_NOT_LOCALE)
    return match[1].lower() + (f"_{match[2].upper()}" if match[2] else "")


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def parse_time_zone(text: str) -> str:
    if text not in _zones():
        raise BadValue(_NOT_ZONE)
    return text


_BETWEEN_WORDS = re.compile(r"\s*[,，;；、\n]\s*")


def parse_tags(text: str) -> list[str]:
    """Words divided by commas (Western or Chinese) or semicolons; each once, in the order given."""
    if len(text) > MAX_TEXT:
        raise BadValue(_TOO_LONG)
    return list(dict.fromkeys(word for word in _BETWEEN_WORDS.split(text.strip()) if word))


_BETWEEN_CHOICES = re.compile(r"\s*[;；|｜]\s*")


def parse_choices(text: str) -> list[str]:
    """Several choices divided by semicolons or upright strokes, each once; a choice may hold a comma."""
    if len(text) > MAX_TEXT:
        raise BadValue(_TOO_LONG)
    return list(dict.fromkeys(word for word in _BETWEEN_CHOICES.split(text.strip()) if word))


def parse_flags(text: str) -> list[str]:
    """The flags that keep a client out of marketing, divided like tags."""
    flags = [word.casefold().replace(" ", "_") for word in parse_tags(text)]
    if not set(flags) <= set(EXCLUDING_FLAGS):
        raise BadValue(_NOT_FLAG)
    return flags


# ---- Addresses ------------------------------------------------------------------------------------------------------

_PLAIN_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")


@lru_cache(maxsize=4096)
def _domain(domain: str) -> str | None:
    """The domain as email-validator writes it, or None where no mail can go there. Asked once a domain."""
    try:
        return validate_email(f"a@{domain}", check_deliverability=False).domain
    except EmailNotValidError:
        return None


def parse_email(text: str) -> str:
    """An address in full, checked for its form only (RFC 5321/5322, internationalised too); no look-up is made."""
    local, _at, domain = text.rpartition("@")
    if len(local) <= 64 and _PLAIN_LOCAL.fullmatch(local):
        known = _domain(domain) if len(domain) <= 253 else None
        if known is None or len(local) + 1 + len(known) > 254:
            raise BadValue(_NOT_EMAIL)
        return f"{local}@{known}"
    try:
        return validate_email(text[:400], check_deliverability=False, strict=True).normalized
    except EmailNotValidError as error:
        raise BadValue(_NOT_EMAIL) from error


# The short way for the mobile numbers that most clients have; which of them exist is phonenumbers' own knowledge.
_CHINA_MOBILE = re.compile(r"(?:\+?86|0086)?[ -]?(1[3-9]\d)[ -]?(\d{4})[ -]?(\d{4})", re.ASCII)
_CHINA: Any = phonenumbers.PhoneMetadata.metadata_for_region("CN")
_CHINA_MOBILES: re.Pattern[str] = re.compile(_CHINA.mobile.national_number_pattern, re.ASCII)


def parse_mobile(text: str, *, region: str | None = None) -> str:
    """A telephone number in E.164 form; one without a country belongs to `region` (ISO 3166, e.g. "CN")."""
    if (region == "CN" or text.startswith(("+86", "0086"))) and (match := _CHINA_MOBILE.fullmatch(text)):
        national = match[1] + match[2] + match[3]
        if _CHINA_MOBILES.fullmatch(national):
            return f"+86{national}"
    if len(text) > 60:
        raise BadValue(_NO_NUMBER)
    clean = f"+{text[2:]}" if text.startswith("00") else text
    refused = _NO_NUMBER if region or clean.startswith("+") else _NOT_MOBILE
    try:
        number = phonenumbers.parse(clean, region)
    except phonenumbers.NumberParseException as error:
        raise BadValue(refused) from error
    if not phonenumbers.is_valid_number(number):
        raise BadValue(refused)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
