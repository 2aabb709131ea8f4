"""What an address of the rankings asks for."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from app.advising.queries import campaigns_with_tasks
from app.campaigns.models import Campaign
from app.core.clock import now
from app.core.extensions import db
from app.reports.advisers.queries import STEPS, WHOLES, Funnel, funnels
from app.users.models import User

PERIODS = (7, 30, 90, 365)


@dataclass(frozen=True, slots=True)
class Choice:
    """The tasks of so many days, of one campaign or all (None), by adviser or team, ranked by a step or its share."""

    days: int
    by: str
    sort: str
    share: bool
    campaign_id: int | None

    @property
    def address(self) -> dict[str, Any]:
        """The query of its page."""
        return {
            "days": self.days, "by": self.by, "sort": self.sort, "share": 1 if self.share else None,
            "campaign": self.campaign_id,
        }  # fmt: skip


def choice_of(args: Mapping[str, str], *, viewer: User) -> Choice:
    """What was chosen, and the usual where there is nothing of the name."""
    days, sort, campaign = args.get("days", ""), args.get("sort", ""), args.get("campaign", "")
    known = {str(known_id): known_id for known_id, _name in campaigns_with_tasks(viewer)}
    return Choice(
        days=next((period for period in PERIODS if str(period) == days), 30),
        by="team" if args.get("by") == "team" else "adviser",
        sort=sort if sort in STEPS else "opened",
        share=args.get("share") == "1" and sort in WHOLES,
        campaign_id=known.get(campaign),
    )


def chosen_funnels(choice: Choice, *, viewer: User) -> list[Funnel]:
    """The funnels that were asked for, in no order."""
    campaign = db.session.get(Campaign, choice.campaign_id) if choice.campaign_id else None
    since = now() - timedelta(days=choice.days)
    return funnels(viewer, since=since, campaign=campaign, teams=choice.by == "team")
