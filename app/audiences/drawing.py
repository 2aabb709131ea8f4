"""Drawing lots that can be drawn again: each client's place between 0 and 1 is a hash of (salt, client id).

The hash is PostgreSQL's `hashint8extended`, seeded with the salt, of itself: once would leave clients with neighbouring
ids, who may be a household, drawn together too often. Hash-partitioned tables rely on it, so it stays as it is from
version to version; here it is also worked out without a database, for a million clients at once. It is the mixing of
Bob Jenkins' lookup3 (https://burtleburtle.net/bob/c/lookup3.c), as in PostgreSQL's common/hashfn.c.

Different salts give places that have nothing to do with each other, so that whoever is drawn for the control group is
not drawn for a variant more often than others.
"""

from __future__ import annotations

import secrets
from array import array
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pyroaring import BitMap64
from sqlalchemy import BigInteger, ColumnElement, Double, Integer, cast, func, literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
else:

    class _Numpy:
        """numpy, loaded with the first draw: a worker that only sends must not carry it."""

        def __getattr__(self, name: str) -> Any:
            return getattr(import_module("numpy"), name)

    np = _Numpy()

_BITS = 53  # as many as the fraction of a double holds, so that both ways give the very same number
_BEGIN = 0x9E3779B9 + 4 + 3923095
_MIX = ((4, 0, 2, 1), (6, 1, 0, 2), (8, 2, 1, 0), (16, 0, 2, 1), (19, 1, 0, 2), (4, 2, 1, 0))
_FINAL = ((14, 2, 1), (11, 0, 2), (25, 1, 0), (16, 2, 1), (4, 0, 2), (14, 1, 0), (24, 2, 1))


def new_salt() -> int:
    """A random salt: what makes a draw independent of every other one."""
    return secrets.randbelow(2**62) + 1


def salt_of(salt: int, step_id: int) -> int:
    """A salt of its own for a step of the run: its variants are drawn independently of the control group."""
    return int(_hashes(np.array([step_id], dtype=np.uint64), salt).view(np.int64)[0])


def places(ids: BitMap64, salt: int) -> NDArray[np.float64]:
    """Each client's place, at least 0 and below 1, in the order of the ids."""
    return (_hashes(_numbers(ids), salt) >> np.uint64(64 - _BITS)).astype(np.float64) * 2.0**-_BITS


def place_of(client_id: ColumnElement[int], salt: int) -> ColumnElement[float]:
    """The same as an SQL expression."""
    seed = literal(salt, BigInteger)
    hashed = func.hashint8extended(func.hashint8extended(client_id, seed), seed, type_=BigInteger)
    bits = hashed.op(">>")(literal(64 - _BITS, Integer)).op("&")(literal(2**_BITS - 1, BigInteger))
    place: ColumnElement[float] = cast(bits, Double) * literal(2.0**-_BITS, Double)
    return place


def drawn(ids: BitMap64, salt: int, shares: Sequence[float]) -> list[BitMap64]:
    """Split the clients: a set for each share (0 to 1; together at most 1) and a last one of those whom none took."""
    numbers = _numbers(ids)
    taker = np.searchsorted(np.cumsum(shares), places(ids, salt), side="right")
    return [BitMap64(array("Q", numbers[taker == one].tobytes())) for one in range(len(shares) + 1)]


def _numbers(ids: BitMap64) -> NDArray[np.uint64]:
    return np.frombuffer(ids.to_array(), dtype=np.uint64)


def _hashes(numbers: NDArray[np.uint64], salt: int) -> NDArray[np.uint64]:
    return _hashed(_hashed(numbers, salt), salt)


def _hashed(numbers: NDArray[np.uint64], salt: int) -> NDArray[np.uint64]:
    """`hashint8extended(number, salt)` of each."""
    low, high = numbers.astype(np.uint32), (numbers >> np.uint64(32)).astype(np.uint32)
    negative = (numbers >> np.uint64(63)).astype(bool)
    seed = salt % 2**64
    words = [np.full(len(numbers), _BEGIN % 2**32, dtype=np.uint32) for _word in range(3)]
    if seed:
        words[0] += np.uint32(seed >> 32)
        words[1] += np.uint32(seed & 0xFFFFFFFF)
        _mix(words)
    words[0] += low ^ np.where(negative, ~high, high)
    _finish(words)
    return words[1].astype(np.uint64) << np.uint64(32) | words[2].astype(np.uint64)


def _mix(words: list[NDArray[np.uint32]]) -> None:
    for bits, changed, by, raised in _MIX:
        words[changed] -= words[by]
        words[changed] ^= _rotated(words[by], bits)
        words[by] += words[raised]


def _finish(words: list[NDArray[np.uint32]]) -> None:
    for bits, changed, by in _FINAL:
        words[changed] ^= words[by]
        words[changed] -= _rotated(words[by], bits)


def _rotated(word: NDArray[np.uint32], bits: int) -> NDArray[np.uint32]:
    return word << np.uint32(bits) | word >> np.uint32(32 - bits)
