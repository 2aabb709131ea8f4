"""ECharts options. Looks (colours, fonts, grid) are the front end's; here are data, words and what a chart is."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

from flask_babel import format_date, format_decimal, format_percent, format_time, get_locale
from flask_babel import gettext as _

from app.reports.effect.report import CampaignEffect
from app.reports.over_time import TIMED, Recent, Timeline
from app.reports.response import Outcome, Row
from app.reports.words import OUTCOME_LABELS
from app.statistics.lift import Lift

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
    """The absolute lift of each segment: its interval as a line, raw and drawn-in as points."""
    rows = [(one, one.lift) for one in effect.segments if one.lift and not one.too_few][::-1]
    drawn_in = [[_points(one.drawn_in), place] for place, (one, _lift) in enumerate(rows) if one.drawn_in is not None]
    option = lifts([(one.name, lift) for one, lift in rows], point=_("As measured"))
    option["legend"] = {"left": 0, "right": None, "data": [_("As measured"), _("Drawn towards all segments")]}
    option["grid"]["top"] = 36
    option["series"].append(
        {
            "type": "scatter",
            "name": _("Drawn towards all segments"),
            "data": drawn_in,
            "symbol": "diamond",
            "symbolSize": 9,
        }
    )
    return option


def lifts(rows: Sequence[tuple[str, Lift]], *, point: str | None = None) -> Option:
    """Absolute lifts by name from the bottom up, in percentage points: a point with its interval each."""
    axis_name = _("Absolute lift, percentage points")
    told = "; ".join(f"{name} {format_decimal(100 * lift.absolute, '0.00')}" for name, lift in rows)
    return {
        "aria": {"label": {"description": f"{axis_name}: {told}"}},
        "tooltip": {"trigger": "item"},
        "legend": {"show": False},
        "grid": {"left": 12, "right": 24, "top": 16, "bottom": 40, "containLabel": True},
        "xAxis": {"type": "value", "name": axis_name, "nameLocation": "middle", "nameGap": 26},
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
                "lineStyle": {"width": 2, "color": _SHADES[3], "opacity": 1},
                "data": [
                    {"coords": [[_points(lift.low), place], [_points(lift.high), place]]}
                    for place, (_name, lift) in enumerate(rows)
                ],
            },
            # Unseen: an axis is fitted to points only, and would cut the intervals off.
            {
                "type": "scatter",
                "silent": True,
                "symbolSize": 0,
                "data": [
                    [_points(end), place] for place, (_name, lift) in enumerate(rows) for end in (lift.low, lift.high)
                ],
            },
            {
                "type": "scatter",
                "name": point or axis_name,
                "symbol": "rect",
                "symbolSize": 9,
                "data": [[_points(lift.absolute), place] for place, (_name, lift) in enumerate(rows)],
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


def _points(share: float) -> float:
    return round(100 * share, 3)


def response_over_time(timeline: Timeline) -> Option:
    """First opens, clicks, replies and account openings by hour or day since the launch."""
    step = timedelta(hours=1) if timeline.unit == "hour" else timedelta(days=1)
    labels = [_moment(timeline.start + n * step) for n in range(timeline.length)]
    if timeline.unit == "day":
        labels = [_day(timeline.start + n * step) for n in range(timeline.length)]
    by_hour, by_day = _("Clients by the hour of their first response"), _("Clients by the day of their first response")
    return _lines(labels, timeline.counts, by_hour if timeline.unit == "hour" else by_day)


def recent_days(recent: Recent) -> Option:
    """The last 30 days, all campaigns together."""
    return _lines([_day(day) for day in recent.days], recent.counts, _("Clients by the day of their first response"))


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
