"""Drafts the campaign that a report suggests."""

from flask_babel import lazy_gettext as _l

from app.audiences.models import Segment
from app.campaigns.models import Campaign
from app.campaigns.service import duplicate, set_segments
from app.core.errors import Conflict
from app.core.extensions import db
from app.core.permissions import Permission, require
from app.reports.effect.report import CampaignEffect
from app.users.models import User


class NothingToSuggest(Conflict):
    """The figures give no reason to repeat the campaign for anybody."""

    message = _l("The report suggests no campaign: its figures give no reason to repeat it.")


def suggested_segments(campaign: Campaign, effect: CampaignEffect) -> list[Segment]:
    """Whom to repeat it for: the segments that did better; where none stands out, all but those that did worse."""
    verdict = effect.verdict
    if verdict.repeat:
        chosen = {int(one.key) for one in verdict.repeat}
        links = [link for link in campaign.segments if link.role != "exclude" and link.segment_id in chosen]
    else:
        stopped = {int(one.key) for one in verdict.stop}
        links = [link for link in campaign.segments if link.role == "include" and link.segment_id not in stopped]
    return [link.segment for link in links if link.segment.archived_at is None]


def draft_suggested(*, campaign: Campaign, effect: CampaignEffect, actor: User) -> Campaign:
    """A new draft with the same messages for the suggested segments, without those to stop for; it waits for its owner
    and for approval like any other. Raises NothingToSuggest."""
    require(actor, Permission.EDIT_CAMPAIGNS)
    segments = suggested_segments(campaign, effect) if effect.verdict.suggests else []
    if not segments:
        raise NothingToSuggest
    stopped = {int(one.key) for one in effect.verdict.stop} - {segment.id for segment in segments}
    draft = duplicate(campaign=campaign, actor=actor)
    draft.name = _draft_name(campaign)
    links = draft.segments
    excluded = [link.segment for link in links if link.role == "exclude"]
    excluded += [link.segment for link in links if link.role != "exclude" and link.segment_id in stopped]
    set_segments(
        campaign=draft,
        include=segments,
        exclude=excluded,
        report=[link.segment for link in links if link.role == "report" and link.segment not in excluded],
        actor=actor,
    )
    db.session.flush()
    return draft


def _draft_name(campaign: Campaign) -> str:
    return str(_l("%(name)s, repeated", name=campaign.name))
