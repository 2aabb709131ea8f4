"""Reports over HTTP: the response per campaign, segment and channel. Figures, never clients."""

from typing import Any

from flask import Response, jsonify
from sqlalchemy import select

from app.api.keys import calling_user, with_api_key
from app.api.v1.bodies import NOT_FOUND, PAGING, REFUSALS, answer, page_of, page_size, page_start, parameter, reference
from app.campaigns.models import Campaign
from app.campaigns.queries import campaign_by_code, visible_to
from app.clients.queries import sees_whole_book
from app.core.extensions import db
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
    """The response of one campaign: the whole audience, each segment as frozen at the launch, each channel."""
    user = calling_user()
    campaign = campaign_by_code(code, viewer=user)
    response = campaign_response(campaign, user)
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


# ---- What machines read ---------------------------------------------------------------------------------------------

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
    "Report": {
        "type": "object",
        "required": ["campaign", "whole_firm", "total", "segments", "channels", "receipts", "pending", "as_of"],
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
