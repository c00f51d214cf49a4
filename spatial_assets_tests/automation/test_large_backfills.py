"""Backfills of more tiles than a run may have become several runs, however they are launched."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.automation_tick_evaluation_context import (
    _build_run_requests_with_backfill_policy,
)
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster._serdes import deserialize_value, serialize_value

from spatial_assets.automation.range_jobs import ALL_RANGES, tile_ranges
from spatial_assets.project import Project
from spatial_assets.project.sections.regions import RegionSettings
from spatial_assets_tests.automation.frozen_clock import windowed_project
from spatial_assets_tests.fixtures.dagster_runs import CHAIN, RANGE_TAGS, definitions

# Dagster itself reads a property of schedules that it deprecates.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Property `ScheduleDefinition.environment_vars`:DeprecationWarning"
)


MOST = 4


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project of at least fifteen tiles, whose runs have at most four."""
    project = windowed_project(tmp_path)
    compute = project.compute.model_copy(update={"max_tiles_per_run": MOST})
    return project.model_copy(update={"compute": compute})


def as_the_daemon_sees_it(project: Project) -> RepositorySnap:
    """The snapshot of the definitions that a code server sends."""
    sent = serialize_value(RepositorySnap.from_def(definitions(project).get_repository_def()))
    return deserialize_value(sent, RepositorySnap)


def test_the_daemon_splits_a_backfill_of_assets_by_the_limit_of_a_run(project: Project) -> None:
    snaps = {node.asset_key: node for node in as_the_daemon_sees_it(project).asset_nodes}
    keys = project.tile_keys
    chosen = frozenset([*keys[:9], keys[10]])

    for name in CHAIN:
        policy = snaps[dg.AssetKey(name)].backfill_policy
        assert policy is not None
        requests = _build_run_requests_with_backfill_policy(
            [dg.AssetKey(name)],
            [],
            policy,
            chosen,
            dg.StaticPartitionsDefinition(list(keys)),
            tags={},
            dynamic_partitions_store=None,  # type: ignore[arg-type]
        )
        ends = [tuple(request.tags[tag] for tag in RANGE_TAGS) for request in requests]
        assert ends == [
            (keys[0], keys[3]),
            (keys[4], keys[7]),
            (keys[8], keys[8]),
            (keys[10], keys[10]),
        ]


def test_the_daemon_splits_a_backfill_of_the_job_likewise(project: Project) -> None:
    sets = {each.job_name: each for each in as_the_daemon_sees_it(project).partition_sets}

    policy = sets["tiles"].backfill_policy

    assert policy is not None
    assert policy.max_partitions_per_run == MOST


def test_the_command_line_accepts_a_range_of_any_length_in_one_run(project: Project) -> None:
    chain = definitions(project).get_repository_def().asset_graph.get(dg.AssetKey("ndvi"))

    assert chain.backfill_policy is not None
    assert chain.backfill_policy.policy_type == dg.BackfillPolicy.single_run().policy_type


def test_the_job_of_ranges_has_a_partition_for_each_run(project: Project) -> None:
    keys = project.tile_keys

    job = definitions(project).resolve_job_def(ALL_RANGES)

    assert job.partitions_def is not None
    ranges = tile_ranges(project, keys)
    assert job.partitions_def.get_partition_keys() == list(ranges)
    assert [part.count for part in ranges.values()][:-1] == [MOST] * (len(keys) // MOST)
    assert sum(part.count for part in ranges.values()) == len(keys)


def test_a_region_of_neighbours_has_as_few_runs_as_its_ranges(project: Project) -> None:
    tiles = project.tile_keys[1:7]
    named = project.model_copy(update={"regions": {"coast": RegionSettings(tiles=tiles)}})

    job = definitions(named).resolve_job_def("tiles_coast")

    assert job.partitions_def is not None
    ends = [f"{tiles[0]}:{tiles[3]}", f"{tiles[4]}:{tiles[5]}"]
    assert job.partitions_def.get_partition_keys() == ends
