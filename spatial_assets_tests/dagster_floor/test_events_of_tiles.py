"""What Dagster is told of each tile: facts, versions, checks, a picture."""

from __future__ import annotations

import base64
import io
import itertools

import dagster as dg
import pytest
from PIL import Image

from spatial_assets.project import Project
from spatial_assets_tests.dagster_floor.land import first
from spatial_assets_tests.dagster_floor.running import (
    BOUNDARIES,
    CHAIN,
    definitions,
    evaluations,
    materialize,
    tags_of,
    told,
    versions,
)

FACTS = {"dagster/uri", "bytes", "scenes", "valid_fraction", "seconds", "state"}
TILE_CHECKS = {
    ("raw_tile", "source_intact"),
    ("reprojected_raster", "pixel_alignment"),
    ("ndvi", "index_range"),
}
RUN_CHECKS = {("ndvi_by_boundary", "parts_fit"), ("tile_index", "no_orphans")}
MAX_PICTURE_BYTES = 8_192


@pytest.mark.parametrize("count", [1, 3], ids=["single", "range"])
def test_each_tile_has_the_same_facts_at_every_stage(
    project: Project, instance: dg.DagsterInstance, count: int
) -> None:
    defs, tiles = definitions(project), first(project, count)
    assert materialize(defs, instance, BOUNDARIES).success

    run = materialize(defs, instance, CHAIN, tiles=tiles)

    assert run.success
    for tile in tiles:
        for asset in CHAIN:
            facts = told(instance, asset, tile)
            assert facts.keys() >= FACTS, asset
            assert facts["state"] == "materialized"
            assert facts["scenes"] == 1
            assert 0 < facts["valid_fraction"] <= 1
        assert told(instance, "ndvi_by_boundary", tile)["dagster/row_count"] >= 1
        assert told(instance, "tile_index", tile)["dagster/row_count"] == 1


@pytest.mark.parametrize("count", [1, 3], ids=["single", "range"])
def test_every_event_says_what_it_was_made_by_and_from(
    project: Project, instance: dg.DagsterInstance, count: int
) -> None:
    defs, tiles = definitions(project), first(project, count)
    materialize(defs, instance, BOUNDARIES)
    materialize(defs, instance, CHAIN, tiles=tiles)

    known = {asset: versions(instance, asset, tiles) for asset in CHAIN}
    specs = {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}
    for tile, asset in itertools.product(tiles, CHAIN):
        tags = tags_of(instance, asset, tile)
        assert tags["dagster/code_version"] == "1"
        inputs = [dep.asset_key.to_user_string() for dep in specs[asset].deps]
        for name in inputs:
            assert int(tags[f"dagster/input_event_pointer/{name}"]) > 0
            assert tags[f"dagster/input_data_version/{name}"]
        if count > 1:  # alone, Dagster writes a hash of the versions of all its input tiles
            for name in set(inputs) & set(CHAIN):
                assert tags[f"dagster/input_data_version/{name}"] == known[name][tile]
    assert all(len(set(found.values())) == count for found in known.values())


@pytest.mark.parametrize("count", [1, 3], ids=["single", "range"])
def test_checks_are_of_one_tile_and_name_the_materialization_they_speak_of(
    project: Project, instance: dg.DagsterInstance, count: int
) -> None:
    defs, tiles = definitions(project), first(project, count)
    materialize(defs, instance, BOUNDARIES)

    run = materialize(defs, instance, CHAIN, tiles=tiles)

    found = evaluations(instance, run.run_id)
    assert found.keys() == {(*check, tile) for check in TILE_CHECKS for tile in tiles} | {
        (*check, None) for check in RUN_CHECKS
    }
    assert all(evaluation.passed for evaluation in found.values())
    for (asset, _, tile), evaluation in found.items():
        wanted = dg.AssetRecordsFilter(
            dg.AssetKey(asset), asset_partitions=[tile] if tile else None
        )
        latest = instance.fetch_materializations(wanted, limit=1).records[0]
        assert evaluation.target_materialization_data is not None
        assert evaluation.target_materialization_data.storage_id == latest.storage_id


@pytest.mark.parametrize("count", [1, 3], ids=["single", "range"])
def test_an_index_shows_a_small_picture_of_itself(
    project: Project, instance: dg.DagsterInstance, count: int
) -> None:
    defs, tiles = definitions(project), first(project, count)
    materialize(defs, instance, ["raw_tile", "reprojected_raster", "ndvi"], tiles=tiles)

    for tile in tiles:
        markdown = told(instance, "ndvi", tile)["preview"]
        assert markdown.startswith(f"![ndvi {tile}](data:image/png;base64,")
        assert len(markdown) <= MAX_PICTURE_BYTES
        data = base64.b64decode(markdown.partition("base64,")[2].rstrip(")"))
        with Image.open(io.BytesIO(data)) as picture:
            assert len(picture.convert("RGB").getcolors() or []) > 3
        assert "preview" not in told(instance, "raw_tile", tile)
        assert "preview" not in told(instance, "reprojected_raster", tile)


def test_one_stage_alone_is_made_from_what_is_stored(
    project: Project, instance: dg.DagsterInstance
) -> None:
    defs, tiles = definitions(project), first(project, 2)
    materialize(defs, instance, ["raw_tile", "reprojected_raster"], tiles=tiles)

    run = materialize(defs, instance, ["ndvi"], tiles=tiles)

    assert run.success
    assert {check for _, check, _ in evaluations(instance, run.run_id)} == {"index_range"}
    made = versions(instance, "reprojected_raster", tiles)
    for tile in tiles:
        tags = tags_of(instance, "ndvi", tile)
        assert tags["dagster/input_data_version/reprojected_raster"] == made[tile]


def test_a_stage_without_its_inputs_fails_and_says_what_to_select(
    project: Project, instance: dg.DagsterInstance
) -> None:
    run = materialize(definitions(project), instance, ["ndvi"], tiles=first(project, 1))

    assert not run.success
    data = run.failure_data_for_node("tile_chain")
    assert data is not None
    assert data.user_failure_data is not None
    assert '--select "reprojected_raster+"' in str(data.user_failure_data.description)
