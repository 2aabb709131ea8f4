"""ECharts options of the reports over several campaigns."""

from collections.abc import Sequence

from flask_babel import format_decimal
from flask_babel import gettext as _

from app.reports import charts
from app.reports.charts import Option
from app.reports.programme.queries import Compared, Grouping, Part, Programme
from app.reports.programme.words import part_name
from app.reports.response import Outcome
from app.reports.words import OUTCOME_LABELS

SHOWN = 12


def parts(found: Programme, grouping: Grouping) -> Option:
    """Clients who clicked and accounts opened by part; each has its own axis, as one is far less."""
    shown: Sequence[Part] = found.parts[-SHOWN:] if grouping is Grouping.MONTH else found.parts[:SHOWN]
    names = [part_name(grouping, part.key) for part in shown]
    clicked, opened = str(OUTCOME_LABELS[Outcome.CLICKED]), str(_("Account openings"))
    counts = [(part.count(Outcome.CLICKED), len(part.openings)) for part in shown]
    told = "; ".join(
        f"{name}: {clicked} {format_decimal(clicks)}, {opened} {format_decimal(openings)}"
        for name, (clicks, openings) in zip(names, counts, strict=True)
    )
    axis: Option = {"type": "value", "minInterval": 1, "splitNumber": 3, "nameTextStyle": {"align": "left"}}
    return {
        "aria": {"label": {"description": told}},
        "tooltip": {"trigger": "axis", "axisPointer": {"type": "shadow"}},
        "legend": {"left": 0, "right": None},
        "grid": {"left": 12, "right": 12, "top": 56, "bottom": 12, "containLabel": True},
        "xAxis": {"type": "category", "data": names, "axisLabel": {"width": 90, "overflow": "truncate"}},
        "yAxis": [axis, axis | {"splitLine": {"show": False}}],
        "series": [
            {"type": "bar", "name": clicked, "data": [clicks for clicks, _openings in counts]},
            {
                "type": "bar",
                "name": opened,
                "yAxisIndex": 1,
                "data": [openings for _clicks, openings in counts],
                "itemStyle": {"color": "#a35a6f"},
            },
        ],
    }


def lifts(found: Sequence[Compared]) -> Option | None:
    """The absolute lift of each campaign with its interval; None without any control group."""
    known = [(one.campaign.name, one.effect.whole.lift) for one in reversed(found) if one.effect]
    rows = [(name, lift) for name, lift in known if lift is not None]
    return charts.lifts(rows) if rows else None
