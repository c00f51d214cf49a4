"""`rebuild` makes the database from the store, and Dagster's events from both."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import dagster as dg
import pytest
from click.testing import Result

from spatial_assets.definitions import build_definitions
from spatial_assets.pipeline.stages import chain_of
from spatial_assets.project import Project, load_project
from spatial_assets.stores.objects.store import open_store
from spatial_assets.stores.tables.connect import open_database
from spatial_assets.stores.tables.transactions import Transaction

Run = Callable[..., Result]

HERE = ("--workers", "0")
DATABASE_URL = "SPATIAL_ASSETS_DATABASE_URL"
OF_THE_MOMENT = {"since", "looked_at", "refreshed_at", "first_seen", "last_seen", "updated_at"}
"""Columns whose values are times of runs."""

PIXELS = ("raw_tile", "reprojected_raster", "ndvi.zarr", "manifests")

Tables = dict[str, list[dict[str, object]]]


@pytest.fixture(params=["DuckDB", "PostGIS"])
def env(request: pytest.FixtureRequest) -> dict[str, str]:
    """Variables of a database of the test's own; none: the file of the project."""
    url = request.getfixturevalue("postgis_url") if request.param == "PostGIS" else ""
    return {DATABASE_URL: url} if url else {}


def tables_of(project: Project) -> Tables:
    """Rows of all tables of the product, without the times of runs."""
    names = ["tile_state", "tile_inputs", "tile_index", "tile_wanted", "quarantine"]
    names += [*chain_of(project).statistics, *(each.name for each in project.boundaries)]
    with open_database(project.database_url) as database:
        database.ensure_schema(project.boundaries, project.indices.names)
        return {
            name: [
                {column: value for column, value in row.items() if column not in OF_THE_MOMENT}
                for row in database.rows(name)
            ]
            for name in names
        }


def lose_database(project: Project) -> None:
    """Delete the file of DuckDB, or drop the tables of PostGIS."""
    if project.database_url.startswith("duckdb"):
        for path in Path(project.database_url.removeprefix("duckdb:///")).parent.glob("*.duckdb*"):
            path.unlink()
        return
    with open_database(project.database_url) as database:
        database.declare_tables(project.boundaries, project.indices.names)
        for name in database.tables.metadata.tables:  # their views go with them
            database.in_transaction(partial(drop, table=name), write=True)


def drop(transaction: Transaction, *, table: str) -> None:
    transaction.run(f'DROP TABLE IF EXISTS "{table}" CASCADE')


def objects_of(project: Project) -> dict[str, str]:
    """Paths of the stored pixels and manifests, with their versions."""
    store = open_store(project.storage_url)
    return {info.path: info.etag for prefix in PIXELS for info in store.list(prefix)}


def test_a_lost_database_is_made_again_from_the_store(
    run: Run, four_tile_project: Path, env: dict[str, str]
) -> None:
    project = load_project(four_tile_project, env)
    assert run("--project", four_tile_project, "materialize", *HERE, **env).exit_code == 0
    before, pixels = tables_of(project), objects_of(project)
    lose_database(project)

    dry = run("--project", four_tile_project, "rebuild", "--database", **env)
    done = run("--project", four_tile_project, "rebuild", "--database", "--yes", *HERE, **env)

    assert "database: rows of 4 tiles from manifests and the cube" in dry.output
    assert "Nothing was written" in dry.output
    assert done.exit_code == 0, done.output
    assert tables_of(project) == before
    assert all(before[name] for name in before if name not in {"tile_wanted", "quarantine"})
    assert (
        objects_of(project).items()
        >= {path: etag for path, etag in pixels.items() if not path.startswith("manifests")}.items()
    )
    again = run("--project", four_tile_project, "rebuild", "--database", "--yes", *HERE, **env)
    assert "rows of 0 tiles" in again.output


def test_an_older_copy_of_the_database_catches_up_with_the_store(
    run: Run, four_tile_project: Path, tmp_path: Path
) -> None:
    project = load_project(four_tile_project, {})
    keys = project.tile_keys
    file = Path(project.database_url.removeprefix("duckdb:///"))
    run("--project", four_tile_project, "materialize", "--tiles", keys[0], *HERE)
    shutil.copy(file, tmp_path / "backup.duckdb")
    run("--project", four_tile_project, "materialize", *HERE)
    before, pixels = tables_of(project), objects_of(project)

    shutil.copy(tmp_path / "backup.duckdb", file)
    done = run("--project", four_tile_project, "rebuild", "--database", "--yes", *HERE)

    assert "rows of 3 tiles" in done.output
    assert tables_of(project) == before
    stored = objects_of(project)
    assert {path: stored[path] for path in pixels if "manifests" not in path} == {
        path: etag for path, etag in pixels.items() if "manifests" not in path
    }


def requested(project: Project, instance: dg.DagsterInstance) -> set[str]:
    """Tiles that automation requests now."""
    found = dg.evaluate_automation_conditions(
        build_definitions(project), instance, dg.AssetSelection.groups("tiles")
    )
    return {
        tile
        for stage in chain_of(project).stages
        for tile in found.get_requested_partitions(dg.AssetKey(stage))
        if tile
    }


def test_what_the_command_line_made_shows_as_made_and_nothing_is_due(
    run: Run, four_tile_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = load_project(four_tile_project, {})
    run("--project", four_tile_project, "materialize", *HERE)
    home = tmp_path / "dagster_home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    command = ("--project", four_tile_project, "rebuild", "--events")
    with dg.DagsterInstance.get() as instance:
        assert requested(project, instance) == set(project.tile_keys)

    dry, done, again = run(*command), run(*command, "--yes"), run(*command, "--yes")

    stages = chain_of(project).stages
    events = 4 * len(stages) + 3  # and the three assets of the boundary set
    assert f"events: {events} materializations of 4 tiles and 3 assets" in dry.output
    assert f"{events} events reported" in done.output, done.output
    assert "0 events reported" in again.output
    with dg.DagsterInstance.get() as instance:
        assert requested(project, instance) == set()
        states = tables_of(project)["tile_state"]
        for stage in stages:
            tags = instance.event_log_storage.get_latest_tags_by_partition(
                dg.AssetKey(stage),
                dg.DagsterEventType.ASSET_MATERIALIZATION,
                ["dagster/data_version"],
            )
            assert {tile: found["dagster/data_version"] for tile, found in tags.items()} == {
                row["tile"]: row["fingerprint"] for row in states if row["stage"] == stage
            }
