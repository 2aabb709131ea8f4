"""Where the real samples lie: beside the project, never in it."""

from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def samples(pattern: str) -> list[Path]:
    """The sample files that match; empty where the folder is not there."""
    return sorted(DATA.glob(pattern))


def sample_files(pattern: str) -> list[object]:
    """Parameters for a test over every sample; one skipped parameter where there is none."""
    found = samples(pattern)
    if found:
        return [pytest.param(path, id=path.name) for path in found]
    reason = f"the samples are not here: {DATA}/{pattern}"
    return [pytest.param(Path(), id="missing", marks=pytest.mark.skip(reason=reason))]
