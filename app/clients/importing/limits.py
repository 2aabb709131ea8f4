"""How large a file may be, told before it fills a disk or the memory."""

import io
from typing import BinaryIO

from flask_babel import lazy_gettext as _l

from app.core.errors import AppError

MAX_BYTES = 500 << 20  # as the web server's own limit on a request (MAX_UPLOAD_BYTES of app/wiring.py)


class FileTooLarge(AppError):
    message = _l("This file is larger than 500 MB. Please divide it, or leave out columns that are not needed.")
    status = 413


def refuse_too_large(stream: BinaryIO) -> None:
    """Raise FileTooLarge by the stream's size alone; nothing of it is read."""
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    if size > MAX_BYTES:
        raise FileTooLarge
