"""The hard gates of a campaign: who must not get it because of what it offers, or because of whom it was made for.

Looked at in the freeze and once more in the statement that hands messages over; nobody may waive them.

A marketing message is *personalised* (and so not for clients who refused that) where its words name anything of the
client but how to address them and who serves them, or where a segment of its audience asks about anything but a few
plain facts of the relationship. In doubt it is: a list of numbers may have been made from anything.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, String, and_, case, cast, func, inspect, literal, not_, null, select
from sqlalchemy.sql.elements import False_

from app.audiences.fields import Catalogue, load_catalogue
from app.campaigns.models import Campaign, SecondCheck
from app.campaigns.step_kinds import all_words, step_kind
from app.clients.classes.suitability import may_be_offered, needs_second_check
from app.clients.contactability import client_among, exclusion_reason
from app.clients.models import Client
from app.clients.preferences.queries import refuses_topic

Gate = tuple[ColumnElement[bool], str]
UNSUITABLE, SECOND_CHECK, NO_PERSONALISATION = "unsuitable", "second_check", "no_personalisation"
TOPIC_REFUSED = "topic_refused"

_ADDRESSING = {
    "client.first_name",
    "client.last_name",
    "client.name",
    "client.gender",
    "client.number",
    "adviser.name",
    "branch.name",
}
_PLAIN_FACTS = {
    "kind",
    "status",
    "branch",
    "adviser",
    "second_adviser",
    "in_pool",
    "locale",
    "email_consent",
    "sms_consent",
    "call_consent",
}
_LIQUID = re.compile(r"\{[{%](.*?)[%}]\}", re.S)
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_MERGE_FIELD = re.compile(r"\b(?:client|adviser|branch|custom)(?:\.\w+)?")


def gates(campaign: Campaign, *, of_many: bool = False) -> list[Gate]:
    """Conditions over client, true or false and never NULL, each with the reason why the message is not for them.

    With `of_many` other tables are read once, as for a pass over the whole book, instead of probed for each client.
    """
    found: list[Gate] = []
    if campaign.product_risk is not None:
        found.append((not_(suitable(campaign)), UNSUITABLE))
        if (unchecked := awaiting_second_check(campaign, of_many=of_many)) is not None:
            found.append((unchecked, SECOND_CHECK))
    if campaign.purpose == "marketing" and is_personalised(campaign):
        found.append((Client.personalisation_refused.expression, NO_PERSONALISATION))
    if campaign.purpose == "marketing" and campaign.topic_id is not None:
        found.append((refuses_topic(campaign.topic_id, of_many=of_many), TOPIC_REFUSED))
    return found


def reason_against(shut: Sequence[Gate], *, channel: str, purpose: str) -> ColumnElement[str | None]:
    """Over client: the first reason for which the message must not reach them on the channel, or NULL: what holds for
    every message, then the campaign's gates."""
    reason = exclusion_reason(channel=channel, purpose=purpose)
    if not shut:
        return reason
    gate = case(*((condition, literal(word)) for condition, word in shut), else_=cast(null(), String))
    return func.coalesce(reason, gate)


def suitable(campaign: Campaign) -> ColumnElement[bool]:
    """Those to whom the campaign's product may be offered."""
    return may_be_offered(
        product_risk=campaign.product_risk or 1,
        private=campaign.product_private,
        term_months=campaign.product_term_months,
        product_kind=campaign.product_kind,
    )


def awaiting_second_check(campaign: Campaign, *, of_many: bool = False) -> ColumnElement[bool] | None:
    """Those whom a second person has to look at before the product is offered, and nobody did; None: nobody has to.

    For `of_many` see `gates`.
    """
    if campaign.product_risk is None:
        return None
    needed = needs_second_check(product_risk=campaign.product_risk)
    if isinstance(needed, False_):
        return None
    checks = select(SecondCheck.client_id).where(
        SecondCheck.campaign_id == campaign.id, SecondCheck.product_risk >= campaign.product_risk
    )
    return and_(needed, not_(client_among(checks, SecondCheck.client_id.expression, of_many=of_many)))


def is_personalised(campaign: Campaign) -> bool:
    """Whether the campaign speaks to clients by what is known of them."""
    texts = tuple(_texts(campaign))
    return _names_personal_facts(texts) or _chosen_by_personal_facts(campaign)


@lru_cache(maxsize=64)
def _names_personal_facts(texts: tuple[str, ...]) -> bool:
    return any(
        field not in _ADDRESSING
        for text in texts
        for code in _LIQUID.findall(text)
        for field in _MERGE_FIELD.findall(_QUOTED.sub("", code))
    )


def _texts(campaign: Campaign) -> Iterable[str]:
    for step in campaign.steps:
        for _letter, words in all_words(step):
            content = step_kind(step.channel).content_of(words)
            if content is not None:
                values = (getattr(content, column.key) for column in inspect(content).mapper.column_attrs)
                yield from (value for value in values if isinstance(value, str))


def _chosen_by_personal_facts(campaign: Campaign) -> bool:
    rules = [link.segment.rule for link in campaign.segments if link.role != "report"]
    return asks_personal_facts(rules, load_catalogue()) if any(map(_asks_anything, rules)) else False


def _asks_anything(rule: Mapping[str, Any]) -> bool:
    return rule not in ({}, {"all": []})


def asks_personal_facts(rules: Sequence[object], catalogue: Catalogue) -> bool:
    """Whether one of these rules (JSON) asks about more than plain facts, itself or in a segment that it names."""
    below: list[object] = list(rules)
    seen: set[int] = set()
    while below:
        part = below.pop()
        if isinstance(part, list):
            below += part
        if not isinstance(part, Mapping):
            continue
        if "related" in part or (isinstance(part.get("take"), Mapping) and "by" in part["take"]):
            return True
        if part.get("field") == "segment":
            ids = [one for one in part.get("value") or [] if one not in seen]
            seen.update(ids)
            segments = catalogue.segments(ids)
            if len(segments) < len(ids):
                return True
            below += [segment.rule for segment in segments]
        elif "field" in part and part["field"] not in _PLAIN_FACTS:
            return True
        below += [part.get(key) for key in ("all", "any", "not")]
    return False
