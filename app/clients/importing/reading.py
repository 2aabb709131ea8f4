"""Reading a table out of whatever file somebody sends.

`detect` looks at the bytes once and says how to read them (the dialect, plain JSON, kept with the import);
`data_rows` then streams the rows, so the memory used does not grow with a text file.
"""

import codecs
import io
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO, TypedDict

from charset_normalizer import from_bytes
from flask_babel import lazy_gettext as _l

from app.clients.importing.text_rows import Row, careful_rows, row_blocks
from app.clients.importing.text_rows import RowProblem as RowProblem
from app.clients.importing.workbooks import OLD_OFFICE, ZIP_MAGIC, open_sheet, open_workbook, sheet_rows
from app.clients.importing.workbooks import NotATable as NotATable

SAMPLE_BYTES = 1 << 18
SAMPLE_ROWS = 200
DELIMITERS = (",", ";", "\t", "|")
MAX_COLUMNS = 500
_PROSE_WORDS = 4


class Dialect(TypedDict, total=False):
    """How to read a file. Text: encoding, delimiter, quote. Workbook: sheet. `header_row` counts from 0."""

    format: str
    encoding: str
    delimiter: str
    quote: str
    sheet: str
    header_row: int


_EMPTY = _l("This file is empty.")
_ONLY_HEADER = _l("This file has column names but no rows below them.")
_PROSE = _l("This file holds text, not a table: its lines do not divide into columns.")
_BINARY = _l("This file is not text. Please save it as CSV or as an Excel workbook and choose that file.")
_WIDE = _l("This file has more than 500 columns. Please check how its columns are divided.")
_ONE_LINE = _l("This file is one endless line. Please check how its rows are divided.")
_PROGRAM = _l("This is a program. Please choose a CSV, TSV or Excel file.")
_HEADER_AGAIN = _l("The row repeats the names of the columns.")

_MAGIC = (
    (b"%PDF", _l("This is a PDF. Please export the list as CSV or Excel and choose that file.")),
    (b"\x89PNG", _l("This is a picture. Please choose a CSV, TSV or Excel file.")),
    (b"\xff\xd8\xff", _l("This is a picture. Please choose a CSV, TSV or Excel file.")),
    (b"GIF8", _l("This is a picture. Please choose a CSV, TSV or Excel file.")),
    (b"BM", _l("This is a picture. Please choose a CSV, TSV or Excel file.")),
    (b"{\\rtf", _l("This is a text document. Please save its table as CSV or Excel.")),
    (b"\x1f\x8b", _l("This file is compressed. Please unpack it and choose the table inside.")),
    (b"Rar!", _l("This file is compressed. Please unpack it and choose the table inside.")),
    (b"7z\xbc\xaf", _l("This file is compressed. Please unpack it and choose the table inside.")),
    (b"\x7fELF", _PROGRAM),
    (b"MZ", _PROGRAM),
)
_ALSO_WORDS = (b"BM", b"MZ")  # a text may begin with these letters
_HTML = _l("This is a web page. Please export the list as CSV or Excel and choose that file.")
_JSON = _l("This file is JSON. Please export the list as CSV or Excel and choose that file.")


# ---- Detection ------------------------------------------------------------------------------------------------------


def detect(stream: BinaryIO) -> Dialect:
    """Find out how to read the file. Raises NotATable with a sentence that says what it is instead."""
    stream.seek(0)
    start = stream.read(SAMPLE_BYTES)
    if not start.strip(b"\x00 \t\r\n\xef\xbb\xbf\xff\xfe"):
        raise NotATable(_EMPTY)
    if start.startswith((ZIP_MAGIC, OLD_OFFICE)):
        return _detect_workbook(stream)
    for magic, sentence in _MAGIC:
        if start.startswith(magic) and not (magic in _ALSO_WORDS and b"\x00" not in start[:32]):
            raise NotATable(sentence)
    if len(start) == SAMPLE_BYTES and b"\n" not in start and b"\r" not in start:
        raise NotATable(_WIDE if max(start.count(sign.encode()) for sign in DELIMITERS) >= MAX_COLUMNS else _ONE_LINE)
    dialect: Dialect = {"format": "text", "encoding": _encoding(stream, start)}
    text = start.decode(dialect["encoding"], errors="ignore")
    _refuse_markup(text)
    whole = len(start) < SAMPLE_BYTES
    lines = list(io.StringIO(text, newline=""))
    return dialect | _layout(lines if whole or len(lines) < 2 else lines[:-1])


def _refuse_markup(text: str) -> None:
    head = text.lstrip("\ufeff \t\r\n")[:200].lower()
    if head.startswith(("<!doctype", "<html", "<?xml", "<table", "<head", "<body")):
        raise NotATable(_HTML)
    if head.startswith(("{", "[{")):
        raise NotATable(_JSON)


def _encoding(stream: BinaryIO, start: bytes) -> str:
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if start.startswith(mark):
            return name
    if b"\x00" in start:
        return _utf16_without_mark(start)
    if _decodes(stream, "utf-8"):
        return "utf-8"
    telling = _lines_beyond_ascii(stream)
    if _looks_like_gb18030(telling) and _decodes(stream, "gb18030"):
        return "gb18030"
    best = from_bytes(telling, cp_isolation=["gb18030", "big5", "cp1250", "cp1251", "cp1252", "shift_jis"]).best()
    if best is not None and _decodes(stream, best.encoding):
        return best.encoding
    return "latin-1"


def _utf16_without_mark(start: bytes) -> str:
    """Delimiters and digits are ASCII, so one of each pair of bytes is often zero, always on the same side."""
    pairs = max(1, len(start) // 2)
    high_first = start[0::2].count(0) / pairs
    low_first = start[1::2].count(0) / pairs
    if max(high_first, low_first) < 0.1 or min(high_first, low_first) > 0.02:
        raise NotATable(_BINARY)
    name = "utf-16-be" if high_first > low_first else "utf-16-le"
    try:
        codecs.getincrementaldecoder(name)().decode(start)
    except UnicodeDecodeError as error:
        raise NotATable(_BINARY) from error
    return name


def _decodes(stream: BinaryIO, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    stream.seek(0)
    try:
        while piece := stream.read(1 << 20):
            decoder.decode(piece)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _lines_beyond_ascii(stream: BinaryIO) -> bytes:
    """Up to 64 KB of the lines that tell encodings apart."""
    found: list[bytes] = []
    size = 0
    stream.seek(0)
    while line := stream.readline(1 << 16):
        if not line.isascii():
            found.append(line[:4096])
            size += len(found[-1])
            if size > 1 << 16:
                break
    return b"".join(found)


def _looks_like_gb18030(data: bytes) -> bool:
    """True where most pairs beyond ASCII are common Chinese signs (GB 2312), as they never are in Latin text."""
    common = pairs = 0
    position = 0
    while position < len(data) - 1:
        lead, trail = data[position], data[position + 1]
        if lead < 0x80:
            position += 1
            continue
        pairs += 1
        common += (0xA1 <= lead <= 0xA3 or 0xB0 <= lead <= 0xF7) and trail >= 0xA1
        position += 2
    return pairs > 0 and common / pairs > 0.6


def _layout(lines: list[str]) -> Dialect:
    """The delimiter and quotation mark under which most rows have the same number of cells, at least two."""
    best: tuple[float, int, str, list[list[str]]] | None = None
    first = lines[:SAMPLE_ROWS]
    quote = "'" if sum(line.startswith("'") for line in first) > len(first) / 2 else '"'
    for delimiter in DELIMITERS:
        rows = _sample(lines, delimiter, quote)
        width, share = _usual_width(rows)
        if width > 1 and share >= 0.6 and (best is None or (share, width) > best[:2]):
            best = (share, width, delimiter, rows)
    if best is None:
        return _one_column(lines)
    _share, width, delimiter, rows = best
    if width > MAX_COLUMNS:
        raise NotATable(_WIDE)
    if delimiter == "," and _is_prose(rows):
        raise NotATable(_PROSE)
    header_row = next(i for i, row in enumerate(rows) if len(row) == width)
    if len(rows) == header_row + 1:
        raise NotATable(_ONLY_HEADER)
    return {"delimiter": delimiter, "quote": quote, "header_row": header_row}


def _sample(lines: list[str], delimiter: str, quote: str) -> list[list[str]]:
    rows = []
    for row in careful_rows(lines, delimiter, quote):
        cells = row.cells if isinstance(row, RowProblem) else row
        rows.append(cells)
        if len(rows) == SAMPLE_ROWS:
            break
    return rows


def _usual_width(rows: list[list[str]]) -> tuple[int, float]:
    if not rows:
        return 0, 0.0
    width, times = max(Counter(map(len, rows)).items(), key=lambda item: (item[1], item[0]))
    return width, times / len(rows)


def _is_prose(rows: list[list[str]]) -> bool:
    """Sentences with commas: many words in a cell, in the first row too."""
    cells = [cell for row in rows for cell in row]
    words = sum(len(cell.split()) for cell in cells) / max(1, len(cells))
    return words > _PROSE_WORDS and max(len(cell.split()) for cell in rows[0]) > _PROSE_WORDS + 1


def _one_column(lines: list[str]) -> Dialect:
    """A list of numbers or addresses is a table of one column; a letter is not."""
    cells = [line.strip() for line in lines if line.strip()][:SAMPLE_ROWS]
    words = sum(len(cell.split()) for cell in cells) / max(1, len(cells))
    if words > _PROSE_WORDS or any(len(cell) > 100 for cell in cells):
        raise NotATable(_PROSE)
    if len(cells) < 2:
        raise NotATable(_ONLY_HEADER)
    return {"delimiter": ",", "quote": '"', "header_row": 0}


def _detect_workbook(stream: BinaryIO) -> Dialect:
    with open_workbook(stream) as workbook:
        for name in workbook.sheet_names:
            rows = open_sheet(workbook, name).to_python(nrows=SAMPLE_ROWS)
            filled = [count for row in rows if (count := sum(cell != "" for cell in row))]
            width = max(filled, default=0)
            if not width:
                continue
            if width > MAX_COLUMNS:
                raise NotATable(_WIDE)
            header_row = next(i for i, count in enumerate(filled) if count >= max(1, width // 2))
            if len(filled) == header_row + 1:
                raise NotATable(_ONLY_HEADER)
            return {"format": "workbook", "sheet": name, "header_row": header_row}
    raise NotATable(_EMPTY)


# ---- Rows -----------------------------------------------------------------------------------------------------------


def column_names(stream: BinaryIO, dialect: Dialect) -> list[str]:
    """The names in the header row, made unique: an empty one becomes "Column 3", a second "Name" "Name (2)"."""
    header = next(_table(stream, dialect))
    if isinstance(header, RowProblem):
        raise NotATable
    while header and not header[-1].strip():
        header.pop()
    names: list[str] = []
    for position, cell in enumerate(header, start=1):
        base = name = " ".join(cell.replace("\ufeff", "").split()) or f"Column {position}"
        again = 2
        while name in names:
            name = f"{base} ({again})"
            again += 1
        names.append(name)
    return names


def data_rows(stream: BinaryIO, dialect: Dialect, *, width: int) -> Iterator[Row]:
    """The rows below the header, each of `width` cells, or a RowProblem in place of a row that has none.

    Rows without any text are left out and not counted.
    """
    blocks = _blocks(stream, dialect)
    first: list[Row] = []
    position = dialect["header_row"]
    while len(first) <= position:
        first += next(blocks)
    header = first[position]
    for block in chain([first[position + 1 :]], blocks):
        yield from _shaped(block, width, header, dialect["format"] == "workbook")


def _shaped(block: list[Row], width: int, header: Row, fill_up: bool) -> list[Row]:
    """The block as it is where all is well, which is soon seen; else row by row."""
    plain = all(type(row) is list for row in block)
    if plain and set(map(len, block)) <= {width} and all(map(any, block)) and header not in block:  # type: ignore[arg-type]
        return block
    shaped: list[Row] = []
    for row in block:
        if isinstance(row, RowProblem):
            shaped.append(row)
            continue
        if not any(row) and len(row) >= width:
            continue
        if row == header:
            shaped.append(RowProblem(_HEADER_AGAIN, row))
            continue
        if len(row) > width and not any(row[width:]):
            row = row[:width]
        elif len(row) < width and fill_up:
            row += [""] * (width - len(row))
        shaped.append(row if len(row) == width else RowProblem(_wrong_count(len(row), width), row))
    return shaped


def _wrong_count(found: int, expected: int) -> object:
    return _l("The row has %(found)s cells, but there are %(expected)s columns.", found=found, expected=expected)


def _table(stream: BinaryIO, dialect: Dialect) -> Iterator[Row]:
    """The rows from the header on."""
    rows = chain.from_iterable(_blocks(stream, dialect))
    for _skipped in range(dialect["header_row"]):
        next(rows)
    return rows


def _blocks(stream: BinaryIO, dialect: Dialect) -> Iterator[list[Row]]:
    stream.seek(0)
    if dialect["format"] == "workbook":
        return _workbook_blocks(stream, dialect["sheet"])
    return row_blocks(stream, encoding=dialect["encoding"], delimiter=dialect["delimiter"], quote=dialect["quote"])


def _workbook_blocks(stream: BinaryIO, sheet: str) -> Iterator[list[Row]]:
    with open_workbook(stream) as workbook:
        for row in sheet_rows(open_sheet(workbook, sheet)):
            yield [row]
