"""A local SMTP server that keeps what it gets: where the demo's mail ends.

Speaks enough of RFC 5321 for one sender on loopback, with PIPELINING (RFC 2920). Messages are appended to a
file, each after a line `<recipient> <size>`, and are on disk before they are acknowledged.
"""

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

_GREETING = b"220 sink.invalid ESMTP\r\n"
_EXTENSIONS = b"250-sink.invalid\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 33554432\r\n"
_END = b"\r\n.\r\n"


class _Session(asyncio.Protocol):
    def __init__(self, store: BinaryIO) -> None:
        self._store = store
        self._buffer = bytearray()
        self._recipient = b""
        self._in_data = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(_GREETING)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        answers = bytearray()
        while self._step(answers):
            pass
        if answers:
            self._transport.write(bytes(answers))

    def _step(self, answers: bytearray) -> bool:
        """Take one command or one message off the buffer; False where it does not hold a whole one."""
        if self._in_data:
            end = self._buffer.find(_END)
            if end < 0 and not self._buffer.startswith(b".\r\n"):
                return False
            body = bytes(self._buffer[: end + 2]) if end >= 0 else b""
            del self._buffer[: end + len(_END) if end >= 0 else 3]
            self._keep(body.replace(b"\r\n..", b"\r\n."))
            self._in_data = False
            answers += b"250 kept\r\n"
            return True
        line, separator, _ = self._buffer.partition(b"\r\n")
        if not separator:
            return False
        del self._buffer[: len(line) + 2]
        answers += self._command(bytes(line))
        return True

    def _command(self, line: bytes) -> bytes:
        verb = line[:4].upper()
        if verb == b"EHLO":
            return _EXTENSIONS
        if verb == b"RCPT":
            self._recipient = line[line.index(b"<") + 1 : line.index(b">")]
        if verb == b"DATA":
            self._in_data = True
            return b"354 go on\r\n"
        if verb == b"QUIT":
            self._transport.write(b"221 bye\r\n")
            self._transport.close()
            return b""
        return b"250 ok\r\n" if verb in (b"HELO", b"MAIL", b"RCPT", b"RSET", b"NOOP") else b"502 not here\r\n"

    def _keep(self, body: bytes) -> None:
        self._store.write(b"%s %d\n" % (self._recipient, len(body)) + body)
        self._store.flush()


def read_messages(store: Path) -> Iterator[tuple[str, bytes]]:
    """(recipient, message) of everything that the sink has kept, in the order of arrival."""
    with store.open("rb") as file:
        while head := file.readline():
            recipient, size = head.split()
            yield recipient.decode(), file.read(int(size))


async def serve(port: int, store: Path) -> None:
    """Serve on loopback until SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, stop.set)
    with store.open("ab") as file:
        server = await loop.create_server(lambda: _Session(file), "127.0.0.1", port)
        async with server:
            sys.stdout.write("listening\n")
            sys.stdout.flush()
            await stop.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="Keep every message that arrives by SMTP.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--store", type=Path, required=True)
    arguments = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(arguments.port, arguments.store))


if __name__ == "__main__":
    main()
