"""ECharts options of the reports over several campaigns."""

from collections.abc import Sequence
from typing import Any

from flask_babel import format_decimal
from flask_babel import gettext as _

from app.reports.programme.queries import Compared, Grouping, Part, Programme
from app.reports.programme.words import part_name
from app.reports.response import Outcome
from app.reports.words import OUTCOME_LABELS

Option = dict[str, Any]
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
    """The absolute lift of each campaign with its interval, in percentage points; None without any control group."""
    known = [(one.campaign.name, one.effect.whole.lift) for one in reversed(found) if one.effect]
    rows = [(name, lift) for name, lift in known if lift is not None]
    if not rows:
        return None
    label = _("Absolute lift, percentage points")
    told = "; ".join(f"{name} {format_decimal(100 * lift.absolute, '0.00')}" for name, lift in rows)
    return {
        "aria": {"label": {"description": f"{label}: {told}"}},
        "tooltip": {"trigger": "item"},
        "legend": {"show": False},
        "grid": {"left": 12, "right": 24, "top": 16, "bottom": 40, "containLabel": True},
        "xAxis": {"type": "value", "name": label, "nameLocation": "middle", "nameGap": 26},
        "yAxis": {
            "type": "category",
            "data": [name for name, _lift in rows],
            "axisLabel": {"width": 150, "overflow": "truncate"},
            "axisTick": {"show": False},
        },
        "series": [
            {
                "type": "lines",
                "coordinateSystem": "cartesian2d",
                "silent": True,
                "lineStyle": {"width": 2, "color": "#7399bb", "opacity": 1},
                "data": [
                    {"coords": [[round(100 * lift.low, 3), place], [round(100 * lift.high, 3), place]]}
                    for place, (_name, lift) in enumerate(rows)
                ],
            },
            # Unseen: an axis is fitted to points only, and would cut the intervals off.
            {
                "type": "scatter",
                "silent": True,
                "symbolSize": 0,
                "data": [
                    [round(100 * end, 3), place]
                    for place, (_name, lift) in enumerate(rows)
                    for end in (lift.low, lift.high)
                ],
            },
            {
                "type": "scatter",
                "name": label,
                "symbol": "rect",
                "symbolSize": 9,
                "data": [[round(100 * lift.absolute, 3), place] for place, (_name, lift) in enumerate(rows)],
                "markLine": {
                    "silent": True,
                    "symbol": "none",
                    "label": {"show": False},
                    "lineStyle": {"color": "#566372", "type": "dashed"},
                    "data": [{"xAxis": 0}],
                },
            },
        ],
    }
