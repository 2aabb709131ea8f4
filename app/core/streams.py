"""Readable streams over what is made piece by piece."""

import io
from collections.abc import Iterator
from typing import Any


def stream_of(pieces: Iterator[bytes]) -> io.BufferedReader:
    """A stream of the bytes that an iterator yields, for code that reads files; holds one piece at a time."""
    return io.BufferedReader(_Pieces(pieces))


class _Pieces(io.RawIOBase):
    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            try:
                self._rest = next(self._pieces)
            except StopIteration:
                return 0
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size
