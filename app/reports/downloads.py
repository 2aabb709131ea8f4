"""Tables of the reports as files to take away, marked with who took them."""

from collections.abc import Iterable, Sequence

from flask import Response, send_file, stream_with_context

from app.core.spreadsheet_files import MIME, Line, Table, csv_bytes, watermark, workbook
from app.users.sessions import signed_in_user


def table_file(
    name: str,
    format: str,
    *,
    title: str,
    head: Sequence[str],
    lines: Iterable[Line],
    notes: Iterable[Line] = (),
    chart_columns: Sequence[int] = (),
    further: Iterable[Table] = (),
    addressee: str | None = None,
    warning: str | None = None,
) -> Response:
    """A table, "csv" or "xlsx", called `name` with that ending. Only Excel has title, notes, chart and further tables.

    `addressee` stands in the mark too: whom the file is made for. A `warning` stands over the figures of both.
    """
    mark = " · ".join(filter(None, (watermark(signed_in_user().name), addressee)))
    file_name = f"{name}.{format}"
    if format == "xlsx":
        file = workbook(
            title, head, lines, mark, notes=notes, chart_columns=chart_columns, further=further, warning=warning
        )
        return send_file(file, mimetype=MIME[format], as_attachment=True, download_name=file_name)
    response = Response(stream_with_context(csv_bytes(head, lines, mark, warning=warning)), mimetype=MIME[format])
    response.headers.set("Content-Disposition", "attachment", filename=file_name)
    return response
