"""How an export file of another product is described: a table of columns and words, no code."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

OPTED_OUT, BOUNCED, AGREED = "opted out", "bounced", "agreed"


@dataclass(frozen=True, slots=True)
class Layout:
    """One kind of file.

    Column names are folded ("UNSUB_TIME" is "unsubtime"); alternatives are divided by "|". A file has the layout if it
    has all of `needs` and its name holds `file_word`. `addresses` pairs each column of addresses with its channel;
    where there is a `channel` column, only the addresses of the channel it names count. What a row says is found in
    this order: a filled column of `filled`, the word in the `status` column, `always`.
    """

    needs: tuple[str, ...]
    addresses: tuple[tuple[str, str], ...]
    file_word: str = ""
    channel: str = ""
    status: str = ""
    words: Mapping[str, str | None] = field(default_factory=dict)
    filled: tuple[tuple[str, str], ...] = ()
    always: str | None = None
    at: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""

    def fits(self, columns: Iterable[str], file_name: str) -> bool:
        have = set(columns)
        return self.file_word in file_name.lower() and all(have & set(need.split("|")) for need in self.needs)


@dataclass(frozen=True, slots=True)
class Product:
    """A product people come from; its layouts are tried in their order. `source` is where the format is documented."""

    key: str
    name: str
    source: str
    layouts: tuple[Layout, ...]

    def layout(self, columns: Iterable[str], file_name: str) -> Layout | None:
        have = list(columns)
        return next((layout for layout in self.layouts if layout.fits(have, file_name)), None)
