"""Bands and radiometry of scenes from the field: the right band, what a file masks, its fill."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from spatial_assets.geo.radiometry import FILL
from spatial_assets_tests.fixtures.field_cases import (
    field_case,
    materialize,
    project_of,
    valid_ndvi,
)
from spatial_assets_tests.fixtures.pipeline_runs import pixels as project_pixels
from spatial_assets_tests.fixtures.pipeline_runs import read_cube


def observations(project: Path) -> set[int]:
    """Numbers of observations of the valid pixels."""
    stored, counts = read_cube(project_of(project))
    return set(np.unique(counts[stored != FILL]).tolist())


@pytest.mark.samples
def test_common_names_say_which_band_of_landsat_7_is_red(tmp_path: Path) -> None:
    project = field_case("landsat7-common-names", tmp_path) / "p"

    done = materialize(project)

    assert done.exit_code == 0, done.output
    ndvi = valid_ndvi(project)
    assert ndvi.size == 37_249
    assert ndvi == pytest.approx(0.7895)


@pytest.mark.samples
def test_what_the_mask_of_a_file_excludes_is_not_observed(tmp_path: Path) -> None:
    project = field_case("internal-mask", tmp_path) / "p"

    done = materialize(project)
    stored = project_pixels(project_of(project))

    assert done.exit_code == 0, done.output
    ndvi = valid_ndvi(project)
    assert 18_500 <= ndvi.size < 18_600
    assert ndvi == pytest.approx(0.7895)
    shutil.rmtree(project / "data" / "reprojected_raster")
    again = materialize(project, "--select", "reprojected_raster,ndvi")
    assert again.exit_code == 0, again.output
    assert project_pixels(project_of(project)) == stored, "the stored inputs hold the mask"


@pytest.mark.samples
@pytest.mark.parametrize("nodata", ["nan", "inf", -9999, 70_000])
def test_a_fill_value_that_cannot_occur_masks_nothing(tmp_path: Path, nodata: object) -> None:
    project = field_case("nodata-nan-on-uint16", tmp_path) / "p"
    place = project / "scenes" / "s0" / "item.json"
    item = json.loads(place.read_text(encoding="utf-8"))
    for name in ("red", "nir"):
        item["assets"][name]["raster:bands"][0]["nodata"] = nodata
    place.write_text(json.dumps(item), encoding="utf-8")

    done = materialize(project)

    assert done.exit_code == 0, done.output
    ndvi = valid_ndvi(project)
    assert ndvi.size == 37_249
    assert ndvi == pytest.approx(0.7895)
    assert observations(project) == {2}, "both scenes are used"


@pytest.mark.samples
def test_a_scene_of_an_unknown_platform_is_set_aside_and_named(tmp_path: Path) -> None:
    project = field_case("nodata-nan-on-uint16", tmp_path) / "p"
    place = project / "scenes" / "s0" / "item.json"
    item = json.loads(place.read_text(encoding="utf-8"))
    item["properties"]["platform"] = "landsat-1"
    place.write_text(json.dumps(item), encoding="utf-8")

    done = materialize(project)

    assert done.exit_code == 0, done.output
    assert "warning: scene X0 is not used: unknown_platform (2 tiles" in done.output
    assert observations(project) == {1}
