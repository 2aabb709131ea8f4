"""The rows of a file on their way in: copied into temporary tables, checked there, applied by a few statements.

All of it happens in one transaction on a connection of its own, so that a file is loaded whole or not at all while
the job's lease is renewed beside it. The temporary tables: `feed_stage` (the rows as read), `feed_refused` (row number,
reason) and what each kind makes of them. Their names and columns come from `definitions.TARGETS`, never from a file.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from psycopg import Cursor
from sqlalchemy import Connection, text

from app.clients.feeds.definitions import TARGETS

_WRITTEN_AT_ONCE = 1_000


class Stage:
    """The staged rows of one file. `filled` are the targets that the file fills."""

    def __init__(self, connection: Connection, kind: str, targets: Sequence[str]) -> None:
        self.connection = connection
        self.kind = kind
        self.filled = frozenset(targets)
        self._targets = list(targets)
        every = ", ".join(f"{target} {about.sql_type}" for target, about in TARGETS[kind].items())
        self.run("SET LOCAL work_mem = '64MB'")
        self.run(f"CREATE TEMPORARY TABLE feed_stage (row_number bigint, {every}) ON COMMIT DROP")
        self.run("CREATE TEMPORARY TABLE feed_refused (row_number bigint, reason text) ON COMMIT DROP")

    def copy(self, rows: Iterable[Sequence[Any]]) -> None:
        """Stage rows: the row number, then the value of each target."""
        raw: Any = self.connection.connection
        cursor: Cursor[Any]
        listed = ", ".join(["row_number", *self._targets])
        with raw.cursor() as cursor, cursor.copy(f"COPY feed_stage ({listed}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        self.run("ANALYZE feed_stage")

    def refuse_rows(self, refused: Sequence[tuple[int, str]]) -> None:
        """Note rows that were refused before they were staged."""
        for first in range(0, len(refused), _WRITTEN_AT_ONCE):
            self.connection.execute(
                text("INSERT INTO feed_refused VALUES (:row_number, :reason)"),
                [
                    {"row_number": number, "reason": reason}
                    for number, reason in refused[first : first + _WRITTEN_AT_ONCE]
                ],
            )

    def run(self, sql: str, **values: Any) -> int:
        """Run one statement; returns the rows it touched."""
        return int(self.connection.execute(text(sql), values).rowcount)

    def count(self, sql: str, **values: Any) -> int:
        return int(self.connection.execute(text(sql), values).scalar() or 0)

    def refuse(
        self, condition: str, reason: str, *, value: str = "NULL", rows: str = "feed_stage", **values: Any
    ) -> int:
        """Take the rows that meet the condition (SQL over `one`) out of a table and note why.

        `{}` in the reason is replaced by `value`, an expression of SQL over `one`. Returns how many.
        """
        return self.run(
            f"WITH gone AS (DELETE FROM {rows} one WHERE {condition} "  # noqa: S608 - no input in it
            f"RETURNING one.row_number, left(({value})::text, 60) AS value) "
            "INSERT INTO feed_refused SELECT row_number, replace(:reason, '{}', coalesce(value, '')) FROM gone",
            reason=reason,
            **values,
        )

    def refusals(self, limit: int) -> list[tuple[int, str]]:
        """The refused rows in the file's order, with their reasons, up to a limit."""
        found = self.connection.execute(
            text("SELECT row_number, min(reason) FROM feed_refused GROUP BY 1 ORDER BY 1 LIMIT :limit"),
            {"limit": limit},
        )
        return [(number, reason) for number, reason in found]
