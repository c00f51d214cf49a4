"""Checks on the boundary assets can fail, and their metadata names the cause."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import geopandas as gpd
import pytest
import shapely

from spatial_assets.project import Project
from spatial_assets.project.sections.checks import ChecksSettings
from spatial_assets.stores.tables.connect import open_database
from spatial_assets_tests.fixtures.dagster_runs import (
    BOUNDARIES,
    definitions,
    evaluations,
    materialize,
)
from spatial_assets_tests.fixtures.ten_village_project import ten_villages_with_districts


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Ten villages and two districts, for this test to change."""
    return ten_villages_with_districts(tmp_path)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """An empty instance in memory."""
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def check(
    project: Project, instance: dg.DagsterInstance, asset: str, name: str
) -> dg.AssetCheckEvaluation:
    """Run one check alone, as the button in the UI does."""
    defs = definitions(project)
    key = dg.AssetCheckKey(dg.AssetKey(asset), name)
    run = dg.materialize(
        [*(defs.assets or ()), *(defs.asset_checks or ())],  # type: ignore[list-item]
        selection=dg.AssetSelection.checks(key),
        resources=defs.resources,
        instance=instance,
    )
    return evaluations(instance, run.run_id)[asset, name, None]


def test_a_changed_copy_of_the_source_is_noticed(
    project: Project, instance: dg.DagsterInstance
) -> None:
    materialize(definitions(project), instance, BOUNDARIES)
    whole = check(project, instance, "raw_boundaries", "copy_is_whole")

    (copy,) = Path(project.storage_url).glob("raw_boundaries.gpkg")
    copy.write_bytes(copy.read_bytes()[:-1])

    assert whole.passed
    assert not check(project, instance, "raw_boundaries", "copy_is_whole").passed


def test_overlapping_neighbours_are_a_warning_with_the_share(
    project: Project, instance: dg.DagsterInstance
) -> None:
    source = Path(project.resolve(project.boundaries[0].source))
    frame = gpd.read_file(source)
    frame.loc[0, "geometry"] = shapely.box(*frame.total_bounds)
    frame.to_file(source, driver="GPKG")

    run = materialize(definitions(project), instance, BOUNDARIES)

    topology = evaluations(instance, run.run_id)["validated_boundaries", "topology", None]
    assert run.success
    assert not topology.passed
    assert topology.severity is dg.AssetCheckSeverity.WARN
    assert topology.metadata["overlap_share"].value == pytest.approx(1 / 3, rel=1e-3)


def test_gaps_between_neighbours_are_a_warning_if_the_project_limits_them(
    project: Project, instance: dg.DagsterInstance
) -> None:
    source = Path(project.resolve(project.boundaries[0].source))
    frame = gpd.read_file(source)
    west, south, east, north = frame.loc[0, "geometry"].bounds
    hole = shapely.box(
        west + 0.25 * (east - west),
        south + 0.25 * (north - south),
        (west + east) / 2,
        north / 2 + south / 2,
    )
    frame.loc[0, "geometry"] = frame.loc[0, "geometry"].difference(hole)
    frame.to_file(source, driver="GPKG")
    strict = project.model_copy(update={"checks": ChecksSettings(most_gap_share=0.001)})

    lenient_run = materialize(definitions(project), instance, BOUNDARIES)
    strict_run = materialize(definitions(strict), instance, BOUNDARIES)

    key = ("validated_boundaries", "topology", None)
    assert evaluations(instance, lenient_run.run_id)[key].passed
    found = evaluations(instance, strict_run.run_id)[key]
    assert not found.passed
    assert found.metadata["gap_share"].value == pytest.approx(0.03, abs=0.02)


def test_rows_that_are_not_those_validated_are_noticed(
    project: Project, instance: dg.DagsterInstance
) -> None:
    materialize(definitions(project), instance, BOUNDARIES)
    with open_database(project.database_url) as database:
        database.ensure_schema(project.boundaries, project.indices.names)
        database.replace_all("boundaries", database.rows("boundaries")[:1])

    found = check(project, instance, "boundaries", "rows_match")

    assert not found.passed
    assert found.metadata["differing"].value == ["west"]
