"""PostGIS behind a pooler of transactions, as the small project from the field uses it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spatial_assets_tests.fixtures.field_cases import UNSET, field_case, project_of
from spatial_assets_tests.servers.postgis import PostgisServer

pytestmark = pytest.mark.samples

TABLES = ("tile_index", "tile_state", "ndvi_by_boundary")


def start(project: Path, url: str) -> subprocess.Popen[str]:
    """A run of a project as a process of its own."""
    inherited = {name: value for name, value in os.environ.items() if name not in UNSET}
    names = {"SPATIAL_ASSETS_PROJECT": str(project), "SPATIAL_ASSETS_DATABASE_URL": url}
    return subprocess.Popen(
        [Path(sys.executable).with_name("spatial-assets"), "materialize", "--workers", "0"],
        env={**inherited, **names},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_two_projects_behind_a_pooler_write_each_into_its_own_schema(
    tmp_path: Path, pooled_url: str, postgis_server: PostgisServer
) -> None:
    case = field_case("transaction-pooler", tmp_path)
    schemas = ("p0", "p1")
    projects = {each: field_case("transaction-pooler", tmp_path / each) / "p" for each in schemas}
    tiles = len(project_of(case / "p").partitioning.keys)

    runs = [start(projects[each], f"{pooled_url}?schema={each}") for each in schemas]
    said = [run.communicate(timeout=300)[0] for run in runs]

    assert [run.returncode for run in runs] == [0, 0], said
    with postgis_server.connect(pooled_url.rpartition("/")[2]) as connection:
        counts = {
            each: [
                connection.execute(f"SELECT count(DISTINCT tile) FROM {each}.{table}").fetchone()  # noqa: S608 - our names
                for table in TABLES
            ]
            for each in schemas
        }
        strays = connection.execute(
            "SELECT schemaname FROM pg_tables WHERE tablename = 'tile_index' ORDER BY 1"
        ).fetchall()
    assert counts["p0"] == counts["p1"]
    assert counts["p0"][0] == (tiles,)
    assert strays == [("p0",), ("p1",)]
