"""Reports over HTTP: the response per campaign, segment and channel, and what it caused. Figures, never clients."""

from decimal import Decimal
from typing import Any

from flask import Response, jsonify
from sqlalchemy import select

from app.api.keys import calling_user, with_api_key
from app.api.v1.bodies import NOT_FOUND, PAGING, REFUSALS, answer, page_of, page_size, page_start, parameter, reference
from app.campaigns.models import Campaign
from app.campaigns.queries import campaign_by_code, visible_to
from app.clients.queries import sees_whole_book
from app.core.extensions import db
from app.reports.effect.effects import Effect, Judgement
from app.reports.effect.report import CampaignEffect, campaign_effect
from app.reports.effect.verdict import Finding
from app.reports.response import DENOMINATORS, Outcome, Row, campaign_response


@with_api_key("reports")
def index() -> Response:
    """One page of launched campaigns, by id."""
    limit, user = page_size(), calling_user()
    query = select(Campaign).where(Campaign.launched_at.is_not(None), Campaign.id > (page_start() or 0))
    if user is not None:
        query = query.where(visible_to(user))
    found = db.session.scalars(query.order_by(Campaign.id).limit(limit + 1)).all()
    shown = found[:limit]
    return jsonify(items=[_campaign(one) for one in shown], next=shown[-1].id if len(found) > limit else None)


@with_api_key("reports")
def show(code: str) -> Response:
    """The response of one campaign: the whole audience, each segment as frozen at the launch, each channel; and what
    it caused, where there is a control group."""
    user = calling_user()
    campaign = campaign_by_code(code, viewer=user)
    response = campaign_response(campaign, user)
    effect = campaign_effect(campaign, user, frozen=response.frozen)
    return jsonify(
        campaign=_campaign(campaign),
        whole_firm=user is None or sees_whole_book(user),
        receipts=response.receipts,
        matched=response.matched,
        exclusions=response.exclusions,
        skipped=response.skipped,
        failed=response.failed,
        total=_row(response.total),
        segments=[_row(row) for row in response.segments],
        channels=[_row(row) for row in response.channels],
        pending=response.pending,
        as_of=response.as_of.isoformat() if response.as_of else None,
        effect=_effect(effect) if effect is not None and effect.strata.has_control else None,
    )


def _campaign(campaign: Campaign) -> dict[str, Any]:
    return {
        "id": campaign.id,
        "code": campaign.code,
        "name": campaign.name,
        "purpose": campaign.purpose,
        "state": campaign.state,
        "launched_at": campaign.launched_at.isoformat() if campaign.launched_at else None,
        "attribution_window_days": campaign.window_days,
    }


def _row(row: Row) -> dict[str, Any]:
    """Counts of clients, each once, and the rates with their 95 % Wilson intervals."""
    rates = {outcome.value: row.rate(outcome) for outcome in DENOMINATORS}
    return {
        "name": row.name,
        "segment_id": row.segment_id,
        "counts": {outcome.value: row.count(outcome) for outcome in Outcome},
        "rates": {
            name: {"of": DENOMINATORS[Outcome(name)].value, "share": rate.share, "interval": rate.interval}
            for name, rate in rates.items()
        },
    }


def _effect(effect: CampaignEffect) -> dict[str, Any]:
    """Both arms as assigned, over every opening of either from the launch to the end of the window."""
    assets = effect.assets.bootstrap
    return {
        "finding": effect.verdict.finding.value,
        "split_check": {"ok": effect.split.ok, "p_value": effect.split.p} if effect.split else None,
        "closes_at": effect.strata.closes_at.isoformat() if effect.strata.closes_at else None,
        "total": _comparison(effect.whole),
        "segments": [_comparison(one) for one in effect.segments],
        "assets_brought_in": str(effect.assets.brought_in),
        "incremental_assets": _estimate(assets.incremental, assets.incremental_low, assets.incremental_high)
        if assets
        else None,
        "cost": _money(effect.cost),
        "cost_per_account": _money(effect.cost_per_account),
        "cost_per_incremental_account": _money(effect.cost_per_incremental),
    }


def _comparison(one: Effect) -> dict[str, Any]:
    lift = None if one.too_few else one.lift
    relative = (
        _estimate(lift.relative, lift.relative_low, lift.relative_high) if lift and lift.relative is not None else None
    )
    return {
        "name": one.name,
        "segment_id": int(one.key) if one.key else None,
        "treated": {"clients": one.treated, "opened": one.opened, "effective": one.effective},
        "control": {"clients": one.control, "opened": one.control_opened, "effective": one.control_effective},
        "judgement": one.judgement.value,
        "absolute_lift": _estimate(lift.absolute, lift.low, lift.high) if lift else None,
        "relative_lift": relative,
        "incremental_accounts": _estimate(lift.incremental, lift.incremental_low, lift.incremental_high)
        if lift
        else None,
        "drawn_in_lift": one.drawn_in if lift else None,
        "p_value": one.p if lift else None,
        "corrected_p_value": one.corrected if lift else None,
    }


def _estimate(value: float, low: float | None, high: float | None) -> dict[str, float | None]:
    return {"value": value, "low": low, "high": high}


def _money(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:.2f}"


# ---- What machines read ---------------------------------------------------------------------------------------------

_ARM = {
    "type": "object",
    "required": ["clients", "opened", "effective"],
    "properties": {name: {"type": "integer"} for name in ("clients", "opened", "effective")},
    "description": "Clients as assigned; of them those who opened an account, and an effective one.",
}
_MONEY = {"type": ["string", "null"], "description": "A decimal number in the firm's currency."}


def _estimated(description: str) -> dict[str, Any]:
    return {
        "type": ["object", "null"],
        "required": ["value", "low", "high"],
        "properties": {name: {"type": ["number", "null"]} for name in ("value", "low", "high")},
        "description": f"{description} Null where there are too few to tell.",
    }


_BY_REASON = {"type": "object", "additionalProperties": {"type": "integer"}}
SCHEMAS: dict[str, Any] = {
    "ReportedCampaign": {
        "type": "object",
        "required": ["id", "code", "name", "purpose", "state", "launched_at", "attribution_window_days"],
        "properties": {
            "id": {"type": "integer"},
            "code": {"type": "string"},
            "name": {"type": "string"},
            "purpose": {"type": "string", "enum": ["marketing", "service", "statutory"]},
            "state": {"type": "string"},
            "launched_at": {"type": ["string", "null"], "format": "date-time"},
            "attribution_window_days": {"type": "integer"},
        },
    },
    "ReportedCampaignPage": page_of("ReportedCampaign"),
    "ReportRow": {
        "type": "object",
        "required": ["name", "segment_id", "counts", "rates"],
        "properties": {
            "name": {"type": "string"},
            "segment_id": {"type": ["integer", "null"], "description": "Null for the whole audience and for channels."},
            "counts": {
                "type": "object",
                "required": [outcome.value for outcome in Outcome],
                "properties": {outcome.value: {"type": "integer"} for outcome in Outcome},
                "description": "Clients, each once.",
            },
            "rates": {
                "type": "object",
                "additionalProperties": {
                    "type": "object",
                    "required": ["of", "share", "interval"],
                    "properties": {
                        "of": {"type": "string", "description": "The count that it is a share of."},
                        "share": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
                        "interval": {
                            "type": ["array", "null"],
                            "items": {"type": "number"},
                            "minItems": 2,
                            "maxItems": 2,
                            "description": "95 % Wilson score interval.",
                        },
                    },
                },
            },
        },
    },
    "ReportComparison": {
        "type": "object",
        "required": ["name", "segment_id", "treated", "control", "judgement", "absolute_lift", "incremental_accounts"],
        "properties": {
            "name": {"type": "string"},
            "segment_id": {"type": ["integer", "null"]},
            "treated": _ARM,
            "control": _ARM,
            "judgement": {"type": "string", "enum": [judgement.value for judgement in Judgement]},
            "absolute_lift": _estimated("Share of the treated less that of the control group, 95 % interval."),
            "relative_lift": _estimated("The absolute lift as a share of the control group's rate."),
            "incremental_accounts": _estimated("The absolute lift times the treated clients."),
            "drawn_in_lift": {"type": ["number", "null"], "description": "Drawn towards the lift of all segments."},
            "p_value": {"type": ["number", "null"]},
            "corrected_p_value": {"type": ["number", "null"], "description": "For the number of segments."},
        },
    },
    "ReportEffect": {
        "type": ["object", "null"],
        "required": ["finding", "split_check", "closes_at", "total", "segments", "cost"],
        "description": "What the campaign caused; null without a control group.",
        "properties": {
            "finding": {"type": "string", "enum": [finding.value for finding in Finding]},
            "split_check": {
                "type": ["object", "null"],
                "required": ["ok", "p_value"],
                "properties": {"ok": {"type": "boolean"}, "p_value": {"type": "number"}},
                "description": "Where it is not ok, no comparison is to be trusted.",
            },
            "closes_at": {"type": ["string", "null"], "format": "date-time", "description": "End of the window."},
            "total": reference("ReportComparison"),
            "segments": {"type": "array", "items": reference("ReportComparison")},
            "assets_brought_in": _MONEY,
            "incremental_assets": _estimated("Assets that would not have come without it, bootstrap interval."),
            "cost": _MONEY,
            "cost_per_account": _MONEY,
            "cost_per_incremental_account": _MONEY,
        },
    },
    "Report": {
        "type": "object",
        "required": [
            "campaign",
            "whole_firm",
            "total",
            "segments",
            "channels",
            "receipts",
            "pending",
            "as_of",
            "effect",
        ],
        "properties": {
            "campaign": reference("ReportedCampaign"),
            "whole_firm": {"type": "boolean", "description": "False where the key reads a part of the firm."},
            "receipts": {"type": "boolean", "description": "Delivered is known by receipts, not by acceptance."},
            "matched": {"type": "integer"},
            "exclusions": _BY_REASON,
            "skipped": _BY_REASON,
            "failed": _BY_REASON,
            "total": reference("ReportRow"),
            "segments": {"type": "array", "items": reference("ReportRow")},
            "channels": {"type": "array", "items": reference("ReportRow")},
            "pending": {"type": "integer", "description": "Clients that changed after `as_of`."},
            "as_of": {"type": ["string", "null"], "format": "date-time"},
            "effect": reference("ReportEffect"),
        },
    },
}
PATHS: dict[str, Any] = {
    "/reports": {
        "get": {
            "operationId": "listReports",
            "summary": "Campaigns with a report",
            "parameters": PAGING,
            "responses": {"200": answer("One page.", "ReportedCampaignPage")} | REFUSALS,
        }
    },
    "/reports/{code}": {
        "get": {
            "operationId": "getReport",
            "summary": "Response of a campaign, whole and per segment",
            "parameters": [parameter("code", {"type": "string"}, "The campaign's code.", place="path")],
            "responses": {"200": answer("The report.", "Report")} | REFUSALS | NOT_FOUND,
        }
    },
}
