"""No result disappears because a catalogue was not there, or is asked for less than before.

Single cases with what the user reads about them; test_silent_loss.py tries sequences of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spatial_assets.errors import CatalogueShrunkError, SceneError
from spatial_assets.pipeline.outcome import State
from spatial_assets.pipeline.run.scenes_of_run import RunScenes
from spatial_assets.pipeline.tile import raw_tile
from spatial_assets.project import Project
from spatial_assets.stores import layout
from spatial_assets_tests.fixtures.answering_catalogue import (
    SCENES,
    Answer,
    AnsweringCatalogue,
    granule,
    project_of_one_tile,
    with_settings,
)
from spatial_assets_tests.fixtures.pipeline_runs import (
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
from spatial_assets_tests.fixtures.two_zone_project import AREA, EAST, write_project

FILL = -32768
AUGUST, SEPTEMBER = "2023-08-01/2023-08-31", "2023-09-01/2023-09-30"


@pytest.fixture
def catalogue(tmp_path: Path) -> AnsweringCatalogue:
    """A catalogue that lists five scenes."""
    catalogue = AnsweringCatalogue(tmp_path)
    catalogue.lay_out(Answer())
    return catalogue


@pytest.fixture
def project(catalogue: AnsweringCatalogue) -> Project:
    """A project over one tile, computed once from all five scenes."""
    project = project_of_one_tile(catalogue.folder.parent)
    assert states(run_tiles(project)) == {State.MATERIALIZED}
    return project


def listing(scenes: str) -> Answer:
    """Return the answer that lists some scenes, each named by a letter."""
    return Answer(listed=dict.fromkeys(scenes, 1))


def edited(project: Project, **scenes: object) -> Project:
    """Return the project with other settings in [scenes]."""
    return with_settings(project, scenes=scenes, composite="median")


def statements(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(record.message for record in caplog.records)


def raw_scenes(project: Project) -> set[str]:
    """Scenes of which the store has raw pixels."""
    return {path.split("/")[2] for path in stored_objects(project) if path.startswith("raw_tile/")}


def test_an_empty_folder_stops_the_run_and_changes_nothing(
    project: Project, catalogue: AnsweringCatalogue
) -> None:
    stored, rows_before = stored_objects(project), tables(project)
    catalogue.lay_out(listing(""))

    with pytest.raises(CatalogueShrunkError, match=r"lacks 5 of the 5 scenes.*withdrawn_share"):
        run_tiles(project)

    assert changed_objects(stored, project) == set()
    assert tables(project) == rows_before


def test_a_catalogue_that_lost_more_than_the_share_stops_the_run_and_less_is_withdrawn(
    project: Project, catalogue: AnsweringCatalogue, caplog: pytest.LogCaptureFixture
) -> None:
    stored = stored_objects(project)
    catalogue.lay_out(listing("ab"))
    with pytest.raises(CatalogueShrunkError, match="lacks 3 of the 5 scenes"):
        run_tiles(project)
    assert changed_objects(stored, project) == set()

    catalogue.lay_out(listing("abc"))
    run_tiles(project)

    assert raw_scenes(project) == {"a", "b", "c"}
    assert "scenes withdrawn from the catalogue: 2" in statements(caplog)


def test_a_share_of_one_lets_everything_go(project: Project, catalogue: AnsweringCatalogue) -> None:
    catalogue.lay_out(listing(""))
    checks = project.checks.model_copy(update={"withdrawn_share": 1.0})

    outcomes = run_tiles(project.model_copy(update={"checks": checks}))

    assert states(outcomes) == {State.EMPTY}
    assert raw_scenes(project) == set()


@pytest.mark.parametrize(
    "scenes",
    [
        pytest.param({"collections": ("sentinel-2-l2b",)}, id="a typo in collections"),
        pytest.param({"max_cloud_cover": 1.0}, id="max_cloud_cover = 1"),
        pytest.param({"datetime": "2024-09-01/.."}, id="a time without scenes"),
    ],
)
def test_a_narrower_filter_keeps_what_was_made_and_says_so(
    project: Project, scenes: Mapping[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    before, rows_before = pixels(project), rows(project, "tile_index")

    outcomes = run_tiles(edited(project, **scenes))

    assert states(outcomes) == {State.UNCHANGED}
    assert pixels(project) == before
    assert rows(project, "tile_index") == rows_before
    assert "scenes no longer asked for by [scenes] and [area]: 5" in statements(caplog)
    (outcome,) = outcomes.values()
    assert stage_of(outcome, "raw_tile").facts["scenes_kept"] == 5


def test_moving_the_time_from_august_to_september_keeps_august_and_adds_september(
    project: Project, tmp_path: Path
) -> None:
    """The time axis starts with [scenes] datetime: the stored start stays."""
    fresh = project.model_copy(
        update={
            "time": project.time.model_copy(update={"start": None, "end": None}),
            "storage": project.storage.model_copy(update={"url": str(tmp_path / "fresh")}),
            "database": project.database.model_copy(
                update={"url": f"duckdb:///{tmp_path}/fresh.duckdb"}
            ),
        }
    )
    run_tiles(edited(fresh, datetime=AUGUST))
    before = pixels(fresh)
    september = edited(fresh, datetime=SEPTEMBER)

    outcomes = run_tiles(september)

    assert states(outcomes) == {State.MATERIALIZED}
    after = pixels(september)
    assert {path: after[path] for path in before} == before
    assert np.any(read_cube(september, period=1)[0] != FILL)
    assert {row["period"]: row["scenes"] for row in rows(september, "tile_index")} == {
        "2023-08": 3,
        "2023-09": 2,
    }
    assert states(run_tiles(september)) == {State.UNCHANGED}


def test_a_smaller_area_keeps_the_scenes_beside_it(shared_catalog: Path, tmp_path: Path) -> None:
    wide = write_project(tmp_path / "p", shared_catalog, area={"bbox": AREA})
    corner = {"bbox": [11.72, 46.25, 11.73, 46.26]}
    small = write_project(tmp_path / "p", shared_catalog, area=corner)
    run_tiles(wide, keys=small.tile_keys)
    before = pixels(small)
    assert any(EAST.id in path for path in before)

    run_tiles(small)

    assert pixels(small) == before


def test_a_later_index_that_kept_scenes_have_no_bands_for_leaves_them_out(
    project: Project,
) -> None:
    before = read_cube(project)
    indices = project.indices.model_copy(update={"names": ("ndvi", "ndmi")})
    both = edited(project, max_cloud_cover=1.0).model_copy(update={"indices": indices})

    run_tiles(both)

    for mine, other in zip(read_cube(both), before, strict=True):
        assert np.array_equal(mine, other)


def test_an_unreadable_item_is_named_and_withdraws_nothing(
    project: Project, catalogue: AnsweringCatalogue, caplog: pytest.LogCaptureFixture
) -> None:
    before = pixels(project)
    catalogue.lay_out(replace(listing("abcd"), cut="d"))

    assert states(run_tiles(project)) == {State.UNCHANGED}

    assert pixels(project) == before
    assert "could not be read whole: 1" in statements(caplog)
    assert {row["subject"] for row in rows(project, "quarantine")} == {"d"}
    catalogue.lay_out(listing("abcd"))
    run_tiles(project)
    assert raw_scenes(project) == {"a", "b", "c", "d"}


def test_files_that_are_gone_while_their_item_stays_take_nothing_with_them(
    project: Project, catalogue: AnsweringCatalogue
) -> None:
    before = pixels(project)
    catalogue.lay_out(replace(listing("abcde"), no_files="c"))

    assert states(run_tiles(project)) == {State.UNCHANGED}

    assert pixels(project) == before
    assert {row["reason"] for row in rows(project, "quarantine")} == {"missing_object"}


def test_a_changed_scene_that_cannot_be_reached_stays_as_it_was_until_it_can(
    project: Project, catalogue: AnsweringCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = pixels(project)
    catalogue.lay_out(Answer(listed={**dict.fromkeys(SCENES, 1), "b": 2}))

    def away(*_: object, **__: object) -> None:
        raise SceneError("the file is not there", reason="missing_object")

    with monkeypatch.context() as patched:
        patched.setattr(raw_tile, "read_raw", away)
        assert states(run_tiles(project)) == {State.UNCHANGED}
    assert pixels(project) == before

    assert states(run_tiles(project)) == {State.MATERIALIZED}


def test_a_better_version_that_cannot_be_read_does_not_replace_the_one_before(
    project: Project, catalogue: AnsweringCatalogue
) -> None:
    stated = {"grid:code": "MGRS-33TTM", "s2:datatake_id": "GS2A_20230820T100808_042600_N05.09"}
    catalogue.lay_out(Answer())
    path = catalogue.folder / "b" / "b.json"
    path.write_text(json.dumps(granule("b").item(**stated)))
    run_tiles(project)
    before = read_cube(project)
    better = granule("b").item(**stated, **{"s2:processing_baseline": "05.11"})
    (catalogue.folder / "better.json").write_text(json.dumps({**better, "id": "better"}))
    scenes = RunScenes(project, store_of(project), None)  # type: ignore[arg-type]
    assert [(each.id, each.by) for each in scenes.find(project).superseded] == [("b", "better")]

    run_tiles(project)

    for mine, other in zip(read_cube(project), before, strict=True):
        assert np.array_equal(mine, other)


def test_a_tile_in_quarantine_keeps_the_raw_pixels_of_its_last_result(
    project: Project, catalogue: AnsweringCatalogue
) -> None:
    before = pixels(project)
    for path in catalogue.folder.glob("*/B04.tif"):
        path.unlink()
        path.write_bytes(b"no raster")

    outcomes = run_tiles(project)

    assert states(outcomes) == {State.QUARANTINED}
    assert {failure_of(each)[0] for each in outcomes.values()} == {"no_usable_scene"}
    assert pixels(project) == before


def test_a_store_without_a_register_keeps_what_the_catalogue_does_not_list(
    project: Project, catalogue: AnsweringCatalogue
) -> None:
    """A store that an earlier version made."""
    before = pixels(project)
    store_of(project).delete(layout.scene_register())
    catalogue.lay_out(listing("abcd"))

    assert states(run_tiles(project)) == {State.UNCHANGED}

    assert pixels(project) == before
