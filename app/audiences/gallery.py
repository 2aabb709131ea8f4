"""Ready segments to copy and adjust. Figures are the practice of real firms; change them to your own."""

from dataclasses import dataclass
from typing import Any

from flask_babel import lazy_gettext as _l


@dataclass(frozen=True, slots=True)
class ReadySegment:
    key: str
    name: object
    description: object
    rule: dict[str, Any]


def _all(*conditions: dict[str, Any]) -> dict[str, Any]:
    return {"all": list(conditions)}


def _is(field: str, op: str, value: Any = None) -> dict[str, Any]:
    return {"field": field, "op": op} | ({} if value is None else {"value": value})


GALLERY = (
    ReadySegment(
        "birthday",
        _l("Birthday in the next 7 days"),
        _l("Clients to congratulate this week."),
        _all(_is("birth_date", "anniversary_in_next_days", 7), _is("kind", "is", "person")),
    ),
    ReadySegment(
        "never_traded",
        _l("New but never traded"),
        _l("Became a client in the last 90 days and has no transaction yet."),
        _all(_is("opened_on", "in_last_days", 90), _is("last_transaction_on", "missing")),
    ),
    ReadySegment(
        "custody_without_fund",
        _l("Custody account but no fund"),
        _l("Holds a third-party custody account and no fund account."),
        _all(_is("account_kinds", "has", "custody"), _is("account_kinds", "has_not", "fund")),
    ),
    ReadySegment(
        "wealthy_without_fund",
        _l("High assets, no fund"),
        _l("Total assets of 200,000 and more, but no fund account."),
        _all(_is("total_assets", "gte", 200_000), _is("account_kinds", "has_not", "fund")),
    ),
    ReadySegment(
        "dormant",
        _l("Dormant with assets"),
        _l("No transaction for 180 days, total assets over 10,000."),
        _all(_is("last_transaction_on", "more_than_days_ago", 180), _is("total_assets", "gt", 10_000)),
    ),
    ReadySegment(
        "growth",
        _l("C4 and C5 without a fund"),
        _l("Clients who accept higher risk and hold no growth product yet."),
        _all(_is("risk_level", "in", [4, 5]), _is("account_kinds", "has_not", "fund")),
    ),
    ReadySegment(
        "assessment_expiring",
        _l("Risk assessment expires within 30 days"),
        _l("An assessment is valid for 12 months; remind these clients to renew it."),
        _all(_is("risk_assessed_on", "in_last_days", 365), _is("risk_assessed_on", "more_than_days_ago", 335)),
    ),
    ReadySegment(
        "no_assessment",
        _l("No valid risk assessment"),
        _l("Never assessed, or longer than 12 months ago."),
        {"any": [_is("risk_assessed_on", "missing"), _is("risk_assessed_on", "more_than_days_ago", 365)]},
    ),
    ReadySegment(
        "unreachable",
        _l("Unreachable clients"),
        _l("Neither an e-mail address nor a mobile number; each needs somebody to repair it."),
        _all(_is("email", "missing"), _is("mobile", "missing"), _is("status", "is_not", "closed")),
    ),
    ReadySegment(
        "ask_for_consent",
        _l("Consent never asked for"),
        _l("Has an e-mail address, but neither agreed to marketing nor refused."),
        _all(_is("email", "known"), _is("email_consent", "missing"), _is("status", "in", ["client", "dormant"])),
    ),
    ReadySegment(
        "unowned",
        _l("Valuable clients without an adviser"),
        _l("Total assets of 200,000 and more, and nobody who looks after them."),
        _all(_is("adviser", "missing"), _is("total_assets", "gte", 200_000)),
    ),
    ReadySegment(
        "seniors",
        _l("Age 60 and over"),
        _l("Clients aged 60 and more who may be reached by e-mail."),
        _all(_is("age", "gte", 60), _is("reachable_by_email", "is_yes")),
    ),
    ReadySegment(
        "anniversary",
        _l("Anniversary as a client"),
        _l("The day they became a client comes round in the next 30 days, after a year or more."),
        _all(_is("opened_on", "anniversary_in_next_days", 30), _is("opened_on", "more_than_days_ago", 335)),
    ),
)


def ready_segment(key: str) -> ReadySegment | None:
    return next((ready for ready in GALLERY if ready.key == key), None)
