"""Scale and offset in a file count where the item says nothing, and must not contradict it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.geo.radiometry import Calibration
from spatial_assets_tests.catalog.rasters.scene_inspection import accepted, refused
from spatial_assets_tests.fixtures.scene_factory import (
    clear_vegetation,
    item_of,
    write_raster,
    write_scene,
)

STATED = {"scale": 0.0001, "offset": 0.0}


def write(
    folder: Path,
    of_file: tuple[float, float],
    *,
    band: dict[str, Any],
    **properties: object,
) -> None:
    """A scene whose red file has scale and offset, and whose item states `band` of it."""
    item = item_of(**{"earthsearch:boa_offset_applied": None, **properties})
    item["assets"]["red"]["raster:bands"] = [{"nodata": 0, **band}]
    item["assets"]["nir"]["raster:bands"] = [{"nodata": 0, **STATED}]
    write_scene(folder, item)
    with rasterio.open(folder / "B04.tif", "r+") as file:
        file.scales, file.offsets = of_file[:1], of_file[1:]


@pytest.mark.parametrize(
    ("band", "of_file", "baseline", "expected", "warnings"),
    [
        pytest.param({}, (2e-4, -0.01), None, (2e-4, -0.01), True, id="the-file-alone"),
        pytest.param({}, (2e-4, 0.0), None, (2e-4, 0.0), True, id="a-scale-without-offset"),
        pytest.param({}, (2e-4, -0.01), "02.00", (2e-4, -0.01), True, id="over-the-rule"),
        pytest.param({}, (2e-4, 0.0), "02.00", (2e-4, 0.0), True, id="offset-of-the-rule"),
        pytest.param({}, (1e-4, 0.0), "02.00", (1e-4, 0.0), False, id="as-the-rule"),
        pytest.param(
            {"scale": 1e-4}, (1e-4, -0.01), "02.00", (1e-4, -0.01), True, id="the-offset-only"
        ),
        pytest.param(STATED, (1.0, 0.0), None, (1e-4, 0.0), False, id="the-item-alone"),
        pytest.param(
            STATED, (float(np.float32(1e-4)), 0.0), None, (1e-4, 0.0), False, id="rounded"
        ),
    ],
)
def test_the_file_counts_where_the_item_says_nothing(  # noqa: PLR0913 - what states what
    tmp_path: Path,
    access: SourceAccess,
    *,
    band: dict[str, Any],
    of_file: tuple[float, float],
    baseline: str | None,
    expected: tuple[float, float],
    warnings: bool,
) -> None:
    write(tmp_path / "s", of_file, band=band, **{"s2:processing_baseline": baseline})

    facts = accepted(tmp_path, access)

    assert facts.bands["red"].calibration == Calibration(*expected)
    assert facts.warnings == (("calibrated_by_file",) if warnings else ())


@pytest.mark.parametrize(
    ("band", "of_file"),
    [
        pytest.param(STATED, (1e-3, 0.0), id="scale"),
        pytest.param({"scale": 1e-4, "offset": -0.1}, (1e-4, -0.2), id="offset"),
        pytest.param({"scale": 1e-4, "offset": -0.1}, (1e-4, 0.1), id="sign"),
    ],
)
def test_a_file_that_contradicts_its_item_is_refused(
    tmp_path: Path, access: SourceAccess, band: dict[str, Any], of_file: tuple[float, float]
) -> None:
    write(tmp_path / "s", of_file, band=band)

    found = refused(tmp_path, access)

    assert found.reason == "radiometry_disagrees"
    assert "0.0001" in found.message or "-0.1" in found.message


def test_an_offset_that_was_taken_off_may_be_left_in_the_file(
    tmp_path: Path, access: SourceAccess
) -> None:
    stated = {"scale": 1e-4, "offset": -0.1}
    write(tmp_path / "s", (1e-4, -0.1), band=stated, **{"earthsearch:boa_offset_applied": True})

    assert accepted(tmp_path, access).bands["red"].calibration == Calibration(1e-4, 0.0)


def test_integers_that_neither_item_nor_file_scales_are_refused(
    tmp_path: Path, access: SourceAccess
) -> None:
    write(tmp_path / "s", (1.0, 0.0), band={}, **{"s2:processing_baseline": None})

    found = refused(tmp_path, access)

    assert found.reason == "radiometry_unknown"
    assert "asset 'red'" in found.message
    assert "holds integers without a scale" in found.message


def test_floats_are_reflectance_unless_their_file_scales_them(
    tmp_path: Path, access: SourceAccess
) -> None:
    write(tmp_path / "s", (1.0, 0.0), band={}, **{"s2:processing_baseline": None})
    dn = clear_vegetation()["red"].astype(np.float32)
    write_raster(tmp_path / "s" / "B04.tif", dn * np.float32(1e-4))
    plain = accepted(tmp_path, access)
    with rasterio.open(write_raster(tmp_path / "s" / "B04.tif", dn), "r+") as file:
        file.scales = (1e-4,)

    scaled = accepted(tmp_path, access)

    assert (plain.bands["red"].calibration, plain.warnings) == (None, ())
    assert scaled.bands["red"].calibration == Calibration(1e-4, 0.0)
    assert scaled.warnings == ("calibrated_by_file",)
