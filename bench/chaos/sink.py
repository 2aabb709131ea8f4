"""An SMTP server that says what it accepted and keeps its word: the judge of the run.

It shares no code with the application. Accepting a message is appending its line, `<Message-ID> <recipient>`, to the
log **before** the 250 is written. It takes so many messages a second and no more, offers PIPELINING, and breaks down
as `bench.chaos.faults` draws it, seeded by connection. Told to stop, it writes what it did to a file, as JSON.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random

from bench.chaos.faults import CUT_AFTER_THE_DOT, REFUSALS, Fault, Faults

_EXTENSIONS = b"250-chaos.invalid\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 33554432\r\n"
_LIMIT = 32 << 20
_STALL_SECONDS = 2.0
_SILENCE_SECONDS = 45.0  # longer than any sender's patience


class _Pace:
    """Turns that come so many a second, however many wait for one."""

    def __init__(self, rate: float) -> None:
        self._interval = 1 / rate
        self._next = 0.0

    async def turn(self) -> None:
        loop = asyncio.get_running_loop()
        self._next = max(self._next + self._interval, loop.time())
        if (wait := self._next - loop.time()) > 0:
            await asyncio.sleep(wait)


class Sink:
    """All connections of one run. `done` counts what was done to whom; `log` is the descriptor of the log."""

    def __init__(self, log: int, *, rate: float, seed: str, faults: Faults) -> None:
        self._log = log
        self._pace = _Pace(rate)
        self._seed = seed
        self._faults = faults
        self.done: Counter[str] = Counter()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side has had enough."""
        self.done["connections"] += 1
        chance = Random(f"{self._seed}:{self.done['connections']}")
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await _Session(self, reader, writer, chance).run()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    def fault(self, chance: Random) -> Fault | None:
        return self._faults.draw(chance)

    async def turn(self) -> None:
        await self._pace.turn()

    def accept(self, message_id: bytes, recipient: bytes) -> None:
        """The point of no return: from here on the message counts as received."""
        os.write(self._log, b"%s %s\n" % (message_id, recipient))
        self.done["accepted"] += 1


class _Session:
    """One connection: commands are answered in turn, so pipelined ones need nothing special."""

    def __init__(self, sink: Sink, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, chance: Random) -> None:
        self._sink = sink
        self._reader = reader
        self._writer = writer
        self._chance = chance
        self._fault: Fault | None = None
        self._recipient: bytes | None = None
        self._begun = False
        self._open = True

    async def run(self) -> None:
        await self._say(b"220 chaos.invalid ESMTP\r\n")
        while self._open and (line := await self._reader.readline()):
            verb = line[:4].upper()
            if verb == b"EHLO":
                await self._say(_EXTENSIONS)
            elif verb == b"MAIL":
                await self._mail()
            elif verb == b"RCPT":
                await self._rcpt(line)
            elif verb == b"DATA":
                await self._data()
            elif verb == b"QUIT":
                await self._say(b"221 bye\r\n")
                self._open = False
            elif verb in (b"HELO", b"RSET", b"NOOP"):
                self._begun = self._begun and verb == b"NOOP"
                await self._say(b"250 ok\r\n")
            else:
                await self._say(b"502 not here\r\n")

    async def _say(self, answer: bytes) -> None:
        self._writer.write(answer)
        await self._writer.drain()

    async def _refuse(self) -> None:
        """Answer as the fault says; a 421 and a `…_cut` end the connection behind the answer."""
        fault = self._noted()
        await self._say(REFUSALS[fault] + b"\r\n")
        self._begun = False
        if fault in (Fault.MAIL_421, Fault.DOT_421, Fault.DOT_5XX_CUT):
            self._open = False

    def _noted(self) -> Fault:
        assert self._fault is not None
        self._sink.done[self._fault] += 1
        if self._fault in CUT_AFTER_THE_DOT:
            self._sink.done["cut_after_the_dot"] += 1
        return self._fault

    def _cut(self) -> None:
        """The connection is gone: with a reset, as when a host dies, or closed, as when a process does."""
        self._noted()
        if self._chance.random() < 0.5:
            self._writer.transport.abort()
        self._open = False

    async def _mail(self) -> None:
        self._fault = self._sink.fault(self._chance)
        self._recipient = None
        if self._fault in (Fault.MAIL_4XX, Fault.MAIL_5XX, Fault.MAIL_421):
            await self._refuse()
            return
        if self._fault is Fault.MAIL_STALL:
            self._noted()
            await asyncio.sleep(_STALL_SECONDS)
        self._begun = True
        await self._say(b"250 ok\r\n")

    async def _rcpt(self, line: bytes) -> None:
        if not self._begun:
            await self._say(b"503 5.5.1 MAIL first\r\n")
        elif self._fault in (Fault.RCPT_4XX, Fault.RCPT_5XX):
            await self._say(REFUSALS[self._noted()] + b"\r\n")
        else:
            self._recipient = line[line.index(b"<") + 1 : line.index(b">")]
            await self._say(b"250 ok\r\n")

    async def _data(self) -> None:
        if self._recipient is None and (not self._begun or self._chance.random() < 0.5):
            await self._say(b"503 5.5.1 no valid recipients\r\n")
            return
        if self._fault in (Fault.DATA_4XX, Fault.DATA_5XX):
            await self._refuse()
            return
        if self._fault is Fault.DATA_CUT:
            self._cut()
            return
        await self._say(b"354 go on\r\n")
        if self._fault is Fault.BODY_CUT:
            await self._reader.read(500)
            self._cut()
            return
        first = await self._reader.readline()
        body = b"" if first == b".\r\n" else first + await self._reader.readuntil(b"\r\n.\r\n")
        self._begun = False
        if self._recipient is None:  # RFC 2920, 3.1: a pipelining server may have to say 354 to nobody
            await self._say(b"554 5.5.1 no valid recipients\r\n")
        else:
            await self._judge(body, self._recipient)

    async def _judge(self, body: bytes, recipient: bytes) -> None:
        """The final dot has come."""
        await self._sink.turn()
        fault = self._fault
        if fault in REFUSALS:
            await self._refuse()
            return
        if fault is Fault.DOT_CUT_REFUSED:
            self._cut()
            return
        self._sink.accept(_message_id(body), recipient)
        if fault is Fault.DOT_CUT_ACCEPTED:
            self._cut()
            return
        if fault in (Fault.DOT_STALL, Fault.DOT_SILENCE):
            self._noted()
            await asyncio.sleep(_SILENCE_SECONDS if fault is Fault.DOT_SILENCE else _STALL_SECONDS)
        await self._say(b"250 2.0.0 accepted\r\n")
        if fault is Fault.DOT_CUT_ANSWERED:
            self._noted()
            self._open = False


def _message_id(body: bytes) -> bytes:
    """What stands between the angle brackets of the Message-ID header."""
    head = b"\n" + body.partition(b"\r\n\r\n")[0]
    at = head.lower().find(b"\nmessage-id:")
    return head[at:].partition(b"<")[2].partition(b">")[0] if at >= 0 else b"?"


async def serve(port: int, log: Path, done: Path, *, rate: float, seed: str, faults: Faults) -> None:
    """Serve on loopback until SIGTERM, then write the counts."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, stop.set)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    sink = Sink(descriptor, rate=rate, seed=seed, faults=faults)
    server = await asyncio.start_server(sink.connected, "127.0.0.1", port, limit=_LIMIT)
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    await stop.wait()
    server.close()
    done.write_text(json.dumps(sink.done))


def main() -> None:
    parser = argparse.ArgumentParser(description="Accept mail by SMTP, slowly and badly, and log what was accepted.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--done", type=Path, required=True, help="where to write what was done, as JSON")
    parser.add_argument("--rate", type=float, required=True, help="messages a second")
    parser.add_argument("--seed", required=True)
    parser.add_argument("--often", type=float, default=1.0, help="so many times the usual faults")
    parser.add_argument("--no-stalls", action="store_true", help="none of the faults that only take time")
    options = parser.parse_args()
    faults = Faults(often=options.often, stalls=not options.no_stalls)
    asyncio.run(serve(options.port, options.log, options.done, rate=options.rate, seed=options.seed, faults=faults))


if __name__ == "__main__":
    main()
