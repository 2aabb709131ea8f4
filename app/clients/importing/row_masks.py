"""Rows of a file as they are shown or handed out: contact data and numbers of persons and accounts masked.

What a column holds is known from what it becomes; of a column that becomes nothing, from its name; else, and in rows
whose cells do not fit the columns, from the looks of a cell. Rows are found again by their number and the client's.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from app.clients.importing.mapping import CUSTOM, TARGETS, fold, read_mapping, template_names
from app.clients.importing.mapping import Mapping as ColumnMapping
from app.clients.masking import mask_account, mask_email, mask_mobile
from app.clients.models import ClientImport

EMAIL, MOBILE, IDENTITY, ACCOUNT, OPEN = "email", "mobile", "identity_number", "account", "open"
_MASKS: Mapping[str, Callable[[str | None], str | None]] = {
    EMAIL: mask_email,
    MOBILE: mask_mobile,
    IDENTITY: mask_account,
    ACCOUNT: mask_account,
}
_ACCOUNT_NAMES = (
    "account accountnumber accountno accountid acct bankaccount iban cardnumber "
    "账号 账户号 资金账号 银行账号 银行卡号 卡号"
)
_NAMES = {name: kind for kind in (EMAIL, MOBILE, IDENTITY) for name in TARGETS[kind][1].split()}
_NAMES |= dict.fromkeys(_ACCOUNT_NAMES.split(), ACCOUNT)
_DATE = re.compile(r"[0-9]{4}[-/.年][0-9]{1,2}[-/.月][0-9]{1,2}.*", re.DOTALL)
_BETWEEN_DIGITS = re.compile(r"[\s().+-]")
_LONG_NUMBER = re.compile(r"[0-9]{7}")
_QUOTED = re.compile("“([^”]*)”")
_TELLING = 4  # so many signs of a cell are told again when they stand within other words


@dataclass(frozen=True, slots=True)
class RowMask:
    """`kinds` has a key of the masks for each column, OPEN for what is shown as it is, None where only looks tell."""

    kinds: Sequence[str | None]

    def cells(self, cells: Sequence[str]) -> list[str]:
        """The cells of a row, masked."""
        kinds = self.kinds if len(cells) == len(self.kinds) else [None] * len(cells)
        return [masked(cell, kind) for cell, kind in zip(cells, kinds, strict=True)]

    def reason(self, reason: str, cells: Sequence[str]) -> str:
        """The sentence against a row, in which the values it quotes of these cells are masked too."""
        hidden = [
            (cell.strip(), shown)
            for cell, shown in zip(cells, self.cells(cells), strict=True)
            if shown != cell and cell.strip()
        ]

        def quoted(match: re.Match[str]) -> str:
            text = match[1]
            for cell, shown in hidden:
                cut = text.endswith("…") and cell.startswith(text[:-1])
                if text == cell or cut:
                    return f"“{shown}”"
                if len(cell) >= _TELLING:
                    text = text.replace(cell, shown)
            return f"“{text}”"

        return _QUOTED.sub(quoted, reason) if hidden else reason


def masked(cell: str, kind: str | None) -> str:
    """A cell of a column of this kind."""
    if kind is None:
        kind = _looks_like(cell)
    mask = _MASKS.get(kind)
    return cell if mask is None else mask(cell.strip()) or ""


def mask_of(columns: Sequence[str], becomes: Mapping[str, str | None]) -> RowMask:
    """The mask of a file's rows. `becomes` tells the kind of the columns that are known."""
    return RowMask([becomes[column] if column in becomes else _NAMES.get(fold(column)) for column in columns])


def mask_of_import(client_import: ClientImport) -> RowMask:
    """The mask of the rows of an import; before its columns are chosen only their names tell."""
    mapping = read_mapping(client_import.mapping) if client_import.mapping is not None else ColumnMapping({})
    return mask_of(client_import.columns, kinds_of(mapping))


def kinds_of(mapping: ColumnMapping) -> dict[str, str | None]:
    """The kind of each column that the mapping uses. What is the client's number is shown, whatever else it fills;
    what becomes a field of the firm may hold anything, so its name or its looks tell."""
    kinds: dict[str, str | None] = {column: _NAMES.get(fold(column)) for column in mapping.new_fields}
    for target, source in mapping.columns.items():
        used = [source["column"]] if "column" in source else template_names(source.get("template", ""))
        for column in used:
            kind = _NAMES.get(fold(column)) if target.startswith(CUSTOM) else target if target in _MASKS else OPEN
            if kinds.get(column, OPEN) == OPEN:
                kinds[column] = kind
    number = mapping.columns.get("number", {}).get("column")
    return kinds | ({number: OPEN} if number else {})


def _looks_like(cell: str) -> str:
    if "@" in cell:
        return EMAIL
    if _DATE.fullmatch(cell.strip()):
        return OPEN
    return ACCOUNT if _LONG_NUMBER.search(_BETWEEN_DIGITS.sub("", cell)) else OPEN
