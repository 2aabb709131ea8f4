"""The clients behind the figures of a campaign's account openings."""

from collections.abc import Mapping

from flask import url_for
from flask_babel import gettext as _
from flask_babel import ngettext
from pyroaring import BitMap64

from app.campaigns.queries import campaign_by_code
from app.reports.behind.listing import Behind
from app.tracking.openings.queries import CampaignFigures, FollowedLine, campaign_figures
from app.users.models import User


def opening_figure(args: Mapping[str, str], viewer: User) -> Behind | None:
    """`figure`: claimed, shared (`other` the code of a campaign: shared with that one), effective, brought_in; and so
    many `days` after the opening looked_at, still, assets."""
    campaign = campaign_by_code(args.get("code", ""), viewer=viewer)
    figures = campaign_figures(campaign, user=viewer)
    figure, place = args.get("figure", ""), url_for("openings.figures", code=campaign.code)
    page = (_("Account openings of %(campaign)s", campaign=campaign.name), place)
    if "days" in args:
        line = next((line for line in figures.followed if str(line.days) == args["days"]), None)
        return None if line is None else _later(line, figure, page, campaign.code)
    if figure == "brought_in":
        clients = figures.claimed & BitMap64(figures.brought_in)
        return Behind(_("Brought in within 30 days"), page, "", clients, amounts=figures.brought_in, code=campaign.code)
    if "other" in args:
        return _with_another(figures, args["other"], page, campaign.code)
    sets = {
        "claimed": (_("Claimed"), figures.claimed),
        "shared": (_("Also claimed by others"), figures.shared),
        "effective": (_("Effective"), figures.effective),
    }
    if figure not in sets:
        return None
    label, clients = sets[figure]
    return Behind(label, page, "", clients, code=campaign.code)


def _later(line: FollowedLine, figure: str, page: tuple[str, str], code: str) -> Behind | None:
    part = ngettext("%(num)s day", "%(num)s days", line.days)
    if figure == "assets":
        held = line.looked_at & BitMap64(line.assets)
        return Behind(_("Assets then"), page, part, held, amounts=line.assets, code=code)
    sets = {"looked_at": (_("Looked at again"), line.looked_at), "still": (_("Still effective"), line.still)}
    if figure not in sets:
        return None
    label, clients = sets[figure]
    return Behind(label, page, part, clients, code=code)


def _with_another(figures: CampaignFigures, other_code: str, page: tuple[str, str], code: str) -> Behind | None:
    found = next(((other, clients) for other, clients in figures.others if other.code == other_code), None)
    return None if found is None else Behind(_("Also claimed by others"), page, found[0].name, found[1], code=code)
