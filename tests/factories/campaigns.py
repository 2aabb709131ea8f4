"""Campaigns and messages for tests: a campaign is ready to be submitted unless told otherwise."""

from itertools import count
from typing import Any

from app.audiences.models import Segment
from app.campaigns.models import Campaign, CampaignSegment, Seed, State, Step
from app.content.models import EmailContent
from app.content.service import create_content
from app.core.clock import now
from app.core.unit_of_work import unit_of_work
from app.users.models import User
from tests.factories.ledger import make_segment

_numbers = count(1)
HTML = """<html><body><p>Dear {{ client.first_name | default: "client" }},</p>
<p>read our <a href="https://news.example.com/brief">market brief</a>.</p></body></html>"""


def make_content(
    *, subject: str = "Market brief", preheader: str = "The week in brief", source: str = HTML, format: str = "html"
) -> EmailContent:
    """A committed, compiled e-mail."""
    with unit_of_work():
        return create_content(format=format, subject=subject, preheader=preheader, source=source, actor=None)


def make_campaign(
    *,
    state: State = State.DRAFT,
    include: list[Segment] | None = None,
    exclude: list[Segment] | None = None,
    report: list[Segment] | None = None,
    content: EmailContent | None = None,
    owner: User | None = None,
    submitter: User | None = None,
    approver: User | None = None,
    seeds: list[str] | None = None,
    **fields: Any,
) -> Campaign:
    """A committed campaign in any state, to everyone and with a message where none is given (`include=[]`: nobody)."""
    number = next(_numbers)
    include = [make_segment(f"everyone {number}")] if include is None else include
    content = content or make_content()
    roles = {"include": include, "exclude": exclude or [], "report": report or []}
    values: dict[str, Any] = {
        "code": f"T-{number:04}", "name": f"Campaign {number}", "purpose": "marketing", "tags": [], "window_days": 30,
    } | fields  # fmt: skip
    if state in (State.RUNNING, State.PAUSED, State.COMPLETE):
        values.setdefault("launched_at", now())
    if state in (State.COMPLETE, State.CANCELLED):
        values.setdefault("finished_at", now())
    if submitter is not None:
        values |= {"submitted_by_id": submitter.id, "submitted_at": now()}
    if approver is not None:
        values |= {"approved_by_id": approver.id, "approved_at": now()}
    with unit_of_work() as session:
        campaign = Campaign(
            state=state,
            owner_id=owner.id if owner else None,
            segments=[
                CampaignSegment(segment_id=segment.id, role=role, position=position)
                for role, segments in roles.items()
                for position, segment in enumerate(segments)
            ],
            steps=[Step(position=0, channel="email", content_id=content.id)],
            seeds=[Seed(email=email) for email in seeds or []],
            **values,
        )
        session.add(campaign)
    return campaign
