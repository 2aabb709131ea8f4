"""The whole job, with the real processes: what the report says is what the file holds."""

import csv
import json
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import run

import pytest

ROOT = Path(__file__).resolve().parents[2]
REAL_FILE = ROOT.parent / "shared" / "data" / "uci-bank-marketing" / "bank-full.csv"
COLUMNS = (
    "age", "job", "marital", "education", "default", "balance", "housing", "loan", "contact", "day", "month",
    "duration", "campaign", "pdays", "previous", "poutcome", "y",
)  # fmt: skip
Row = dict[str, str]

SEGMENTS: dict[str, Callable[[Row], bool]] = {
    "everyone": lambda row: True,
    "students": lambda row: row["job"] == "student",
    "retired": lambda row: row["job"] == "retired",
    "savers": lambda row: int(row["balance"]) > 1500 and row["housing"] == "no" and row["loan"] == "no",
    "earlier success": lambda row: row["poutcome"] == "success",
    "age 60+": lambda row: int(row["age"]) >= 60,
}


def counted(file: Path) -> list[dict[str, object]]:
    """The figures of each segment, counted from the file by the rules of the demo."""
    with file.open(newline="") as stream:
        rows = list(enumerate(csv.DictReader(stream, delimiter=";"), start=1))
    figures: list[dict[str, object]] = []
    for name, belongs in SEGMENTS.items():
        members = [(number, row) for number, row in rows if belongs(row)]
        figures.append(
            {
                "name": name,
                "targeted": len(members),
                "sent": len(members),
                "opened": sum(number % 4 == 0 or number % 20 == 0 for number, _ in members),
                "clicked": sum(number % 20 == 0 for number, _ in members),
                "replied": sum(number % 100 == 0 for number, _ in members),
                "accounts_opened": sum(row["y"] == "yes" for _, row in members),
            }
        )
    return figures


@pytest.fixture
def small_file(tmp_path: Path) -> Path:
    """A file of the real one's shape, for where the real one is not at hand."""
    rng = random.Random(7)
    path = tmp_path / "bank.csv"
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream, delimiter=";", quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(COLUMNS)
        for _ in range(1_200):
            writer.writerow(
                [
                    rng.randint(18, 90), rng.choice(("student", "retired", "services", "unknown")),
                    rng.choice(("single", "married")), rng.choice(("primary", "tertiary", "unknown")),
                    rng.choice(("yes", "no")), rng.randint(-500, 5000), rng.choice(("yes", "no")),
                    rng.choice(("yes", "no")), "cellular", rng.randint(1, 28), "may", rng.randint(1, 900),
                    rng.randint(1, 5), -1, 0, rng.choice(("success", "failure", "unknown")), rng.choice(("yes", "no")),
                ]
            )  # fmt: skip
    return path


def test_the_report_equals_counting_the_file(small_file: Path, tmp_path: Path) -> None:
    data = REAL_FILE if REAL_FILE.exists() else small_file
    finished = run(
        [sys.executable, "-m", "app.demo", "--data", str(data)],
        cwd=ROOT,
        env={**os.environ, "VAR_DIR": str(tmp_path / "var")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    report = json.loads((tmp_path / "var" / "demo" / "report.json").read_text())
    assert report["segments"] == counted(data)
    assert set(report["seconds"]) == {"import", "send", "track", "total"}
