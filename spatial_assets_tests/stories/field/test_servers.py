"""Web servers from the field: replicas with ETags of their own, no ranges; variables of GDAL."""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from spatial_assets_tests.fixtures.field_cases import (
    field_case,
    materialize,
    run_command,
    valid_ndvi,
)
from spatial_assets_tests.servers.process import ServerCommand, free_port, running

pytestmark = pytest.mark.samples

NDVI: Final = 0.7895
"""Mean NDVI of the three cases."""


@contextmanager
def serving(case: Path, *how: str) -> Iterator[Path]:
    """Serve the rasters of a case on a free port, which its item names; yield the project."""
    port, item = free_port(), case / "p" / "scenes" / "item.json"
    item.write_text(re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{port}", item.read_text()))
    command = ServerCommand(
        name=case.name, arguments=(sys.executable, case / "web.py", str(port), *how)
    )

    def is_ready() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    with running(command, is_ready, timeout=30):
        yield case / "p"


def assert_whole(project: Path) -> None:
    """Assert that the product has all pixels of the scene."""
    ndvi = valid_ndvi(project)
    assert ndvi.size > 18_000
    assert ndvi.mean() == pytest.approx(NDVI, abs=2e-3)
    assert ndvi.std() < 0.02  # noise of the bands


def test_replicas_whose_etags_differ_serve_one_file(tmp_path: Path) -> None:
    with serving(field_case("etag-per-replica", tmp_path), "etag") as project:
        done = materialize(project)
        again = [materialize(project) for _ in range(3)]

    assert done.exit_code == 0, done.output
    assert_whole(project)
    assert all("2 unchanged" in each.output for each in again), "an ETag that comes back"


def test_a_server_without_ranges_is_read(tmp_path: Path) -> None:
    with serving(field_case("server-without-ranges", tmp_path), "norange") as project:
        done = materialize(project)

    assert done.exit_code == 0, done.output
    assert_whole(project)


def test_variables_of_gdal_decide_nothing_and_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CPL_VSIL_CURL_ALLOWED_EXTENSIONS", ".tif,.tiff")
    monkeypatch.setenv("GDAL_SKIP", "JP2OpenJPEG GTiff")
    monkeypatch.setenv("GDAL_MAX_BAND_COUNT", "0")
    with serving(field_case("gdal-extensions-in-environment", tmp_path)) as project:
        done = materialize(project)
        shown = run_command(project, "env")

    assert done.exit_code == 0, done.output
    assert_whole(project)
    (line,) = (line for line in shown.output.splitlines() if "ALLOWED_EXTENSIONS" in line)
    assert ".tif,.tiff" in line
    assert "ignored" in line
    assert "GDAL_SKIP" not in os.environ
