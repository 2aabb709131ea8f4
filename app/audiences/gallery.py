"""Ready segments to copy and adjust, each with a line on when to use it.

Figures are the practice of real firms; change them to your own.
"""

from dataclasses import dataclass
from typing import Any

from flask_babel import lazy_gettext as _l


@dataclass(frozen=True, slots=True)
class ReadySegment:
    """`description` says when to use it."""

    key: str
    name: object
    description: object
    rule: dict[str, Any]


def _all(*rules: dict[str, Any]) -> dict[str, Any]:
    return {"all": list(rules)}


def _any(*rules: dict[str, Any]) -> dict[str, Any]:
    return {"any": list(rules)}


def _is(field: str, op: str, value: Any = None) -> dict[str, Any]:
    return {"field": field, "op": op} | ({} if value is None else {"value": value})


def _rows(kind: str, op: str, value: int, *rules: dict[str, Any]) -> dict[str, Any]:
    """So many rows elsewhere for which all of the rules hold."""
    return {"related": kind, "where": _all(*rules), "op": op, "value": value}


_WEALTH = 200_000  # from here on a client of an outlet becomes one of a wealth manager
_EXPIRED = _is("risk_expires_on", "in_last_days", 36_500)  # today or at any time before
_IN_BOOK = _is("status", "is_not", "closed")
_HELD = _is("value", "ne", 0)  # a statement may end a holding with nothing
# Of an ETF, which is bought like a share, nobody says that a client has a fund.
_FUND_KINDS = [
    "fund",
    "money_fund",
    "bond_fund",
    "mixed_fund",
    "equity_fund",
    "index_fund",
    "qdii_fund",
    "private_fund",
]
_HELD_FUND = (_is("product_kind", "in", _FUND_KINDS), _HELD)
_NO_FUND = (_is("account_kinds", "has_not", "fund"), _rows("positions", "eq", 0, *_HELD_FUND))

GALLERY = (
    ReadySegment(
        "birthday",
        _l("Birthday in the next 7 days"),
        _l("Every Monday: a greeting, with no offer in it, to those whose day, solar or lunar, comes this week."),
        _all(
            _any(
                _is("birth_date", "anniversary_in_next_days", 7),
                _is("birth_date", "lunar_anniversary_in_next_days", 7),
            ),
            _is("kind", "is", "person"),
        ),
    ),
    ReadySegment(
        "never_traded",
        _l("New but never traded"),
        _l(
            "Opened an account in the last 90 days and has not traded: help with the first order before they forget us."
        ),
        _all(
            _rows("accounts", "gte", 1, _is("open", "is_yes"), _is("opened_on", "in_last_days", 90)),
            _rows("transactions", "eq", 0, _is("trade", "is_yes")),
        ),
    ),
    ReadySegment(
        "assets_falling",
        _l("Assets fell by more than 30 per cent in 30 days"),
        _l("Money is leaving or the market took it: a call by the adviser, not a mailing."),
        _all(_is("assets_change_30", "lt", -30), _IN_BOOK),
    ),
    ReadySegment(
        "custody_without_fund",
        _l("Custody account but no fund"),
        _l("For a first fund or savings plan: the money can already be moved."),
        _all(_is("account_kinds", "has", "custody"), *_NO_FUND),
    ),
    ReadySegment(
        "not_activated",
        _l("Card or account not activated"),
        _l("Two weeks after the opening: a short guide to the first steps, then a call."),
        _rows(
            "accounts",
            "gte",
            1,
            _is("open", "is_yes"),
            _is("activated_on", "missing"),
            _is("opened_on", "in_last_days", 180),
            _is("opened_on", "more_than_days_ago", 14),
        ),
    ),
    ReadySegment(
        "wealthy_without_product",
        _l("High balance and no product"),
        _l("Total assets of 200,000 and more lie idle: for an invitation to an investment plan."),
        _all(_is("total_assets", "gte", _WEALTH), _rows("positions", "eq", 0, _HELD)),
    ),
    ReadySegment(
        "wealthy_without_fund",
        _l("High assets, no fund"),
        _l("For fund launches: total assets of 200,000 and more, but no fund and no account for one."),
        _all(_is("total_assets", "gte", _WEALTH), *_NO_FUND),
    ),
    ReadySegment(
        "dormant",
        _l("Dormant with assets"),
        _l("For a reactivation: no transaction for 180 days or ever, but total assets over 10,000 are still here."),
        _all(
            _any(
                _is("last_transaction_on", "more_than_days_ago", 180),
                _all(_is("last_transaction_on", "missing"), _is("opened_on", "more_than_days_ago", 180)),
            ),
            _is("total_assets", "gt", 10_000),
            _IN_BOOK,
        ),
    ),
    ReadySegment(
        "maturing_deposit",
        _l("Age 50 and over with a maturing deposit"),
        _l("Before a deposit ends within 30 days: keep the money here, with something no riskier."),
        _all(
            _is("age", "gte", 50),
            _rows(
                "accounts",
                "gte",
                1,
                _is("kind", "is", "deposit"),
                _is("open", "is_yes"),
                _is("matures_on", "in_next_days", 30),
            ),
        ),
    ),
    ReadySegment(
        "fund_at_a_loss",
        _l("Fund holders at a loss"),
        _l("After weak weeks: an explanation and an offer to look at the holdings together, never a new product."),
        _rows("positions", "gte", 1, *_HELD_FUND, _is("profit", "lt", 0)),
    ),
    ReadySegment(
        "growth_without_product",
        _l("C4 and C5 with no growth product"),
        _l("For products of risk R4 and R5: clients who accept that risk and hold none yet."),
        _all(
            _is("suitability", "in", [4, 5]),
            _rows("positions", "eq", 0, _is("product_risk", "in", [4, 5]), _HELD),
        ),
    ),
    ReadySegment(
        "growth",
        _l("C4 and C5 without a fund"),
        _l("Clients who accept higher risk and have no fund and no account for one: for a first growth fund."),
        _all(_is("risk_level", "in", [4, 5]), _is("risk_expires_on", "known"), {"not": _EXPIRED}, *_NO_FUND),
    ),
    ReadySegment(
        "clicked_not_opened",
        _l("Clicked in 30 days but opened no account"),
        _l("They were interested: a second, different message or a call within the same month."),
        _all(
            _is("last_clicked_on", "in_last_days", 30),
            _rows("accounts", "eq", 0, _is("opened_on", "in_last_days", 30)),
        ),
    ),
    ReadySegment(
        "no_contact",
        _l("No contact in 60 days, tier over 200,000"),
        _l("For the adviser's list of the week: valuable clients whom nobody has been in touch with."),
        _all(
            _is("total_assets", "gte", _WEALTH),
            _any(_is("last_contacted_on", "more_than_days_ago", 60), _is("last_contacted_on", "missing")),
        ),
    ),
    ReadySegment(
        "unreachable",
        _l("Unreachable clients"),
        _l("No address that works, neither e-mail nor mobile: each has a task to repair it, open or given up."),
        _all(
            _any(_is("email", "missing"), _is("email_problem", "known")),
            _any(_is("mobile", "missing"), _is("mobile_problem", "known")),
            _is("status", "not_in", ["closed", "lead"]),
            _is("flags", "has_not", "deceased"),
        ),
    ),
    ReadySegment(
        "referred",
        _l("Referred by a client"),
        _l("For a welcome that names the connection, and a thank-you to who referred them."),
        _all(_is("referred", "is_yes"), _IN_BOOK),
    ),
    ReadySegment(
        "not_contacted",
        _l("Not contacted by any campaign in 30 days"),
        _l("As a first condition where many campaigns run at once: nobody gets two in a month."),
        _all(
            _any(_is("last_contacted_on", "more_than_days_ago", 30), _is("last_contacted_on", "missing")),
            _IN_BOOK,
        ),
    ),
    ReadySegment(
        "assessment_expiring",
        _l("Risk assessment expires within 30 days"),
        _l("Every month: a reminder to renew it, before the client can be offered nothing any more."),
        _all(_is("risk_expires_on", "in_next_days", 30)),
    ),
    ReadySegment(
        "no_assessment",
        _l("No valid risk assessment"),
        _l("Before any product campaign: these may not be offered a product until they are assessed."),
        _all(_any(_is("risk_level", "missing"), _is("risk_expires_on", "missing"), _EXPIRED)),
    ),
    ReadySegment(
        "ask_for_consent",
        _l("Consent never asked for"),
        _l("For a service contact that asks: an address is known, but marketing was neither allowed nor refused."),
        _all(_is("email", "known"), _is("email_consent", "missing"), _is("status", "in", ["client", "dormant"])),
    ),
    ReadySegment(
        "unowned",
        _l("Valuable clients without an adviser"),
        _l("For the branch manager: total assets of 200,000 and more, and nobody who looks after them."),
        _all(_is("adviser", "missing"), _is("total_assets", "gte", _WEALTH)),
    ),
    ReadySegment(
        "seniors",
        _l("Age 60 and over"),
        _l("For investor education and fraud warnings; offers of risk need a second look at this age."),
        _all(_is("age", "gte", 60), _IN_BOOK),
    ),
    ReadySegment(
        "anniversary",
        _l("Anniversary as a client"),
        _l("A thank-you: the day they became a client comes round in the next 30 days, after a year or more."),
        _all(_is("opened_on", "anniversary_in_next_days", 30), _is("opened_on", "more_than_days_ago", 335)),
    ),
)


def ready_segment(key: str) -> ReadySegment | None:
    return next((ready for ready in GALLERY if ready.key == key), None)
