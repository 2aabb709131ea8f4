"""An HTTP/1.1 server that takes bodies over kept-alive connections and answers each as it is told."""

import asyncio
import sys
from collections.abc import Callable
from typing import cast

Answer = Callable[[bytes], bytes]


class _Connection(asyncio.Protocol):
    def __init__(self, answer: Answer) -> None:
        self._answer = answer
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
            self._transport.write(self._answer(b"".join(self._parts)))
            self._parts, self._missing = [], -1


def serve(port: int, answer: Answer) -> None:
    """Answer on a port of loopback for good; says so on standard output once it listens."""
    asyncio.run(_serve(port, answer))


async def _serve(port: int, answer: Answer) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(answer), "127.0.0.1", port)
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()
