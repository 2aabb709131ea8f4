"""Tables as files to take away: CSV and Excel, formulas neutralised, marked with who took them.

Both are written row by row, so memory does not grow with the number of rows.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from tempfile import TemporaryFile
from typing import Any, BinaryIO, cast

import xlsxwriter
from flask_babel import format_datetime
from flask_babel import gettext as _

from app.core.clock import now
from app.core.spreadsheets import neutralise

Cell = str | int | float | Decimal | None  # a float is a share, shown as per cent; a Decimal is an amount
Line = Sequence[Cell]

FIRST_LINE = 4  # of the table, counted from 0: title, mark, an empty line and the head are above it

MIME = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


def watermark(name: str) -> str:
    """Who took the data out, and when; stands in every file."""
    return str(_("Exported by %(name)s on %(time)s", name=name, time=format_datetime(now(), "long")))


def csv_bytes(head: Sequence[str], lines: Iterable[Line], mark: str) -> Iterator[bytes]:
    """CSV in pieces, UTF-8 with a byte order mark (Excel takes it for the local code page otherwise)."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    buffer.write("\ufeff")
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


def workbook(
    title: str,
    head: Sequence[str],
    lines: Iterable[Line],
    mark: str,
    *,
    notes: Iterable[Line] = (),
    chart_columns: Sequence[int] = (),
) -> BinaryIO:
    """An Excel file in a temporary file, at its beginning. Rates (headed "..., of ...") are shown as per cent.

    `chart_columns` (from 0) are drawn as bars by line on a sheet of their own.
    """
    file = TemporaryFile()  # noqa: SIM115 - sent and closed by the response
    book = xlsxwriter.Workbook(file, {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
    bold = book.add_format({"bold": True, "text_wrap": True, "valign": "top", "bottom": 1})
    soft = book.add_format({"italic": True, "font_color": "#566372"})
    big = book.add_format({"bold": True, "font_size": 14})
    count = book.add_format({"num_format": "#,##0"})
    share = book.add_format({"num_format": "0.0%"})
    amount = book.add_format({"num_format": "#,##0.00"})
    wrap = book.add_format({"text_wrap": True, "valign": "top"})
    sheet = book.add_worksheet(_("Report"))
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)
    sheet.set_footer(f"&L{mark.replace('&', '&&')}&R&P / &N")
    sheet.set_column(0, 0, 28)
    sheet.set_column(1, len(head) - 1, 14)
    sheet.write_string(0, 0, str(neutralise(title)), big)
    sheet.write_string(1, 0, str(neutralise(mark)), soft)
    for position, label in enumerate(head):
        sheet.write_string(3, position, str(neutralise(label)), bold)
    sheet.freeze_panes(4, 1)
    last = 0
    for number, line in enumerate(lines, start=FIRST_LINE):
        _write_line(sheet, number, line, {int: count, float: share, Decimal: amount})
        last = number
    if chart_columns and last >= FIRST_LINE:
        _add_chart(book, head, chart_columns, last)
    explained = list(notes)
    if explained:
        page = book.add_worksheet(_("Notes"))
        page.set_column(0, 0, 28)
        page.set_column(1, 1, 90)
        page.set_column(2, 2, 18)
        page.write_string(0, 0, str(neutralise(mark)), soft)
        for number, line in enumerate(explained, start=2):
            for position, cell in enumerate(line):
                if isinstance(cell, int):
                    page.write_number(number, position, cell, count)
                elif cell is not None:
                    page.write_string(number, position, str(neutralise(cell)), bold if number == 2 else wrap)
    book.close()
    file.seek(0)
    return cast(BinaryIO, file)


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


def _write_line(sheet: Any, number: int, line: Line, formats: dict[type, Any]) -> None:
    for position, cell in enumerate(line):
        if isinstance(cell, str):
            sheet.write_string(number, position, str(neutralise(cell)))
        elif cell is not None:
            sheet.write_number(number, position, cell, formats[type(cell)])
