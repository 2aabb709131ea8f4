"""What a feed's file means: for each kind of feed its targets, and from where in a row each is filled.

The plain form (JSON) is described in docs/importing.md. Nothing here touches the database.
"""

import codecs
import re
from collections.abc import Mapping as MappingType
from dataclasses import dataclass
from typing import Any, Literal, cast

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app.clients.importing.mapping import fold
from app.clients.importing.values import DateOrder, DecimalMark
from app.core.errors import AppError

MAX_WORDS = 10_000
MAX_COLUMNS = 500
_MAX_TEXT = 2_000
BIRTH_NUMBER = "birth_number"
KEEP_WORD = "{word}"
Type = Literal["key", "text", "date", "coming_date", "money", "level", "months", "gender", "status", "person"]
SQL_TYPES: dict[str, str] = {
    "date": "date",
    "coming_date": "date",
    "money": "numeric(18, 2)",
    "level": "smallint",
    "months": "integer",
}


class BadDefinition(AppError):
    message = _l("This definition cannot be used.")


@dataclass(frozen=True, slots=True)
class Target:
    """One thing a row says. `aliases` are column names (folded) that are taken to mean it."""

    label: object
    type: Type = "text"
    required: bool = False
    aliases: str = ""

    @property
    def sql_type(self) -> str:
        return SQL_TYPES.get(self.type, "text")


_ACCOUNT = Target(
    _l("Account number"), "key", aliases="accountnumber accountno accountid account acct 账号 账户号 资金账号"
)
_CLIENT = Target(
    _l("Client number"), "key", aliases="clientnumber clientno clientid customernumber customerid 客户号 客户编号"
)
_ON_DATE = Target(_l("Date"), "date", True, "date ondate day tradedate businessdate valuedate asof 日期 交易日期")
_BRANCH = Target(_l("Branch code"), aliases="branch branchcode 营业部代码 机构代码 网点代码")

TARGETS: dict[str, dict[str, Target]] = {
    "clients": {
        "number": Target(_CLIENT.label, "key", True, _CLIENT.aliases + " number"),
        "name": Target(_l("Name"), aliases="name fullname clientname 姓名 客户姓名 客户名称"),
        "first_name": Target(_l("First name"), aliases="firstname givenname 名"),
        "last_name": Target(_l("Last name"), aliases="lastname surname familyname 姓"),
        "kind": Target(_l("Person or company"), "person", aliases="kind clientkind 客户类别"),
        "status": Target(_l("Status"), "status", aliases="status clientstatus 客户状态"),
        "gender": Target(_l("Gender"), "gender", aliases="gender sex 性别"),
        "birth_date": Target(_l("Birth date"), "date", aliases="birthdate dateofbirth birthday 出生日期"),
        "city": Target(_l("City"), aliases="city town 城市"),
        "source": Target(_l("Source"), aliases="source 来源"),
        "opened_on": Target(_l("Client since"), "date", aliases="openedon opened clientsince 开户日期"),
        "risk_level": Target(_l("Risk level"), "level", aliases="risklevel 风险等级"),
        "risk_assessed_on": Target(_l("Risk assessed on"), "date", aliases="riskassessedon 风险测评日期"),
        "branch": _BRANCH,
    },
    "accounts": {
        "number": Target(_ACCOUNT.label, "key", True, _ACCOUNT.aliases + " number"),
        "client": _CLIENT,
        "client_of": Target(_l("Account whose client holds this one"), "key", aliases="parentaccount mainaccount"),
        "kind": Target(_l("Kind"), aliases="kind type accounttype accountkind 账户类型"),
        "currency": Target(_l("Currency"), aliases="currency 币种"),
        "opened_on": Target(_l("Opened on"), "date", aliases="openedon opened opendate openingdate date 开户日期"),
        "activated_on": Target(_l("Activated on"), "date", aliases="activatedon activated 激活日期"),
        "matures_on": Target(_l("Matures on"), "coming_date", aliases="matureson maturity maturitydate 到期日"),
        "term_months": Target(_l("Term in months, where no maturity is given"), "months", aliases="term termmonths"),
        "closed_on": Target(_l("Closed on"), "date", aliases="closedon closed closedate 销户日期"),
        "branch": _BRANCH,
        "partner_bank": Target(_l("Partner bank"), aliases="partnerbank bank 存管银行"),
        "designated_on": Target(
            _l("Designated trading since"), "date", aliases="designatedon designatedtrading 指定交易日期"
        ),
    },
    "balances": {
        "account": _ACCOUNT,
        "client": _CLIENT,
        "on_date": _ON_DATE,
        "amount": Target(_l("Balance"), "money", True, "amount balance 余额 金额"),
    },
    "transactions": {
        "external_id": Target(
            _l("Number of the transaction"), "key", True, "id externalid transactionid transid serial 流水号 交易流水号"
        ),
        "account": _ACCOUNT,
        "client": _CLIENT,
        "on_date": _ON_DATE,
        "kind": Target(_l("Kind"), "text", True, "kind type transactiontype 交易类型 业务类型"),
        "amount": Target(_l("Amount"), "money", True, "amount value 金额 发生金额 成交金额"),
        "fee": Target(_l("Fee"), "money", aliases="fee commission 手续费 佣金"),
        "order_channel": Target(_l("Order channel"), aliases="orderchannel channel 委托方式 渠道"),
        "balance_after": Target(_l("Balance afterwards"), "money", aliases="balance balanceafter 余额"),
    },
    "positions": {
        "account": _ACCOUNT,
        "client": _CLIENT,
        "product_code": Target(_l("Product code"), "key", True, "productcode code isin symbol 产品代码 证券代码"),
        "product_name": Target(_l("Product name"), aliases="productname 产品名称 证券名称"),
        "product_kind": Target(_l("Product kind"), "text", True, "productkind producttype 产品类型"),
        "product_risk": Target(_l("Product risk (1 to 5)"), "level", aliases="productrisk risk 产品风险等级"),
        "value": Target(_l("Value"), "money", True, "value marketvalue amount 市值"),
        "cost": Target(_l("Cost"), "money", aliases="cost purchasevalue 成本"),
        "on_date": _ON_DATE,
    },
}
# One of these says whose row it is.
JOINED = ("balances", "transactions", "positions")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a target comes from: one of `column`, `constant`, `template`; and how its words are read."""

    column: str | None = None
    constant: str | None = None
    template: str | None = None
    words: MappingType[str, str] | None = None
    otherwise: str | None = None
    format: str | None = None
    from_year: int | None = None
    sign: Literal["keep", "drop", "turn"] = "keep"

    def to_json(self) -> dict[str, Any]:
        plain = {name: getattr(self, name) for name in ("column", "constant", "template", "format", "from_year")}
        plain |= {"map": dict(self.words) if self.words is not None else None, "else": self.otherwise}
        plain |= {"sign": None if self.sign == "keep" else self.sign}
        return {name: value for name, value in plain.items() if value is not None}

    @property
    def used_columns(self) -> list[str]:
        if self.column is not None:
            return [self.column]
        return template_columns(self.template) if self.template is not None else []


@dataclass(frozen=True, slots=True)
class Definition:
    """See docs/importing.md. `only` maps a column to the words (folded) of the rows that count."""

    columns: MappingType[str, Source]
    only: MappingType[str, tuple[str, ...]]
    missing: tuple[str, ...] = ()
    date_order: DateOrder | None = None
    decimal_mark: DecimalMark = "."
    encoding: str | None = None
    create_clients: bool = False
    move_accounts: bool = False
    whole_statements: bool = True
    open_end: bool = False
    refused_limit: int = 20

    def to_json(self) -> dict[str, Any]:
        """The plain form that `read_definition` reads."""
        names = ("date_order", "decimal_mark", "encoding", *_SWITCHES, "refused_limit")
        return {
            "columns": {target: source.to_json() for target, source in self.columns.items()},
            "only": {column: list(words) for column, words in self.only.items()},
            "missing": list(self.missing),
            **{name: getattr(self, name) for name in names},
        }

    @property
    def used_columns(self) -> set[str]:
        """The file's columns that are needed."""
        return {name for source in self.columns.values() for name in source.used_columns} | set(self.only)


_SWITCHES = ("create_clients", "move_accounts", "whole_statements", "open_end")
_PARTS = {"columns", "only", "missing", "date_order", "decimal_mark", "encoding", "refused_limit", *_SWITCHES}
_SOURCE_PARTS = {"column", "constant", "template", "map", "else", "format", "from_year", "sign"}


def template_columns(template: str) -> list[str]:
    """The columns named in braces."""
    return re.findall(r"\{([^{}]+)\}", template)


# ---- Reading --------------------------------------------------------------------------------------------------------


def read_definition(plain: object, kind: str) -> Definition:
    """Check a definition written by people or programs. Raises BadDefinition with a sentence that says where."""
    if not isinstance(plain, dict) or not isinstance(plain.get("columns"), dict):
        raise BadDefinition(_("A definition is an object with “columns”; see docs/importing.md."))
    if unknown := sorted(map(str, set(plain) - _PARTS)):
        raise BadDefinition(_("A definition has no part “%(name)s”.", name=unknown[0][:60]))
    columns = {}
    for target, source in plain["columns"].items():
        if target not in TARGETS[kind]:
            raise BadDefinition(_("“%(name)s” is nothing that this kind of feed can fill.", name=str(target)[:60]))
        columns[target] = _read_source(target, source, TARGETS[kind][target])
    made = Definition(
        columns=columns,
        only=_only(plain.get("only")),
        missing=tuple(word.strip().casefold() for word in _words(plain.get("missing"), "missing")),
        date_order=cast(DateOrder | None, _one_of(plain, "date_order", (None, "dmy", "mdy"))),
        decimal_mark=cast(DecimalMark, _one_of(plain, "decimal_mark", (".", ","), ".")),
        encoding=_encoding(plain.get("encoding")),
        refused_limit=_whole(plain.get("refused_limit", 20), "refused_limit", 0, 100),
        **{name: _switch(plain, name, name == "whole_statements") for name in _SWITCHES},
    )
    _check_whole(made, kind)
    return made


def _check_whole(made: Definition, kind: str) -> None:
    if len(made.used_columns) > MAX_COLUMNS:
        raise BadDefinition
    for target, about in TARGETS[kind].items():
        if about.required and target not in made.columns:
            raise BadDefinition(_("Please say where “%(name)s” comes from.", name=str(about.label)))
    if kind in JOINED and not {"account", "client"} & set(made.columns):
        raise BadDefinition(_("Please say where the account number or the client number comes from."))
    if kind == "accounts" and {"client", "client_of"} <= set(made.columns):
        raise BadDefinition(_("Please give the client of an account in one way, not in two."))


def _read_source(target: str, plain: object, about: Target) -> Source:
    label = str(about.label)
    if not isinstance(plain, dict):
        raise BadDefinition(_('%(name)s: a source is an object such as {"column": "Name"}.', name=label))
    if unknown := sorted(map(str, set(plain) - _SOURCE_PARTS)):
        raise BadDefinition(_("%(name)s: a source has no part “%(part)s”.", name=label, part=unknown[0][:60]))
    given = [part for part in ("column", "constant", "template") if plain.get(part) is not None]
    if len(given) != 1 or not _is_text(plain[given[0]]):
        raise BadDefinition(_("%(name)s: please give one of a column, a fixed value and a joined text.", name=label))
    words = plain.get("map")
    if words is not None and not _is_map(words):
        raise BadDefinition(_("%(name)s: the map gives a word for a word, up to 10,000 of them.", name=label))
    otherwise = plain.get("else")
    if otherwise is not None and not _is_text(otherwise):
        raise BadDefinition(_("%(name)s: “else” is a word.", name=label))
    sign: Any = plain.get("sign") or "keep"
    if sign not in ("keep", "drop", "turn"):
        raise BadDefinition(_("%(name)s: “sign” is keep, drop or turn.", name=label))
    year = plain.get("from_year")
    return Source(
        **{given[0]: plain[given[0]]},
        words=None if words is None else {word.strip().casefold(): means.strip() for word, means in words.items()},
        otherwise=otherwise,
        format=_format(plain.get("format"), about, label),
        from_year=None if year is None else _whole(year, "from_year", 1800, 2100),
        sign=sign,
    )


_TOKENS = re.compile(r"YYYY|YY|MM|DD")


def _format(written: object, about: Target, label: str) -> str | None:
    if written is None:
        return None
    if written == BIRTH_NUMBER and about.type in ("date", "gender"):
        return BIRTH_NUMBER
    found = sorted(_TOKENS.findall(written)) if isinstance(written, str) and len(written) <= 40 else []
    if about.type not in ("date", "coming_date") or found not in (["DD", "MM", "YY"], ["DD", "MM", "YYYY"]):
        raise BadDefinition(
            _("%(name)s: a date format is made of YYYY or YY, MM and DD, such as YYMMDD or DD.MM.YYYY.", name=label)
        )
    return str(written)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _MAX_TEXT and "\x00" not in value


def _is_map(words: object) -> bool:
    return (
        isinstance(words, dict)
        and len(words) <= MAX_WORDS
        and all(_is_text(word) and _is_text(means) for word, means in words.items())
    )


def _words(plain: object, part: str) -> list[str]:
    if plain is None:
        return []
    if not isinstance(plain, list) or len(plain) > MAX_WORDS or not all(map(_is_text, plain)):
        raise BadDefinition(_("“%(name)s” is a list of words.", name=part))
    return plain


def _only(plain: object) -> dict[str, tuple[str, ...]]:
    if plain is None:
        return {}
    if not isinstance(plain, dict) or len(plain) > 10 or not all(map(_is_text, plain)):
        raise BadDefinition(_("“only” names, for a column, the words of the rows that count."))
    return {column: tuple(word.strip().casefold() for word in _words(words, "only")) for column, words in plain.items()}


def _one_of(plain: dict[str, Any], part: str, allowed: tuple[str | None, ...], default: str | None = None) -> object:
    value = plain.get(part, default)
    if not (value is None or isinstance(value, str)) or value not in allowed:
        raise BadDefinition(
            _("“%(name)s” is one of %(words)s.", name=part, words=", ".join(str(word or "null") for word in allowed))
        )
    return value


def _switch(plain: dict[str, Any], part: str, default: bool) -> bool:
    value = plain.get(part, default)
    if not isinstance(value, bool):
        raise BadDefinition(_("“%(name)s” is true or false.", name=part))
    return value


def _whole(value: object, part: str, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise BadDefinition(_("“%(name)s” is a whole number from %(low)s to %(high)s.", name=part, low=low, high=high))
    return value


def _encoding(name: object) -> str | None:
    if name is None:
        return None
    try:
        known = codecs.lookup(name) if isinstance(name, str) and len(name) <= 40 else None
    except (LookupError, ValueError):
        known = None
    if known is None or not getattr(known, "_is_text_encoding", False):
        raise BadDefinition(_("There is no text encoding “%(name)s”.", name=str(name)[:60]))
    return known.name


# ---- Guessing -------------------------------------------------------------------------------------------------------


def suggest(kind: str, columns: list[str]) -> dict[str, Any]:
    """A plain definition guessed from the names of a file's columns; each column fills one target at most."""
    free = {fold(column): column for column in reversed(columns)}
    chosen: dict[str, Any] = {}
    for target, about in TARGETS[kind].items():
        for alias in (*about.aliases.split(), fold(target)):
            if alias in free:
                chosen[target] = {"column": free.pop(alias)}
                break
    return {"columns": chosen}
