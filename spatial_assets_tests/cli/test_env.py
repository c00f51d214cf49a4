"""`env` shows the settings in force and their origin, and no command shows a secret."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import Result

Run = Callable[..., Result]

PLANTED = "hunter2"


def row(result: Result, start: str) -> list[str]:
    """The cells of the line that starts with `start`."""
    lines = (line.strip("│ ") for line in result.output.splitlines())
    line = next(line for line in lines if line.startswith(f"{start} "))
    return [cell.strip() for cell in line.split("│")]


def test_every_setting_is_shown_with_its_origin(run: Run, folder: Path) -> None:
    result = run("--project", folder, "env", SPATIAL_ASSETS_STORAGE_URL="s3://bucket/prefix")

    assert result.exit_code == 0, result.output
    assert row(result, "grid.pixel_zoom") == ["grid.pixel_zoom", "10", "file"]
    assert row(result, "grid.chunk") == ["grid.chunk", "512", "default"]
    assert row(result, "time.start") == ["time.start", "2023-01-01", "file"]
    assert row(result, "retention.raw_tile") == ["retention.raw_tile", '"keep"', "default"]
    assert row(result, "storage.url") == [
        "storage.url",
        '"s3://bucket/prefix"',
        "$SPATIAL_ASSETS_STORAGE_URL",
    ]


def test_tables_within_arrays_are_shown(run: Run, folder: Path) -> None:
    with (folder / "project.toml").open("a", encoding="utf-8") as file:
        file.write('[[boundaries]]\nname = "a"\nsource = "a.gpkg"\nkey = "id"\n')
        file.write("[freshness]\nraw_tile = { warn = '5 days', fail = '9 days' }\n")

    result = run("--project", folder, "env")

    assert row(result, "boundaries.0.key") == ["boundaries.0.key", '"id"', "file"]
    assert row(result, "boundaries.0.on_invalid")[2] == "default"
    assert "5 days" in row(result, "freshness.raw_tile.warn")[1]


def test_versions_are_shown(run: Run, folder: Path) -> None:
    result = run("--project", folder, "env")

    assert row(result, "dagster") == ["dagster", version("dagster")]
    assert row(result, "zarr") == ["zarr", version("zarr")]
    for name in ("GDAL (rasterio)", "PROJ (pyproj)", "GEOS (shapely)"):
        assert row(result, name)[1][0].isdigit()
    assert "DuckDB" in row(result, "database")[1]


@pytest.mark.parametrize("command", ["env", "check"])
def test_no_planted_secret_is_ever_shown(run: Run, folder: Path, command: str) -> None:
    result = run(
        "--project",
        folder,
        command,
        SPATIAL_ASSETS_DATABASE_URL=f"postgresql://me:{PLANTED}@127.0.0.1:1/db?password={PLANTED}",
        AWS_SECRET_ACCESS_KEY=PLANTED,
        AWS_SESSION_TOKEN=PLANTED,
        PGPASSWORD=PLANTED,
        SPATIAL_ASSETS_SOURCE_SECRET_ACCESS_KEY=PLANTED,
        DAGSTER_POSTGRES_URL=f"postgresql://me:{PLANTED}@host/db",
    )

    assert "database" in result.output
    assert PLANTED not in result.output
    if command == "env":
        assert row(result, "$AWS_SECRET_ACCESS_KEY") == ["$AWS_SECRET_ACCESS_KEY", "***"]
        assert row(result, "$DAGSTER_POSTGRES_URL")[1] == "postgresql://***@host/db"
        assert "***@127.0.0.1:1/db" in row(result, "database.url")[1]
