"""The clients behind a link of a message and behind an hour of the week."""

from collections.abc import Mapping
from typing import Any

from flask import url_for
from flask_babel import get_locale
from flask_babel import gettext as _
from pyroaring import BitMap64

from app.campaigns.models import Campaign
from app.campaigns.queries import campaign_by_code
from app.reports.behind.listing import Behind
from app.reports.maps.queries import DAYS, HOURS, link_map, message_of, week_hours
from app.users.models import User


def clients_of_link(args: Mapping[str, str], viewer: User) -> Behind | None:
    """Who followed a `link` of a message (`step`, `variant`), "people" or "machines" as `by` says; with no link named,
    the people who followed any."""
    campaign = campaign_by_code(args.get("code", ""), viewer=viewer)
    step = args.get("step", "")
    worded = message_of(campaign, int(step) if step.isdecimal() else None, args.get("variant") or None)
    found = link_map(campaign, worded, viewer=viewer)
    place = {"step": worded.step.id, "variant": worded.letter}
    link, by = args.get("link"), args.get("by", "people")
    if link is None:
        return _behind(campaign, _("Clicked"), "", found.by_people, place)
    line = next((line for line in found.lines if line.link == link), None)
    if line is None or by not in ("people", "machines"):
        return None
    if by == "machines":
        return _behind(campaign, _("Machines only"), link, line.by_machines, place)
    return _behind(campaign, _("Clicked"), link, line.by_people, place)


def clients_of_hour(args: Mapping[str, str], viewer: User) -> Behind | None:
    """Who first `figure` (opened, clicked) in an `hour` of a `day` of the week (0 is Monday)."""
    campaign = campaign_by_code(args.get("code", ""), viewer=viewer)
    found = week_hours(campaign, viewer=viewer)
    hours = {"opened": (_("First opened"), found.opened), "clicked": (_("First clicked"), found.clicked)}
    day, hour = args.get("day", ""), args.get("hour", "")
    if args.get("figure") not in hours or day not in map(str, range(DAYS)) or hour not in map(str, range(HOURS)):
        return None
    label, clients = hours[args["figure"]]
    name = get_locale().days["stand-alone"]["wide"][int(day)]
    return _behind(campaign, label, f"{name}, {int(hour):02}:00", clients[int(day)][int(hour)], {})


def _behind(campaign: Campaign, figure: str, part: str, clients: BitMap64, place: Mapping[str, Any]) -> Behind:
    page = (
        _("Links and hours: %(campaign)s", campaign=campaign.name),
        url_for("maps.show", code=campaign.code, **place),
    )
    return Behind(figure, page, part, clients, code=campaign.code)
