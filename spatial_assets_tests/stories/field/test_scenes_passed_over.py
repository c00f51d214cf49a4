"""Scenes of the field that were passed over: each is used, or named with a reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spatial_assets_tests.fixtures.field_cases import (
    field_case,
    materialize,
    project_of,
    run_command,
    valid_ndvi,
)
from spatial_assets_tests.fixtures.pipeline_runs import read_cube

pytestmark = pytest.mark.samples


def test_an_item_named_geojson_is_used(tmp_path: Path) -> None:
    project = field_case("item-geojson", tmp_path) / "p"

    result = materialize(project)

    assert result.exit_code == 0, result.output
    assert np.size(valid_ndvi(project)) > 30_000


def test_a_scene_whose_geometry_lies_beside_its_rasters_is_used_and_named(tmp_path: Path) -> None:
    project = field_case("footprint-beside-raster", tmp_path) / "p"

    result = materialize(project)
    plan, status = run_command(project, "plan"), run_command(project, "status")

    assert result.exit_code == 0, result.output
    assert np.size(valid_ndvi(project)) > 30_000
    doubt = "used with a doubt: 1 item with a geometry beside the rasters"
    assert doubt in plan.output
    assert doubt in status.output


def test_a_month_of_new_zealand_has_the_scenes_of_its_solar_days(tmp_path: Path) -> None:
    project = field_case("solar-day-new-zealand", tmp_path) / "p"

    result = materialize(project)
    plan, status = run_command(project, "plan"), run_command(project, "status")

    assert result.exit_code == 0, result.output
    stored, observations = read_cube(project_of(project))
    assert set(np.unique(observations)) == {0, 2}
    assert "in 1 period (2023-08)" in plan.output
    outside = "not used: 1 item of a solar day outside of [scenes] datetime (S2A_60HVC_aug31)"
    assert outside in plan.output
    assert outside in status.output
    assert stored.size
