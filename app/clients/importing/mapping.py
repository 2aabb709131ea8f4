"""What each column of a file becomes: the mapping people and programs write, and the guesses offered for it.

The format is described in docs/importing.md. Nothing here touches the database.
"""

import re
import unicodedata
from collections.abc import Iterable
from collections.abc import Mapping as MappingType
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app.clients.importing import values
from app.clients.importing.values import BadValue, DateOrder, DecimalMark
from app.clients.models import SLOT_KINDS, Client
from app.core.errors import AppError

CUSTOM = "custom."
CHOICES = 30  # a text column with at most so many different words is offered as a choice
MAX_CHOICES = 500
FIELD_TYPES = tuple(SLOT_KINDS)

# Target, its words, and the column names (folded by `fold`) that are taken to mean it.
TARGETS: dict[str, tuple[object, str]] = {
    "number": (
        _l("Client number"),
        "clientnumber clientno clientid customernumber customerno customerid number 客户号 客户编号 客户代码",
    ),
    "name": (_l("Name"), "name fullname clientname customername 姓名 客户姓名 客户名称 名称"),
    "first_name": (_l("First name"), "firstname givenname forename 名"),
    "last_name": (_l("Last name"), "lastname surname familyname 姓"),
    "email": (_l("E-mail"), "email emailaddress mail 邮箱 电子邮箱 电子邮件 邮件地址"),
    "mobile": (
        _l("Mobile"),
        "mobile mobilenumber mobilephone phone phonenumber telephone cellphone 手机 手机号 手机号码 电话 联系电话",
    ),
    "email_consent": (_l("Consent to e-mail"), "emailconsent emailoptin 邮件授权 邮件营销授权"),
    "sms_consent": (_l("Consent to SMS"), "smsconsent smsoptin 短信授权 短信营销授权"),
    "call_consent": (_l("Consent to calls"), "callconsent calloptin phoneconsent 电话授权 电话营销授权"),
    "branch": (_l("Branch code"), "branch branchcode 营业部代码 机构代码 网点代码"),
    "adviser": (_l("Adviser’s e-mail"), "adviser advisor adviseremail advisoremail 客户经理邮箱"),
    "kind": (_l("Person or company"), "kind clientkind 客户类别 客户性质"),
    "status": (_l("Status"), "status clientstatus 客户状态 状态"),
    "gender": (_l("Gender"), "gender sex 性别"),
    "birth_date": (_l("Birth date"), "birthdate dateofbirth birthday dob 出生日期 生日"),
    "city": (_l("City"), "city town 城市 所在城市"),
    "locale": (_l("Language"), "locale language 语言"),
    "time_zone": (_l("Time zone"), "timezone 时区"),
    "source": (_l("Source"), "source clientsource 来源 客户来源"),
    "risk_level": (_l("Risk level"), "risklevel clientrisklevel 风险等级 风险承受能力等级 风险承受能力"),
    "risk_assessed_on": (_l("Risk assessed on"), "riskassessedon riskassessmentdate 风险测评日期"),
    "qualified_investor": (_l("Qualified investor"), "qualifiedinvestor 合格投资者"),
    "professional_investor": (_l("Professional investor"), "professionalinvestor 专业投资者"),
    "personalisation_refused": (
        _l("Wants no personalised marketing"),
        "personalisationrefused nopersonalisation nopersonalization 拒绝个性化营销 不接受个性化营销",
    ),
    "identity_number": (
        _l("Identity number"),
        "identitynumber idnumber idcard idcardnumber passport passportnumber nationalid "
        "证件号 证件号码 身份证 身份证号 身份证号码",
    ),
    "opened_on": (_l("Client since"), "openedon opened openingdate clientsince 开户日期 开户日"),
    "total_assets": (_l("Total assets"), "totalassets assets aum 总资产 客户总资产 资产总额"),
    "flags": (_l("Flags against contact"), "flags"),
    "tags": (_l("Tags"), "tags 标签"),
}
# The client column a target fills, where the names differ.
COLUMNS = {"branch": "branch_id", "adviser": "adviser_id"}
CONSENTS = ("email_consent", "sms_consent", "call_consent")


class BadMapping(AppError):
    message = _l("This mapping cannot be used.")


@dataclass(frozen=True, slots=True)
class NewField:
    """A field to be defined for a column. A part left empty is filled in from the column: its name, its values."""

    key: str = ""
    label: str = ""
    type: str = ""
    choices: tuple[str, ...] | None = None


Source = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Mapping:
    """See docs/importing.md. `columns` maps a target to its source; `new_fields` a file's column to a definition."""

    columns: dict[str, Source]
    missing: tuple[str, ...] = ()
    new_fields: dict[str, NewField] = field(default_factory=dict)
    other_columns: Literal["new_fields", "ignore"] = "new_fields"
    date_order: DateOrder | None = None
    decimal_mark: DecimalMark = "."
    region: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The plain form, without the parts that say nothing."""
        fields = {
            column: {name: getattr(new, name) for name in ("key", "label", "type") if getattr(new, name)}
            for column, new in self.new_fields.items()
        }
        return {
            "columns": self.columns,
            "missing": list(self.missing),
            "new_fields": fields,
            "other_columns": self.other_columns,
            "date_order": self.date_order,
            "decimal_mark": self.decimal_mark,
            "region": self.region,
        }

    @property
    def used_columns(self) -> set[str]:
        """The file's columns that a target or template reads."""
        used: set[str] = set()
        for source in self.columns.values():
            if "column" in source:
                used.add(source["column"])
            if "template" in source:
                used.update(name for name in template_names(source["template"]) if name != "row_number")
        return used


# ---- Reading a mapping ----------------------------------------------------------------------------------------------

_PLACE = re.compile(r"\{([^{}]*)\}")
_KINDS = {"column", "row_number", "constant", "template"}


def template_names(template: str) -> list[str]:
    """The names in braces: "c{row_number}@example.com" has one."""
    return _PLACE.findall(template)


def read_mapping(data: Any) -> Mapping:
    """Check the plain form (from a file or a form). Raises BadMapping with a sentence naming what is wrong."""
    if not isinstance(data, dict):
        raise BadMapping(_("A mapping is a JSON object with “columns”."))
    known = {"columns", "missing", "new_fields", "other_columns", "date_order", "decimal_mark", "region"}
    if unknown := set(data) - known:
        raise BadMapping(_("A mapping has no part named “%(name)s”.", name=sorted(unknown)[0]))
    mapping = Mapping(
        columns=_read_columns(data.get("columns") or {}),
        missing=_read_words(data.get("missing") or []),
        new_fields=_read_new_fields(data.get("new_fields") or {}),
        other_columns=_one_of(data, "other_columns", ("new_fields", "ignore"), "new_fields"),
        date_order=_one_of(data, "date_order", ("dmy", "mdy"), None),
        decimal_mark=_one_of(data, "decimal_mark", (".", ","), "."),
        region=_read_region(data.get("region")),
    )
    if "number" not in mapping.columns:
        raise BadMapping(
            _("Choose what the client number is: each client is recognised by it when the file comes again.")
        )
    return mapping


def _one_of(data: MappingType[str, Any], name: str, allowed: tuple[str, ...], default: str | None) -> Any:
    value = data.get(name)
    if value is None:
        return default
    if value not in allowed:
        raise BadMapping(_("“%(name)s” must be one of: %(allowed)s.", name=name, allowed=", ".join(allowed)))
    return value


def _read_region(region: Any) -> str | None:
    if region in (None, ""):
        return None
    if not isinstance(region, str) or not re.fullmatch("[A-Z]{2}", region):
        raise BadMapping(_("“region” is a country code of two capital letters, such as CN."))
    return region


def _read_words(words: Any) -> tuple[str, ...]:
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise BadMapping(_("“missing” is a list of the words that stand for nothing known."))
    return tuple(dict.fromkeys(word.strip().casefold() for word in words if word.strip()))


def _read_columns(columns: Any) -> dict[str, Source]:
    if not isinstance(columns, dict):
        raise BadMapping(_("“columns” is an object of targets and their sources."))
    for target, source in columns.items():
        if target not in TARGETS and not target.startswith(CUSTOM):
            raise BadMapping(_("There is no target “%(target)s”.", target=target))
        if not isinstance(source, dict) or len(source) != 1 or not set(source) <= _KINDS:
            raise BadMapping(
                _("“%(target)s” needs one source: column, row_number, constant or template.", target=target)
            )
        kind, value = next(iter(source.items()))
        if value is not True if kind == "row_number" else not isinstance(value, str):
            raise BadMapping(_("The source of “%(target)s” is not written as it should be.", target=target))
    return cast(dict[str, Source], columns)


def _read_new_fields(fields: Any) -> dict[str, NewField]:
    if fields == "auto":
        return {}
    if not isinstance(fields, dict):
        raise BadMapping(_("“new_fields” is an object of column names and their definitions."))
    read = {}
    for column, definition in fields.items():
        allowed = {"key", "label", "type"}
        if not isinstance(definition, dict) or not set(definition) <= allowed:
            raise BadMapping(_("The new field for “%(column)s” has key, label and type, nothing else.", column=column))
        if not all(isinstance(part, str) for part in definition.values()):
            raise BadMapping(_("The new field for “%(column)s” has key, label and type, nothing else.", column=column))
        if definition.get("type", "text") not in FIELD_TYPES:
            raise BadMapping(
                _("The type of “%(column)s” must be one of: %(types)s.", column=column, types=", ".join(FIELD_TYPES))
            )
        read[column] = NewField(**definition)
    return read


def check_columns(mapping: Mapping, columns: list[str]) -> None:
    """Raise BadMapping where the mapping names a column that the file does not have."""
    for name in [*mapping.used_columns, *mapping.new_fields]:
        if name not in columns:
            raise BadMapping(_("The file has no column “%(column)s”.", column=name))


# ---- Guesses --------------------------------------------------------------------------------------------------------


def fold(name: str) -> str:
    """A column's name without case, spaces and punctuation: "E-mail Address" is "emailaddress"."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(sign for sign in folded if sign.isalnum())


_MEANINGS = {alias: target for target, (_label, aliases) in TARGETS.items() for alias in aliases.split()}


def field_key(name: str, taken: Iterable[str]) -> str:
    """A key for a new field: from the column's Latin letters, else "field_1", never one that is taken."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    stem = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:36].rstrip("_")
    if stem and not stem[0].isalpha():
        stem = f"f_{stem}"
    used = set(taken) | set(Client.__table__.columns.keys())
    if stem and stem not in used:
        return stem
    number = 2 if stem else 1
    while f"{stem or 'field'}_{number}" in used:
        number += 1
    return f"{stem or 'field'}_{number}"


@dataclass(slots=True)
class ColumnSample:
    """The different values a column has in the first rows (20,000 at most), and whether any came twice."""

    distinct: dict[str, int] = field(default_factory=dict)

    def without(self, missing: Iterable[str]) -> "ColumnSample":
        gone = set(missing)
        return ColumnSample({text: n for text, n in self.distinct.items() if text.casefold() not in gone})

    @property
    def repeats(self) -> bool:
        return any(times > 1 for times in self.distinct.values())


def sample_columns(rows: Iterable[list[str]], width: int) -> list[ColumnSample]:
    """Count the trimmed, filled cells of each column."""
    samples = [ColumnSample() for _column in range(width)]
    counters = [sample.distinct for sample in samples]
    for row in rows:
        for counter, cell in zip(counters, row, strict=True):
            text = cell.strip()
            if text:
                counter[text] = counter.get(text, 0) + 1
    return samples


_PLAIN_YESNO = {"yes", "no", "y", "n", "true", "false", "是", "否", "有", "无"}
_CODE = re.compile(r"[+-]?0\d|\d{16,}")


def guess_type(sample: ColumnSample, *, mark: DecimalMark = ".", order: DateOrder | None = None) -> str:
    """number, date, yesno, choice or text, from what all values of the sample can be read as."""
    texts = sample.distinct
    if not texts:
        return "text"
    if all(text.casefold() in _PLAIN_YESNO for text in texts):
        return "yesno"
    if _all_read(texts, lambda text: values.parse_date(text, order=order or "dmy")):
        return "date"
    if not any(_CODE.match(text) for text in texts) and _all_read(
        texts, lambda text: values.parse_number(text, mark=mark)
    ):
        return "number"
    return "choice" if len(texts) <= CHOICES and sample.repeats else "text"


def _all_read(texts: Iterable[str], parse: values.Parser) -> bool:
    try:
        for text in texts:
            parse(text)
    except BadValue:
        return False
    return True


def guess_decimal_mark(samples: Iterable[ColumnSample]) -> DecimalMark:
    """ "," where some column is numbers only with a decimal comma."""
    for sample in samples:
        texts = sample.distinct
        if texts and any("," in text for text in texts):
            with_comma = _all_read(texts, lambda text: values.parse_number(text, mark=","))
            if with_comma and not _all_read(texts, values.parse_number):
                return ","
    return "."


def guess_date_order(samples: Iterable[ColumnSample]) -> DateOrder | None:
    """Which of day and month comes first, where the columns of dates allow one answer only."""
    for sample in samples:
        texts = sample.distinct
        if not texts or _all_read(texts, values.parse_date):
            continue
        day_first = _all_read(texts, lambda text: values.parse_date(text, order="dmy"))
        month_first = _all_read(texts, lambda text: values.parse_date(text, order="mdy"))
        if day_first != month_first:
            return "dmy" if day_first else "mdy"
    return None


@dataclass(frozen=True, slots=True)
class KnownField:
    """A field the firm has defined already."""

    label: str
    type: str


def _fields_by_name(fields: MappingType[str, KnownField]) -> dict[str, str]:
    """The keys of the firm's fields by their folded labels and keys."""
    return {fold(known.label): key for key, known in fields.items()} | {fold(key): key for key in fields}


def suggest(
    columns: list[str], samples: list[ColumnSample], fields: MappingType[str, KnownField], *, region: str | None
) -> Mapping:
    """The mapping offered for a file nobody has mapped before, from the names of its columns."""
    by_name = _fields_by_name(fields)
    chosen: dict[str, Source] = {}
    for column in columns:
        meaning = _MEANINGS.get(fold(column))
        own = by_name.get(fold(column))
        target = meaning if meaning and meaning not in chosen else f"{CUSTOM}{own}" if own else None
        if target and target not in chosen:
            chosen[target] = {"column": column}
    return Mapping(
        columns=chosen,
        decimal_mark=guess_decimal_mark(samples),
        date_order=guess_date_order(samples),
        region=region,
    )


def complete_fields(
    mapping: Mapping, columns: list[str], samples: list[ColumnSample], fields: MappingType[str, KnownField]
) -> Mapping:
    """The mapping with every column accounted for: those no target uses become fields with key, label and type.

    A column named like a field of the firm becomes that field. One without any value in the sample and without a
    definition of its own is left out. Raises BadMapping where definitions contradict each other or the fields.
    """
    chosen = dict(mapping.columns)
    new: dict[str, NewField] = {}
    used = mapping.used_columns
    keys = set(fields)
    by_name = _fields_by_name(fields)
    for column, sample in zip(columns, samples, strict=True):
        given = mapping.new_fields.get(column)
        if given is None and (column in used or mapping.other_columns == "ignore"):
            continue
        filled = sample.without(mapping.missing)
        own = given.key if given and given.key in fields else None if given else by_name.get(fold(column))
        if own and f"{CUSTOM}{own}" not in chosen:
            if given and given.type and SLOT_KINDS[given.type] != SLOT_KINDS[fields[own].type]:
                raise BadMapping(
                    _("The field “%(key)s” exists with the type %(type)s.", key=own, type=fields[own].type)
                )
            chosen[f"{CUSTOM}{own}"] = {"column": column}
            continue
        if given is None and not filled.distinct:
            continue
        given = given or NewField()
        key = given.key or field_key(column, keys)
        if key in keys:
            raise BadMapping(_("Two columns would become the field “%(key)s”.", key=key))
        keys.add(key)
        kind = given.type or guess_type(filled, mark=mapping.decimal_mark, order=mapping.date_order)
        choices = tuple(sorted(filled.distinct)[:MAX_CHOICES]) if kind == "choice" else None
        new[column] = NewField(key, given.label or column, kind, choices)
    return replace(mapping, columns=chosen, new_fields=new)
