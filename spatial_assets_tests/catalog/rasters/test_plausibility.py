"""Pixels are compared with the statements of the item."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.scene import RejectedScene
from spatial_assets.catalog.scene_facts import SceneFacts
from spatial_assets_tests.catalog.rasters.scene_inspection import accepted, inspected, refused
from spatial_assets_tests.fixtures.scene_factory import (
    clear_vegetation,
    item_of,
    write_scene,
)


def test_a_wrong_offset_is_implausible(tmp_path: Path, access: SourceAccess) -> None:
    item = item_of(**{"earthsearch:boa_offset_applied": False})
    write_scene(tmp_path / "s", item)

    found = refused(tmp_path, access)

    assert found.reason == "radiometry_implausible"
    assert found.evidence["implausible_share"] == 1.0
    assert found.evidence["calibration"] == {"nir": [0.0001, -0.1], "red": [0.0001, -0.1]}
    json.dumps(found.evidence)


def test_a_handful_of_clear_pixels_is_not_judged(tmp_path: Path, access: SourceAccess) -> None:
    bands = clear_vegetation()
    bands["scl"][:] = 9
    bands["scl"].flat[:499] = 4
    write_scene(tmp_path / "s", item_of(**{"earthsearch:boa_offset_applied": False}), pixels=bands)

    assert accepted(tmp_path, access).figures == {"clear_sample_pixels": 499}


def test_a_missed_offset_is_a_warning_only(tmp_path: Path, access: SourceAccess) -> None:
    bands = clear_vegetation()
    bands["red"] += 1000
    bands["nir"] += 1000
    write_scene(tmp_path / "s", pixels=bands)

    assert accepted(tmp_path, access).warnings == ("offset_maybe_missed",)


@pytest.mark.parametrize("baseline", ["03.01", None])
def test_an_old_baseline_has_no_offset_to_miss(
    tmp_path: Path, access: SourceAccess, baseline: str | None
) -> None:
    bands = clear_vegetation()
    bands["red"] += 1000
    write_scene(tmp_path / "s", item_of(**{"s2:processing_baseline": baseline}), pixels=bands)

    assert accepted(tmp_path, access).warnings == ()


def test_an_item_with_another_crs_than_its_files_is_a_warning(
    tmp_path: Path, access: SourceAccess
) -> None:
    write_scene(tmp_path / "s", item_of(**{"proj:epsg": 32634}))

    assert accepted(tmp_path, access).warnings == ("item_crs_differs",)


@pytest.mark.parametrize(
    ("factor", "reason"), [(0.0001, None), (1.0, "radiometry_unknown")], ids=["reflectance", "dn"]
)
def test_float_pixels_must_be_reflectance(
    tmp_path: Path, access: SourceAccess, factor: float, reason: str | None
) -> None:
    bands = {
        name: band.astype(np.float32) * np.float32(factor)
        for name, band in clear_vegetation().items()
    }
    bands["scl"] = clear_vegetation()["scl"]
    write_scene(tmp_path / "s", pixels=bands)

    found = inspected(tmp_path, access)

    if reason is None:
        assert isinstance(found, SceneFacts)
        assert found.bands["red"].calibration is None
        assert found.figures["ndvi_median"] == pytest.approx(0.818, abs=0.01)
    else:
        assert isinstance(found, RejectedScene)
        assert found.reason == reason


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
@pytest.mark.parametrize(
    ("factor", "reason"),
    [(1.0, None), (3.0, None), (5.0, "radiometry_implausible"), (8.0, "radiometry_implausible")],
)
def test_a_scale_that_is_too_large_is_implausible_for_integers_and_floats_alike(
    tmp_path: Path, access: SourceAccess, dtype: str, factor: float, reason: str | None
) -> None:
    bands = {name: band.astype(dtype) for name, band in clear_vegetation().items()}
    item = item_of()
    for name in ("red", "nir"):
        item["assets"][name]["raster:bands"] = [{"scale": 1e-4 * factor, "offset": 0.0}]
        if dtype == "float32":
            bands[name] *= np.float32(1e-4 * factor)
    bands["scl"] = clear_vegetation()["scl"]
    write_scene(tmp_path / "s", item, pixels=bands)

    found = inspected(tmp_path, access)

    if reason is None:
        assert isinstance(found, SceneFacts)
        assert found.figures["bright_share"] == 0.0
    else:
        assert isinstance(found, RejectedScene)
        assert found.reason == reason
        assert found.evidence["bright_share"] == 1.0


def test_a_scale_ten_times_too_large_is_refused_with_the_figures(
    tmp_path: Path, access: SourceAccess
) -> None:
    item = item_of()
    for name in ("red", "nir"):
        item["assets"][name]["raster:bands"] = [{"scale": 0.001, "offset": 0.0}]
    write_scene(tmp_path / "s", item)

    found = refused(tmp_path, access)

    assert found.reason == "radiometry_implausible"
    assert found.evidence["saturated_share"] == 1.0, "all of it would be stored as fill"
    assert found.evidence["calibration"] == {"nir": [0.001, 0.0], "red": [0.001, 0.0]}
    assert "100% of 4096 clear sample pixels" in found.message


@pytest.mark.parametrize(
    ("rows", "warnings"), [(0, ()), (1, ("reflectance_saturated",))], ids=["none", "one-in-64"]
)
def test_more_than_a_few_saturated_pixels_are_a_warning(
    tmp_path: Path, access: SourceAccess, rows: int, warnings: tuple[str, ...]
) -> None:
    bands = clear_vegetation()
    bands["nir"][:rows] = 40_000
    write_scene(tmp_path / "s", pixels=bands)

    facts = accepted(tmp_path, access)

    assert facts.warnings == warnings
    assert facts.figures["saturated_share"] == round(rows / 64, 6)


def test_a_large_scene_is_sampled_by_sixteen_windows(tmp_path: Path, access: SourceAccess) -> None:
    write_scene(tmp_path / "s", pixels=clear_vegetation(1100, 1200), tiled=True, compress="deflate")

    facts = accepted(tmp_path, access)

    assert facts.figures["clear_sample_pixels"] == 16 * 128 * 128


def test_a_scene_with_a_damaged_part_is_judged_by_the_rest(
    tmp_path: Path, access: SourceAccess
) -> None:
    write_scene(tmp_path / "s", pixels=clear_vegetation(1000, 1000), compress="deflate", tiled=True)
    path = tmp_path / "s" / "B04.tif"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    pixels = accepted(tmp_path, access).figures["clear_sample_pixels"]

    assert pixels is not None
    assert 0 < pixels < 1_000_000


def test_overviews_are_never_read(tmp_path: Path, access: SourceAccess) -> None:
    write_scene(tmp_path / "s", pixels=clear_vegetation(1100, 1200), tiled=True)
    import rasterio  # noqa: PLC0415

    with rasterio.open(tmp_path / "s" / "B04.tif", "r+") as file:
        file.build_overviews([2, 4])
    with rasterio.open(tmp_path / "s" / "B04.tif", "r+", OVERVIEW_LEVEL=0) as overview:
        overview.write(np.full((1, *overview.shape), 60_000, dtype=np.uint16))

    assert accepted(tmp_path, access).figures["implausible_share"] == 0.0
