"""Importing clients, and finding an audience among them."""

import csv
from pathlib import Path
from random import Random

import psycopg
from sqlalchemy import select, text

from app.audiences.compiler import condition
from app.audiences.fields import load_catalogue
from app.audiences.rules import parse_rule
from app.audiences.snapshots import client_ids, freeze
from app.clients.importing.service import receive_file, start_import
from app.clients.models import ClientImport, CustomField
from app.clients.tasks import import_file as import_file  # registers the job
from app.core.extensions import db, settings
from app.core.jobs import run_job
from app.core.unit_of_work import unit_of_work
from bench.measuring import best, report_rate, report_seconds, seconds

COLUMNS = ("number", "name", "first_name", "email", "city", "age", "balance")
CITIES = ("Porto", "Shanghai", "Lima", "Oslo", "Accra")
MAPPING = {
    "columns": {name: {"column": name} for name in ("number", "name", "first_name", "email", "city")}
    | {"email_consent": {"constant": "yes"}},
    "new_fields": {
        "age": {"key": "age", "label": "Age", "type": "number"},
        "balance": {"key": "balance", "label": "Balance", "type": "number"},
    },
    "other_columns": "ignore",
}
RULE = {
    "all": [
        {"field": "custom.balance", "op": "gt", "value": 1500},
        {
            "any": [
                {"field": "city", "op": "in", "value": ["Porto", "Lima"]},
                {"field": "custom.age", "op": "gte", "value": 60},
            ]
        },
    ]
}


def write_file(path: Path, size: int) -> None:
    chance = Random(1)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number in range(1, size + 1):
            writer.writerow(
                (
                    number,
                    f"Client {number}",
                    "María",
                    f"c{number}@example.com",
                    chance.choice(CITIES),
                    chance.randrange(18, 90),
                    chance.randrange(5_000),
                )
            )


def measure_importing(folder: Path, size: int) -> None:
    """The import with detection, checks, custom fields and evidence, against COPY of the file into a table of text."""
    path = folder / "clients.csv"
    write_file(path, size)
    taken = seconds(lambda: _import(path))
    (reference,) = best(lambda: _copy(path))
    report_rate("import clients", size=size, unit="rows/s", taken=taken, reference_taken=reference, bound=0.004)


def _import(path: Path) -> None:
    with unit_of_work(), path.open("rb") as stream:
        client_import = receive_file(stream=stream, name=path.name, actor=None)
        job = start_import(client_import=client_import, mapping=MAPPING, actor=None, in_worker=False)
    import_id = client_import.id
    run_job(job.id)
    db.session.rollback()
    done = db.session.get_one(ClientImport, import_id)
    assert done.state == "done", done.error


def _copy(path: Path) -> None:
    address = settings().database_url.replace("+psycopg", "", 1)
    with psycopg.connect(address) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE plain ({', '.join(f'{name} text' for name in COLUMNS)})")
        with cursor.copy("COPY plain FROM STDIN (FORMAT csv, HEADER)") as copy, path.open("rb") as stream:
            while data := stream.read(1 << 16):
                copy.write(data)
        connection.commit()
        cursor.execute("DROP TABLE plain")


def add_clients(total: int) -> None:
    """Copies of the imported clients under further numbers, up to `total`."""
    slots = ", ".join(_slots().values())
    with db.engine.begin() as connection:
        have = connection.scalar(text("SELECT count(*) FROM client"))
        assert have
        for first in range(have, total, have):
            connection.execute(
                text(
                    f"""
                    INSERT INTO client
                        (number, name, first_name, email, email_consent, city, branch_id, status, {slots})
                    SELECT number::int + :first, name, first_name, 'd' || (number::int + :first) || '@example.com',
                           email_consent, city, branch_id, status, {slots}
                    FROM client WHERE id <= :have AND number::int + :first <= :total
                    """
                ),
                {"first": first, "have": have, "total": total},
            )
        connection.execute(text("ANALYZE client"))


def _slots() -> dict[str, str]:
    return dict(iter(db.session.execute(select(CustomField.key, CustomField.slot)).tuples()))


def measure_audience(size: int) -> None:
    """A rule parsed, compiled, run and frozen as a bitmap with its evidence, against counting by hand-written SQL."""
    slots = _slots()
    query = text(
        f"SELECT count(*) FROM client WHERE {slots['balance']} > 1500 "
        f"AND (lower(city) IN ('porto', 'lima') OR {slots['age']} >= 60)"
    )
    found: set[int] = set()

    def ours() -> None:
        with unit_of_work():
            catalogue = load_catalogue()
            rule = parse_rule(RULE, catalogue)
            found.add(freeze(name="x", ids=client_ids(condition(rule, catalogue=catalogue)), rule=RULE).size)

    def plain() -> None:
        found.add(db.session.execute(query).scalar_one())
        db.session.rollback()

    taken, reference = best(ours, plain, rounds=5)
    assert len(found) == 1, found
    report_seconds("freeze an audience", size=size, taken=taken, reference_taken=reference, bound=0.2)
