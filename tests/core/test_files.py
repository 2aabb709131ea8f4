"""Files kept in PostgreSQL, in chunks of a megabyte."""

import io
import os
from random import Random

import pytest
from sqlalchemy import func, select

from app.core.extensions import db
from app.core.files import CHUNK, StoredChunk, StoredFile, delete_file, file_chunks, open_file, store_file
from app.core.unit_of_work import unit_of_work

pytestmark = pytest.mark.usefixtures("app")
SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 17]


def stored(data: bytes, name: str = "clients.csv") -> StoredFile:
    with unit_of_work():
        return store_file(io.BytesIO(data), name=name)


@pytest.mark.parametrize("size", SIZES)
def test_a_file_comes_back_as_it_was(size: int) -> None:
    data = os.urandom(size)
    file = stored(data)
    assert file.size == size
    assert b"".join(file_chunks(file.id)) == data
    with open_file(file.id) as stream:
        assert stream.read() == data
        assert stream.read() == b""


@pytest.mark.parametrize("size", SIZES)
def test_seeking_is_that_of_an_ordinary_file(size: int) -> None:
    data = os.urandom(size)
    ours, ordinary = open_file(stored(data).id), io.BytesIO(data)
    chance = Random(size)
    for _ in range(60):
        whence = chance.choice([io.SEEK_SET, io.SEEK_CUR, io.SEEK_END])
        offset = chance.choice([0, 1, CHUNK - 1, CHUNK, chance.randrange(size + 2)])
        if whence == io.SEEK_END:
            offset = -min(offset, size)
        length = chance.choice([0, 1, 100, CHUNK, CHUNK + 3])
        assert ours.seek(offset, whence) == ordinary.seek(offset, whence) == ours.tell()
        assert ours.read(length) == ordinary.read(length)


def test_a_stream_that_gives_little_at_a_time_is_stored_whole() -> None:
    class Trickle(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size or 0, 70_001))

    data = os.urandom(200_000)
    with unit_of_work():
        file = store_file(Trickle(data), name="x")
    assert b"".join(file_chunks(file.id)) == data


def test_a_long_name_is_cut() -> None:
    assert len(stored(b"", name="x" * 500).name) == 200


def test_lines_can_be_read_as_text() -> None:
    file = stored("客户,ñ\r\n1,2\r\n".encode() * 100_000)
    with io.TextIOWrapper(open_file(file.id), encoding="utf-8") as text:
        assert sum(1 for _ in text) == 200_000


def test_deleting_a_file_deletes_its_chunks() -> None:
    file, kept = stored(os.urandom(CHUNK + 1)), stored(b"kept")
    with unit_of_work():
        delete_file(file.id)
    assert db.session.scalars(select(StoredFile.id)).all() == [kept.id]
    assert db.session.scalar(select(func.count()).select_from(StoredChunk)) == 1
