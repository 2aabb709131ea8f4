"""What the run asks PostgreSQL, over a connection that outlives the server's restarts."""

import time
from collections.abc import Sequence
from typing import Any

import psycopg

_PATIENCE_SECONDS = 60


class Ledger:
    """Reads of the delivery ledger from outside the application."""

    def __init__(self, database_url: str) -> None:
        self._address = database_url.replace("+psycopg", "", 1)
        self._connection: psycopg.Connection[Any] | None = None

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query; asked again, on a new connection, while the server is away."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                if self._connection is None:
                    self._connection = psycopg.connect(self._address, autocommit=True)
                cursor = self._connection.execute(query, values)
                return cursor.fetchall() if cursor.description else []
            except psycopg.OperationalError:
                self.close()
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def handing(self, batch_id: int) -> int:
        """How many messages of the batch are being handed over by whoever has claimed it."""
        query = """
            SELECT count(*) FROM message JOIN batch ON batch.id = message.batch_id
            WHERE batch.id = %s AND batch.token IS NOT NULL AND message.state = 'handing'
        """
        return int(self.rows(query, [batch_id])[0][0])

    def message_states(self) -> dict[int, str]:
        """message id > state"""
        return dict(self.rows("SELECT id, state FROM message"))

    def addresses(self) -> dict[int, str]:
        """message id > the address of its client"""
        query = "SELECT message.id, client.email FROM message JOIN client ON client.id = message.client_id"
        return dict(self.rows(query))
