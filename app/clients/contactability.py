"""Who may be contacted: the one list of reasons that keep a client out of a send.

Used twice with the same expression: at launch, where the excluded are counted by reason, and at the last
moment before each message leaves.
"""

from flask_babel import lazy_gettext as _l
from sqlalchemy import ColumnElement, Select, String, case, cast, func, literal, not_, null, or_, select

from app.clients.models import EXCLUDING_FLAGS, Client, Suppression
from app.clients.preferences.models import MarketingPause

REASON_LABELS = {
    "merged": _l("Merged into another record"),
    "closed": _l("No longer a client"),
    "flagged": _l("Flagged: not to be contacted"),
    "no_address": _l("No usable address"),
    "suppressed": _l("On the suppression list"),
    "no_consent": _l("No marketing consent"),
    "paused": _l("Paused marketing for a while"),
    "unsuitable": _l("Not suitable for the product, or no valid risk assessment"),
    "second_check": _l("Of the age that needs a second check, which is missing"),
    "no_personalisation": _l("Refused personalised marketing"),
    "topic_refused": _l("Refused this topic"),
    "capped": _l("Frequency cap reached"),
    "outranked": _l("Gave way to a campaign of higher priority"),
}
_CONSENT = {"email": Client.email_consent, "sms": Client.sms_consent, "call": Client.call_consent}


def exclusion_reason(*, channel: str, purpose: str) -> ColumnElement[str | None]:
    """The first reason against contacting the row's client, or NULL where there is none.

    Consent is opt-in and counts for marketing only; flags and status do not stop a statutory notice.
    Reads `client` (and probes `suppression`), so it belongs into a query over clients.
    """
    rules = reasons_against(channel=channel, purpose=purpose)
    return case(*((condition, literal(reason)) for condition, reason in rules), else_=cast(null(), String))


def contact_conditions(*, channel: str, purpose: str) -> list[ColumnElement[bool]]:
    """What must all be true for the row's client to have no exclusion reason; none is ever NULL.

    One by one, so that PostgreSQL can take each where it is cheapest and the suppression list as an anti-join.
    """
    return [not_(condition) for condition, _reason in reasons_against(channel=channel, purpose=purpose)]


def reasons_against(*, channel: str, purpose: str, of_many: bool = False) -> list[tuple[ColumnElement[bool], str]]:
    """Condition and reason, in the order they are told; the conditions are true or false, never NULL.

    With `of_many` the suppression list and the pauses are read once, as for a pass over the whole book, instead of
    probed for each client; the condition of the list is then NULL without an address.
    """
    address = Client.email if channel == "email" else Client.mobile
    listed = select(Suppression.address).where(Suppression.channel == channel)
    suppressed: ColumnElement[bool] = func.lower(address).in_(listed)
    if not of_many:
        suppressed = listed.where(Suppression.address == func.lower(address)).correlate(Client).exists()
    # Planned before the merge: whoever it is gets what the other record gets.
    rules: list[tuple[ColumnElement[bool], str]] = [(Client.merged_into_id.is_not(None), "merged")]
    if purpose != "statutory":
        rules.append((Client.status == "closed", "closed"))
        rules.append((Client.flags.overlap(list(EXCLUDING_FLAGS)), "flagged"))
    rules.append((or_(address.is_(None), address == ""), "no_address"))
    rules.append((suppressed, "suppressed"))
    if purpose == "marketing":
        rules.append((_CONSENT[channel].is_not(True), "no_consent"))
        rules.append((_paused(of_many=of_many), "paused"))
    return rules


def _paused(*, of_many: bool) -> ColumnElement[bool]:
    pauses = select(MarketingPause.client_id).where(MarketingPause.until > func.now())
    return client_among(pauses, MarketingPause.client_id.expression, of_many=of_many)


def client_among(ids: Select[int], column: ColumnElement[int], *, of_many: bool) -> ColumnElement[bool]:
    """Whether the row's client is among the ids that a query reads from a column that is never NULL.

    With `of_many` they are read once, as for a pass over the whole book, and PostgreSQL may share the pass among
    workers; without, the table is probed for each client.
    """
    if of_many:
        return Client.id.in_(ids)
    return ids.where(column == Client.id).correlate(Client).exists()
