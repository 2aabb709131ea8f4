"""ECharts options. Looks (colours, fonts, grid) are the front end's; here are data, words and what a chart is."""

from datetime import timedelta
from typing import Any

from flask_babel import format_date, format_datetime, format_decimal, format_percent
from flask_babel import gettext as _

from app.reports.queries import TIMED, Recent, Timeline
from app.reports.response import Outcome, Row
from app.reports.words import OUTCOME_LABELS

Option = dict[str, Any]

# Each step lies within the one before it, which is what a funnel shows.
FUNNEL = (Outcome.TARGETED, Outcome.SENT, Outcome.DELIVERED, Outcome.OPENED, Outcome.CLICKED)


def funnel(row: Row) -> Option:
    """From targeted to clicked, each with its share of those targeted."""
    steps = []
    for outcome in FUNNEL:
        count = row.count(outcome)
        share = format_percent(count / row.targeted, "#,##0.0%") if row.targeted else "–"
        label = str(OUTCOME_LABELS[outcome])
        text = _("%(figure)s %(count)s · %(share)s", figure=label, count=format_decimal(count), share=share)
        steps.append({"name": label, "value": count, "label": {"formatter": text}, "tooltip": {"formatter": text}})
    return {
        "tooltip": {"trigger": "item"},
        "aria": {"label": {"description": "; ".join(step["label"]["formatter"] for step in steps)}},  # type: ignore[index]
        "series": [
            {
                "type": "funnel",
                "sort": "none",
                "gap": 3,
                "top": 8,
                "bottom": 8,
                "left": "4%",
                "width": "92%",
                "minSize": "3%",
                "label": {"position": "inside", "color": "#1d2935", "textBorderColor": "#ffffff", "textBorderWidth": 3},
                "labelLayout": {"hideOverlap": False},
                "itemStyle": {"borderWidth": 0},
                "data": steps,
            }
        ],
    }


def response_over_time(timeline: Timeline) -> Option:
    """First opens, clicks, replies and account openings by hour or day since the launch."""
    step = timedelta(hours=1) if timeline.unit == "hour" else timedelta(days=1)
    labels = [format_datetime(timeline.start + n * step, "d MMM HH:mm") for n in range(timeline.length)]
    if timeline.unit == "day":
        labels = [format_datetime(timeline.start + n * step, "d MMM") for n in range(timeline.length)]
    name = _("Clients by hour since launch") if timeline.unit == "hour" else _("Clients by day since launch")
    return _lines(labels, timeline.counts, name)


def recent_days(recent: Recent) -> Option:
    """The last 30 days, all campaigns together."""
    return _lines([format_date(day, "d MMM") for day in recent.days], recent.counts, _("Clients by day"))


def _lines(labels: list[str], counts: dict[Outcome, list[int]], name: str) -> Option:
    return {
        "tooltip": {"trigger": "axis"},
        "legend": {"left": 0, "right": None},
        "aria": {
            "label": {
                "description": name
                + ": "
                + "; ".join(f"{OUTCOME_LABELS[outcome]} {format_decimal(sum(counts[outcome]))}" for outcome in TIMED)
            }
        },
        "grid": {"left": 12, "right": 16, "top": 56, "bottom": 12, "containLabel": True},
        "xAxis": {"type": "category", "data": labels, "boundaryGap": len(labels) == 1},
        "yAxis": {
            "type": "value",
            "name": name,
            "nameGap": 12,
            "nameTextStyle": {"align": "left"},
            "minInterval": 1,
        },
        "series": [
            {
                "type": "line",
                "name": str(OUTCOME_LABELS[outcome]),
                "data": counts[outcome],
                "showSymbol": len(labels) < 3,
            }
            for outcome in TIMED
        ],
    }
