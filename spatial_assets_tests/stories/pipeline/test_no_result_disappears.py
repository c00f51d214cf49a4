"""No result disappears because a catalogue was not there, or is asked for less than before."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from spatial_assets.errors import CatalogueShrunkError
from spatial_assets.pipeline.freshness.scene_register import SceneRegister, change_register
from spatial_assets.pipeline.outcome import State
from spatial_assets.project import Project
from spatial_assets.stores import layout
from spatial_assets_tests.fixtures.pipeline_runs import (
    NOON,
    changed_objects,
    failure_of,
    pixels,
    read_cube,
    rows,
    run_tiles,
    stage_of,
    states,
    store_of,
    stored_objects,
    tables,
)
from spatial_assets_tests.fixtures.two_zone_project import (
    AREA,
    EAST,
    LATER,
    SEPTEMBER,
    SOUTH,
    TWO_TILES,
    WEST,
    write_granule,
    write_project,
)

FILL = -32768
AUGUST = "2023-08-01/2023-08-31"


def over_two_tiles(folder: Path, catalog: Path, **tables: Mapping[str, object]) -> Project:
    return write_project(folder, catalog, **{"area": {"bbox": TWO_TILES}, **tables})


def valid_pixels(project: Project, *, period: int = 0) -> int:
    values, _ = read_cube(project, period=period)
    return int(np.count_nonzero(values != FILL))


def statements(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(record.message for record in caplog.records)


@pytest.fixture
def project(catalog: Path, tmp_path: Path) -> Project:
    """A project over the shared catalogue, computed once."""
    project = over_two_tiles(tmp_path / "project", catalog)
    assert states(run_tiles(project)) == {State.MATERIALIZED}
    return project


def test_a_folder_that_is_not_mounted_stops_the_run_and_changes_nothing(
    project: Project, catalog: Path
) -> None:
    stored, rows_before = stored_objects(project), tables(project)
    catalog.rename(catalog.with_name("elsewhere"))
    catalog.mkdir()

    with pytest.raises(CatalogueShrunkError, match=r"lacks 4 of the 4 scenes.*withdrawn_share"):
        run_tiles(project)

    assert changed_objects(stored, project) == set()
    assert tables(project) == rows_before


def test_a_catalogue_that_lost_more_than_the_share_stops_the_run_and_less_is_withdrawn(
    project: Project, catalog: Path
) -> None:
    stored = stored_objects(project)
    for granule in (EAST, SOUTH, LATER):
        shutil.rmtree(catalog / granule.id)
    with pytest.raises(CatalogueShrunkError, match="lacks 3 of the 4 scenes"):
        run_tiles(project)
    assert changed_objects(stored, project) == set()

    write_granule(catalog, EAST)
    run_tiles(project)

    left = {path.split("/")[2] for path in stored_objects(project) if path.startswith("raw_tile/")}
    assert left == {WEST.id, EAST.id}


def test_scenes_that_a_user_released_no_longer_stop_the_run(
    project: Project, catalog: Path
) -> None:
    shutil.rmtree(catalog)
    catalog.mkdir()
    change_register(
        store_of(project),
        lambda register: register.releasing(register.scenes),
        owner="test",
        clock=lambda: NOON,
    )

    assert states(run_tiles(project)) == {State.EMPTY}

    assert valid_pixels(project) == 0


def test_a_share_of_one_lets_everything_go(project: Project, catalog: Path) -> None:
    shutil.rmtree(catalog)
    catalog.mkdir()
    trusting = over_two_tiles(project.root, catalog, checks={"withdrawn_share": 1.0})

    assert states(run_tiles(trusting)) == {State.EMPTY}


@pytest.mark.parametrize(
    "scenes",
    [
        pytest.param({"collections": ["sentinel-2-l2b"]}, id="a typo in collections"),
        pytest.param({"max_cloud_cover": 1}, id="max_cloud_cover = 1"),
        pytest.param({"datetime": "2023-09-01/2023-09-30"}, id="another month"),
        pytest.param({"datetime": "2024-09-01/.."}, id="a time without scenes"),
    ],
)
def test_a_narrower_filter_keeps_what_was_made_and_says_so(
    project: Project, catalog: Path, scenes: Mapping[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    before, rows_before = pixels(project), rows(project, "tile_index")
    narrow = over_two_tiles(project.root, catalog, scenes=scenes)

    outcomes = run_tiles(narrow)

    assert states(outcomes) == {State.UNCHANGED}
    assert pixels(project) == before
    assert rows(project, "tile_index") == rows_before
    assert "scenes no longer asked for by [scenes] and [area]: 4" in statements(caplog)
    kept = [stage_of(each, "raw_tile").facts["scenes_kept"] for each in outcomes.values()]
    assert all(kept)


def test_moving_the_time_from_august_to_september_keeps_august_and_adds_september(
    catalog: Path, tmp_path: Path
) -> None:
    august = over_two_tiles(
        tmp_path / "p", catalog, scenes={"datetime": AUGUST}, time={"start": None, "end": None}
    )
    run_tiles(august)
    before = pixels(august)
    write_granule(catalog, SEPTEMBER)
    september = over_two_tiles(
        tmp_path / "p",
        catalog,
        scenes={"datetime": "2023-09-01/2023-09-30"},
        time={"start": None, "end": None},
    )

    outcomes = run_tiles(september)

    assert states(outcomes) == {State.MATERIALIZED}
    after = pixels(september)
    assert {path: after[path] for path in before} == before
    assert valid_pixels(september, period=1) > 0
    assert {row["period"] for row in rows(september, "tile_index")} == {"2023-08", "2023-09"}
    assert states(run_tiles(september)) == {State.UNCHANGED}


def test_a_smaller_area_keeps_the_scenes_beside_it(catalog: Path, tmp_path: Path) -> None:
    wide = write_project(tmp_path / "p", catalog, area={"bbox": AREA})
    run_tiles(wide)
    small = over_two_tiles(tmp_path / "p", catalog, area={"bbox": [11.72, 46.25, 11.73, 46.26]})
    before = {path: data for path, data in pixels(wide).items() if small.tile_keys[0] in path}
    assert any(EAST.id in path for path in before)

    run_tiles(small)

    after = pixels(small)
    assert {path: after.get(path) for path in before} == before


def test_a_kept_scene_is_composed_with_new_ones_and_by_new_settings(
    project: Project, catalog: Path, tmp_path: Path
) -> None:
    """Clouds over 50 % are no longer wanted, and the composite changes: as if both were there."""
    write_granule(catalog, LATER, item=LATER.item(**{"eo:cloud_cover": 90}))
    run_tiles(project)
    narrow = over_two_tiles(
        project.root, catalog, scenes={"max_cloud_cover": 50}, time={"composite": "max"}
    )
    whole = over_two_tiles(tmp_path / "whole", catalog, time={"composite": "max"})
    run_tiles(whole)

    outcomes = run_tiles(narrow)

    assert State.FAILED not in states(outcomes)
    for mine, other in zip(read_cube(narrow), read_cube(whole), strict=True):
        assert np.array_equal(mine, other)


def test_a_later_index_that_kept_scenes_have_no_bands_for_leaves_them_out(
    project: Project, catalog: Path
) -> None:
    before = read_cube(project)
    both = over_two_tiles(
        project.root,
        catalog,
        scenes={"max_cloud_cover": 1},
        indices={"names": ["ndvi", "ndmi"]},
    )

    run_tiles(both)

    for mine, other in zip(read_cube(both), before, strict=True):
        assert np.array_equal(mine, other)


def test_an_unreadable_item_is_a_doubt_and_its_earlier_results_stay(
    project: Project, catalog: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = pixels(project)
    (catalog / LATER.id / f"{LATER.id}.json").write_text('{"type": "Feat')
    shutil.rmtree(catalog / WEST.id)

    outcomes = run_tiles(project)

    assert states(outcomes) == {State.UNCHANGED}
    assert pixels(project) == before
    assert "could not be read whole: 1" in statements(caplog)
    assert {row["subject"] for row in rows(project, "quarantine")} == {LATER.id}
    write_granule(catalog, LATER)
    run_tiles(project)
    assert not any(WEST.id in path for path in pixels(project))


def test_files_that_are_gone_while_their_items_stay_take_nothing_with_them(
    project: Project, catalog: Path
) -> None:
    before = pixels(project)
    for granule in (WEST, EAST, SOUTH, LATER):
        for file in (catalog / granule.id).glob("*.tif"):
            file.unlink()

    outcomes = run_tiles(project)

    assert states(outcomes) == {State.UNCHANGED}
    assert pixels(project) == before
    assert {row["reason"] for row in rows(project, "quarantine")} == {"missing_object"}


def test_a_better_version_that_cannot_be_read_does_not_replace_the_one_before(
    project: Project, catalog: Path
) -> None:
    granule = {"grid:code": "MGRS-33TTM", "s2:datatake_id": "GS2A_20230820_1"}
    write_granule(catalog, LATER, item=LATER.item(**granule))
    run_tiles(project)
    before = read_cube(project)
    item = LATER.item(**granule, **{"s2:processing_baseline": "05.11"}) | {"id": "better"}
    folder = catalog / "better"
    folder.mkdir()
    (folder / "better.json").write_text(json.dumps(item))

    run_tiles(project)

    for mine, other in zip(read_cube(project), before, strict=True):
        assert np.array_equal(mine, other)


def test_a_tile_in_quarantine_keeps_the_raw_pixels_of_its_last_result(
    project: Project, catalog: Path
) -> None:
    before = pixels(project)
    for granule in (WEST, EAST, SOUTH, LATER):
        (catalog / granule.id / "B04.tif").write_bytes(b"no raster")

    outcomes = run_tiles(project)

    assert states(outcomes) == {State.QUARANTINED}
    assert {failure_of(each)[0] for each in outcomes.values()} == {"no_usable_scene"}
    assert pixels(project) == before


def test_a_store_without_a_register_keeps_what_the_catalogue_does_not_list(
    project: Project, catalog: Path
) -> None:
    """A store that an earlier version made."""
    before = pixels(project)
    store_of(project).delete(layout.scene_register())
    shutil.rmtree(catalog / LATER.id)

    assert states(run_tiles(project)) == {State.UNCHANGED}

    assert pixels(project) == before
    assert LATER.id not in SceneRegister.load(store_of(project)).scenes
