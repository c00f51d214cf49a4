"""Fixtures of the catalogue's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets_tests.fixtures.scene_factory import quick_access
from spatial_assets_tests.fixtures.web_server import WebServer, serving


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebServer]:
    """A web server over a folder of this test."""
    folder = tmp_path / "web"
    folder.mkdir()
    with serving(folder) as running:
        yield running


@pytest.fixture
def access(tmp_path: Path) -> SourceAccess:
    """Streaming access with short timeouts."""
    return quick_access(tmp_path / "cache")


@pytest.fixture(autouse=True)
def _no_keys_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests sign with the keys that they set."""
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "TOKEN_ENDPOINT"):
        monkeypatch.delenv(f"SPATIAL_ASSETS_SOURCE_{name}", raising=False)
