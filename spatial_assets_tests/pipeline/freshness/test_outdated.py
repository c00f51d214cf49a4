"""Inputs of tiles are recorded, and tiles whose inputs differ are found."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import shapely

from spatial_assets.catalog import find_scenes
from spatial_assets.catalog.scene import Catalogue, SceneVersion
from spatial_assets.pipeline.boundaries import BoundaryPipeline
from spatial_assets.pipeline.engines.engine import InlineEngine
from spatial_assets.pipeline.freshness.outdated import (
    HashByTile,
    outdated_stages,
    pending_changes,
    tiles_with_changed_boundaries,
    tiles_with_changed_scenes,
)
from spatial_assets.pipeline.freshness.stage_inputs import (
    InputsByStage,
    SceneIndex,
    hash_of_boundaries,
    inputs_by_stage,
    inputs_from_rows,
)
from spatial_assets.pipeline.outcome import State
from spatial_assets.pipeline.run.driver import TilePipeline
from spatial_assets.pipeline.stages import RAW, chain_of
from spatial_assets.pipeline.tile.validated_boundaries import ValidatedBoundaries
from spatial_assets.project import Project
from spatial_assets.stores.tables.connect import open_database
from spatial_assets_tests.fixtures.pipeline_runs import (
    NOON,
    rows,
    run_tiles,
    stage_of,
    states,
    store_of,
)
from spatial_assets_tests.fixtures.ten_village_project import ten_tiles, ten_villages, village_scene
from spatial_assets_tests.fixtures.two_zone_project import write_granule

LATER = NOON + dt.timedelta(days=3)
PONDS = {"name": "ponds", "source": "ponds.geojson", "key": "id"}
STAGES = ("raw_tile", "reprojected_raster", "ndvi", "tile_index")


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    """A folder for scenes."""
    return tmp_path / "villages"


@pytest.fixture
def project(catalog: Path, tmp_path: Path) -> Project:
    """Ten villages, none of them made."""
    return ten_villages(tmp_path / "project", catalog)


def recipes(project: Project) -> dict[str, InputsByStage]:
    return inputs_from_rows(rows(project, "tile_inputs"))


def features_of(project: Project) -> HashByTile:
    """The boundaries that touch a tile, as they are validated now."""
    boundaries = ValidatedBoundaries(store_of(project), project.pixel_grid)
    return lambda tile: hash_of_boundaries(boundaries.features(["ponds"], tile))


def validate_ponds(project: Project, tiles: Sequence[str], *, wider: str = "") -> None:
    """A pond in the middle of each tile, one of them wider than the others."""
    features = []
    for tile in tiles:
        centre = project.partitioning.tile(tile).footprint(project.pixel_grid).centroid
        pond = centre.buffer(0.02 if tile == wider else 0.01)
        geometry = json.loads(shapely.to_geojson(pond))
        features.append({"type": "Feature", "properties": {"id": tile}, "geometry": geometry})
    document = {"type": "FeatureCollection", "features": features}
    (project.root / "ponds.geojson").write_text(json.dumps(document))
    (settings,) = project.boundaries
    steps = BoundaryPipeline(
        project=project, settings=settings, store=store_of(project), clock=lambda: NOON
    )
    steps.fetch()
    steps.validate()


def outdated(project: Project, **changes: object) -> dict[str, dict[str, tuple[str, ...]]]:
    """Tile -> stage -> what changed, of a project whose settings are changed."""
    now = project.model_copy(update=changes)
    sky = SceneIndex(find_scenes(now).scene_versions)
    found = {
        tile: outdated_stages(now, tile, before=before, scene_index=sky, boundary_hashes=None)
        for tile, before in recipes(project).items()
    }
    return {tile: stages for tile, stages in found.items() if stages}


def test_nothing_is_outdated_after_a_run(project: Project) -> None:
    run_tiles(project)

    assert set(recipes(project)) == set(project.partitioning.keys)
    assert all(tuple(recipe) == tuple(sorted(STAGES)) for recipe in recipes(project).values())
    assert outdated(project) == {}


def test_a_new_scene_outdates_the_tiles_it_touches_from_the_first_stage_on(
    project: Project, catalog: Path
) -> None:
    run_tiles(project)
    tile = ten_tiles(project)[4]

    write_granule(catalog, village_scene(project, tile, id="new"))

    assert outdated(project) == {tile: dict.fromkeys(STAGES, ("scenes",))}
    run_tiles(project, keys=[tile])
    assert outdated(project) == {}


def test_a_scene_that_is_withdrawn_outdates_its_tile(project: Project, catalog: Path) -> None:
    run_tiles(project)
    tile = ten_tiles(project)[2]

    (catalog / f"v{tile}" / f"v{tile}.json").unlink()

    assert set(outdated(project)) == {tile}
    run_tiles(project, keys=[tile])
    assert outdated(project) == {}


def test_a_setting_outdates_the_stages_that_it_reaches(project: Project) -> None:
    run_tiles(project)

    found = outdated(project, time=project.time.model_copy(update={"composite": "max"}))

    assert set(found) == set(project.partitioning.keys)
    assert {json.dumps(each) for each in found.values()} == {
        json.dumps({"ndvi": ["settings"], "tile_index": ["settings"]})
    }


def test_what_was_made_from_stored_stages_follows_from_what_those_followed_from(
    project: Project, catalog: Path
) -> None:
    run_tiles(project)
    tile = ten_tiles(project)[0]
    write_granule(catalog, village_scene(project, tile, id="new"))

    run_tiles(project, keys=[tile], stages=["raw_tile"])

    assert outdated(project) == {tile: dict.fromkeys(STAGES[1:], ("scenes",))}
    run_tiles(project, keys=[tile], stages=["ndvi", "reprojected_raster"])
    assert outdated(project) == {tile: {"tile_index": ("scenes",)}}


def test_a_tile_found_unchanged_was_checked(project: Project) -> None:
    tiles = ten_tiles(project)[:2]
    run_tiles(project, keys=tiles)
    before = recipes(project)

    again = run_tiles(project, keys=tiles[:1], now=LATER)

    assert states(again) == {State.UNCHANGED}
    assert recipes(project) == before
    looked = {row["tile"]: row["looked_at"] for row in rows(project, "tile_inputs")}
    assert looked == {tiles[0]: LATER, tiles[1]: NOON}


def test_an_interrupted_run_records_the_tiles_it_checked(project: Project) -> None:
    tiles = ten_tiles(project)[:2]
    run_tiles(project, keys=tiles)

    with open_database(project.database_url) as database:
        pipeline = TilePipeline(
            project=project,
            store=store_of(project),
            database=database,
            engine=InlineEngine(),
            clock=lambda: LATER,
            owner="test",
        )
        outcomes = pipeline.run(tiles, stages=STAGES)
        assert next(outcomes).tile == tiles[0]
        outcomes.close()

    looked = {row["tile"]: row["looked_at"] for row in rows(project, "tile_inputs")}
    assert looked == {tiles[0]: LATER, tiles[1]: NOON}


def test_stages_computed_from_stored_ones_do_not_count_as_a_check(project: Project) -> None:
    (tile,) = tiles = ten_tiles(project)[:1]
    run_tiles(project, keys=tiles)

    run_tiles(project, keys=tiles, stages=["ndvi"], now=LATER)

    assert [row["looked_at"] for row in rows(project, "tile_inputs")] == [NOON]
    assert tile in recipes(project)


def test_a_tile_in_quarantine_is_outdated_when_its_input_changes(
    project: Project, catalog: Path
) -> None:
    (tile,) = tiles = ten_tiles(project)[:1]
    (catalog / f"v{tile}" / "B04.tif").write_bytes(b"")
    assert states(run_tiles(project, keys=tiles)) == {State.QUARANTINED}
    assert outdated(project) == {}

    write_granule(catalog, village_scene(project, tile))

    assert set(outdated(project)) == {tile}


def test_a_stage_that_failed_made_nothing_of_its_inputs(project: Project, catalog: Path) -> None:
    (tile,) = tiles = ten_tiles(project)[:1]
    run_tiles(project, keys=tiles)
    before = recipes(project)
    write_granule(catalog, village_scene(project, tile, id="new"))
    tight = project.model_copy(
        update={"compute": project.compute.model_copy(update={"memory_mb": 1})}
    )

    outcome = run_tiles(tight, keys=tiles)[tile]

    assert stage_of(outcome, RAW).state is State.FAILED
    assert recipes(project) == before
    assert set(outdated(project)) == {tile}


def test_a_scene_without_a_footprint_covers_no_tile() -> None:
    nowhere = SceneVersion(id="a", version="1", footprint=None)
    here = SceneVersion(id="b", version="1", footprint=shapely.box(0, 0, 2, 2))
    place = shapely.box(1, 1, 3, 3)

    assert SceneIndex([nowhere, here]).over(place) == (here,)
    assert SceneIndex([nowhere, here]).scenes_hash(place) == SceneIndex([here]).scenes_hash(place)
    assert SceneIndex([here]).scenes_hash(place) != SceneIndex([]).scenes_hash(place)
    assert SceneIndex([replace(here, version="2")]).scenes_hash(place) != SceneIndex(
        [here]
    ).scenes_hash(place)


def test_only_the_tiles_under_a_change_are_wanted_and_only_until_they_are_made(
    project: Project, catalog: Path
) -> None:
    run_tiles(project)
    tile, other = ten_tiles(project)[3:5]
    write_granule(catalog, village_scene(project, tile, id="new"))
    sky = SceneIndex(find_scenes(project).scene_versions)
    why = {tile: "scene new is new", other: "scene new is new"}

    (wanted,) = tiles_with_changed_scenes(project, sky, recipes(project), why=why, now=LATER)

    assert (wanted.tile, wanted.stage, wanted.why) == (tile, RAW, "scene new is new")
    run_tiles(project, keys=[tile])
    assert recipes(project)[tile][RAW].scenes == wanted.wanted
    assert not list(tiles_with_changed_scenes(project, sky, recipes(project), why=why, now=LATER))
    assert not list(tiles_with_changed_scenes(project, sky, {}, why=why, now=LATER))


def test_a_catalogue_without_scene_versions_outdates_nothing(project: Project) -> None:
    def find(project: Project) -> Catalogue:
        return replace(find_scenes(project), scene_versions=())

    (tile,) = tiles = ten_tiles(project)[:1]
    run_tiles(project, keys=tiles, find=find)

    assert (
        outdated_stages(
            project,
            tile,
            before=recipes(project)[tile],
            scene_index=SceneIndex(()),
            boundary_hashes=None,
        )
        == {}
    )


def test_a_changed_boundary_is_wanted_by_the_statistics_of_the_tiles_it_touches(
    catalog: Path, tmp_path: Path
) -> None:
    project = ten_villages(tmp_path / "project", catalog, boundaries=PONDS)
    tiles = ten_tiles(project)[:4]
    validate_ponds(project, tiles)
    run_tiles(project, keys=tiles)
    assert not list(
        tiles_with_changed_boundaries(project, features_of(project), recipes(project), now=LATER)
    )

    validate_ponds(project, tiles, wider=tiles[2])

    (wanted,) = tiles_with_changed_boundaries(
        project, features_of(project), recipes(project), now=LATER
    )
    assert (wanted.tile, wanted.stage) == (tiles[2], "ndvi_by_boundary")
    sky = SceneIndex(find_scenes(project).scene_versions)
    assert outdated_stages(
        project,
        tiles[2],
        before=recipes(project)[tiles[2]],
        scene_index=sky,
        boundary_hashes=features_of(project),
    ) == {"ndvi_by_boundary": ("boundaries",)}
    run_tiles(project, keys=[tiles[2]], stages=["ndvi_by_boundary"])
    assert not pending_changes([wanted], recipes(project))


def test_statistics_follow_from_boundaries_and_nothing_else_does(project: Project) -> None:
    boundaries = {stage: hash_of_boundaries({"a": "1"}) for stage in chain_of(project).statistics}

    recipe = inputs_by_stage(project, scenes="s", boundaries=boundaries)

    assert [stage for stage, inputs in recipe.items() if inputs.boundaries] == list(boundaries)
