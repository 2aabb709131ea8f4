"""Importing a client file: rows a second, processor time, memory, against a bare COPY of the file.

Each import runs in a process of its own over an empty database of its own, so that its memory is that of an import and
nothing else, and the generated book stays as it is. The file has twelve columns, an address and a mobile number to
check in each row, two fields of the firm, consent for every row, and one number in a hundred repeated.

`python -m bench.audiences_import FILE LOADERS` is that process.
"""

import csv
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import psycopg

from app import create_app
from app import models as models  # every table, before anything is mapped
from app.clients.importing import service
from app.clients.models import ClientImport
from app.clients.tasks import import_file as import_file  # registers the job
from app.config import load_config
from app.core.extensions import db, settings
from app.core.jobs import run_job
from app.core.unit_of_work import unit_of_work
from bench.big_book import Book
from bench.figures import Measure
from bench.measuring import seconds
from bench.system import ROOT, running_app

COLUMNS = ("number", "name", "first", "email", "mobile", "born", "city", "risk", "assets", "age", "visits", "agreed")
TARGETS = {
    "number": "number",
    "name": "name",
    "first_name": "first",
    "email": "email",
    "mobile": "mobile",
    "birth_date": "born",
    "city": "city",
    "risk_level": "risk",
    "total_assets": "assets",
    "email_consent": "agreed",
}
MAPPING: dict[str, Any] = {
    "columns": {target: {"column": column} for target, column in TARGETS.items()},
    "new_fields": {
        "age": {"key": "age", "label": "Age", "type": "number"},
        "visits": {"key": "visits", "label": "Visits", "type": "number"},
    },
    "other_columns": "ignore",
    "region": "CN",
}
GIVEN = ("Maria", "Jun", "Fang", "Peter", "Aisha", "Luca", "Ana", "John", "Yuki", "Omar")
FAMILY = ("Wang", "Li", "Zhang", "Lopez", "Smith", "Okafor", "Nguyen", "Rossi", "Müller", "Haddad")
DOMAINS = ("example.com", "example.org", "mail.example.net", "post.example.cn", "firm.example")
CITIES = ("Porto", "Shanghai", "Lima", "Oslo", "Accra", "Beijing")
_peaks: dict[int, float] = {}  # rows to megabytes, of the sizes measured so far


def measures(book: Book) -> Iterator[Measure]:
    """As `bench.audiences` asks for them. The reference of a rate is the bare COPY's."""
    size = book.clients
    with TemporaryDirectory(prefix="bellwether-bench-") as name:
        path = Path(name) / "clients.csv"
        write_file(path, size)
        alone = _measure(path, loaders=1)
        both = _measure(path, loaders=service.LOADERS)
    copied = size / both["copy_seconds"]
    for label, found, least in (("one process", alone, 8_000), ("both cores", both, 14_000)):
        yield Measure(
            f"import, {label}", size, size / found["seconds"], "rows/s", copied, bound=least, on="value", at_least=True
        )
    # What a machine that others use at the same time cannot disturb: the time the processors were at it.
    yield Measure("import, processor time of the importing process", size, both["python_seconds"], "s")
    yield Measure("import, processor time of PostgreSQL", size, both["postgres_seconds"], "s")
    peak = both["megabytes"]
    smaller = max((rows for rows in _peaks if rows < size), default=None)
    yield Measure("import, peak memory", size, peak, "MB", _peaks.get(smaller or 0), bound=1.2 if smaller else None)
    _peaks[size] = peak


def write_file(path: Path, size: int) -> None:
    """The same file for the same size."""
    chance = Random(1)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row in range(1, size + 1):
            number = row if row % 100 else row - 50
            given, family = chance.choice(GIVEN), chance.choice(FAMILY)
            writer.writerow(
                (
                    f"{number:08}",
                    f"{given} {family}",
                    given,
                    f"{given.lower()}.{row}@{chance.choice(DOMAINS)}",
                    f"1{chance.choice((38, 39, 50, 77, 86))}{chance.randrange(10**8):08}",
                    f"{chance.randrange(1940, 2007)}-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}",
                    chance.choice(CITIES),
                    f"C{chance.randrange(1, 6)}",
                    f"{chance.randrange(10**9) / 100:.2f}",
                    chance.randrange(18, 90),
                    chance.randrange(5_000),
                    chance.choice(("yes", "yes", "no")),
                )
            )


def _measure(path: Path, *, loaders: int) -> dict[str, float]:
    """Import the file in a process of its own, then copy it bare in the same database."""
    with running_app() as (_app, store):
        folder = store.parent
        before = _postgres_seconds(folder)
        environ = dict(os.environ) | {
            "DATABASE_URL": settings().database_url,
            "BROKER_URL": settings().broker_url,
            "VAR_DIR": str(folder),
            "LOG_LEVEL": "ERROR",
        }
        command = [sys.executable, "-m", "bench.audiences_import", str(path), str(loaders)]
        done = subprocess.run(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, check=True)
        found: dict[str, float] = json.loads(done.stdout)
        found["postgres_seconds"] = _postgres_seconds(folder) - before
        found["copy_seconds"] = seconds(lambda: _copy(path))
        db.session.remove()
        return found


def _postgres_seconds(folder: Path) -> float:
    """Processor time of the PostgreSQL over this folder, the connections that are closed included."""
    total = 0.0
    for process in psutil.process_iter(["name", "cmdline"]):
        if process.info["name"] == "postgres" and str(folder) in " ".join(process.info["cmdline"] or ()):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
            for child in process.children():
                spent = child.cpu_times()
                total += spent.user + spent.system
    return total


def _copy(path: Path) -> None:
    address = settings().database_url.replace("+psycopg", "", 1)
    with psycopg.connect(address) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE plain ({', '.join(f'{name} text' for name in COLUMNS)})")
        with cursor.copy("COPY plain FROM STDIN (FORMAT csv, HEADER)") as copy, path.open("rb") as stream:
            while data := stream.read(1 << 16):
                copy.write(data)
        connection.commit()


def _import(path: Path) -> None:
    with unit_of_work(), path.open("rb") as stream:
        client_import = service.receive_file(stream=stream, name=path.name, actor=None)
        job = service.start_import(client_import=client_import, mapping=MAPPING, actor=None, in_worker=False)
    import_id = client_import.id
    run_job(job.id)
    db.session.rollback()
    done = db.session.get_one(ClientImport, import_id)
    assert done.state == "done", done.error
    assert done.created > done.refused > 0


def main() -> None:
    """Import the file named first; print seconds, processor seconds and the peak of the memory as JSON."""
    path, service.LOADERS = Path(sys.argv[1]), int(sys.argv[2])
    with create_app(load_config()).app_context():
        start = time.perf_counter()
        _import(path)
        taken = time.perf_counter() - start
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(
        json.dumps({"seconds": taken, "python_seconds": time.process_time(), "megabytes": megabytes}) + "\n"
    )


if __name__ == "__main__":
    main()
