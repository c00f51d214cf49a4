"""A renewed tile writes what Dagster needs, and leads to the event that has the rest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import dagster as dg
import pytest

from spatial_assets.project import Project
from spatial_assets_tests.fixtures.dagster_runs import (
    BOUNDARIES,
    CHAIN,
    definitions,
    evaluations,
    materialize,
    newest_metadata,
)
from spatial_assets_tests.fixtures.ten_village_project import (
    first_tiles,
    ten_villages_with_districts,
    widen_scene,
)

MATERIALIZED = "ASSET_MATERIALIZATION"
EVALUATED = "ASSET_CHECK_EVALUATION"


def stored(instance: dg.DagsterInstance, run_id: str, tile: str) -> Mapping[str, list[int]]:
    """Kind of event -> bytes of each event that a run wrote of a tile."""
    found: dict[str, list[int]] = {MATERIALIZED: [], EVALUATED: []}
    for entry in instance.all_logs(run_id):
        event = entry.dagster_event
        if event is None or event.event_type_value not in found:
            continue
        of_check = event.event_type_value == EVALUATED
        partition = event.asset_check_evaluation_data.partition if of_check else event.partition
        if partition == tile:
            found[event.event_type_value].append(len(dg.serialize_value(entry)))
    return found


@pytest.mark.parametrize("count", [1, 2], ids=["single", "range"])
def test_a_renewed_tile_writes_half_of_a_made_one(
    project: Project, instance: dg.DagsterInstance, count: int
) -> None:
    defs, tiles = definitions(project), first_tiles(project, count)
    for tile in tiles:
        widen_scene(project, tile)
    materialize(defs, instance, BOUNDARIES)
    made = materialize(defs, instance, CHAIN, tiles=tiles)

    renewed = materialize(defs, instance, CHAIN, tiles=tiles)

    for tile in tiles:
        before, after = (stored(instance, run.run_id, tile) for run in (made, renewed))
        for kind, rows in ((MATERIALIZED, 5), (EVALUATED, 3)):
            assert len(before[kind]) == len(after[kind]) == rows
        assert sum(after[MATERIALIZED]) <= 0.55 * sum(before[MATERIALIZED])
        assert max(after[MATERIALIZED]) <= 2_500  # nine tenths of it are Dagster's own fields
        assert max(after[EVALUATED]) <= 2_000


@pytest.mark.parametrize("count", [1, 2], ids=["single", "range"])
def test_a_renewed_index_links_to_the_event_with_its_picture(
    project: Project, instance: dg.DagsterInstance, count: int
) -> None:
    defs, tiles = definitions(project), first_tiles(project, count)
    materialize(defs, instance, BOUNDARIES)
    materialize(defs, instance, CHAIN, tiles=tiles)
    wanted = dg.AssetRecordsFilter(dg.AssetKey("ndvi"), asset_partitions=[tiles[0]])
    made = instance.fetch_materializations(wanted, limit=1).records[0]

    for _ in range(2):
        run = materialize(defs, instance, CHAIN, tiles=tiles)

        metadata = newest_metadata(instance, "ndvi", tiles[0])
        assert metadata.keys() == {"dagster/uri", "state", "last_change"}
        text, _, link = metadata["last_change"].partition("](")
        assert text.endswith("UTC: figures and picture")
        assert link == f"/assets/ndvi?view=events&asOf={int(1000 * made.timestamp)})"
        for asset in set(CHAIN) - {"ndvi"}:
            assert newest_metadata(instance, asset, tiles[0]).keys() == {"dagster/uri", "state"}
        judged = evaluations(instance, run.run_id)["ndvi", "index_range", tiles[0]]
        assert judged.passed
        assert judged.metadata.keys() == {"state"}


def test_a_warning_keeps_its_figures_when_its_tile_is_renewed(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    project = ten_villages_with_districts(tmp_path, checks={"least_valid_share": 1.0})
    defs, tiles = definitions(project), first_tiles(project, 2)
    materialize(defs, instance, CHAIN, tiles=tiles)

    run = materialize(defs, instance, CHAIN, tiles=tiles)

    judged = evaluations(instance, run.run_id)["ndvi", "index_range", tiles[0]]
    assert not judged.passed
    assert judged.metadata["least_valid_share"].value == 1.0
    assert judged.metadata["valid_share"].value == pytest.approx(0.1, abs=0.05)


def test_a_tile_that_dagster_does_not_know_is_reported_with_its_facts(
    project: Project, instance: dg.DagsterInstance
) -> None:
    defs, tiles = definitions(project), first_tiles(project, 2)
    with dg.DagsterInstance.ephemeral() as lost:
        materialize(defs, lost, BOUNDARIES)
        materialize(defs, lost, CHAIN, tiles=tiles)
    materialize(defs, instance, BOUNDARIES)

    materialize(defs, instance, CHAIN, tiles=tiles)

    for asset in CHAIN:
        metadata = newest_metadata(instance, asset, tiles[0])
        assert metadata["state"] == "unchanged"
        assert {"bytes", "scenes", "valid_fraction"} <= metadata.keys()
