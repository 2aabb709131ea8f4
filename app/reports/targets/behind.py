"""The account openings, or the contacted clients, behind the result of a target."""

from collections.abc import Mapping

from flask import url_for
from flask_babel import gettext as _
from pyroaring import BitMap64

from app.campaigns.queries import campaign_by_code
from app.reports.behind.listing import Behind
from app.reports.targets.models import MEASURE_LABELS, Measure
from app.reports.targets.queries import target_lines
from app.users.models import User


def target_result(args: Mapping[str, str], viewer: User) -> Behind | None:
    """The result of the target with an `id`; none where a partner reports it: nobody here knows its clients."""
    campaign = campaign_by_code(args.get("code", ""), viewer=viewer)
    lines = target_lines(campaign, viewer=viewer)
    line = next((line for line in lines if str(line.target.id) == args.get("id")), None)
    if line is None or line.target.measure == Measure.PARTNER:
        return None
    measure = Measure(line.target.measure)
    page = (_("Targets: %(campaign)s", campaign=campaign.name), url_for("targets.index", code=campaign.code))
    label, part, ids = str(MEASURE_LABELS[measure]), line.name or _("Whole campaign"), BitMap64(line.counted)
    if measure is Measure.CONTACTS:
        return Behind(label, page, part, ids, code=campaign.code)
    amounts = line.counted if measure is Measure.ASSETS else None
    return Behind(label, page, part, openings=ids, amounts=amounts, code=campaign.code)
