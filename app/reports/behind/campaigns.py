"""Who was left out of a campaign: at the launch, or when the message was to be sent."""

from collections.abc import Mapping

from flask import url_for
from flask_babel import gettext as _
from pyroaring import BitMap64
from sqlalchemy import select

from app.campaigns.models import Campaign
from app.campaigns.queries import campaign_by_code
from app.clients.queries import sees_whole_book
from app.core.extensions import db
from app.delivery.models import LEFT_OUT, Run, RunGroup
from app.reports.behind.listing import Behind
from app.reports.response import Ledger, Outcome, campaign_runs, ledgers
from app.reports.words import OUTCOME_LABELS, reason_label
from app.users.models import User


def clients_left_out(args: Mapping[str, str], viewer: User) -> Behind | None:
    """Of the whole firm, for a `reason` as the report names it; without one, everybody whom the segments matched."""
    campaign = campaign_by_code(args.get("code", ""), viewer=viewer)
    kept = left_out(campaign) if sees_whole_book(viewer) else None
    if kept is None:
        return None
    reason = args.get("reason")
    if reason is not None:
        found = kept.get(reason)
        return None if found is None else _behind(campaign, reason_label(reason), found)
    eligible = (run.audience.client_ids for run in campaign_runs(campaign) if run.audience is not None)
    return _behind(campaign, _("Matched by the segments"), BitMap64().union(*kept.values(), *eligible))


def left_out(campaign: Campaign) -> dict[str, BitMap64] | None:
    """Clients by the reason for which they were left out at the launch; None where only their number was kept, as it
    was for launches of earlier versions."""
    runs = campaign_runs(campaign)
    groups = db.session.scalars(
        select(RunGroup)
        .join(Run, Run.id == RunGroup.run_id)
        .where(Run.campaign_id == campaign.id, RunGroup.dimension == LEFT_OUT)
    )
    found: dict[str, BitMap64] = {}
    for group in groups:
        found[group.key] = found.get(group.key, BitMap64()) | group.client_ids
    counted = {reason for run in runs for reason, clients in run.exclusions.items() if clients}
    return found if runs and counted <= found.keys() else None


def clients_with_reason(args: Mapping[str, str], viewer: User) -> Behind | None:
    """Those whose message was skipped or refused (`outcome`) for a `reason` as the report names it."""
    campaign = campaign_by_code(args.get("code", ""), viewer=viewer)
    ledger = ledgers(campaign_runs(campaign), viewer=viewer).campaigns.get(campaign.id, Ledger())
    by_outcome = {Outcome.SKIPPED.value: ledger.skipped, Outcome.FAILED.value: ledger.failed}
    outcome, reason = args.get("outcome", ""), args.get("reason", "")
    found = by_outcome.get(outcome, {}).get(reason)
    if found is None:
        return None
    return _behind(campaign, str(OUTCOME_LABELS[Outcome(outcome)]), found, part=reason_label(reason))


def _behind(campaign: Campaign, figure: str, clients: BitMap64, *, part: str = "") -> Behind:
    page = (campaign.name, url_for("reports.campaign", code=campaign.code))
    return Behind(figure, page, part, clients, code=campaign.code)
