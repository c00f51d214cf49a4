"""Every check can fail, and its figures say where to look."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import dagster as dg
import geopandas as gpd
import pytest
import shapely

from spatial_assets.assets.run_checks import judge_orphans, judge_parts
from spatial_assets.project import Project
from spatial_assets.project.sections.checks import ChecksSettings
from spatial_assets.stores.tables.connect import open_database
from spatial_assets_tests.fixtures.dagster_runs import (
    BOUNDARIES,
    definitions,
    evaluations,
    materialize,
    newest,
    observed,
)
from spatial_assets_tests.fixtures.ten_village_project import first
from spatial_assets_tests.fixtures.two_zone_project import (
    TWO_TILES,
    write_project,
    write_scene_out_of_range,
)


def test_rows_of_other_grids_and_of_tiles_that_are_gone_are_found(made_project: Project) -> None:
    tile, grid = first(made_project, 1)[0], made_project.grid_id

    good = judge_orphans(made_project, [(grid, tile)])
    bad = judge_orphans(made_project, [(grid, tile), ("elsewhere", tile), (grid, "999")])

    assert good.passed
    assert not bad.passed
    assert (bad.evidence["of_another_grid"], bad.evidence["not_of_the_area"]) == (1, 1)
    assert bad.evidence["such_as"] == f"{tile}, 999"


@pytest.mark.parametrize(
    ("covered", "over"),
    [
        pytest.param([None, 0.4, 1.0], "none", id="within"),
        pytest.param([1.0009], "none", id="the-curve-of-an-edge"),
        pytest.param([0.4, 2.0], "regions/1 2023-08", id="counted-twice"),
        pytest.param([], "none", id="nothing-yet"),
    ],
)
def test_a_boundary_covered_more_than_once_is_found(covered: list[float | None], over: str) -> None:
    merged: list[Mapping[str, object]] = [
        {
            "boundary_table": "regions",
            "boundary_key": str(number),
            "period": "2023-08",
            "covered_fraction": share,
        }
        for number, share in enumerate(covered)
    ]

    verdict = judge_parts(merged)

    assert verdict.passed == (over == "none")
    assert verdict.evidence["over"] == over


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


def test_gaps_between_neighbours_are_a_warning_where_the_project_says_so(
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


def test_a_check_that_quarantined_a_tile_is_an_error_on_it(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    catalog = tmp_path / "catalog"
    write_scene_out_of_range(catalog)
    project = write_project(tmp_path / "project", catalog, area={"bbox": TWO_TILES})
    west, east = project.partitioning.keys

    run = materialize(
        definitions(project),
        instance,
        ["raw_tile", "reprojected_raster", "ndvi"],
        tiles=[west, east],
    )

    found = evaluations(instance, run.run_id)
    assert not run.success
    assert not found["ndvi", "index_range", west].passed
    assert found["ndvi", "index_range", west].severity is dg.AssetCheckSeverity.ERROR
    assert found["ndvi", "index_range", east].severity is dg.AssetCheckSeverity.WARN
    assert newest(instance, "ndvi", west) is None
    assert newest(instance, "ndvi", east) is not None
    assert newest(instance, "reprojected_raster", west) is not None
    assert observed(instance, "ndvi", west)["reason"] == "index_out_of_range"
