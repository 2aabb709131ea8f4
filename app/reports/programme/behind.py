"""The clients and the account openings behind a figure of the programme."""

from collections.abc import Mapping

from flask import url_for
from flask_babel import gettext as _

from app.reports.behind.listing import Behind
from app.reports.programme.addresses import address_of, grouping_of, period_of
from app.reports.programme.queries import COUNTED, Grouping, Part, Programme, programme
from app.reports.programme.words import part_name
from app.reports.words import OUTCOME_LABELS
from app.users.models import User


def programme_figure(args: Mapping[str, str], viewer: User) -> Behind | None:
    """`figure`, an outcome, "openings" or "shared", of the campaign with a `code`, of a `part`, or of all campaigns."""
    period, grouping = period_of(args), grouping_of(args)
    found = programme(period, grouping, viewer=viewer)
    named = _part(found, grouping, args)
    if named is None:
        return None
    name, part = named
    page = (_("Programme over a period"), url_for("programme.index", **address_of(period, grouping)))
    figure = args.get("figure", "")
    if figure == "openings":
        return Behind(_("Account openings"), page, name, openings=part.openings)
    if figure == "shared":
        return Behind(_("Claimed by several"), page, name, openings=part.shared)
    outcome = next((outcome for outcome in COUNTED if outcome.value == figure), None)
    return None if outcome is None else Behind(str(OUTCOME_LABELS[outcome]), page, name, part.clients[outcome])


def _part(found: Programme, grouping: Grouping, args: Mapping[str, str]) -> tuple[str, Part] | None:
    if "code" in args:
        lines = {campaign.code: (campaign.name, part) for campaign, part in found.lines}
        return lines.get(args["code"])
    if "part" in args:
        parts = {part.key: (part_name(grouping, part.key), part) for part in found.parts}
        return parts.get(args["part"])
    return _("All campaigns"), found.total
