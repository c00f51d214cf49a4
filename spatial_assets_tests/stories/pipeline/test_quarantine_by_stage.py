"""An index in quarantine stops itself and its statistics; the others of its tile go on."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from spatial_assets.automation.read_records import read_records
from spatial_assets.pipeline.outcome import State
from spatial_assets.pipeline.quarantine import Quarantine
from spatial_assets.project import Project
from spatial_assets.stores.cube.cube import read_window
from spatial_assets.stores.objects.manifests import read_manifest
from spatial_assets.stores.rows import TileState, TileWanted, Upsert
from spatial_assets.stores.tables.connect import open_database
from spatial_assets_tests.fixtures.field_cases import run_command
from spatial_assets_tests.fixtures.pipeline_runs import (
    NOON,
    Outcomes,
    rows,
    run_fails,
    run_tiles,
    stage_of,
    store_of,
)
from spatial_assets_tests.fixtures.two_zone_project import (
    FILES,
    WEST,
    write_granule,
    write_project,
    write_scene_out_of_range,
)

ONE_TILE = [11.9, 46.1, 11.95, 46.2]
"""In the west, where the scene out of range has lost its 1000 DN."""


def project_of(folder: Path, indices: Iterable[str], *, composite: str = "median") -> Project:
    return write_project(
        folder / "project",
        folder / "catalog",
        area={"bbox": ONE_TILE},
        indices={"names": list(indices)},
        time={"composite": composite},
    )


def states_of(outcomes: Outcomes) -> dict[str, tuple[State, str]]:
    """Stage -> state and reason, of the only tile."""
    (outcome,) = outcomes.values()
    return {each.stage: (each.state, each.reason) for each in outcome.stages}


def stored_states(project: Project) -> dict[str, str]:
    return {str(row["stage"]): str(row["state"]) for row in rows(project, "tile_state")}


def in_quarantine(project: Project) -> list[str]:
    found = rows(project, "quarantine")
    return [str(row["subject"]) for row in found if row["released_at"] is None]


@pytest.fixture
def out_of_range(tmp_path: Path) -> Project:
    """NDVI is out of range on most of the tile, SAVI of the same bands is not; never run."""
    write_scene_out_of_range(tmp_path / "catalog")
    folder = tmp_path / "catalog" / WEST.id
    later = json.loads((folder / f"{WEST.id}.json").read_text())
    later["id"], later["properties"]["datetime"] = "west_0812", "2023-08-12T10:08:08Z"
    for asset in later["assets"].values():
        asset["href"] = f"../{WEST.id}/{asset['href']}"
    # brighter, so that the largest of two days differs from their median
    later["assets"]["nir"]["raster:bands"] = [{"nodata": 0, "scale": 0.00011, "offset": -0.1}]
    (tmp_path / "catalog" / "west_0812").mkdir()
    (tmp_path / "catalog" / "west_0812" / "west_0812.json").write_text(json.dumps(later))
    return project_of(tmp_path, ["ndvi", "savi"])


def test_a_setting_is_followed_by_the_good_index_of_a_tile_with_a_bad_one(
    out_of_range: Project, tmp_path: Path
) -> None:
    first = run_tiles(out_of_range)
    again = run_tiles(out_of_range)
    tile = out_of_range.partitioning.keys[0]
    changed = project_of(tmp_path, ["ndvi", "savi"], composite="max")
    planned = run_command(changed.root, "plan", "--changed")

    outcomes = run_tiles(changed)

    assert states_of(first) == {
        "raw_tile": (State.MATERIALIZED, ""),
        "reprojected_raster": (State.MATERIALIZED, ""),
        "ndvi": (State.QUARANTINED, "index_out_of_range"),
        "savi": (State.MATERIALIZED, ""),
        "tile_index": (State.MATERIALIZED, ""),
    }
    assert run_fails(first)
    assert stage_of(again[tile], "ndvi").standing
    assert stage_of(again[tile], "savi").state is State.UNCHANGED
    assert again[tile].already_quarantined
    assert not run_fails(again)
    assert planned.output.startswith("1 tile,")
    assert "settings" in planned.output
    assert states_of(outcomes)["savi"] == (State.MATERIALIZED, "")
    assert not stage_of(outcomes[tile], "ndvi").standing  # its settings changed: judged again
    assert {row["index_name"] for row in rows(changed, "tile_index")} == {"savi"}
    fresh = write_project(
        tmp_path / "fresh",
        tmp_path / "catalog",
        area={"bbox": ONE_TILE},
        indices={"names": ["savi"]},
        time={"composite": "max"},
    )
    run_tiles(fresh)
    assert np.array_equal(values(changed, "savi"), values(fresh, "savi"))


def values(project: Project, index: str) -> np.ndarray:
    window = project.partitioning.extent
    return read_window(store_of(project), index, period=0, window=window)[0]


def test_the_check_of_a_tile_still_fails_for_an_index_that_stays_in_quarantine(
    out_of_range: Project,
) -> None:
    run_tiles(out_of_range)

    (outcome,) = run_tiles(out_of_range).values()

    (check,) = [each for each in outcome.checks if each.check == "index_range"]
    assert not check.verdict.passed
    assert check.severe
    assert check.verdict.evidence["index"] == "ndvi"


def test_a_released_index_is_judged_again_and_the_tile_names_it(out_of_range: Project) -> None:
    (tile,) = run_tiles(out_of_range)
    with open_database(out_of_range.database_url) as database:
        held = Quarantine(
            grid_id=out_of_range.grid_id, store=store_of(out_of_range), database=database
        )
        released = held.release(held.rows(subjects=[tile]), now=NOON)

    outcomes = run_tiles(out_of_range)

    assert [row["subject"] for row in released] == [f"{tile}/ndvi"]
    assert not stage_of(outcomes[tile], "ndvi").standing
    assert in_quarantine(out_of_range) == [f"{tile}/ndvi"]
    assert store_of(out_of_range).find(f"quarantine/tile/{tile}%2Fndvi.json") is not None


def test_an_index_whose_band_no_item_has_leaves_the_others_alone(tmp_path: Path) -> None:
    write_granule(tmp_path / "catalog", WEST)
    project = project_of(tmp_path, ["ndvi", "evi"])

    first = run_tiles(project)
    again = run_tiles(project)

    (tile,) = first
    assert states_of(first)["ndvi"] == (State.MATERIALIZED, "")
    assert states_of(first)["evi"] == (State.QUARANTINED, "missing_band")
    assert "blue" in stage_of(first[tile], "evi").message
    assert states_of(first)["tile_index"] == (State.MATERIALIZED, "")
    assert stage_of(again[tile], "evi").standing
    assert stage_of(again[tile], "ndvi").state is State.UNCHANGED
    assert in_quarantine(project) == [f"{tile}/evi"]
    assert (values(project, "ndvi") != -32768).any()
    listed = run_command(project.root, "quarantine", "list")
    assert f"{tile}/evi" in listed.output
    planned = run_command(project.root, "plan")
    assert "scenes without the bands of evi (blue): 1 of 1" in planned.output


def test_an_index_becomes_good_when_items_get_its_band(tmp_path: Path) -> None:
    folder = write_granule(tmp_path / "catalog", WEST)
    project = project_of(tmp_path, ["ndvi", "evi"])
    run_tiles(project)
    item = WEST.item()
    item["assets"]["blue"] = {**item["assets"]["red"], "href": "B02.tif"}
    write_granule(tmp_path / "catalog", WEST, item=item)
    (folder / "B02.tif").write_bytes((folder / FILES["red"]).read_bytes())

    outcomes = run_tiles(project)

    assert states_of(outcomes)["evi"] == (State.MATERIALIZED, "")
    assert in_quarantine(project) == []
    assert {row["index_name"] for row in rows(project, "tile_index")} == {"evi", "ndvi"}


def test_an_index_that_left_the_project_leaves_the_books_and_its_pixels_stay(
    out_of_range: Project, tmp_path: Path
) -> None:
    run_tiles(out_of_range)
    tile = out_of_range.partitioning.keys[0]
    with open_database(out_of_range.database_url) as database:
        wanted = TileWanted(
            grid_id=out_of_range.grid_id,
            tile=tile,
            stage="ndvi_by_boundary",
            wanted="x",
            why="it was wanted",
            since=NOON,
        )
        gone = TileState(
            grid_id=out_of_range.grid_id,
            tile="a tile that is not run",
            stage="ndvi",
            state="quarantined",
            since=NOON,
            reason="index_out_of_range",
        )
        database.commit([Upsert("tile_wanted", [wanted]), Upsert("tile_state", [gone])])
    project = project_of(tmp_path, ["savi"])
    shown = json.loads(run_command(project.root, "status", "--json").output)
    listed = run_command(project.root, "quarantine", "list").output

    outcomes = run_tiles(project)

    assert shown["quarantine"] == []
    assert listed == "Nothing in quarantine.\n"
    assert shown["counts"]["quarantined"] == 0
    assert {state for state, _ in states_of(outcomes).values()} <= {
        State.UNCHANGED,
        State.MATERIALIZED,  # raw_tile, of which it is known what the indices need
    }
    assert set(stored_states(project)) == {"raw_tile", "reprojected_raster", "savi", "tile_index"}
    assert in_quarantine(project) == []
    assert rows(project, "tile_wanted") == []
    assert set(recorded_inputs(project)) == set(stored_states(project))
    assert store_of(project).list("ndvi.zarr")


def recorded_inputs(project: Project) -> Iterable[str]:
    (row,) = rows(project, "tile_inputs")
    inputs = row["inputs"]
    assert isinstance(inputs, dict)
    return inputs


def test_only_a_tile_of_which_nothing_can_be_made_is_left_out_of_requests(
    out_of_range: Project, tmp_path: Path
) -> None:
    (tile,) = run_tiles(out_of_range)
    with_a_good_index = read_records(out_of_range).quarantined
    alone = project_of(tmp_path, ["ndvi"])

    run_tiles(alone)

    assert with_a_good_index == set()
    assert read_records(alone).quarantined == {tile}


def test_a_manifest_keeps_of_a_former_index_only_what_names_its_pixels(tmp_path: Path) -> None:
    write_granule(tmp_path / "catalog", WEST)
    project = project_of(tmp_path, ["ndvi", "savi"])
    (tile,) = run_tiles(project)

    run_tiles(project_of(tmp_path, ["ndvi"]))

    manifest = read_manifest(store_of(project), tile)
    assert manifest is not None
    assert set(manifest.units("savi")) == {"2023-08"}
    assert manifest.units("savi")["2023-08"].objects
