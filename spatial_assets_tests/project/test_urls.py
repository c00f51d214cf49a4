"""URLs and paths of a project file, as absolute ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from spatial_assets.project.urls import resolved_database_url


@pytest.mark.parametrize(
    ("url", "resolved"),
    [
        ("duckdb:///data/x.duckdb", "duckdb:////p/data/x.duckdb"),
        ("duckdb:////d/x.duckdb", "duckdb:////d/x.duckdb"),
        ("duckdb:///~/x.duckdb", "duckdb:////home/gis/x.duckdb"),
        ("postgres://u@h/d", "postgresql+psycopg://u@h/d"),
        ("mysql://u@h/d", None),
        ("duckdb:///", None),
    ],
)
def test_a_database_url_is_absolute(
    url: str, resolved: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/gis")

    assert resolved_database_url(url, Path("/p")) == resolved
