"""What of a feed's rows is hidden from people: account numbers, identity numbers, contact data."""

from collections.abc import Sequence

from app.clients.feeds.definitions import BIRTH_NUMBER, Definition
from app.clients.importing.row_masks import ACCOUNT, IDENTITY, OPEN, RowMask, mask_of

_ACCOUNT_TARGETS = {"accounts": {"number", "client_of"}}


def account_targets(kind: str) -> set[str]:
    """What of a feed of this kind is filled with account numbers."""
    return _ACCOUNT_TARGETS.get(kind, {"account"})


def kinds_of(definition: Definition, kind: str) -> dict[str, str]:
    """The kind of each column that the definition uses."""
    accounts = account_targets(kind)
    kinds: dict[str, str] = {}
    for target, source in definition.columns.items():
        made = ACCOUNT if target in accounts else IDENTITY if source.format == BIRTH_NUMBER else OPEN
        for column in source.used_columns:
            if kinds.get(column, OPEN) == OPEN:
                kinds[column] = made
    return kinds


def mask_of_file(columns: Sequence[str], definition: Definition | None, kind: str) -> RowMask:
    """The mask of a file's rows, by what the feed makes of its columns."""
    return mask_of(columns, kinds_of(definition, kind) if definition else {})
