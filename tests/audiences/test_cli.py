"""`flask audiences`."""

import json
from pathlib import Path

from flask import Flask

from tests.factories.audiences import make_segment
from tests.factories.clients import make_clients


def test_a_segment_is_saved_counted_and_listed(app: Flask, tmp_path: Path) -> None:
    make_clients(5, city=lambda n: "Wuhan" if n <= 2 else None)
    file = tmp_path / "rule.json"
    file.write_text(json.dumps({"field": "city", "op": "is", "value": "Wuhan"}))
    run = app.test_cli_runner().invoke
    saved = run(args=["audiences", "save", "Wuhan", "--rule", str(file)])
    assert saved.output == "Wuhan: City is Wuhan; 2 clients.\n"
    file.write_text('{"all": []}')
    again = run(args=["audiences", "save", "wuhan", "--rule", "-"], input=file.read_text())
    assert again.output == "wuhan: every client; 5 clients.\n"
    assert run(args=["audiences", "count", "Wuhan"]).output == "5\n"
    assert run(args=["audiences", "list"]).output == "Wuhan\t5\tevery client\n"


def test_a_refusal_is_one_sentence_and_a_failed_exit(app: Flask, tmp_path: Path) -> None:
    file = tmp_path / "rule.json"
    file.write_text('{"all": [{"field": "nose", "op": "is"}]}')
    run = app.test_cli_runner().invoke
    refused = run(args=["audiences", "save", "x", "--rule", str(file)])
    assert refused.exit_code == 1
    assert refused.output == "Error: At all[0].field: There is no field “nose”.\n"
    assert run(args=["audiences", "count", "x"]).output == "Error: There is no segment “x”.\n"


def test_the_schema_is_printed(app: Flask) -> None:
    printed = app.test_cli_runner().invoke(args=["audiences", "schema"]).output
    assert json.loads(printed)["title"] == "Rule of a Bellwether segment"


def test_a_rule_is_counted_and_explained_without_being_kept(app: Flask) -> None:
    make_clients(3, city="Wuhan")
    rule = json.dumps({"field": "city", "op": "is", "value": "Wuhan"})
    run = app.test_cli_runner().invoke
    assert run(args=["audiences", "count", "--rule", "-"], input=rule).output == "3\n"
    told = run(args=["audiences", "explain", "--rule", "-", "--analyze"], input=rule).output
    assert told.startswith("City is Wuhan\n")
    assert "SELECT count(*)" in told
    assert "'Wuhan'" in told
    assert "Execution Time" in told
    assert run(args=["audiences", "count"]).exit_code == 2


def test_a_segment_is_frozen(app: Flask) -> None:
    make_clients(2, city="Wuhan")
    make_clients(1, city="Wuhan", email=None)
    make_segment(name="Wuhan", rule={"field": "city", "op": "is", "value": "Wuhan"})
    told = app.test_cli_runner().invoke(args=["audiences", "freeze", "wuhan"]).output
    assert told == (
        "Frozen audience 1: 3 clients; City is Wuhan.\nemail\t1\tno_address\nsms\t3\tno_address\ncall\t3\tno_address\n"
    )
