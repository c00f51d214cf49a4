"""Checks on a run and on its tiles can fail, and their metadata names the cause."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import dagster as dg
import pytest

from spatial_assets.assets.run_checks import judge_orphans, judge_parts
from spatial_assets.project import Project
from spatial_assets_tests.fixtures.dagster_runs import (
    definitions,
    evaluations,
    materialize,
    newest_materialization,
    newest_observation,
)
from spatial_assets_tests.fixtures.ten_village_project import first_tiles
from spatial_assets_tests.fixtures.two_zone_project import (
    TWO_TILES,
    write_project,
    write_scene_out_of_range,
)


def test_rows_of_other_grids_and_of_tiles_that_are_gone_are_found(made_project: Project) -> None:
    tile, grid = first_tiles(made_project, 1)[0], made_project.grid_id

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
    assert newest_materialization(instance, "ndvi", west) is None
    assert newest_materialization(instance, "ndvi", east) is not None
    assert newest_materialization(instance, "reprojected_raster", west) is not None
    assert newest_observation(instance, "ndvi", west)["reason"] == "index_out_of_range"
