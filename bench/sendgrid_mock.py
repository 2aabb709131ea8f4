"""`python -m bench.sendgrid_mock PORT DESCRIPTION`: takes what the vendor's description of `POST /v3/mail/send` allows.

Answers 202 where the body fits the description and 400 where it does not.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any, cast

from bench.schema_check import Check, compile_schema

_ANSWER = "HTTP/1.1 {}\r\nX-Message-Id: mock\r\nContent-Length: 0\r\n\r\n"
TAKEN, REFUSED = _ANSWER.format("202 Accepted").encode(), _ANSWER.format("400 Bad Request").encode()


def mail_send_schema(description: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The schema of the request's body, and the document that it refers to."""
    document = json.loads(description.read_text())
    body = document["components"]["requestBodies"]["PostMailSend"]
    return body["content"]["application/json"]["schema"], document


class _Connection(asyncio.Protocol):
    def __init__(self, fits: Check) -> None:
        self._fits = fits
        self._parts: list[bytes] = []
        self._missing = -1  # bytes of the body; -1 while the head is not whole

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._parts.append(data)
        if self._missing < 0:
            head, whole, body = b"".join(self._parts).partition(b"\r\n\r\n")
            if not whole:
                return
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            self._missing = int(length.partition(b":")[2]) - len(body)
            self._parts = [body]
        else:
            self._missing -= len(data)
        if self._missing <= 0:
            fits = self._fits(json.loads(b"".join(self._parts)))
            self._transport.write(TAKEN if fits else REFUSED)
            self._parts, self._missing = [], -1


async def _serve(port: int, fits: Check) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(fits), "127.0.0.1", port)
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), compile_schema(*mail_send_schema(Path(sys.argv[2])))))
