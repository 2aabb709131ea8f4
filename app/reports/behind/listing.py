"""What one figure counts, by the ids of what it counts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from pyroaring import BitMap64


@dataclass(frozen=True, slots=True)
class Behind:
    """What a figure counts: these clients or, where `openings` is there, these account openings.

    `amounts`, {id of client or opening: amount}: the figure is what they come to. `figure` is what it is called on the
    page it stands on, `part` of whom or what it is told there, `page` that page's (name, address). `code`: the one
    campaign it is about.
    """

    figure: str
    page: tuple[str, str]
    part: str = ""
    clients: BitMap64 = field(default_factory=BitMap64)
    openings: BitMap64 | None = None
    amounts: Mapping[int, Decimal] | None = None
    code: str | None = None

    @property
    def ids(self) -> BitMap64:
        return self.clients if self.openings is None else self.openings

    @property
    def value(self) -> int | Decimal:
        """The figure itself."""
        return len(self.ids) if self.amounts is None else sum(self.amounts.values(), Decimal())
