"""When and how a campaign's messages leave and what it offers: the verb that sets it, the sentences that tell it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import time
from typing import Any

from flask_babel import format_time, get_locale, ngettext
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app.campaigns.gates import is_personalised
from app.campaigns.models import LONGEST_SPREAD_HOURS, PRIORITY_LABELS, Campaign
from app.campaigns.sending_rules import CHANNEL_LABELS, MIDNIGHT, PERIOD_LABELS, Rules, open_hours, shut_channels
from app.campaigns.service import note_act, open_for_editing
from app.campaigns.step_kinds import contacts_of
from app.core.errors import AppError
from app.core.extensions import db
from app.core.permissions import Actor

LONGEST_NAME = 200
LONGEST_TERM_MONTHS = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class SendingPlan:
    """The columns of a campaign that this is about, named as there."""

    priority: int = 2
    send_from: time | None = None
    send_until: time | None = None
    send_days: Sequence[int] = ()
    local_time: time | None = None
    spread_hours: int | None = None
    product_name: str | None = None
    product_risk: int | None = None
    product_private: bool = False
    product_kind: str | None = None
    product_term_months: int | None = None


def set_sending_plan(*, campaign: Campaign, plan: SendingPlan, actor: Actor | None) -> None:
    """Decide when and how it leaves. What was launched must be paused for a revision first."""
    values = _checked(plan, campaign.purpose)
    changes = {
        key: [_plain(getattr(campaign, key)), _plain(value)]
        for key, value in values.items()
        if getattr(campaign, key) != value
    }
    if not changes:
        return
    open_for_editing(campaign, actor, revising=True)
    for key, value in values.items():
        setattr(campaign, key, value)
    db.session.flush()
    note_act(campaign, "sending_changed", actor, changes=changes)


def plan_of(campaign: Campaign) -> SendingPlan:
    names = SendingPlan.__dataclass_fields__
    return SendingPlan(**{name: getattr(campaign, name) for name in names} | {"send_days": campaign.send_days or ()})


def _checked(plan: SendingPlan, purpose: str) -> dict[str, Any]:
    if plan.priority not in PRIORITY_LABELS:
        raise AppError(_l("The priority is low, normal or high."))
    days = sorted(set(plan.send_days))
    if not set(days) <= set(range(1, 8)):
        raise AppError(_l("A day is Monday to Sunday."))
    if plan.send_until and plan.send_until != MIDNIGHT and (plan.send_from or MIDNIGHT) >= plan.send_until:
        raise AppError(_l("The send window has to begin before it ends."))
    if plan.spread_hours is not None and not 1 <= plan.spread_hours <= LONGEST_SPREAD_HOURS:
        raise AppError(_l("Spread it over 1 to %(most)s hours.", most=LONGEST_SPREAD_HOURS))
    name, kind = (" ".join((text or "").split()) for text in (plan.product_name, plan.product_kind))
    if len(name) > LONGEST_NAME or len(kind) > LONGEST_NAME or "\0" in name + kind:
        raise AppError(_l("The product may have %(most)s characters at most.", most=LONGEST_NAME))
    if plan.product_risk is None and (name or kind or plan.product_private or plan.product_term_months):
        raise AppError(_l("Give the product's risk level: who may be offered it is decided by that."))
    if plan.product_risk is not None:
        if purpose == "statutory":
            raise AppError(_l("A statutory notice offers no product."))
        if not 1 <= plan.product_risk <= 5:
            raise AppError(_l("A product's risk level is R1 to R5."))
        if not name:
            raise AppError(_l("Name the product."))
    if plan.product_term_months is not None and not 1 <= plan.product_term_months <= LONGEST_TERM_MONTHS:
        raise AppError(_l("The term is 1 to %(most)s months.", most=LONGEST_TERM_MONTHS))
    return asdict(plan) | {"send_days": days or None, "product_name": name or None, "product_kind": kind or None}


def _plain(value: Any) -> Any:
    return value.isoformat("minutes") if isinstance(value, time) else value


# ---- In words -------------------------------------------------------------------------------------------------------


def sending_sentences(campaign: Campaign, rules: Rules) -> list[str]:
    """What will happen at the launch, one sentence after the other, for people to read before they approve it."""
    said = [_meant_for(campaign), *_hours(campaign, rules)]
    if campaign.product_risk is not None:
        said.append(
            _(
                "It offers %(product)s (R%(risk)s): only clients for whom that is suitable get it, by an assessment "
                "that is still valid when the message leaves.",
                product=campaign.product_name,
                risk=campaign.product_risk,
            )
        )
        if campaign.product_private:
            said.append(_("The product is private: it reaches confirmed qualified investors only."))
    if campaign.purpose == "marketing":
        if is_personalised(campaign):
            said.append(
                _(
                    "It speaks to clients by what is known of them, so those who refused personalised marketing get "
                    "none."
                )
            )
        said += _caps(campaign, rules)
    for channel in shut_channels(campaign, rules):
        said.append(
            _(
                "The send window and the quiet hours leave no time for %(channel)s: it would wait for ever.",
                channel=CHANNEL_LABELS.get(channel, channel),
            )
        )
    return said


def _meant_for(campaign: Campaign) -> Any:
    spread = campaign.spread_hours
    if campaign.local_time is not None:
        at = _clock(campaign.local_time)
        if spread is None:
            return _("Each client gets it at %(time)s of their own time zone.", time=at)
        return ngettext(
            "Each client gets it within %(num)s hour from %(time)s of their own time zone on.",
            "Each client gets it within %(num)s hours from %(time)s of their own time zone on.",
            spread,
            time=at,
        )
    if spread is None:
        return _("Messages leave as fast as the channels take them.")
    return ngettext("Messages leave evenly over %(num)s hour.", "Messages leave evenly over %(num)s hours.", spread)


def _hours(campaign: Campaign, rules: Rules) -> list[str]:
    said = []
    if campaign.send_days:
        names = get_locale().days["stand-alone"]["wide"]
        days = ", ".join(names[day - 1] for day in campaign.send_days)
        said.append(_("They leave only on: %(days)s.", days=days))
    for channel in contacts_of(campaign):
        opens, closes = open_hours(campaign, channel=channel, rules=rules)
        if (opens, closes) != (MIDNIGHT, MIDNIGHT):
            said.append(
                _(
                    "%(channel)s leaves from %(opens)s to %(closes)s by each client's clock; the rest waits.",
                    channel=CHANNEL_LABELS.get(channel, channel),
                    opens=_clock(opens),
                    closes=_clock(closes) if closes != MIDNIGHT else _("midnight"),
                )
            )
    return said


def _caps(campaign: Campaign, rules: Rules) -> list[str]:
    said = []
    for channel in contacts_of(campaign):
        periods = rules.caps.get(channel)
        if periods:
            limits = ", ".join(f"{limit} {PERIOD_LABELS[period]}" for period, limit in periods.items())
            said.append(
                _(
                    "A client gets at most so many marketing messages by %(channel)s: %(limits)s. Its priority is "
                    "%(priority)s.",
                    channel=CHANNEL_LABELS[channel],
                    limits=limits,
                    priority=str(PRIORITY_LABELS[campaign.priority]).lower(),
                )
            )
    return said


def _clock(moment: time) -> str:
    return str(format_time(moment, "HH:mm", rebase=False))
