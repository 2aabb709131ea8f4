"""Channels of other people's packages: the example of the documentation, installed as one."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.channels.base import Channel, Outcome
from app.channels.email.mailbox import MAILBOX
from app.channels.registry import vendors
from tests.contracts.channels import EMAIL, mark
from tests.factories.mail import make_email

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed packages."""
    monkeypatch.syspath_prepend(str(tmp_path))
    vendors.cache_clear()
    yield tmp_path
    vendors.cache_clear()
    sys.modules.pop("firm_pickup", None)


def install(packages: Path, module: str, code: str, points: str) -> None:
    (packages / f"{module}.py").write_text(code)
    facts = packages / f"{module}-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(f"[bellwether.channels]\n{points}\n")


def example() -> str:
    page = (ROOT / "docs" / "adding-a-channel.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 1
    return str(blocks[0])


def pickup(folder: Path) -> Channel:
    return vendors()["pickup"].build({"folder": str(folder)}, None, None)  # type: ignore[arg-type]


def test_the_documented_vendor_works_from_a_package_of_its_own(packages: Path, tmp_path: Path) -> None:
    install(packages, "firm_pickup", example(), "pickup = firm_pickup:PICKUP")
    assert vendors()["pickup"].channel == "email"
    folder = tmp_path / "out"
    folder.mkdir()
    emails = [make_email(number, f"{mark(number)}@example.com") for number in (1, 2)]
    results = pickup(folder).send(EMAIL, emails)
    assert [(result.message_id, result.outcome) for result in results] == [(1, Outcome.SENT), (2, Outcome.SENT)]
    assert b"To: client0002x@example.com\r\n" in (folder / "2.eml").read_bytes()
    (result,) = pickup(tmp_path / "gone").send(EMAIL, emails[:1])
    assert (result.outcome, result.account_at_fault, result.reason) == (
        Outcome.NOT_TAKEN,
        True,
        "No such file or directory",
    )
    with pytest.raises(ValueError, match="absolute"):
        pickup(Path("out"))


def test_a_package_cannot_take_a_name_of_ours(packages: Path) -> None:
    code = example().replace('name="pickup"', 'name="mailbox"')
    install(packages, "firm_pickup", code, "pickup = firm_pickup:PICKUP")
    assert vendors()["mailbox"] is MAILBOX


@pytest.mark.parametrize(
    ("code", "points"),
    [
        ("raise RuntimeError", "pickup = firm_pickup:PICKUP"),
        ("PICKUP = 'not a vendor'", "pickup = firm_pickup:PICKUP"),
        ("", "pickup = firm_pickup:PICKUP"),
        ("", "pickup = no_such_module:PICKUP"),
    ],
)
def test_a_broken_package_is_left_out(packages: Path, code: str, points: str) -> None:
    install(packages, "firm_pickup", code, points)
    assert "mailbox" in vendors()
    assert "pickup" not in vendors()
