"""The history of facts that files change, written set-based by the statement that changes the clients.

Only static facts are kept: what a file says of total assets is a figure of a day, whose course is in the balances.
Consent and the adviser have histories of their own (`Consent`, `Ownership`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    CTE,
    BigInteger,
    Boolean,
    ColumnElement,
    Connection,
    Date,
    Double,
    FromClause,
    Numeric,
    Text,
    Update,
    case,
    cast,
    func,
    insert,
    literal,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as upsert

from app.clients.editing.fields import BY_FILES, CUSTOM, FACTS
from app.clients.editing.models import ClientArrival, ClientChange
from app.clients.models import Client, CustomField
from app.core.extensions import table_of

LONGEST = 200  # signs of a value that the history keeps
_ARGUMENTS = 100  # a function of PostgreSQL takes no more
_CLIENT = table_of(Client)
_KEYS = {fact.column: fact.key for fact in (*FACTS, *BY_FILES)}


def change_clients(
    *,
    change: Update,
    was: FromClause,
    columns: Sequence[str],
    connection: Connection,
    import_id: int | None = None,
    feed_run_id: int | None = None,
) -> int:
    """Run `change`, an UPDATE of the client table, and keep what it changed. Returns how many clients it touched.

    `was` is an alias of the client table that `change` has joined by the id: with it the rows as they were are at
    hand. `columns` are those that may differ; a client with facts among them that do gets a row of `ClientChange`.
    """
    own = select(CustomField.slot, CustomField.key)
    keys = _KEYS | {slot: f"{CUSTOM}{key}" for slot, key in connection.execute(own)}
    kept = [name for name in columns if name in keys]
    before = [was.c[name].label(f"before_{name}") for name in kept]
    changed = change.returning(_CLIENT.c.id, *before, *(_CLIENT.c[name] for name in kept)).cte("changed")
    statement = select(func.count()).select_from(changed)
    if kept:
        were, are = ([_value(changed.c[f"{time}{name}"]) for name in kept] for time in ("before_", ""))
        history = insert(ClientChange).from_select(
            ["client_id", "changes", "source", "import_id", "feed_run_id"],
            select(
                changed.c.id,
                _changes(changed, {name: keys[name] for name in kept}),
                literal("import" if feed_run_id is None else "feed"),
                literal(import_id, BigInteger),
                literal(feed_run_id, BigInteger),
            ).where(tuple_(*were).is_distinct_from(tuple_(*are))),
        )
        statement = statement.add_cte(history.cte("history"))
    return int(connection.scalar(statement) or 0)


def note_arrival(*, connection: Connection, import_id: int | None = None, feed_run_id: int | None = None) -> None:
    """Note that the clients made in the current transaction came out of this file; see `ClientArrival`."""
    connection.execute(
        upsert(ClientArrival).values(import_id=import_id, feed_run_id=feed_run_id).on_conflict_do_nothing()
    )


def _changes(changed: CTE, keys: Mapping[str, str]) -> ColumnElement[Any]:
    """`ClientChange.changes` of each row; `keys` maps columns to the fields of the history."""
    parts = [
        part
        for name, key in keys.items()
        for part in (key, _change(name, changed.c[f"before_{name}"], changed.c[name]))
    ]
    whole: ColumnElement[Any] = func.jsonb_build_object(*parts[:_ARGUMENTS], type_=JSONB)
    for first in range(_ARGUMENTS, len(parts), _ARGUMENTS):
        whole = whole.concat(func.jsonb_build_object(*parts[first : first + _ARGUMENTS], type_=JSONB))
    return func.jsonb_strip_nulls(whole, type_=JSONB)


def _change(name: str, before: ColumnElement[Any], after: ColumnElement[Any]) -> ColumnElement[Any]:
    """[before, after] in words, NULL where both are the same."""
    if name == "flags":
        pair = func.jsonb_build_array(_words(name, _without(before, after)), _words(name, _without(after, before)))
    else:
        pair = func.jsonb_build_array(_words(name, before), _words(name, after))
    return case((_value(before).is_distinct_from(_value(after)), pair))


def _without(flags: ColumnElement[Any], others: ColumnElement[Any]) -> ColumnElement[Any]:
    """The flags that are not among the others."""
    flag = func.unnest(flags).column_valued("flag")
    array: ColumnElement[Any] = (
        select(func.array_agg(flag, type_=flags.type)).where(flag != func.all(others)).scalar_subquery()
    )
    return array


def _value(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The value, NULL where it is empty."""
    return func.nullif(column, literal([], column.type)) if isinstance(column.type, ARRAY) else column


def _words(name: str, column: ColumnElement[Any]) -> ColumnElement[Any]:
    """`fields.stored_words` in SQL."""
    masks = {"email": masked_email, "mobile": masked_mobile, "identity_number": masked_account}
    if name in masks:
        return masks[name](column)
    match column.type:
        case Boolean():
            return case((column, "yes"), (~column, "no"))
        case Date():
            return func.to_char(column, "YYYY-MM-DD")
        case Double():  # as numeric it has the 15 digits that are sure
            return cast(cast(column, Numeric), Text)
        case ARRAY():
            return _cut(func.nullif(func.array_to_string(column, "; "), ""))
        case _:
            return _cut(cast(column, Text))


def _cut(words: ColumnElement[Any]) -> ColumnElement[Any]:
    return case((func.length(words) > LONGEST, func.left(words, LONGEST - 1).concat("…")), else_=words)


# ---- The masks of `masking.py` in SQL; a test holds both together ----------------------------------------------------


def masked_email(address: ColumnElement[Any]) -> ColumnElement[Any]:
    return case(
        (address == "", None),
        (func.strpos(address, "@") > 0, func.regexp_replace(address, "^([^@]?).*@([^@]*)$", r"\1•••@\2")),
        else_=_middle(address),
    )


def masked_mobile(number: ColumnElement[Any]) -> ColumnElement[Any]:
    chinese = func.concat("+86 ", func.substr(number, 4, 3), "****", func.right(number, 4))
    return case(
        (number == "", None),
        (number.startswith("+86") & (func.length(number) == 14), chinese),
        else_=_middle(number),
    )


def masked_account(number: ColumnElement[Any]) -> ColumnElement[Any]:
    return case(
        (number == "", None),
        (func.length(number) > 8, func.concat("****", func.right(number, 4))),
        (number.is_not(None), "****"),
    )


def _middle(text: ColumnElement[Any]) -> ColumnElement[Any]:
    return case(
        (func.length(text) <= 6, "****"),
        (text.is_not(None), func.concat(func.left(text, 3), "****", func.right(text, 2))),
    )
