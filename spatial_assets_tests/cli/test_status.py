"""`status` reports the state of every tile as text, JSON and GeoJSON, and writes nothing."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import pytest
from click.testing import Result

from spatial_assets.cli.selection.tile_status import TileStatus, summarize_tile
from spatial_assets.project import load_project
from spatial_assets.stores.tables.connect import open_database
from spatial_assets_tests.fixtures import two_zone_project

Run = Callable[..., Result]

NOON = dt.datetime(2023, 9, 15, 12, tzinfo=dt.UTC)
STAGES = ("raw_tile", "ndvi")


@pytest.fixture
def half_bad(run: Run, four_tile_project: Path) -> Path:
    """The project materialized with its western scene unreadable: two tiles of four are bad."""
    (four_tile_project / "scenes" / two_zone_project.WEST.id / "B08.tif").write_bytes(
        b"<html>503</html>"
    )
    run("--project", four_tile_project, "materialize", "--workers", "0")
    return four_tile_project


def document(run: Run, folder: Path, *options: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        run("--project", folder, "status", "--json", *options).stdout
    )
    return found


def test_a_project_of_which_nothing_was_made_is_all_missing(
    run: Run, four_tile_project: Path
) -> None:
    before = sorted(four_tile_project.rglob("*"))

    result = run("--project", four_tile_project, "status")

    assert result.exit_code == 0, result.output
    assert "missing" in result.output
    assert "materialized" not in result.output
    assert sorted(four_tile_project.rglob("*")) == before


def test_the_table_counts_tiles_by_state_with_reasons(run: Run, half_bad: Path) -> None:
    result = run("--project", half_bad, "status")

    lines = [[cell.strip() for cell in line.split("│")] for line in result.output.splitlines()]
    by_state = {cells[1]: cells for cells in lines if len(cells) > 3}
    assert by_state["materialized"][2] == "2"
    assert by_state["quarantined"][2] == "2"
    assert by_state["quarantined"][4] == "no_usable_scene 2"
    assert by_state["materialized"][3].endswith(" s")
    assert any(cells[1:4:2] == ["scene", "not_a_raster"] for cells in lines if len(cells) > 3)


def test_the_json_holds_every_tile_and_the_quarantine(run: Run, half_bad: Path) -> None:
    found = document(run, half_bad)

    assert found["counts"] == {
        "failed": 0,
        "quarantined": 2,
        "missing": 0,
        "empty": 0,
        "materialized": 2,
    }
    assert [tile["tile"] for tile in found["tiles"]] == list(
        load_project(half_bad, {}).partitioning.keys
    )
    good = next(tile for tile in found["tiles"] if tile["state"] == "materialized")
    assert 0 < good["valid_fraction"] <= 1
    assert dt.datetime.fromisoformat(good["refreshed_at"]).tzinfo is not None
    assert {row["kind"] for row in found["quarantine"]} == {"scene", "tile"}


def test_the_geojson_has_a_feature_a_tile_in_its_place(run: Run, half_bad: Path) -> None:
    file = half_bad / "tiles.geojson"

    run("--project", half_bad, "status", "--geojson", file)

    frame = gpd.read_file(file).set_index("tile")
    project = load_project(half_bad, {})
    assert set(frame["state"]) == {"materialized", "quarantined"}
    assert set(frame["reason"].dropna()) == {"no_usable_scene"}
    for key, outline in frame["geometry"].items():
        footprint = project.partitioning.tile(str(key)).footprint(project.pixel_grid)
        assert outline.symmetric_difference(footprint).area < 1e-6  # of 0.08 square degrees


def test_a_lost_object_is_found_on_request(run: Run, half_bad: Path) -> None:
    good = next(
        tile["tile"] for tile in document(run, half_bad)["tiles"] if tile["state"] == "materialized"
    )
    shutil.rmtree(half_bad / "data" / "raw_tile" / good)

    verified = document(run, half_bad, "--verify")

    assert document(run, half_bad)["counts"]["materialized"] == 2
    assert verified["counts"]["materialized"] == 1
    (lost,) = (tile for tile in verified["tiles"] if tile["state"] == "missing")
    assert (lost["tile"], lost["stage"], lost["reason"]) == (good, "raw_tile", "objects_gone")


def test_without_its_manifest_a_tile_is_missing(run: Run, half_bad: Path) -> None:
    shutil.rmtree(half_bad / "data" / "manifests")

    assert document(run, half_bad)["counts"]["missing"] == 2


def test_a_tile_that_was_released_is_to_be_made_again(run: Run, half_bad: Path) -> None:
    project = load_project(half_bad, {})
    with open_database(project.database_url) as database:
        database.release({"kind": "tile"}, now=NOON)

    assert document(run, half_bad)["counts"]["quarantined"] == 0
    assert document(run, half_bad)["counts"]["missing"] == 2


def test_a_file_that_cannot_be_written_is_an_error_of_one_line(
    run: Run, four_tile_project: Path
) -> None:
    result = run(
        "--project",
        four_tile_project,
        "status",
        "--geojson",
        four_tile_project / "nowhere" / "t.geojson",
    )

    assert result.exit_code == 1
    assert "cannot be written" in result.stderr


def state(stage: str, state: str, since: dt.datetime = NOON, **more: object) -> dict[str, object]:
    return {"stage": stage, "state": state, "since": since, "reason": None, "evidence": {}, **more}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param([], (TileStatus.MISSING, "raw_tile"), id="never-made"),
        pytest.param(
            [state("raw_tile", "materialized")], (TileStatus.MISSING, "ndvi"), id="made-in-part"
        ),
        pytest.param(
            [state("raw_tile", "materialized"), state("ndvi", "materialized")],
            (TileStatus.MATERIALIZED, ""),
            id="whole",
        ),
        pytest.param(
            [state("raw_tile", "materialized"), state("ndvi", "empty")],
            (TileStatus.EMPTY, ""),
            id="nothing-clear",
        ),
        pytest.param(
            [state("raw_tile", "quarantined"), state("ndvi", "failed")],
            (TileStatus.FAILED, "ndvi"),
            id="failed-before-quarantined",
        ),
        pytest.param(
            [state("raw_tile", "quarantined")],
            (TileStatus.QUARANTINED, "raw_tile"),
            id="quarantined-before-missing",
        ),
        pytest.param(
            [
                state("raw_tile", "materialized"),
                state("ndvi", "materialized"),
                state("ndvi_by_boundary", "failed"),
            ],
            (TileStatus.MATERIALIZED, ""),
            id="other-stages-do-not-count",
        ),
    ],
)
def test_a_tile_stands_in_one_place(
    rows: list[dict[str, object]], expected: tuple[TileStatus, str]
) -> None:
    found = summarize_tile("t", rows, stages=STAGES)

    assert (found.status, found.stage) == expected
