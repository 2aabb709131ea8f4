"""When a feed's folder is looked at, and what lies in it.

`VAR_DIR/feeds/NAME/` takes the files; a file on its way is in `running/`, then in `done/` or `failed/`. Each move is a
rename within the folder, so a file is always in exactly one place.
"""

import os
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from app.clients.feeds.models import Feed
from app.core.clock import now
from app.core.extensions import settings

SETTLED = timedelta(seconds=10)  # a file that changed a moment ago may still be being written
RUNNING, DONE, FAILED = "running", "done", "failed"
_PARTIAL = (".part", ".partial", ".tmp", ".filepart", ".crdownload")


def next_time(schedule: str | None, daily_at: time | None, *, after: datetime) -> datetime | None:
    """The next full hour, or the next time of day in the firm's zone; None without a schedule. Aware, in UTC."""
    if schedule == "hourly":
        return after.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    if schedule != "daily" or daily_at is None:
        return None
    zone = ZoneInfo(settings().time_zone)
    local = after.astimezone(zone)
    day = local.date() if local.time() < daily_at else local.date() + timedelta(days=1)
    return datetime.combine(day, daily_at, tzinfo=zone).astimezone(UTC)


def folder_of(feed: Feed) -> Path:
    """Where the feed's files are put. The name of a feed holds nothing that a path could stumble over."""
    return settings().var_dir / "feeds" / feed.name


def prepare_folder(feed: Feed) -> Path:
    folder = folder_of(feed)
    for name in (RUNNING, DONE, FAILED):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return folder


def waiting_files(feed: Feed) -> list[Path]:
    """Files to be taken: those left on their way by a worker that died, then the new ones, each in order of name.

    Hidden files, links, files that are still being written and those named like unfinished copies are left alone.
    """
    folder = folder_of(feed)
    settled = (now() - SETTLED).timestamp()
    left = _files(folder / RUNNING)
    fresh = [path for path in _files(folder) if path.stat().st_mtime <= settled]
    return left + fresh


def _files(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = [
                entry.name
                for entry in entries
                if entry.is_file(follow_symlinks=False)
                and not entry.name.startswith((".", "~"))
                and not entry.name.lower().endswith(_PARTIAL)
            ]
    except FileNotFoundError:
        return []
    return [folder / name for name in sorted(names)]


def take(path: Path, folder: Path) -> Path:
    """Move a file on its way. Returns where it is now."""
    if path.parent.name == RUNNING:
        return path
    there = folder / RUNNING / path.name
    os.rename(path, there)
    return there


def put_away(path: Path, folder: Path, *, run_id: int, loaded: bool) -> None:
    """Move a file to `done/` or `failed/`, under the number of its run: the same name may come again."""
    os.rename(path, folder / (DONE if loaded else FAILED) / f"{run_id}-{path.name}")
