"""Cells that are safe to open in a spreadsheet program."""

from typing import TypeVar

Cell = TypeVar("Cell")

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def neutralise(cell: Cell) -> Cell | str:
    """A text that a spreadsheet would run as a formula gets an apostrophe in front; all else stays as it is.

    Numbers are passed as numbers and keep their sign; a text that is a plain number ("-5", "+86138...") stays a
    text and is safe without. Source: OWASP, "CSV Injection".
    """
    if not isinstance(cell, str) or not cell.startswith(_FORMULA_STARTS):
        return cell
    if cell[0] in "+-" and cell[1:].replace(".", "", 1).isdecimal():
        return cell
    return "'" + cell
