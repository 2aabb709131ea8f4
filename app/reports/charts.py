"""ECharts options. Looks (colours, fonts, grid) are the front end's; here are data, words and what a chart is."""

import math
from datetime import date, datetime, timedelta
from typing import Any

from flask_babel import format_date, format_decimal, format_percent, format_time, get_locale
from flask_babel import gettext as _

from app.reports.effect.report import CampaignEffect
from app.reports.queries import TIMED, Recent, Timeline
from app.reports.response import Outcome, Row
from app.reports.words import OUTCOME_LABELS

Option = dict[str, Any]

# Each step lies within the one before it, which is what a funnel shows.
FUNNEL = (Outcome.TARGETED, Outcome.SENT, Outcome.DELIVERED, Outcome.OPENED, Outcome.CLICKED)
_SHADES = ("#1f5a85", "#33699a", "#4f80a9", "#7399bb", "#9db8cf")
_OPENING = "#a35a6f"


def _day(value: date | datetime) -> str:
    """Day and month in the reader's order, short enough for an axis."""
    return str(format_date(value, "M月d日" if str(get_locale()).startswith("zh") else "d MMM"))


def _moment(value: datetime) -> str:
    return f"{_day(value)} {format_time(value, 'HH:mm')}"


def funnel(row: Row) -> Option:
    """From targeted to clicked, each with its share of those targeted."""
    steps: list[Option] = []
    for outcome, shade in zip(FUNNEL, _SHADES, strict=True):
        count = row.count(outcome)
        share = format_percent(count / row.targeted, "#,##0.0%") if row.targeted else "–"
        label = str(OUTCOME_LABELS[outcome])
        words = _("%(figure)s %(count)s · %(share)s", figure=label, count=format_decimal(count), share=share)
        steps.append({"name": label, "value": count, "label": {"formatter": words}, "itemStyle": {"color": shade}})
    return {
        "aria": {"label": {"description": "; ".join(step["label"]["formatter"] for step in steps)}},
        "series": [
            {
                "type": "funnel",
                "sort": "none",
                "funnelAlign": "right",
                "gap": 3,
                "top": 8,
                "bottom": 8,
                "left": "52%",
                "width": "46%",
                "minSize": "2%",
                "label": {"position": "left", "color": "#1d2935"},
                "labelLine": {"length": 8, "lineStyle": {"color": "#b8c2cc"}},
                "data": steps,
            }
        ],
    }


def forest(effect: CampaignEffect) -> Option:
    """The absolute lift of each segment in percentage points: its interval as a line, raw and drawn-in as points."""
    rows = [one for one in effect.segments if one.lift is not None and not one.too_few][::-1]
    names = [one.name for one in rows]
    points = [(place, one, one.lift) for place, one in enumerate(rows) if one.lift]
    intervals = [
        {"coords": [[round(100 * lift.low, 3), place], [round(100 * lift.high, 3), place]]}
        for place, _one, lift in points
    ]
    raw = [[round(100 * lift.absolute, 3), place] for place, _one, lift in points]
    drawn_in = [[round(100 * one.drawn_in, 3), place] for place, one, _lift in points if one.drawn_in is not None]
    # The intervals do not widen the axis by themselves.
    low = math.floor(100 * min([0.0, *(lift.low for _place, _one, lift in points)]))
    high = math.ceil(100 * max([0.0, *(lift.high for _place, _one, lift in points)]))
    told = "; ".join(f"{one.name} {format_decimal(100 * lift.absolute, '0.00')}" for _place, one, lift in points)
    axis_name = _("Absolute lift, percentage points")
    return {
        "aria": {"label": {"description": f"{axis_name}: {told}"}},
        "legend": {"left": 0, "right": None, "data": [_("As measured"), _("Drawn towards all segments")]},
        "tooltip": {"trigger": "item"},
        "grid": {"left": 12, "right": 24, "top": 36, "bottom": 36, "containLabel": True},
        "xAxis": {"type": "value", "min": low, "max": high, "name": axis_name, "nameLocation": "middle", "nameGap": 26},
        "yAxis": {
            "type": "category",
            "data": names,
            "axisLabel": {"width": 150, "overflow": "truncate"},
            "axisTick": {"show": False},
        },
        "series": [
            {
                "type": "lines",
                "coordinateSystem": "cartesian2d",
                "silent": True,
                "data": intervals,
                "lineStyle": {"width": 2, "color": _SHADES[3], "opacity": 1},
            },
            {
                "type": "scatter",
                "name": _("As measured"),
                "data": raw,
                "symbol": "rect",
                "symbolSize": 9,
                "markLine": {
                    "silent": True,
                    "symbol": "none",
                    "label": {"show": False},
                    "lineStyle": {"color": "#566372", "type": "dashed"},
                    "data": [{"xAxis": 0}],
                },
            },
            {
                "type": "scatter",
                "name": _("Drawn towards all segments"),
                "data": drawn_in,
                "symbol": "diamond",
                "symbolSize": 9,
            },
        ],
    }


def response_over_time(timeline: Timeline) -> Option:
    """First opens, clicks, replies and account openings by hour or day since the launch."""
    step = timedelta(hours=1) if timeline.unit == "hour" else timedelta(days=1)
    labels = [_moment(timeline.start + n * step) for n in range(timeline.length)]
    if timeline.unit == "day":
        labels = [_day(timeline.start + n * step) for n in range(timeline.length)]
    name = _("Clients by hour since launch") if timeline.unit == "hour" else _("Clients by day since launch")
    return _lines(labels, timeline.counts, name)


def recent_days(recent: Recent) -> Option:
    """The last 30 days, all campaigns together."""
    return _lines([_day(day) for day in recent.days], recent.counts, _("Clients by day"))


def _lines(labels: list[str], counts: dict[Outcome, list[int]], name: str) -> Option:
    """Opens, clicks and replies above, account openings on a scale of their own below: they are far fewer."""
    single = len(labels) == 1
    sums = (f"{OUTCOME_LABELS[outcome]} {format_decimal(sum(counts[outcome]))}" for outcome in TIMED)
    opened = str(OUTCOME_LABELS[Outcome.ACCOUNTS_OPENED])
    scale: Option = {"type": "value", "minInterval": 1, "splitNumber": 3}
    return {
        "tooltip": {"trigger": "axis"},
        "axisPointer": {"link": [{"xAxisIndex": "all"}]},
        "legend": {"left": 0, "right": None},
        "aria": {"label": {"description": f"{name}: {'; '.join(sums)}"}},
        "grid": [
            {"left": 52, "right": 16, "top": 72, "bottom": "42%"},
            {"left": 52, "right": 16, "top": "70%", "bottom": 28},
        ],
        "xAxis": [
            {"type": "category", "data": labels, "boundaryGap": True, "gridIndex": 0, "axisLabel": {"show": False}},
            {"type": "category", "data": labels, "boundaryGap": True, "gridIndex": 1},
        ],
        "yAxis": [
            scale | {"gridIndex": 0, "name": name, "nameGap": 10, "nameTextStyle": {"align": "left"}},
            scale | {"gridIndex": 1, "splitNumber": 2},
        ],
        "series": [
            {
                "type": "line",
                "name": str(OUTCOME_LABELS[outcome]),
                "data": counts[outcome],
                "showSymbol": single,
            }
            for outcome in TIMED
            if outcome is not Outcome.ACCOUNTS_OPENED
        ]
        + [
            {
                "type": "bar",
                "name": opened,
                "data": counts[Outcome.ACCOUNTS_OPENED],
                "xAxisIndex": 1,
                "yAxisIndex": 1,
                "itemStyle": {"color": _OPENING},
            }
        ],
    }
