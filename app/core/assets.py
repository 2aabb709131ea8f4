"""What the frame of every page needs: static addresses that change with their content, and the language."""

from __future__ import annotations

import hashlib
from pathlib import Path

from flask import Flask, url_for
from flask_babel import get_locale


class AssetVersions:
    """The first ten hex digits of each static file's SHA-256, read once a process.

    With recheck (debug mode) a file is read again when its modification time has changed.
    """

    def __init__(self, folder: Path, *, recheck: bool) -> None:
        self._folder = folder
        self._recheck = recheck
        self._known: dict[str, tuple[int, str]] = {}

    def version(self, path: str) -> str:
        """Raise FileNotFoundError for a file that is not there: no page goes out with a dead address."""
        known = self._known.get(path)
        if known and not self._recheck:
            return known[1]
        file = self._folder / path
        modified = file.stat().st_mtime_ns
        if known and known[0] == modified:
            return known[1]
        digest = hashlib.sha256(file.read_bytes()).hexdigest()[:10]
        self._known[path] = (modified, digest)
        return digest


def page_language() -> str:
    """The value of <html lang>, which the charts and the screen reader follow: "zh-CN" or "en"."""
    locale = get_locale()
    return "zh-CN" if locale is not None and locale.language == "zh" else "en"


def init_assets(app: Flask) -> None:
    """Register the template globals asset(path) and page_language()."""
    versions = AssetVersions(Path(app.static_folder or "static"), recheck=app.debug)

    def asset(path: str) -> str:
        return url_for("static", filename=path, v=versions.version(path))

    app.jinja_env.globals.update(asset=asset, page_language=page_language)
