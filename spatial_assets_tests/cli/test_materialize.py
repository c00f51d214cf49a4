"""`materialize` computes the selected tiles, reports failures, and changes no other tile."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from spatial_assets.project import load_project
from spatial_assets.stores.tables.connect import open_database
from spatial_assets_tests.fixtures import two_zone_project

Run = Callable[..., Result]

NOT_AN_IMAGE = b"<html>503 Slow Down</html>"
HERE = ("--workers", "0")


def rows(folder: Path, table: str) -> list[dict[str, object]]:
    project = load_project(folder, {})
    with open_database(project.database_url) as database:
        database.ensure_schema(project.boundaries, project.indices.names)
        return database.rows(table)


def damage(folder: Path, scene: str) -> Path:
    """Put a server's excuse in the place of a scene's near-infrared band; returns the old file."""
    band = folder / "scenes" / scene / "B08.tif"
    kept = folder / "kept.tif"
    shutil.copy(band, kept)
    band.write_bytes(NOT_AN_IMAGE)
    return kept


@pytest.fixture
def keys(four_tile_project: Path) -> tuple[str, ...]:
    return load_project(four_tile_project, {}).partitioning.keys


def test_everything_is_made_boundaries_first(run: Run, four_tile_project: Path) -> None:
    result = run("--project", four_tile_project, "materialize", *HERE)

    assert result.exit_code == 0, result.output
    assert "4 tiles in" in result.stdout
    assert "4 materialized" in result.stdout
    assert "Not reported to Dagster" in result.stdout
    assert "validated_regions: 2 features, materialized" in result.stderr
    assert {row["boundary_key"] for row in rows(four_tile_project, "ndvi_by_boundary_merged")} == {
        "west",
        "east",
    }


def test_a_second_time_nothing_is_computed(run: Run, four_tile_project: Path) -> None:
    run("--project", four_tile_project, "materialize", *HERE)

    result = run("--project", four_tile_project, "materialize", *HERE)

    assert result.exit_code == 0
    assert "4 unchanged" in result.stdout


def test_places_add_up_and_the_other_tiles_are_left_alone(
    run: Run, four_tile_project: Path, keys: tuple[str, ...]
) -> None:
    corner = "12.27,46.29,12.28,46.3"

    result = run(
        "--project", four_tile_project, "materialize", "--tiles", keys[0], "--bbox", corner, *HERE
    )

    assert "2 tiles in" in result.stdout
    made = {row["tile"] for row in rows(four_tile_project, "tile_state")}
    assert len(made) == 2
    assert keys[0] in made


def test_missing_selects_what_was_never_made_and_what_is_gone(
    run: Run, four_tile_project: Path, keys: tuple[str, ...]
) -> None:
    run("--project", four_tile_project, "materialize", "--tiles", ",".join(keys[:3]), *HERE)
    shutil.rmtree(four_tile_project / "data" / "raw_tile" / keys[0])

    result = run("--project", four_tile_project, "materialize", "--missing", *HERE)

    assert "2 tiles in" in result.stdout, result.output
    assert "2 materialized" in result.stdout
    assert (
        "nothing to do"
        in run("--project", four_tile_project, "materialize", "--missing", *HERE).stdout
    )


def test_a_bad_tile_is_one_line_and_exit_code_1(run: Run, four_tile_project: Path) -> None:
    damage(four_tile_project, two_zone_project.WEST.id)

    result = run("--project", four_tile_project, "materialize", *HERE)

    bad = [line for line in result.stderr.splitlines() if " quarantined at raw_tile: " in line]
    assert result.exit_code == 1
    assert len(bad) == 2
    assert all("no_usable_scene" in line and two_zone_project.WEST.id in line for line in bad)
    assert "2 materialized, 2 quarantined" in result.stdout
    assert "2 of 4 tiles need attention" in result.stderr


def test_a_known_quarantine_is_reported_and_is_no_error(run: Run, four_tile_project: Path) -> None:
    damage(four_tile_project, two_zone_project.WEST.id)
    run("--project", four_tile_project, "materialize", *HERE)

    result = run("--project", four_tile_project, "materialize", *HERE)

    assert result.exit_code == 0
    assert "2 were in quarantine before and still are." in result.stdout


def test_quarantined_tiles_are_computed_once_their_input_is_repaired(
    run: Run, four_tile_project: Path
) -> None:
    kept = damage(four_tile_project, two_zone_project.WEST.id)
    run("--project", four_tile_project, "materialize", *HERE)
    shutil.move(kept, four_tile_project / "scenes" / two_zone_project.WEST.id / "B08.tif")

    result = run("--project", four_tile_project, "materialize", "--quarantined", *HERE)

    assert result.exit_code == 0, result.output
    assert "2 tiles in" in result.stdout
    assert "2 materialized" in result.stdout


def test_failed_tiles_are_tried_again(
    run: Run, four_tile_project: Path, keys: tuple[str, ...]
) -> None:
    run(
        "--project", four_tile_project, "materialize", "--tiles", keys[0], "--select", "ndvi", *HERE
    )

    result = run("--project", four_tile_project, "materialize", "--failed", *HERE)

    assert result.exit_code == 0, result.output
    assert "1 tile in" in result.stdout


def test_stale_follows_the_freshness_of_the_project(run: Run, four_tile_project: Path) -> None:
    run("--project", four_tile_project, "materialize", *HERE)
    file = four_tile_project / "project.toml"

    fresh = run("--project", four_tile_project, "materialize", "--stale", *HERE)
    file.write_text(file.read_text().partition("[freshness]")[0])
    unknown = run("--project", four_tile_project, "materialize", "--stale", *HERE)

    assert "nothing to do" in fresh.stdout
    assert unknown.exit_code == 1
    assert "freshness.raw_tile: is missing" in unknown.stderr


def test_only_the_selected_assets_are_made(
    run: Run, four_tile_project: Path, keys: tuple[str, ...]
) -> None:
    names = "raw_tile,reprojected_raster"

    result = run(
        "--project", four_tile_project, "materialize", "--select", names, "--tiles", keys[0], *HERE
    )

    assert result.exit_code == 0, result.output
    assert {row["stage"] for row in rows(four_tile_project, "tile_state")} == set(names.split(","))
    assert not (four_tile_project / "data" / "raw_regions.geojson").exists()


def test_boundaries_alone_touch_no_tile(run: Run, four_tile_project: Path) -> None:
    select = ("--select", "raw_regions", "--select", "validated_regions,regions")

    result = run("--project", four_tile_project, "materialize", *select, *HERE)

    assert result.exit_code == 0, result.output
    assert len(rows(four_tile_project, "regions")) == 2
    assert rows(four_tile_project, "tile_state") == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--select", "nvdi"], "nvdi: not an asset of"),
        (["--tiles", "12"], "no tile '12' in this area"),
        (["--tiles", "9*"], "no tile matches '9*'"),
        (["--tiles", ","], "names no tile"),
        (["--bbox", "1,2,3,4"], "no tile of [area] is there"),
        (["--workers", "-1"], "-1"),
    ],
)
def test_what_does_not_exist_is_refused(
    run: Run, four_tile_project: Path, arguments: list[str], told: str
) -> None:
    result = run("--project", four_tile_project, "materialize", *arguments)

    assert result.exit_code in {1, 2}
    assert told in result.stderr
