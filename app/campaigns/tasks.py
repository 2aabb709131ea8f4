"""The clock of scheduled campaigns."""

import structlog

from app.campaigns.queries import due_campaigns
from app.campaigns.service import launch
from app.core.clock import now
from app.core.errors import AppError
from app.core.queues import DEFAULT, tick

log = structlog.get_logger(__name__)


@tick("campaigns.launch_due", every=5, queue=DEFAULT)
def launch_due_campaigns() -> None:
    """Launch what is due. One that may not start (changed this instant) does not hold up the others."""
    for campaign in due_campaigns(now()):
        campaign_id = campaign.id
        try:
            launch(campaign=campaign, actor=None)
        except AppError as error:
            log.warning("due_campaign_not_launched", campaign=campaign_id, error=type(error).__name__)
        else:
            log.info("due_campaign_launched", campaign=campaign_id)
