"""The topic of a campaign: marketing about it reaches nobody who refused it on the preference page."""

from app.campaigns.models import Campaign
from app.campaigns.service import note_act, open_for_editing
from app.clients.preferences.queries import find_topic
from app.core.permissions import Actor


def set_topic(*, campaign: Campaign, topic_id: int | None, actor: Actor | None) -> None:
    """Say what the campaign is about; None: about nothing that can be refused by itself. Raises NotFound."""
    if topic_id == campaign.topic_id:
        return
    open_for_editing(campaign, actor)
    topic = find_topic(topic_id) if topic_id is not None else None
    before = campaign.topic.name if campaign.topic else None
    campaign.topic_id = topic_id
    note_act(campaign, "updated", actor, changes={"topic": [before, topic.name if topic else None]})
