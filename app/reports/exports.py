"""The report and its client lists as files: CSV and Excel, numbers as numbers, formulas neutralised.

Every file says who made it and when. Excel is written row by row (constant memory) to a temporary file; CSV is
streamed. Contact data is masked as on screen.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import tzinfo
from tempfile import TemporaryFile
from typing import IO, Any

import xlsxwriter
from flask_babel import format_datetime
from flask_babel import gettext as _

from app.campaigns.models import Campaign
from app.clients.masking import mask_email, mask_mobile
from app.core.clock import now
from app.core.spreadsheets import neutralise
from app.reports.queries import ClientLine
from app.reports.response import COLUMNS, DENOMINATORS, FURTHER, Outcome, Response
from app.reports.words import OUTCOME_LABELS, definition, denominator, reason_label
from app.users.models import User

HAPPENED = (
    Outcome.OPENED,
    Outcome.CLICKED,
    Outcome.REPLIED,
    Outcome.UNSUBSCRIBED,
    Outcome.BOUNCED,
    Outcome.COMPLAINED,
    Outcome.ACCOUNTS_OPENED,
)
"""The columns of a client list after "sent": when each of them happened."""

Cell = str | int | float | None
Line = Sequence[Cell]


def watermark(user: User) -> str:
    """Who took the data out, and when."""
    return str(_("Exported by %(name)s on %(time)s", name=user.name, time=format_datetime(now(), "long")))


def table_head() -> list[str]:
    """Segment, then per figure its count and - but for the first - its rate with both ends of the interval."""
    head = [_("Segment")]
    for outcome in (*COLUMNS, *FURTHER):
        label = str(OUTCOME_LABELS[outcome])
        head.append(label)
        if outcome in DENOMINATORS:
            share = f"{label}, {denominator(outcome)}"
            head += [share, _("%(share)s, low", share=share), _("%(share)s, high", share=share)]
    return head


def table_lines(response: Response) -> Iterator[list[Cell]]:
    """One line per row of the report; rates are shares from 0 to 1, empty where there is nothing to divide by."""
    for row in response.rows:
        line: list[Cell] = [row.name]
        for outcome in (*COLUMNS, *FURTHER):
            line.append(row.count(outcome))
            if outcome in DENOMINATORS:
                rate = row.rate(outcome)
                line += [rate.share, *(rate.interval or (None, None))]
        yield line


def client_head() -> list[str]:
    return [
        _("Client no."),
        _("Name"),
        _("E-mail"),
        _("Mobile"),
        _("Branch"),
        _("Adviser"),
        str(OUTCOME_LABELS[Outcome.SENT]),
        *(str(OUTCOME_LABELS[outcome]) for outcome in HAPPENED),
        _("Reason"),
    ]


def client_cells(line: ClientLine, zone: tzinfo) -> list[Cell]:
    """One client as shown: masked, times in the reader's zone (written without a locale: a list may be long)."""
    at = dict(line.happened)
    times = (line.sent_at, *(at.get(outcome) for outcome in HAPPENED))
    return [
        line.number,
        line.name,
        mask_email(line.email),
        mask_mobile(line.mobile),
        line.branch,
        line.adviser,
        *(f"{time.astimezone(zone):%Y-%m-%d %H:%M:%S}" if time else None for time in times),
        reason_label(line.reason) if line.reason else None,
    ]


def definitions(response: Response, campaign: Campaign) -> Iterator[Line]:
    """The notes sheet: what each figure counts, of what, and how the intervals are made."""
    yield [_("Figure"), _("What it counts"), _("Rate")]
    for outcome in (*COLUMNS, *FURTHER):
        yield [
            str(OUTCOME_LABELS[outcome]),
            definition(outcome, receipts=response.receipts),
            denominator(outcome),
        ]
    yield [
        _("Intervals"),
        _("95 %% Wilson score intervals. E. B. Wilson (1927), J. Am. Stat. Assoc. 22:209-212."),
        None,
    ]
    yield [_("Attribution window"), _("%(days)s days", days=campaign.window_days), None]
    yield [_("Matched"), response.matched, None]
    for reason, clients in response.exclusions.items():
        yield [_("Excluded: %(reason)s", reason=reason_label(reason)), clients, None]
    for reason, clients in response.skipped.items():
        yield [_("Skipped: %(reason)s", reason=reason_label(reason)), clients, None]


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
    title: str, head: Sequence[str], lines: Iterable[Line], mark: str, *, notes: Iterable[Line] = ()
) -> IO[bytes]:
    """An Excel file in a temporary file, at its beginning. Rates (headed "..., of ...") are shown as per cent."""
    file = TemporaryFile()  # noqa: SIM115 - sent and closed by the response
    book = xlsxwriter.Workbook(file, {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
    bold = book.add_format({"bold": True, "text_wrap": True, "valign": "top", "bottom": 1})
    soft = book.add_format({"italic": True, "font_color": "#566372"})
    big = book.add_format({"bold": True, "font_size": 14})
    count = book.add_format({"num_format": "#,##0"})
    share = book.add_format({"num_format": "0.0%"})
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
    for number, line in enumerate(lines, start=4):
        _write_line(sheet, number, line, count, share)
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
    return file


def _write_line(sheet: Any, number: int, line: Line, count: Any, share: Any) -> None:
    for position, cell in enumerate(line):
        if isinstance(cell, str):
            sheet.write_string(number, position, str(neutralise(cell)))
        elif cell is not None:
            sheet.write_number(number, position, cell, share if isinstance(cell, float) else count)
