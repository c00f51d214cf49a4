"""`prune` removes only objects that belong to no tile, and only on confirmation."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from spatial_assets.project import Project, load_project
from spatial_assets.stores.objects.leases import lease
from spatial_assets.stores.objects.store import open_store
from spatial_assets.stores.tables.connect import open_database
from spatial_assets_tests.fixtures import two_zone_project

Run = Callable[..., Result]

TABLES = ("tile_state", "tile_index", "ndvi_by_boundary")
EAST_SIDE = [12.0, 46.0, 12.28, 46.3]
ORPHANS = (
    "raw_tile/{key}/killed/red.tif",
    "ndvi.zarr/ndvi/c/1/0/0",
    "manifest_parts/{key}/2023-08/killed.json",
)


@pytest.fixture
def made(run: Run, four_tile_project: Path) -> Path:
    """The project, all of it materialized."""
    result = run("--project", four_tile_project, "materialize", "--workers", "0")
    assert result.exit_code == 0, result.output
    return four_tile_project


@pytest.fixture
def smaller(made: Path) -> Path:
    """The project after its area lost the two western tiles."""
    file = made / "project.toml"
    file.write_text(file.read_text().replace(str(two_zone_project.AREA), str(EAST_SIDE)))
    return made


def files(folder: Path) -> dict[str, bytes]:
    """Stored files, without leases and the database."""
    data = folder / "data"
    paths = (path for path in data.rglob("*") if path.is_file())
    named = {str(path.relative_to(data)): path.read_bytes() for path in paths}
    return {
        name: content
        for name, content in named.items()
        if not name.startswith(("leases/", "spatial.duckdb"))
    }


def tiles_of_rows(project: Project) -> dict[str, set[object]]:
    with open_database(project.database_url) as database:
        database.ensure_schema(project.boundaries, project.indices.names)
        return {table: {row["tile"] for row in database.rows(table)} for table in TABLES}


def test_where_everything_belongs_to_a_tile_there_is_nothing_to_prune(run: Run, made: Path) -> None:
    before = files(made)

    result = run("--project", made, "prune", "--yes")

    assert "Nothing to prune" in result.output
    assert files(made) == before


def test_before_anything_was_made_there_is_nothing_to_prune(
    run: Run, four_tile_project: Path
) -> None:
    assert "nothing has been made here yet" in run("--project", four_tile_project, "prune").output
    assert not (four_tile_project / "data").exists()


def test_tiles_that_left_the_area_are_listed_and_nothing_is_removed(
    run: Run, smaller: Path
) -> None:
    before = files(smaller)

    result = run("--project", smaller, "prune")

    assert result.exit_code == 0, result.output
    assert "2 tiles no longer in the area" in result.output
    assert "Nothing was removed" in result.output
    assert files(smaller) == before


def test_tiles_that_left_the_area_are_removed_with_objects_rows_and_manifest(
    run: Run, smaller: Path
) -> None:
    project = load_project(smaller, {})
    kept = set(project.partitioning.keys)

    result = run("--project", smaller, "prune", "--yes")

    assert result.exit_code == 0, result.output
    assert {path.stem for path in (smaller / "data" / "manifests").iterdir()} == kept
    assert {
        path.name for path in (smaller / "data" / "raw_tile").iterdir() if any(path.rglob("*.tif"))
    } == kept
    assert set.union(*tiles_of_rows(project).values()) == kept
    again = run("--project", smaller, "status", "--verify").output
    assert "materialized" in again
    assert "missing" not in again
    assert "Nothing to prune" in run("--project", smaller, "prune").output


def test_objects_that_no_manifest_names_are_removed_and_no_others(run: Run, made: Path) -> None:
    before = files(made)
    key = load_project(made, {}).partitioning.keys[0]
    for orphan in ORPHANS:
        path = made / "data" / orphan.format(key=key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")

    listed = run("--project", made, "prune").output
    run("--project", made, "prune", "--yes")

    assert "3 objects of 0.0 MB not named by any manifest" in listed
    assert files(made) == before


def test_a_tile_that_a_run_works_on_is_left_alone(run: Run, smaller: Path) -> None:
    store = open_store(load_project(smaller, {}).storage_url)
    gone = min(path.stem for path in (smaller / "data" / "manifests").iterdir())

    with lease(
        store,
        f"tile/{gone}",
        owner="another run",
        ttl=dt.timedelta(hours=1),
        clock=lambda: dt.datetime.now(dt.UTC),
    ):
        result = run("--project", smaller, "prune", "--yes")

    assert f"tile {gone} is skipped" in result.output
    assert "another run" in result.output
    assert (smaller / "data" / "manifests" / f"{gone}.json").exists()
    assert "1 tile no longer in the area" in run("--project", smaller, "prune").output


def test_a_store_of_another_grid_is_not_touched(run: Run, made: Path) -> None:
    file = made / "project.toml"
    file.write_text(file.read_text().replace("level = 10", "level = 9"))
    before = files(made)

    result = run("--project", made, "prune", "--yes")

    assert result.exit_code == 1
    assert "belongs to grid" in result.stderr
    assert files(made) == before
