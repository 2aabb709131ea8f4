"""The heat map as an ECharts option; looks are the front end's."""

from typing import Any

from flask_babel import format_decimal, get_locale
from flask_babel import gettext as _

from app.reports.maps.queries import DAYS, HOURS, Hours


def heat_map(clients: Hours, name: str) -> dict[str, Any]:
    """Days of the week downwards, Monday first, by hours; by when they first responded."""
    counts = [[len(hour) for hour in day] for day in clients]
    names = get_locale().days["stand-alone"]["abbreviated"]
    days = [names[day] for day in range(DAYS)]
    most = max(max(row) for row in counts)
    total = sum(map(sum, counts))
    return {
        "aria": {"label": {"description": _("%(name)s: %(count)s clients", name=name, count=format_decimal(total))}},
        "tooltip": {"position": "top"},
        "legend": {"show": False},
        "grid": {"left": 56, "right": 12, "top": 8, "bottom": 64},
        "xAxis": {"type": "category", "data": [f"{hour:02}" for hour in range(HOURS)], "splitArea": {"show": True}},
        "yAxis": {"type": "category", "data": days, "inverse": True, "splitArea": {"show": True}},
        "visualMap": {
            "min": 0,
            "max": max(1, most),
            "calculable": False,
            "orient": "horizontal",
            "left": "center",
            "bottom": 4,
            "itemHeight": 120,
            "inRange": {"color": ["#f2f5f8", "#9db8cf", "#1f5a85"]},
        },
        "series": [
            {
                "type": "heatmap",
                "name": name,
                "data": [[hour, day, counts[day][hour]] for day in range(DAYS) for hour in range(HOURS)],
            }
        ],
    }
