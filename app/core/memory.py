"""Memory that a long-lived process needed once."""

import ctypes


def give_back() -> None:
    """Return to the machine what is free among the pages of this process; nothing where the C library cannot.

    glibc keeps freed memory that lies below some that is in use: after a large audience that would be 20 MB for as
    long as the process lives (malloc_trim(3)).
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
