"""Scene changes are recorded once for the tiles that they touch, even if a process dies."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from spatial_assets.errors import SourceUnavailableError
from spatial_assets.pipeline.freshness.change_detection import (
    CHANGED_BEFORE_FIRST_POLL,
    ChangeDetector,
)
from spatial_assets.pipeline.freshness.scene_register import change_register
from spatial_assets.pipeline.outcome import State
from spatial_assets.project import Project
from spatial_assets.stores import layout
from spatial_assets.stores.tables.connect import open_database
from spatial_assets_tests.fixtures.pipeline_runs import NOON, rows, run_tiles, states, store_of
from spatial_assets_tests.fixtures.ten_village_project import ten_tiles, ten_villages, village_scene
from spatial_assets_tests.fixtures.two_zone_project import write_granule

LATER = NOON + dt.timedelta(days=1)


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    """A folder for scenes."""
    return tmp_path / "villages"


@pytest.fixture
def project(catalog: Path, tmp_path: Path) -> Project:
    """Four materialized villages, after a first poll."""
    project = ten_villages(tmp_path / "project", catalog)
    run_tiles(project, keys=ten_tiles(project)[:4])
    with lookout(project) as found:
        found.record_scene_changes(now=NOON)
    return project


@contextmanager
def lookout(project: Project) -> Iterator[ChangeDetector]:
    with open_database(project.database_url) as database:
        yield ChangeDetector(project=project, store=store_of(project), database=database)


def noted(project: Project, *, now: dt.datetime = LATER) -> dict[str, str]:
    """Tile -> reason of its request, after a poll."""
    with lookout(project) as found:
        found.record_scene_changes(now=now)
    return {str(row["tile"]): str(row["why"]) for row in rows(project, "tile_wanted")}


def test_a_new_scene_is_noted_for_the_tiles_it_touches_until_they_have_followed(
    project: Project, catalog: Path
) -> None:
    tile = ten_tiles(project)[1]
    assert noted(project) == {}

    write_granule(catalog, village_scene(project, tile, id="new"))

    assert noted(project) == {tile: "scene new is new"}
    assert noted(project) == {tile: "scene new is new"}
    run_tiles(project, keys=[tile])
    assert noted(project) == {}


def test_a_tile_that_was_never_made_waits_for_its_first_run(
    project: Project, catalog: Path
) -> None:
    write_granule(catalog, village_scene(project, ten_tiles(project)[7], id="new"))

    assert noted(project) == {}


def test_a_withdrawn_scene_is_noted_where_it_was(project: Project, catalog: Path) -> None:
    tile = ten_tiles(project)[2]

    (catalog / f"v{tile}" / f"v{tile}.json").unlink()

    assert noted(project) == {tile: f"scene v{tile} is withdrawn"}


def test_a_damaged_file_is_noted_and_a_tile_that_followed_into_quarantine_is_not_noted_again(
    project: Project, catalog: Path
) -> None:
    tile = ten_tiles(project)[2]
    (catalog / f"v{tile}" / "B04.tif").write_bytes(b"no raster")
    assert noted(project) == {tile: f"scene v{tile} is changed"}

    assert states(run_tiles(project, keys=[tile])) == {State.QUARANTINED}

    assert noted(project) == {}
    write_granule(catalog, village_scene(project, tile))
    assert noted(project) == {tile: f"scene v{tile} is changed"}


def test_a_folder_that_is_not_mounted_is_no_withdrawal_of_all_scenes(
    project: Project, catalog: Path
) -> None:
    catalog.rename(catalog.with_name("elsewhere"))
    catalog.mkdir()

    with pytest.raises(SourceUnavailableError, match=r"lacks 10 of the 10 scenes.*it is mounted"):
        noted(project)

    assert rows(project, "tile_wanted") == []
    release_every_scene(project)
    assert set(noted(project)) == set(ten_tiles(project)[:4])


def test_a_filter_that_finds_nothing_is_no_withdrawal_of_all_scenes(
    project: Project, catalog: Path
) -> None:
    narrow = ten_villages(project.root, catalog, scenes={"collections": ["a typo"]})

    assert set(noted(narrow)) == set(ten_tiles(project)[:4])  # the runs then keep their results


def test_without_a_register_the_last_poll_tells_what_is_missing(
    project: Project, catalog: Path
) -> None:
    store_of(project).delete(layout.scene_register())
    shutil.rmtree(catalog)
    catalog.mkdir()

    with pytest.raises(SourceUnavailableError, match="lacks 10 of the 10 scenes"):
        noted(project)


def release_every_scene(project: Project) -> None:
    """Say that the scenes are gone, as `prune --scenes --yes` does."""
    change_register(
        store_of(project),
        lambda register: register.releasing(register.scenes),
        owner="test",
        clock=lambda: LATER,
    )
    store_of(project).delete(layout.catalogue_snapshot())


def test_the_first_poll_compares_with_the_stored_tiles(project: Project, catalog: Path) -> None:
    tile = ten_tiles(project)[3]
    store_of(project).delete(layout.catalogue_snapshot())
    assert noted(project) == {}

    store_of(project).delete(layout.catalogue_snapshot())
    write_granule(catalog, village_scene(project, tile, id="new"))

    assert noted(project) == {tile: CHANGED_BEFORE_FIRST_POLL}


def test_a_process_that_dies_before_the_cursor_is_set_polls_again(
    project: Project, catalog: Path
) -> None:
    tile, next_tile = ten_tiles(project)[:2]
    store, mark = store_of(project), layout.catalogue_snapshot()
    before = store.get(mark)
    write_granule(catalog, village_scene(project, tile, id="new"))
    assert noted(project) == {tile: "scene new is new"}
    store.put(mark, before)

    write_granule(catalog, village_scene(project, next_tile, id="newer"))

    assert noted(project) == {tile: "scene new is new", next_tile: "scene newer is new"}


def test_a_catalogue_that_does_not_answer_leaves_everything_as_it_was(
    project: Project, catalog: Path
) -> None:
    def no_answer(*_: object, **__: object) -> None:
        raise SourceUnavailableError("the archive is away")

    tile = ten_tiles(project)[0]
    write_granule(catalog, village_scene(project, tile, id="new"))

    with lookout(project) as found, pytest.raises(SourceUnavailableError):
        replace(found, poll=no_answer).record_scene_changes(now=LATER)  # type: ignore[arg-type]

    assert rows(project, "tile_wanted") == []
    assert noted(project) == {tile: "scene new is new"}


def test_a_project_without_tiles_is_polled_and_gets_no_database(
    catalog: Path, tmp_path: Path
) -> None:
    project = ten_villages(tmp_path / "project", catalog)

    with lookout(project) as found:
        arrivals = found.record_scene_changes(now=NOON)

    assert arrivals.pending == ()
    assert arrivals.summary == "scenes: unchanged; tiles to recompute: none"
    with lookout(project) as found:
        assert not found.database.has_table("tile_wanted")
