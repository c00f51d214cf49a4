"""A tile checked again and found unchanged is renewed, and nothing downstream is requested."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import dagster as dg
import pytest

from spatial_assets import tile_asset
from spatial_assets.project import Project
from spatial_assets_tests.fixtures.dagster_runs import (
    BOUNDARIES,
    CHAIN,
    definitions,
    evaluations,
    materialize,
    newest_metadata,
    versions,
)
from spatial_assets_tests.fixtures.ten_village_project import first_tiles, rewrite_scene


@pytest.mark.parametrize("count", [1, 2], ids=["single", "range"])
def test_an_unchanged_tile_is_renewed_with_the_same_versions(
    project: Project, instance: dg.DagsterInstance, count: int
) -> None:
    defs, tiles = definitions(project), first_tiles(project, count)
    materialize(defs, instance, BOUNDARIES)
    materialize(defs, instance, CHAIN, tiles=tiles)
    before = {asset: versions(instance, asset, tiles) for asset in CHAIN}

    again = materialize(defs, instance, CHAIN, tiles=tiles)

    assert again.success
    assert {asset: versions(instance, asset, tiles) for asset in CHAIN} == before
    for asset, tile in itertools.product(CHAIN, tiles):
        assert newest_metadata(instance, asset, tile)["state"] == "unchanged"
    # Dagster counts a check only if it names the newest materialization
    of_the_tables = 4  # two of tile_index, one of the statistics, the backlog
    assert len(evaluations(instance, again.run_id)) == 3 * count + of_the_tables


def requested(
    defs: dg.Definitions, instance: dg.DagsterInstance, cursor: object
) -> tuple[set[str], object]:
    """The tiles of `follower` that automation requests at this tick."""
    result = dg.evaluate_automation_conditions(
        defs=defs,
        instance=instance,
        asset_selection=dg.AssetSelection.assets("follower"),
        cursor=cursor,  # type: ignore[arg-type]
    )
    key = dg.AssetKey("follower")
    return set(result.get_requested_partitions(key)), result.cursor  # type: ignore[arg-type]


def follower_of(project: Project, *inputs: str) -> dg.AssetsDefinition:
    def follower() -> None:
        """Made whenever its inputs change."""

    made = tile_asset(follower, project=project, deps=inputs)
    assert isinstance(made, dg.AssetsDefinition)
    return made


def followed(
    project: Project, instance: dg.DagsterInstance, inputs: Sequence[str]
) -> tuple[dg.Definitions, object]:
    """Everything made for three tiles, and automation that has nothing more to request."""
    tiles = first_tiles(project, 3)
    defs = definitions(project, follower_of(project, *inputs))
    materialize(defs, instance, BOUNDARIES)
    materialize(defs, instance, CHAIN, tiles=tiles)
    _, cursor = requested(defs, instance, None)
    for tile in tiles:
        materialize(defs, instance, ["follower"], tiles=[tile])
    due, cursor = requested(defs, instance, cursor)
    assert not due
    return defs, cursor


def test_what_follows_goes_by_changed_data_and_not_by_renewal(
    project: Project, instance: dg.DagsterInstance
) -> None:
    tiles = first_tiles(project, 3)
    defs, cursor = followed(project, instance, ["ndvi"])

    materialize(defs, instance, CHAIN, tiles=tiles)
    after_renewal, cursor = requested(defs, instance, cursor)
    rewrite_scene(project, tiles[1], seed=8)
    materialize(defs, instance, CHAIN, tiles=tiles)
    after_change, _ = requested(defs, instance, cursor)

    assert after_renewal == set()
    assert after_change == {tiles[1]}


def test_boundaries_loaded_again_as_they_were_call_for_nothing(
    project: Project, instance: dg.DagsterInstance
) -> None:
    defs, cursor = followed(project, instance, ["ndvi", "boundaries"])

    materialize(defs, instance, BOUNDARIES)
    due, _ = requested(defs, instance, cursor)

    assert due == set()


def test_a_new_tile_is_followed_once_it_exists(
    project: Project, instance: dg.DagsterInstance
) -> None:
    tiles = first_tiles(project, 4)
    defs, cursor = followed(project, instance, ["ndvi"])
    before, cursor = requested(defs, instance, cursor)

    materialize(defs, instance, CHAIN, tiles=[tiles[3]])
    after, _ = requested(defs, instance, cursor)

    assert before == set()
    assert after == {tiles[3]}


def test_tiles_that_were_there_first_are_made_when_automation_is_turned_on(
    project: Project, instance: dg.DagsterInstance
) -> None:
    defs = definitions(project, follower_of(project, "ndvi"))
    materialize(defs, instance, BOUNDARIES)
    materialize(defs, instance, CHAIN, tiles=first_tiles(project, 2))

    _, cursor = requested(defs, instance, None)
    due, _ = requested(defs, instance, cursor)

    assert due == set(first_tiles(project, 2))


def test_a_tile_that_failed_waits_until_its_inputs_change(
    project: Project, instance: dg.DagsterInstance
) -> None:
    def follower() -> None:
        raise RuntimeError

    tiles = first_tiles(project, 2)
    defs = definitions(project, tile_asset(follower, project=project, deps=["ndvi"]))
    materialize(defs, instance, ["raw_tile", "reprojected_raster", "ndvi"], tiles=tiles)
    _, cursor = requested(defs, instance, None)
    due, cursor = requested(defs, instance, cursor)
    for tile in due:
        assert not materialize(defs, instance, ["follower"], tiles=[tile]).success
    after_failing, cursor = requested(defs, instance, cursor)
    rewrite_scene(project, tiles[0], seed=8)
    materialize(defs, instance, ["raw_tile", "reprojected_raster", "ndvi"], tiles=tiles)
    after_change, _ = requested(defs, instance, cursor)

    assert due == set(tiles)
    assert after_failing == set()
    assert after_change == {tiles[0]}
