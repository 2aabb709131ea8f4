"""Tables as files to take away: CSV and Excel, formulas neutralised, marked with who took them.

Both are written row by row, so memory does not grow with the number of rows.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from tempfile import TemporaryFile
from typing import Any, BinaryIO, cast

import xlsxwriter
from flask_babel import format_datetime
from flask_babel import gettext as _

from app.core.clock import now
from app.core.spreadsheets import neutralise


class FineShare(float):
    """A share that needs two decimals of a per cent, such as a difference of two rates."""


Cell = str | int | float | Decimal | None  # a float is a share, shown as per cent; a Decimal is an amount
Line = Sequence[Cell]

FIRST_LINE = 4  # of the table, counted from 0: title, mark, a line for a warning and the head are above it

MIME = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


def watermark(name: str) -> str:
    """Who took the data out, and when; stands in every file."""
    return str(_("Exported by %(name)s on %(time)s", name=name, time=format_datetime(now(), "long")))


def csv_bytes(head: Sequence[str], lines: Iterable[Line], mark: str, *, warning: str | None = None) -> Iterator[bytes]:
    """CSV in pieces, UTF-8 with a byte order mark (Excel takes it for the local code page otherwise).

    A `warning` stands in the first line, above the head, so that nobody reads the figures without it.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    buffer.write("\ufeff")
    if warning:
        writer.writerow([neutralise(warning)])
    writer.writerow([neutralise(cell) for cell in head])
    for line in lines:
        writer.writerow(["" if cell is None else neutralise(cell) for cell in line])
        if buffer.tell() > 1 << 16:
            yield buffer.getvalue().encode()
            buffer.seek(0)
            buffer.truncate()
    writer.writerow([])
    writer.writerow([neutralise(mark)])
    yield buffer.getvalue().encode()


@dataclass(frozen=True, slots=True)
class Table:
    """A sheet of its own in a workbook."""

    name: str
    head: Sequence[str]
    lines: Iterable[Line]


def workbook(
    title: str,
    head: Sequence[str],
    lines: Iterable[Line],
    mark: str,
    *,
    notes: Iterable[Line] = (),
    chart_columns: Sequence[int] = (),
    further: Iterable[Table] = (),
    warning: str | None = None,
) -> BinaryIO:
    """An Excel file in a temporary file, at its beginning. Rates (headed "..., of ...") are shown as per cent.

    `chart_columns` (from 0) are drawn as bars by line on a sheet of their own; `further` tables get a sheet each. A
    `warning` stands over every table.
    """
    file = TemporaryFile()  # noqa: SIM115 - sent and closed by the response
    book = xlsxwriter.Workbook(file, {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
    formats = {
        "bold": book.add_format({"bold": True, "text_wrap": True, "valign": "top", "bottom": 1}),
        "soft": book.add_format({"italic": True, "font_color": "#566372"}),
        "big": book.add_format({"bold": True, "font_size": 14}),
        "warning": book.add_format({"bold": True, "font_color": "#b42318"}),
        int: book.add_format({"num_format": "#,##0"}),
        float: book.add_format({"num_format": "0.0%"}),
        FineShare: book.add_format({"num_format": "0.00%"}),
        Decimal: book.add_format({"num_format": "#,##0.00"}),
    }
    wrap = book.add_format({"text_wrap": True, "valign": "top"})
    last = _add_table(book, Table(_("Report"), head, lines), title, mark, formats, warning)
    if chart_columns and last >= FIRST_LINE:
        _add_chart(book, head, chart_columns, last)
    for table in further:
        _add_table(book, table, f"{title}: {table.name}", mark, formats, warning)
    explained = list(notes)
    if explained:
        page = book.add_worksheet(_("Notes"))
        page.set_column(0, 0, 28)
        page.set_column(1, 1, 90)
        page.set_column(2, 2, 18)
        page.write_string(0, 0, str(neutralise(mark)), formats["soft"])
        for number, line in enumerate(explained, start=2):
            for position, cell in enumerate(line):
                if isinstance(cell, int):
                    page.write_number(number, position, cell, formats[int])
                elif cell is not None:
                    page.write_string(number, position, str(neutralise(cell)), formats["bold"] if number == 2 else wrap)
    book.close()
    file.seek(0)
    return cast(BinaryIO, file)


def _add_table(
    book: Any, table: Table, title: str, mark: str, formats: dict[Any, Any], warning: str | None = None
) -> int:
    """A sheet with title, mark, head and lines. Returns the number of its last line, below FIRST_LINE without any."""
    sheet = book.add_worksheet(table.name)
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)
    sheet.set_footer(f"&L{mark.replace('&', '&&')}&R&P / &N")
    sheet.set_column(0, 0, 28)
    sheet.set_column(1, len(table.head) - 1, 14)
    sheet.write_string(0, 0, str(neutralise(title)), formats["big"])
    sheet.write_string(1, 0, str(neutralise(mark)), formats["soft"])
    if warning:
        sheet.write_string(2, 0, str(neutralise(warning)), formats["warning"])
    for position, label in enumerate(table.head):
        sheet.write_string(FIRST_LINE - 1, position, str(neutralise(label)), formats["bold"])
    sheet.freeze_panes(FIRST_LINE, 1)
    last = 0
    for last, line in enumerate(table.lines, start=FIRST_LINE):
        _write_line(sheet, last, line, formats)
    return last


def _add_chart(book: Any, head: Sequence[str], columns: Sequence[int], last: int) -> None:
    """Bars of some columns by line."""
    report, page = _("Report"), _("Chart")
    chart = book.add_chart({"type": "column"})
    for column in columns:
        chart.add_series(
            {
                "name": [report, FIRST_LINE - 1, column],
                "categories": [report, FIRST_LINE, 0, last, 0],
                "values": [report, FIRST_LINE, column, last, column],
            }
        )
    chart.set_title({"name": " / ".join(str(neutralise(head[column])) for column in columns)})
    chart.set_legend({"position": "bottom"})
    sheet = book.add_chartsheet(page)
    sheet.set_chart(chart)


def _write_line(sheet: Any, number: int, line: Line, formats: dict[Any, Any]) -> None:
    for position, cell in enumerate(line):
        if isinstance(cell, str):
            sheet.write_string(number, position, str(neutralise(cell)))
        elif cell is not None:
            sheet.write_number(number, position, cell, formats[type(cell)])
