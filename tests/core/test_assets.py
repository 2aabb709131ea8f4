"""Static addresses change with their content."""

import os
from hashlib import sha256
from pathlib import Path

import pytest
from flask import Flask, render_template_string

from app.core.assets import AssetVersions


def test_the_version_is_that_of_the_content(tmp_path: Path) -> None:
    file = tmp_path / "app.css"
    file.write_text("a {}")
    first = AssetVersions(tmp_path, recheck=False).version("app.css")
    assert first == sha256(b"a {}").hexdigest()[:10]
    file.write_text("b {}")
    assert AssetVersions(tmp_path, recheck=False).version("app.css") != first


def test_a_file_is_read_once_a_process_and_again_where_it_changed_in_debug_mode(tmp_path: Path) -> None:
    file = tmp_path / "app.css"
    file.write_text("a {}")
    kept, rechecked = AssetVersions(tmp_path, recheck=False), AssetVersions(tmp_path, recheck=True)
    first = kept.version("app.css")
    assert rechecked.version("app.css") == first
    file.write_text("b {}")
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1_000_000))
    assert kept.version("app.css") == first
    assert rechecked.version("app.css") != first


def test_a_file_that_is_not_there_stops_the_page(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        AssetVersions(tmp_path, recheck=False).version("gone.css")


def test_pages_name_the_version(app: Flask) -> None:
    with app.test_request_context():
        address = render_template_string("{{ asset('dist/app.css') }}")
    digest = sha256((Path(app.static_folder or "") / "dist/app.css").read_bytes()).hexdigest()[:10]
    assert address == f"/static/dist/app.css?v={digest}"
