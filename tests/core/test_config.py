"""Settings: what is malformed stops the start with a sentence that names the variable."""

import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.config import Config, ConfigError, load_config

SECRET = "a secret that is long enough for the tests"


def environment(folder: Path, **changes: str) -> dict[str, str]:
    return {
        "DATABASE_URL": "postgresql://user@db.example/bellwether",
        "BROKER_URL": "redis://127.0.0.1:6379/0",
        "VAR_DIR": str(folder),
        **changes,
    }


def loaded(folder: Path, **changes: str) -> Config:
    return load_config(environment(folder, **changes))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", ""),
        ("DATABASE_URL", "sqlite:///x.db"),
        ("DATABASE_URL", "mysql://user@host/name"),
        ("DATABASE_URL", "postgresql"),
        ("DATABASE_URL", "postgresql://user@host:port/name"),
        ("BROKER_URL", ""),
        ("BROKER_URL", "127.0.0.1:6379"),
        ("BROKER_URL", "http://127.0.0.1"),
        ("BROKER_URL", "redis://127.0.0.1:99999"),
        ("BASE_URL", "bellwether.example"),
        ("BASE_URL", "ftp://bellwether.example"),
        ("BASE_URL", "https://"),
        ("BASE_URL", "https://bellwether.example:https"),
        ("PUBLIC_URL", "//m.firm.example"),
        ("SECRET_KEY", ""),
        ("SECRET_KEY", "short"),
        ("EMAIL_CHANNEL", "pigeon"),
        ("SMTP_URL", "relay.example"),
        ("SMTP_URL", "http://relay.example"),
        ("SMTP_URL", "smtp://"),
        ("SMTP_URL", "smtp://relay.example:many"),
        ("SMTP_CONNECTIONS", "0"),
        ("SMTP_CONNECTIONS", "51"),
        ("SMTP_CONNECTIONS", "2.5"),
        ("SMTP_CONNECTIONS", "two"),
        ("SENDGRID_HOST", "api.sendgrid.com"),
        ("SENDGRID_WEBHOOK_KEY", "-----BEGIN PUBLIC KEY-----"),
        ("MAIL_FROM", "nobody"),
        ("MAIL_FROM", "a@b.example\r\nBcc: c@d.example"),
        ("MAIL_FROM_NAME", "Firm\r\nBcc: c@d.example"),
        ("REPLY_DOMAIN", "a@b.example"),
        ("REPLY_DOMAIN", ""),
        ("BOUNCE_DOMAIN", "b example"),
        ("WEBHOOK_NETWORKS", "10.1.0.0/16, somewhere"),
        ("WEBHOOK_NETWORKS", "10.1.0.1/16"),
        ("FIRM_NAME", "Firm\n"),
        ("BRANCH_LEVELS", "Head\noffice"),
        ("MARKET_PROFILE", "moon"),
        ("MACHINE_HIT_SECONDS", "-1"),
        ("MACHINE_HIT_SECONDS", "nan"),
        ("MACHINE_HIT_SECONDS", "inf"),
        ("MACHINE_HIT_SECONDS", "soon"),
        ("LOG_LEVEL", "LOUD"),
        ("LOG_FORMAT", "xml"),
        ("TIME_ZONE", "Mars/Olympus"),
    ],
)
def test_a_malformed_variable_stops_the_start_with_its_name(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{name} must (be|start) .+\.$"):
        loaded(tmp_path, **{name: value})


@pytest.mark.parametrize("name", ["DATABASE_URL", "BROKER_URL"])
def test_a_missing_address_stops_the_start_with_its_name(tmp_path: Path, name: str) -> None:
    given = environment(tmp_path)
    del given[name]
    with pytest.raises(ConfigError, match=f"^{name} must be set"):
        load_config(given)


@pytest.mark.parametrize(("channel", "needed"), [("smtp", "SMTP_URL"), ("sendgrid", "SENDGRID_API_KEY")])
def test_a_channel_without_its_account_stops_the_start(tmp_path: Path, channel: str, needed: str) -> None:
    with pytest.raises(
        ConfigError, match=f"^{needed} must be set .* because EMAIL_CHANNEL is {channel}|^{needed} must"
    ):
        loaded(tmp_path, EMAIL_CHANNEL=channel)


@pytest.mark.parametrize(
    "url",
    ["postgres://user@host/name", "postgresql://postgres@/postgres?host=/tmp/a%20b", "postgresql+psycopg://host/name"],
)
def test_every_way_to_write_the_database_names_the_driver(tmp_path: Path, url: str) -> None:
    assert loaded(tmp_path, DATABASE_URL=url).database_url == f"postgresql+psycopg://{url.partition('://')[2]}"


def test_addresses_lose_their_last_slash_and_the_public_one_follows_the_first(tmp_path: Path) -> None:
    config = loaded(tmp_path, BASE_URL="https://bellwether.example/")
    assert (config.base_url, config.public_url) == ("https://bellwether.example", "https://bellwether.example")
    assert config.secure_cookies
    assert not config.separate_public_host
    assert loaded(tmp_path, PUBLIC_URL="https://m.firm.example").separate_public_host


def test_the_secret_key_is_made_once_and_kept_for_its_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "var"
    key = loaded(folder).secret_key
    assert len(key) == 64
    assert loaded(folder).secret_key == key
    assert [path.name for path in folder.iterdir()] == ["secret_key"]
    assert stat.S_IMODE((folder / "secret_key").stat().st_mode) == 0o600


def test_processes_that_start_together_agree_on_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        keys = list(pool.map(lambda _: loaded(tmp_path / "var").secret_key, range(64)))
    assert len(set(keys)) == 1


def test_a_key_that_is_set_is_used_and_none_is_kept(tmp_path: Path) -> None:
    assert loaded(tmp_path / "var", SECRET_KEY=SECRET).secret_key == SECRET
    assert not (tmp_path / "var").exists()


def test_a_kept_key_that_is_not_whole_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "secret_key").write_text("")
    with pytest.raises(ConfigError, match=r"^SECRET_KEY must be set, or .*secret_key be removed"):
        loaded(tmp_path)


def test_a_data_folder_that_cannot_be_made_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"^VAR_DIR must be a folder"):
        loaded(tmp_path / "file" / "var")


@pytest.mark.parametrize("module", ["wsgi", "worker"])
def test_a_process_with_a_bad_setting_ends_with_the_sentence_alone(servers: dict[str, str], module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import {module}"],
        env=servers | {"EMAIL_CHANNEL": "pigeon"},
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.strip() == "Bellwether cannot start. EMAIL_CHANNEL must be one of mailbox, smtp, sendgrid."
