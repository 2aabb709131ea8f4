"""ECharts options of the deliverability page; looks are the front end's."""

from datetime import date
from typing import Any

from flask_babel import format_date, get_locale
from flask_babel import gettext as _

from app.delivery.deliverability.models import DeliverabilitySettings

Days = list[tuple[date, dict[str, int]]]


def over_time(days: Days, figures: DeliverabilitySettings) -> dict[str, Any]:
    """Above: what became of what left each day. Below: complaints in percent of the delivered, with both limits."""
    shape = "M月d日" if str(get_locale()).startswith("zh") else "d MMM"
    labels = [format_date(day, shape) for day, _counts in days]
    names = {"delivered": _("Delivered"), "deferred": _("Deferred"), "returned": _("Refused or bounced")}
    colours = {"delivered": "#4f8f77", "deferred": "#d59a2f", "returned": "#a35a6f"}
    counts = {
        "delivered": [one["delivered"] for _day, one in days],
        "deferred": [one["deferred"] for _day, one in days],
        "returned": [one["refused"] + one["bounced"] for _day, one in days],
    }
    rates = [round(100 * one["complained"] / one["delivered"], 3) if one["delivered"] else 0 for _day, one in days]
    rate_name = _("Complaints per 100 delivered")
    limit = {"silent": True, "symbol": "none", "label": {"formatter": "{c} %", "position": "insideEndTop"}}
    return {
        "tooltip": {"trigger": "axis"},
        "axisPointer": {"link": [{"xAxisIndex": "all"}]},
        "legend": {"left": 0, "right": None, "data": list(names.values())},
        "aria": {"label": {"description": "; ".join(f"{names[key]} {sum(counts[key])}" for key in names)}},
        "grid": [
            {"left": 56, "right": 16, "top": 48, "bottom": "46%"},
            {"left": 56, "right": 16, "top": "66%", "bottom": 28},
        ],
        "xAxis": [
            {"type": "category", "data": labels, "gridIndex": 0, "axisLabel": {"show": False}},
            {"type": "category", "data": labels, "gridIndex": 1},
        ],
        "yAxis": [
            {"type": "value", "minInterval": 1, "splitNumber": 3, "gridIndex": 0},
            {
                "type": "value", "gridIndex": 1, "splitNumber": 2, "name": rate_name, "nameGap": 10,
                "nameTextStyle": {"align": "left"}, "max": max([*rates, 100 * figures.pause_rate]) * 1.2,
            },
        ],
        "series": [
            {
                "type": "bar", "stack": "all" if key != "deferred" else "deferred", "name": names[key],
                "data": counts[key], "itemStyle": {"color": colours[key]},
            }
            for key in names
        ]
        + [
            {
                "type": "line", "name": rate_name, "data": rates, "xAxisIndex": 1, "yAxisIndex": 1,
                "showSymbol": len(days) < 10,
                "markLine": limit | {
                    "data": [
                        {"yAxis": round(100 * figures.alarm_rate, 4), "lineStyle": {"color": "#d59a2f"}},
                        {"yAxis": round(100 * figures.pause_rate, 4), "lineStyle": {"color": "#a35a6f"}},
                    ]
                },
            }
        ],
    }  # fmt: skip
