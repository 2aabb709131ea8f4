"""What moved on a client's accounts and what they held by month: part of the client's page, filled in afterwards."""

from datetime import date
from typing import Any

from flask import Blueprint, render_template, request
from flask_babel import format_date, get_locale
from flask_babel import gettext as _

from app.clients.holdings.queries import BalanceCourse, Place, balance_course, transactions_of
from app.clients.labels import order_channel_label, transaction_label
from app.clients.queries import find_client
from app.core.permissions import Permission, requires
from app.users.sessions import signed_in_user

holdings = Blueprint("holdings", __name__)
holdings.add_app_template_filter(transaction_label, "transaction_label")
holdings.add_app_template_filter(order_channel_label, "order_channel_label")


@holdings.get("/clients/<number>/transactions")
@requires(Permission.VIEW_CLIENTS)
def transactions(number: str) -> Any:
    """The part of the client's page, its older lines, or without script a page of their own."""
    client = find_client(number, user=signed_in_user())
    place = _place()
    page = transactions_of(client.id, place=place)
    inside = bool(request.headers.get("HX-Request"))
    if inside and place is not None:
        return render_template("clients/holdings/_rows.html", client=client, page=page)
    course = balance_course(client.id)
    return render_template(
        "clients/holdings/_transactions.html" if inside else "clients/holdings/transactions.html",
        client=client,
        page=page,
        course=course,
        months=[_month(day) for day in course.days],
        chart=_chart(course),
    )


def _place() -> Place | None:
    """Where the address says that the page begins; None where it names no place that can be."""
    source, external_id = request.args.get("source", ""), request.args.get("id", "")
    try:
        day = date.fromisoformat(request.args.get("day", ""))
    except ValueError:
        return None
    return None if "\x00" in source + external_id else Place(day, source, external_id)


def _month(day: date) -> str:
    return str(format_date(day, "y年M月" if str(get_locale()).startswith("zh") else "MMM y"))


def _chart(course: BalanceCourse) -> dict[str, Any] | None:
    """Balances by month as an ECharts option; None where there are not two points to draw a line through."""
    if len(course.days) < 2:
        return None
    return {
        "aria": {"label": {"description": _("The figures stand in the table below.")}},
        "tooltip": {"trigger": "axis"},
        "legend": {"show": len(course.held) > 1, "left": 0},
        "grid": {
            "left": 12,
            "right": 44,
            "top": 36 if len(course.held) > 1 else 24,
            "bottom": 12,
            "containLabel": True,
        },
        "xAxis": {"type": "category", "boundaryGap": False, "data": [_month(day) for day in course.days]},
        "yAxis": {"type": "value", "scale": True, "splitNumber": 3},
        "series": [
            {
                "type": "line",
                "name": currency,
                "areaStyle": {"opacity": 0.08},
                "data": [None if amount is None else float(amount) for amount in amounts],
            }
            for currency, amounts in course.held.items()
        ],
    }
