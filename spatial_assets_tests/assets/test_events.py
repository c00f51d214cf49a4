"""Events that Dagster gets for each tile: metadata, versions, checks, a preview."""

from __future__ import annotations

import base64
import io
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
from PIL import Image

from spatial_assets.project import Project
from spatial_assets_tests.fixtures.dagster_runs import (
    BOUNDARIES,
    CHAIN,
    definitions,
    evaluations,
    materialize,
    newest_materialization,
    newest_metadata,
    tags_of,
    versions,
)
from spatial_assets_tests.fixtures.ten_village_project import (
    first_tiles,
    ten_villages_with_districts,
)

FACTS = {"dagster/uri", "bytes", "scenes", "valid_fraction", "seconds", "state"}
TILE_CHECKS = {
    ("raw_tile", "source_intact"),
    ("reprojected_raster", "pixel_alignment"),
    ("ndvi", "index_range"),
}
RUN_CHECKS = {
    ("raw_tile", "backlog"),
    ("ndvi_by_boundary", "parts_fit"),
    ("tile_index", "no_orphans"),
    ("tile_index", "table_is_sound"),
}
MAX_PICTURE_BYTES = 8_192


@dataclass(frozen=True)
class Made:
    """The chain, run once for one tile or for a range of three."""

    defs: dg.Definitions
    instance: dg.DagsterInstance
    tiles: tuple[str, ...]
    run: dg.ExecuteInProcessResult


@pytest.fixture(scope="module", params=[1, 3], ids=["single", "range"])
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Made]:
    project = ten_villages_with_districts(tmp_path_factory.mktemp("made"))
    defs, tiles = definitions(project), first_tiles(project, request.param)
    with dg.DagsterInstance.ephemeral() as instance:
        materialize(defs, instance, BOUNDARIES)
        yield Made(defs, instance, tiles, materialize(defs, instance, CHAIN, tiles=tiles))


def test_each_tile_has_the_same_facts_at_every_stage(made: Made) -> None:
    assert made.run.success
    for tile in made.tiles:
        for asset in CHAIN:
            facts = newest_metadata(made.instance, asset, tile)
            assert facts.keys() >= FACTS, asset
            assert facts["state"] == "materialized"
            assert facts["scenes"] == 1
            assert 0 < facts["valid_fraction"] <= 1
        assert newest_metadata(made.instance, "ndvi_by_boundary", tile)["dagster/row_count"] >= 1
        assert newest_metadata(made.instance, "tile_index", tile)["dagster/row_count"] == 1


def test_every_event_names_its_code_and_its_inputs(made: Made) -> None:
    known = {asset: versions(made.instance, asset, made.tiles) for asset in CHAIN}
    specs = {spec.key.to_user_string(): spec for spec in made.defs.resolve_all_asset_specs()}
    for tile, asset in itertools.product(made.tiles, CHAIN):
        tags = tags_of(made.instance, asset, tile)
        assert tags["dagster/code_version"] == specs[asset].code_version
        inputs = [dep.asset_key.to_user_string() for dep in specs[asset].deps]
        for name in inputs:
            assert int(tags[f"dagster/input_event_pointer/{name}"]) > 0
            assert tags[f"dagster/input_data_version/{name}"]
        if len(made.tiles) > 1:  # alone, Dagster writes a hash of all the input tiles it read
            for name in set(inputs) & set(CHAIN):
                assert tags[f"dagster/input_data_version/{name}"] == known[name][tile]
    assert all(len(set(found.values())) == len(made.tiles) for found in known.values())


def test_checks_are_of_one_tile_and_name_the_materialization_they_speak_of(made: Made) -> None:
    found = evaluations(made.instance, made.run.run_id)

    assert found.keys() == {(*check, tile) for check in TILE_CHECKS for tile in made.tiles} | {
        (*check, None) for check in RUN_CHECKS
    }
    assert all(evaluation.passed for evaluation in found.values())
    for (asset, _, tile), evaluation in found.items():
        wanted = dg.AssetRecordsFilter(
            dg.AssetKey(asset), asset_partitions=[tile] if tile else None
        )
        latest = made.instance.fetch_materializations(wanted, limit=1).records[0]
        assert evaluation.target_materialization_data is not None
        assert evaluation.target_materialization_data.storage_id == latest.storage_id


def test_an_index_shows_a_small_picture_of_itself(made: Made) -> None:
    for tile in made.tiles:
        markdown = newest_metadata(made.instance, "ndvi", tile)["preview"]
        assert markdown.startswith(f"![ndvi {tile}](data:image/png;base64,")
        assert len(markdown) <= MAX_PICTURE_BYTES
        data = base64.b64decode(markdown.partition("base64,")[2].rstrip(")"))
        with Image.open(io.BytesIO(data)) as picture:
            assert len(picture.convert("RGB").getcolors() or []) > 3
        assert {
            asset for asset in CHAIN if "preview" in newest_metadata(made.instance, asset, tile)
        } == {"ndvi"}


def test_several_indices_share_a_check_a_tile_and_the_first_has_the_picture(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    project = ten_villages_with_districts(tmp_path, indices={"names": ["ndvi", "savi"]})
    defs, tiles = definitions(project), first_tiles(project, 2)
    stages = [spec.key.to_user_string() for spec in defs.resolve_all_asset_specs()]
    materialize(defs, instance, BOUNDARIES)

    run = materialize(defs, instance, set(stages) - set(BOUNDARIES), tiles=tiles)

    assert run.success
    found = evaluations(instance, run.run_id)
    assert {check for _, check, tile in found if tile} == {name for _, name in TILE_CHECKS}
    assert sum(tile == tiles[0] for _, _, tile in found) == 3
    judged = str(found["ndvi", "index_range", tiles[0]].metadata["removed_by_index"].value)
    assert judged.startswith("ndvi 0.")
    assert "savi 0." in judged
    assert found["savi", "same_tiles", None].passed
    assert "preview" in newest_metadata(instance, "ndvi", tiles[0])
    assert "preview" not in newest_metadata(instance, "savi", tiles[0])
    assert newest_metadata(instance, "tile_index", tiles[0])["dagster/row_count"] == 2


def test_one_stage_alone_is_made_from_what_is_stored(
    project: Project, instance: dg.DagsterInstance
) -> None:
    defs, tiles = definitions(project), first_tiles(project, 2)
    materialize(defs, instance, ["raw_tile", "reprojected_raster"], tiles=tiles)

    run = materialize(defs, instance, ["ndvi"], tiles=tiles)

    assert run.success
    assert {check for _, check, _ in evaluations(instance, run.run_id)} == {"index_range"}
    made = versions(instance, "reprojected_raster", tiles)
    for tile in tiles:
        tags = tags_of(instance, "ndvi", tile)
        assert tags["dagster/input_data_version/reprojected_raster"] == made[tile]


def test_a_stage_without_its_inputs_fails_and_names_what_to_select(
    project: Project, instance: dg.DagsterInstance
) -> None:
    run = materialize(definitions(project), instance, ["ndvi"], tiles=first_tiles(project, 1))

    assert not run.success
    data = run.failure_data_for_node("tile_chain")
    assert data is not None
    assert data.user_failure_data is not None
    assert '--select "reprojected_raster+"' in str(data.user_failure_data.description)


def test_a_catalogue_that_is_not_there_is_one_plain_failure(
    project: Project, instance: dg.DagsterInstance
) -> None:
    catalog = Path(project.catalog_url)
    catalog.rename(catalog.with_name("elsewhere"))

    run = materialize(definitions(project), instance, ["raw_tile"], tiles=first_tiles(project, 2))

    assert not run.success
    data = run.failure_data_for_node("tile_chain")
    assert data is not None
    assert data.user_failure_data is not None
    assert str(catalog) in str(data.user_failure_data.description)
    assert newest_materialization(instance, "raw_tile") is None
