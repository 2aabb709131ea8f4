"""When an account opening is an *effective* one: the campaign's own rule, kept as JSON on the campaign.

    {"kinds": ["opening", "transfer_in"],
     "accounts": [{"kind": "a_share_shanghai", "designated": true, "partner_bank": null}],
     "minimum": {"amount": "10000.00", "kinds": ["cash"]},
     "within_days": 30}

All of it has to hold on one day, at most `within_days` after the opening: the opening is of one of the `kinds`, the
client has an open account of each kind listed (with trading designated to this firm, or held with that partner bank,
where it says so), and the accounts of the `minimum`'s kinds (none named: all) together hold the amount. No rule at all
means that every opening is effective.
"""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from flask_babel import format_decimal, ngettext
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app.clients.labels import holding_label
from app.core.errors import AppError

KIND_LABELS = {"opening": _l("Account opened"), "transfer_in": _l("Assets transferred in")}
MAX_ACCOUNTS = 6
MAX_WORD = 60
LONGEST_WITHIN = 180
DEFAULT_WITHIN = 30
MAX_AMOUNT = Decimal(10) ** 15

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["kinds", "accounts", "minimum", "within_days"],
    "additionalProperties": False,
    "properties": {
        "kinds": {"type": "array", "minItems": 1, "uniqueItems": True, "items": {"enum": list(KIND_LABELS)}},
        "accounts": {
            "type": "array",
            "maxItems": MAX_ACCOUNTS,
            "items": {
                "type": "object",
                "required": ["kind"],
                "additionalProperties": False,
                "properties": {
                    "kind": {"type": "string", "minLength": 1, "maxLength": MAX_WORD},
                    "designated": {"type": "boolean"},
                    "partner_bank": {"type": ["string", "null"], "maxLength": MAX_WORD},
                },
            },
        },
        "minimum": {
            "type": ["object", "null"],
            "required": ["amount"],
            "additionalProperties": False,
            "properties": {
                "amount": {"type": "string", "pattern": r"^[0-9]{1,15}(\.[0-9]{1,2})?$"},
                "kinds": {"type": "array", "items": {"type": "string", "minLength": 1, "maxLength": MAX_WORD}},
            },
        },
        "within_days": {"type": "integer", "minimum": 0, "maximum": LONGEST_WITHIN},
    },
}


class BadRule(AppError):
    message = _l("This is not a rule for effective openings.")


@dataclass(frozen=True, slots=True)
class AccountNeeded:
    """An account of this kind has to exist; `designated`: with trading designated to this firm."""

    kind: str
    designated: bool = False
    partner_bank: str | None = None


@dataclass(frozen=True, slots=True)
class EffectiveRule:
    """See the module. `minimum_kinds` empty: all accounts count, which is the client's total assets here."""

    kinds: tuple[str, ...] = tuple(KIND_LABELS)
    accounts: tuple[AccountNeeded, ...] = ()
    minimum: Decimal | None = None
    minimum_kinds: tuple[str, ...] = ()
    within_days: int = DEFAULT_WITHIN

    def to_json(self) -> dict[str, Any]:
        return {
            "kinds": list(self.kinds),
            "accounts": [
                {"kind": one.kind, "designated": one.designated, "partner_bank": one.partner_bank}
                for one in self.accounts
            ],
            "minimum": None
            if self.minimum is None
            else {"amount": str(self.minimum), "kinds": list(self.minimum_kinds)},
            "within_days": self.within_days,
        }


def read_rule(plain: Any) -> EffectiveRule | None:
    """The rule of its JSON form (None: no rule). Raises BadRule with the sentence that says what is wrong."""
    if plain is None:
        return None
    if not isinstance(plain, dict) or plain.keys() - SCHEMA["properties"].keys():
        raise BadRule
    kinds = plain.get("kinds")
    if not isinstance(kinds, list) or not kinds or any(kind not in KIND_LABELS for kind in kinds):
        raise BadRule(_l("Choose what counts: accounts opened, assets transferred in, or both."))
    accounts = plain.get("accounts", [])
    if not isinstance(accounts, list) or len(accounts) > MAX_ACCOUNTS:
        raise BadRule(_l("A rule names at most %(most)s accounts.", most=MAX_ACCOUNTS))
    within = plain.get("within_days", DEFAULT_WITHIN)
    if not isinstance(within, int) or isinstance(within, bool) or not 0 <= within <= LONGEST_WITHIN:
        raise BadRule(_l("It has to hold within 0 to %(most)s days.", most=LONGEST_WITHIN))
    minimum, minimum_kinds = _minimum(plain.get("minimum"))
    return EffectiveRule(
        kinds=tuple(kind for kind in KIND_LABELS if kind in kinds),
        accounts=tuple(map(_account, accounts)),
        minimum=minimum,
        minimum_kinds=minimum_kinds,
        within_days=within,
    )


def _account(plain: Any) -> AccountNeeded:
    if not isinstance(plain, dict) or not isinstance(plain.get("designated", False), bool):
        raise BadRule
    bank = plain.get("partner_bank")
    return AccountNeeded(
        kind=_word(plain.get("kind")),
        designated=plain.get("designated", False),
        partner_bank=None if bank in (None, "") else _word(bank),
    )


def _minimum(plain: Any) -> tuple[Decimal | None, tuple[str, ...]]:
    if plain is None:
        return None, ()
    if not isinstance(plain, dict) or not isinstance(plain.get("kinds", []), list):
        raise BadRule
    try:
        amount = Decimal(str(plain.get("amount")))
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or not 0 <= amount < MAX_AMOUNT:
        raise BadRule(_l("The minimum is an amount of zero or more."))
    return amount.quantize(Decimal("0.01")), tuple(dict.fromkeys(map(_word, plain.get("kinds", []))))


def _word(plain: Any) -> str:
    word = " ".join(plain.split()) if isinstance(plain, str) else ""
    if not 1 <= len(word) <= MAX_WORD or "\0" in word:
        raise BadRule(_l("A kind of account and a bank have 1 to %(most)s characters.", most=MAX_WORD))
    return word


def rule_sentences(rule: EffectiveRule | None) -> list[str]:
    """The rule as people read it, one condition a line."""
    if rule is None:
        return [_("Every account opening counts as an effective one.")]
    lines = [_("Counted: %(kinds)s.", kinds=_listed([str(KIND_LABELS[kind]) for kind in rule.kinds]))]
    lines += [_needed(one) for one in rule.accounts]
    if rule.minimum is not None:
        amount = format_decimal(rule.minimum)
        lines.append(
            _(
                "At least %(amount)s on: %(kinds)s.",
                amount=amount,
                kinds=_listed(map(holding_label, rule.minimum_kinds)),
            )
            if rule.minimum_kinds
            else _("At least %(amount)s of total assets.", amount=amount)
        )
    if rule.accounts or rule.minimum is not None:
        lines.append(
            ngettext(
                "All of it on one day, at most %(num)s day after the opening.",
                "All of it on one day, at most %(num)s days after the opening.",
                rule.within_days,
            )
        )
    return lines


def _needed(one: AccountNeeded) -> str:
    words = {"kind": holding_label(one.kind), "bank": one.partner_bank or ""}
    if one.designated and one.partner_bank:
        return str(_("%(kind)s exists, with designated trading here, at %(bank)s.", **words))
    if one.designated:
        return str(_("%(kind)s exists, with designated trading here.", **words))
    if one.partner_bank:
        return str(_("%(kind)s exists, at %(bank)s.", **words))
    return str(_("%(kind)s exists.", **words))


def _listed(words: Any) -> str:
    separator = str(_(", "))
    return separator.join(words)
