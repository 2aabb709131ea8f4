"""`flask segments`."""

import json
from pathlib import Path

from flask import Flask

from tests.factories.clients import make_clients


def test_a_segment_is_saved_counted_and_listed(app: Flask, tmp_path: Path) -> None:
    make_clients(5, city=lambda n: "Wuhan" if n <= 2 else None)
    file = tmp_path / "rule.json"
    file.write_text(json.dumps({"field": "city", "op": "is", "value": "Wuhan"}))
    run = app.test_cli_runner().invoke
    saved = run(args=["segments", "save", "Wuhan", "--rule", str(file)])
    assert saved.output == "Wuhan: City is Wuhan; 2 clients.\n"
    file.write_text('{"all": []}')
    again = run(args=["segments", "save", "wuhan", "--rule", "-"], input=file.read_text())
    assert again.output == "wuhan: every client; 5 clients.\n"
    assert run(args=["segments", "count", "Wuhan"]).output == "5\n"
    assert run(args=["segments", "list"]).output == "Wuhan\t5\tevery client\n"


def test_a_refusal_is_one_sentence_and_a_failed_exit(app: Flask, tmp_path: Path) -> None:
    file = tmp_path / "rule.json"
    file.write_text('{"all": [{"field": "nose", "op": "is"}]}')
    run = app.test_cli_runner().invoke
    refused = run(args=["segments", "save", "x", "--rule", str(file)])
    assert refused.exit_code == 1
    assert refused.output == "Error: At all[0].field: There is no field “nose”.\n"
    assert run(args=["segments", "count", "x"]).output == "Error: There is no segment “x”.\n"


def test_the_schema_is_printed(app: Flask) -> None:
    printed = app.test_cli_runner().invoke(args=["segments", "schema"]).output
    assert json.loads(printed)["title"] == "Rule of a Bellwether segment"
