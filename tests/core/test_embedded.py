"""Embedded servers: the command line finds those that run."""

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from redis import Redis

from app.core.embedded import adopt_running, embedded_servers, free_port, valkey


def running_postgres(servers: dict[str, str]) -> Path:
    """The folder of the tests' own servers, as the command line would be told it."""
    return Path(servers["VAR_DIR"])


def test_the_command_line_adopts_servers_that_run(servers: dict[str, str]) -> None:
    environ: dict[str, str] = {}
    adopt_running(running_postgres(servers), environ)
    with psycopg.connect(environ["DATABASE_URL"]) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    with Redis.from_url(environ["BROKER_URL"]) as broker:
        assert broker.ping()


def test_addresses_that_are_set_are_left_alone(servers: dict[str, str]) -> None:
    environ = {"DATABASE_URL": "postgresql://db.example/x", "BROKER_URL": "redis://broker.example"}
    before = dict(environ)
    adopt_running(running_postgres(servers), environ)
    with embedded_servers(running_postgres(servers), environ):
        assert environ == before


def test_where_nothing_runs_nothing_is_adopted(tmp_path: Path) -> None:
    environ: dict[str, str] = {}
    adopt_running(tmp_path, environ)
    assert environ == {}


@pytest.mark.parametrize("lock", ["", "123\n", "not a number\n" * 8])
def test_a_lock_file_that_is_being_written_is_not_adopted(tmp_path: Path, lock: str) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "postmaster.pid").write_text(lock)
    environ: dict[str, str] = {}
    adopt_running(tmp_path, environ)
    assert environ == {}


def test_the_lock_file_of_a_dead_server_is_not_adopted(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / "postgres").mkdir()
    lines = [dead.pid, "/data", 0, 5432, "/tmp", "", "", "ready"]  # noqa: S108 - the text of a lock file
    (tmp_path / "postgres" / "postmaster.pid").write_text("\n".join(map(str, lines)))
    environ: dict[str, str] = {}
    adopt_running(tmp_path, environ)
    assert environ == {}


def test_the_brokers_address_lives_as_long_as_it_does(tmp_path: Path) -> None:
    with valkey(tmp_path / "valkey") as address:
        environ: dict[str, str] = {}
        adopt_running(tmp_path, environ)
        assert environ == {"BROKER_URL": address}
        with Redis.from_url(address) as broker:
            assert broker.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    environ = {}
    adopt_running(tmp_path, environ)
    assert environ == {}


def test_a_free_port_is_one_of_ours_to_take() -> None:
    assert 1024 <= free_port() < 65536
