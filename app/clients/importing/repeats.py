"""Which client numbers may stand in a file twice, told in little memory."""

from collections.abc import Iterable

_SLOTS = 1 << 24  # bytes; a power of two


class Sieve:
    """Shown every number of the file once, it then tells those that stand in it once only.

    A number falls into one of 16 million slots. Alone in its slot, it is in the file once; where it is not, the
    database looks closer (for one number in a hundred at 200,000 rows, six at a million). So most rows need no memory
    of the numbers before them, and what is needed does not grow with the file.
    """

    def __init__(self) -> None:
        self._met = bytearray(_SLOTS)

    def meet(self, numbers: Iterable[str]) -> None:
        met, last = self._met, _SLOTS - 1
        for number in numbers:
            slot = hash(number) & last
            if met[slot] < 2:
                met[slot] += 1

    def perhaps_repeated(self, numbers: Iterable[str]) -> list[bool]:
        met, last = self._met, _SLOTS - 1
        return [met[hash(number) & last] > 1 for number in numbers]
