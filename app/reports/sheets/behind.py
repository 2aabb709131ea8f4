"""The clients and the account openings behind a figure of a sheet."""

from collections.abc import Mapping

from flask import url_for
from flask_babel import gettext as _
from pyroaring import BitMap64

from app.core.clock import today
from app.reports.behind.listing import Behind
from app.reports.sheets.queries import CLIENTS, OPENINGS, Sheet, place_of, sheet
from app.reports.sheets.words import LABELS, TITLES
from app.users.models import User


def sheet_figure(args: Mapping[str, str], viewer: User) -> Behind | None:
    """`figure` of the sheet `sheet` (morning, evening) of a place `of`, in the line `who` (an adviser's id, "none"; all
    lines together where it is not named)."""
    kind, figure, who = args.get("sheet", ""), args.get("figure", ""), args.get("who")
    if kind not in TITLES or figure not in LABELS:
        return None
    place = place_of(args.get("of", ""), viewer=viewer)
    found = sheet(kind, place, viewer=viewer, today=today())
    page = (str(TITLES[kind]), url_for("sheets.show", kind=kind, of=args.get("of") or None))
    if figure == "replies":
        return Behind(str(LABELS[figure]), page, place.name, found.wrote)
    if who is None:
        return _behind(found, figure, page, place.name)
    line = next((line for line in found.lines if who == str(line.adviser_id or "none")), None)
    if line is None:
        return None
    found.lines = [line]
    return _behind(found, figure, page, line.name or _("Nobody’s, in the queue of the branch"))


def _behind(found: Sheet, figure: str, page: tuple[str, str], part: str) -> Behind:
    label = str(LABELS[figure])
    if figure in CLIENTS:
        return Behind(label, page, part, found.together(figure))
    if figure in OPENINGS:
        return Behind(label, page, part, openings=found.together(figure))
    brought_in = found.brought_in
    return Behind(label, page, part, openings=BitMap64(brought_in), amounts=brought_in)
