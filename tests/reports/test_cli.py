"""`flask reports show`."""

import json

from flask import Flask

from tests.factories.clients import make_clients
from tests.factories.ledger import make_launched_campaign, make_opening, make_run


def test_the_report_as_json(app: Flask) -> None:
    clients = make_clients(20)
    campaign = make_launched_campaign(code="SPRING", name="Spring drive")
    make_run(campaign, clients, segments={"everyone": clients, "学生": clients[:5]}, opened=clients[:4])
    make_opening(campaign, clients[1])
    result = app.test_cli_runner().invoke(args=["reports", "show", "spring", "--json"])
    assert result.exit_code == 0
    report = json.loads(result.output)
    assert (report["campaign"], report["code"]) == ("Spring drive", "SPRING")
    assert report["segments"][1] == {
        "name": "学生",
        "targeted": 5,
        "sent": 5,
        "delivered": 5,
        "opened": 4,
        "clicked": 0,
        "replied": 0,
        "contact_results": 0,
        "unsubscribed": 0,
        "accounts_opened": 1,
    }
    assert report["total"]["targeted"] == 20


def test_the_report_as_a_table(app: Flask) -> None:
    clients = make_clients(3)
    make_run(make_launched_campaign(code="SPRING"), clients, segments={"everyone": clients})
    lines = app.test_cli_runner().invoke(args=["reports", "show", "SPRING"]).output.splitlines()
    assert lines[0].split()[:2] == ["targeted", "sent"]
    assert lines[1].startswith("Whole audience")
    assert lines[2].split()[:2] == ["everyone", "3"]


def test_an_unknown_campaign_is_named(app: Flask) -> None:
    result = app.test_cli_runner().invoke(args=["reports", "show", "NONE"])
    assert result.exit_code == 1
    assert "There is no campaign NONE." in result.output
