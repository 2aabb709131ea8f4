"""A campaign from the command line, from draft to launch."""

import json
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from app.campaigns.models import State
from app.campaigns.queries import campaign_by_code, segments_of
from app.core.permissions import Role
from tests.factories.clients import make_clients
from tests.factories.ledger import make_segment
from tests.factories.users import make_user


@pytest.fixture
def cli(app: Flask) -> FlaskCliRunner:
    make_clients(3)
    make_segment("everyone")
    make_segment("students", rule={"field": "city", "op": "is", "value": "Nowhere"})
    make_user(email="officer@example.com")
    make_user(email="checker@example.com", role=Role.COMPLIANCE)
    return app.test_cli_runner()


@pytest.fixture
def body(tmp_path: Path) -> Path:
    file = tmp_path / "body.html"
    file.write_text("<p>Hello</p>")
    return file


def run(cli: FlaskCliRunner, *words: str, code: int = 0) -> str:
    result = cli.invoke(args=["campaigns", *words])
    assert result.exit_code == code, result.output
    return result.output


def test_from_options_to_launch(cli: FlaskCliRunner, body: Path) -> None:
    options = ["--name", "Spring", "--code", "S-1", "--include", "everyone", "--report", "students"]
    options += ["--subject", "News", "--content", str(body), "--seed", "ann@example.com", "--submit"]
    assert run(cli, "create", *options, "--as", "officer@example.com") == "S-1\tin_review\tSpring\n"
    assert "Your role does not allow" in run(cli, "approve", "S-1", "--as", "officer@example.com", code=1)
    run(cli, "approve", "S-1", "--as", "checker@example.com")
    assert json.loads(run(cli, "status", "S-1"))["eligible"] == 3
    run(cli, "launch", "s-1", "--as", "officer@example.com")
    assert "not possible" in run(cli, "launch", "S-1", "--as", "officer@example.com", code=1)
    assert run(cli, "list", "--state", "running") == "S-1\trunning\tSpring\n"
    assert run(cli, "list", "--state", "draft") == ""


def test_a_control_group_is_chosen_and_told(cli: FlaskCliRunner, body: Path, tmp_path: Path) -> None:
    options = ["--name", "Spring", "--code", "S-1", "--include", "everyone", "--control", "50"]
    run(cli, "create", *options, "--as", "officer@example.com")
    told = json.loads(run(cli, "status", "S-1"))
    assert told["treated"] + told["control"] == told["eligible"] == 3
    assert told["control"] == 2
    wrong = [*options[:3], "S-2", "--control", "95", "--as", "officer@example.com"]
    assert "0 to 90 percent" in run(cli, "create", *wrong, code=1)
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"name": "Spring", "control": "half"}))
    assert "must be a number" in run(cli, "create", "--from", str(plan), "--as", "officer@example.com", code=1)


def test_from_a_file(cli: FlaskCliRunner, body: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    facts = {"name": "Spring", "code": "S-1", "include": ["everyone"], "subject": "News", "content": "body.html"}
    plan.write_text(json.dumps(facts))
    run(cli, "create", "--from", str(plan), "--name", "Summer", "--as", "officer@example.com")
    campaign = campaign_by_code("S-1", viewer=None)
    assert (campaign.name, State(campaign.state)) == ("Summer", State.DRAFT)
    assert [segment.name for segment in segments_of(campaign, "include")] == ["everyone"]
    assert campaign.steps[0].content is not None
    run(cli, "submit", "S-1", "--as", "officer@example.com")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[", "is not JSON"),
        ("[]", "one JSON object"),
        ('{"nmae": "x"}', "unknown name: nmae"),
        ('{"name": "x", "include": "everyone"}', "must be a list"),
        ('{"name": "x", "content": "none.html"}', "There is no file"),
        ('{"name": "x", "include": ["nobody"]}', "There is no segment"),
    ],
)
def test_a_bad_file_is_refused_with_a_sentence_and_leaves_nothing(
    cli: FlaskCliRunner, tmp_path: Path, text: str, sentence: str
) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text(text)
    assert sentence in run(cli, "create", "--from", str(plan), "--as", "officer@example.com", code=1)
    assert run(cli, "list") == ""


def test_a_stranger_does_nothing(cli: FlaskCliRunner) -> None:
    assert "no active member of staff" in run(cli, "launch", "S-1", "--as", "nobody@example.com", code=1)
