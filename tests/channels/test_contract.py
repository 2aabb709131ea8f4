"""What every channel promises, against small servers on loopback that misbehave."""

import importlib
import logging
from contextlib import ExitStack
from pathlib import Path

import pytest
from flask import Flask
from structlog.testing import capture_logs

from app.channels.base import Channel, Outcome, Result
from app.channels.registry import vendors
from app.config import load_config
from app.core.embedded import free_port
from tests.contracts.channels import KITS, Kit, mark
from tests.contracts.misbehaving import MANNERS, MisbehavingServer, misbehaving

ROOT = Path(__file__).resolve().parents[2]
COUNT = 6  # messages handed over to a server in trouble
OVER_THE_NETWORK = [name for name, kit in KITS.items() if kit.speak is not None]
# What a message may be called where the server did not take it whole.
NOTHING_TAKEN = {
    "silent": {Outcome.NOT_TAKEN, Outcome.UNCONFIRMED},
    "cut_before_body": {Outcome.NOT_TAKEN, Outcome.UNCONFIRMED},
    "cut_after_body": {Outcome.NOT_TAKEN, Outcome.UNCONFIRMED},
    "silent_after_body": {Outcome.NOT_TAKEN, Outcome.UNCONFIRMED},
    "busy": {Outcome.NOT_TAKEN},
    "refused": {Outcome.NOT_TAKEN, Outcome.FAILED},
    "broken": {Outcome.NOT_TAKEN, Outcome.UNCONFIRMED, Outcome.FAILED},
    "garbage": {Outcome.NOT_TAKEN, Outcome.UNCONFIRMED},
    "garbage_after_body": {Outcome.NOT_TAKEN, Outcome.UNCONFIRMED},
}


def open_channel(kit: Kit, name: str, port: int, environ: dict[str, str]) -> Channel:
    settings, secret = kit.account(port)
    return vendors()[name].build(settings, secret, load_config({**environ, **kit.environ}))


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "BROKER_URL": "redis://127.0.0.1:1",
        "VAR_DIR": str(tmp_path),
        "SECRET_KEY": "a secret that is long enough for the tests",
    }


def wait_briefly(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a server keeps silent, nobody waits long for its answer."""
    for path in kit.time_outs:
        module, _, attribute = path.rpartition(".")
        monkeypatch.setattr(importlib.import_module(module), attribute, 0.3)


def send(channel: Channel, kit: Kit, count: int) -> dict[int, Result]:
    """One result for every message, and none for any other."""
    results = channel.send(kit.batch, [kit.message(number) for number in range(1, count + 1)])
    assert sorted(result.message_id for result in results) == list(range(1, count + 1))
    return {result.message_id: result for result in results}


def taken(server: MisbehavingServer, count: int) -> dict[int, int]:
    """How often the server took each message whole."""
    return {
        number: sum(body.count(mark(number).encode()) > 0 for body in server.taken) for number in range(1, count + 1)
    }


def test_every_vendor_of_ours_is_held_to_the_contract() -> None:
    assert {name for name, vendor in vendors().items() if vendor.build.__module__.startswith("app.channels.")} <= {
        *KITS
    }


@pytest.mark.parametrize("name", OVER_THE_NETWORK)
def test_a_whole_window_is_taken_once(name: str, environ: dict[str, str]) -> None:
    kit = KITS[name]
    assert kit.speak is not None
    with misbehaving(kit.speak) as server:
        server.answer = kit.answer
        channel = open_channel(kit, name, server.port, environ)
        assert 1 <= channel.window <= 1_000
        count = channel.window
        for _ in range(2):  # the second over kept connections
            server.taken.clear()
            assert {result.outcome for result in send(channel, kit, count).values()} == {Outcome.SENT}
            assert set(taken(server, count).values()) == {1}


@pytest.mark.parametrize("manner", [manner for manner in MANNERS if manner != "good"])
@pytest.mark.parametrize("name", OVER_THE_NETWORK)
def test_what_a_server_in_trouble_may_have_is_never_called_not_taken(
    name: str, manner: str, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kit = KITS[name]
    assert kit.speak is not None
    if manner.startswith("silent"):
        wait_briefly(kit, monkeypatch)
    with misbehaving(kit.speak) as server:
        server.manner, server.answer = manner, kit.answer
        results = send(open_channel(kit, name, server.port, environ), kit, COUNT)
        times = taken(server, COUNT)
    for number, result in results.items():
        assert times[number] <= 1, "offered a second time"
        if times[number] and manner == "broken":  # it said so itself
            assert result.outcome in (Outcome.FAILED, Outcome.UNCONFIRMED), result
        elif times[number]:
            assert result.outcome is Outcome.UNCONFIRMED, result
        else:
            assert result.outcome in NOTHING_TAKEN[manner], result
        assert result.reason, "staff are told why"


@pytest.mark.parametrize("name", OVER_THE_NETWORK)
def test_a_server_that_is_away_is_the_accounts_fault(name: str, environ: dict[str, str]) -> None:
    results = send(open_channel(KITS[name], name, free_port(), environ), KITS[name], COUNT)
    assert {(result.outcome, result.account_at_fault) for result in results.values()} == {(Outcome.NOT_TAKEN, True)}


@pytest.mark.parametrize("manner", ["cut_after_body", "garbage_after_body"])
@pytest.mark.parametrize("name", OVER_THE_NETWORK)
def test_a_server_that_answers_nothing_costs_what_was_on_its_way_and_not_the_campaign(
    name: str, manner: str, environ: dict[str, str]
) -> None:
    kit = KITS[name]
    assert kit.speak is not None
    with misbehaving(kit.speak) as server:
        server.manner, server.answer = manner, kit.answer
        channel = open_channel(kit, name, server.port, environ)
        count = channel.window
        results = send(channel, kit, count)
        times = taken(server, count)
    assert any(result.account_at_fault for result in results.values()), "the account is left alone"
    assert 1 <= len(server.taken) <= 20, "no more is offered"
    for number, result in results.items():
        assert (result.outcome is Outcome.UNCONFIRMED) == (times[number] == 1), result


@pytest.mark.parametrize("name", OVER_THE_NETWORK)
def test_a_channel_recovers_with_its_server(name: str, environ: dict[str, str]) -> None:
    kit = KITS[name]
    assert kit.speak is not None
    with misbehaving(kit.speak) as server:
        server.answer = kit.answer
        channel = open_channel(kit, name, server.port, environ)
        for manner in ("good", "cut_after_body", "garbage_after_body", "broken"):
            server.manner = manner
            send(channel, kit, COUNT)
        server.manner = "good"
        send(channel, kit, COUNT)  # may meet what the trouble left behind
        assert {result.outcome for result in send(channel, kit, COUNT).values()} == {Outcome.SENT}


@pytest.mark.parametrize("name", OVER_THE_NETWORK)
def test_no_address_is_logged(name: str, environ: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    kit = KITS[name]
    assert kit.speak is not None
    caplog.set_level(logging.DEBUG)
    with ExitStack() as stack:
        server = stack.enter_context(misbehaving(kit.speak))
        entries = stack.enter_context(capture_logs())
        for manner in ("good", "refused", "broken", "cut_after_body"):
            server.manner, server.answer = manner, kit.answer
            send(open_channel(kit, name, server.port, environ), kit, 2)
        send(open_channel(kit, name, free_port(), environ), kit, 2)
    said = f"{entries} {caplog.text}"
    assert entries
    assert mark(1) not in said
    assert mark(2) not in said


@pytest.mark.parametrize("name", [name for name, kit in KITS.items() if kit.speak is None])
def test_a_channel_without_a_network_takes_all(name: str, app: Flask) -> None:
    channel = vendors()[name].build({}, None, app.extensions["bellwether_config"])
    assert {result.outcome for result in send(channel, KITS[name], min(channel.window, 100)).values()} == {Outcome.SENT}
