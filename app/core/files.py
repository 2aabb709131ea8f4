"""Uploaded and generated files, kept in PostgreSQL in chunks.

Web and workers may run on different hosts; the database is the one place both reach, so no shared folder
is needed and a backup of the database is a backup of everything.
"""

import io
from collections.abc import Iterator
from typing import Any, BinaryIO

from sqlalchemy import ForeignKey, LargeBinary, delete, func, insert, select
from sqlalchemy.orm import Mapped, mapped_column

from app.core.extensions import Model, Timestamp, db

CHUNK = 1 << 20


class StoredFile(Model):
    __tablename__ = "stored_file"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    size: Mapped[int]
    created_at: Mapped[Any] = mapped_column(Timestamp, server_default=func.now())


class StoredChunk(Model):
    __tablename__ = "stored_chunk"

    file_id: Mapped[int] = mapped_column(ForeignKey("stored_file.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    data: Mapped[bytes] = mapped_column(LargeBinary)


def store_file(stream: BinaryIO, *, name: str) -> StoredFile:
    """Copy a stream into the database, a megabyte at a time, in the current transaction."""
    stored = StoredFile(name=name[:200], size=0)
    db.session.add(stored)
    db.session.flush()
    position = 0
    while data := stream.read(CHUNK):
        db.session.execute(insert(StoredChunk), {"file_id": stored.id, "position": position, "data": data})
        stored.size += len(data)
        position += 1
    return stored


def delete_file(file_id: int) -> None:
    """Remove a stored file and its chunks, in the current transaction."""
    db.session.execute(delete(StoredFile).where(StoredFile.id == file_id))


class _ChunkReader(io.RawIOBase):
    def __init__(self, file_id: int, size: int) -> None:
        self._file_id = file_id
        self._size = size
        self._offset = 0
        self._position = -1
        self._data = b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._offset, io.SEEK_END: self._size}[whence]
        self._offset = max(0, base + offset)
        return self._offset

    def tell(self) -> int:
        return self._offset

    def readinto(self, buffer: Any) -> int:
        position, start = divmod(self._offset, CHUNK)
        if self._offset >= self._size:
            return 0
        if position != self._position:
            self._data = db.session.execute(
                select(StoredChunk.data).where(StoredChunk.file_id == self._file_id, StoredChunk.position == position)
            ).scalar_one()
            self._position = position
        piece = self._data[start : start + len(buffer)]
        buffer[: len(piece)] = piece
        self._offset += len(piece)
        return len(piece)


def open_file(file_id: int) -> io.BufferedReader:
    """A seekable binary stream over a stored file; holds at most one megabyte of it."""
    stored = db.session.get_one(StoredFile, file_id)
    return io.BufferedReader(_ChunkReader(stored.id, stored.size), buffer_size=1 << 16)


def file_chunks(file_id: int) -> Iterator[bytes]:
    """The file's bytes in order, for a streamed download."""
    count = db.session.scalar(select(func.count()).where(StoredChunk.file_id == file_id)) or 0
    for position in range(count):
        yield db.session.execute(
            select(StoredChunk.data).where(StoredChunk.file_id == file_id, StoredChunk.position == position)
        ).scalar_one()
