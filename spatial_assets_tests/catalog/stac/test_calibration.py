"""Scale and offset of reflectance are resolved item by item."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spatial_assets.catalog.stac.calibration import (
    band_metadata,
    parse_baseline,
    resolve_calibration,
)
from spatial_assets.catalog.stac.items import RawItem, read_scene
from spatial_assets.errors import SceneError
from spatial_assets.geo.radiometry import Calibration
from spatial_assets.geo.sensor_profile import DECLARED, SensorProfile
from spatial_assets.sensor_profiles import SENSOR_PROFILES

SENTINEL_2 = SENSOR_PROFILES["sentinel-2-l2a"]
LANDSAT = SENSOR_PROFILES["landsat-c2-l2"]
OWN = SensorProfile(
    name="own",
    bands={"red": ("red",)},
    class_band=None,
    class_assets=(),
    clear=None,
    radiometry=DECLARED,
)


def resolve(
    properties: dict[str, Any], band: dict[str, Any], profile: SensorProfile = SENTINEL_2
) -> Calibration | None:
    return resolve_calibration(properties, band, profile=profile)


@pytest.mark.parametrize(
    ("properties", "band", "expected"),
    [
        pytest.param(
            {"earthsearch:boa_offset_applied": True, "s2:processing_baseline": "05.09"},
            {"scale": 0.0001, "offset": -0.1},
            Calibration(0.0001, 0.0),
            id="offset-taken-off-wins-over-the-band",
        ),
        pytest.param(
            {"earthsearch:boa_offset_applied": False, "s2:processing_baseline": "05.09"},
            {"scale": 0.0001, "offset": -0.1},
            Calibration(0.0001, -0.1),
            id="offset-not-taken-off",
        ),
        pytest.param(
            {"s2:processing_baseline": "02.12"},
            {"scale": 0.0001, "offset": -0.1},
            Calibration(0.0001, -0.1),
            id="the-band-wins-over-the-baseline",
        ),
        pytest.param(
            {"s2:processing_baseline": "04.00"}, {}, Calibration(1e-4, -0.1), id="first-with-offset"
        ),
        pytest.param({"s2:processing_baseline": "03.01"}, {}, Calibration(1e-4, 0.0), id="before"),
        pytest.param({"processing:version": "05.12"}, {}, Calibration(1e-4, -0.1), id="cdse"),
        pytest.param(
            {"s2:processing_baseline": "05.10"},
            {"scale": 0.0001},
            Calibration(0.0001, -0.1),
            id="scale-without-offset",
        ),
        pytest.param(
            {"earthsearch:boa_offset_applied": True}, {}, Calibration(1e-4, 0.0), id="flag-alone"
        ),
    ],
)
def test_sentinel_2_resolves(
    properties: dict[str, Any], band: dict[str, Any], expected: Calibration
) -> None:
    assert resolve(properties, band) == expected


@pytest.mark.parametrize(
    ("properties", "band", "expected"),
    [
        pytest.param({}, {}, Calibration(2.75e-5, -0.2), id="constants"),
        pytest.param({}, {"scale": 2.75e-5}, Calibration(2.75e-5, -0.2), id="scale-alone"),
        pytest.param(
            {"landsat:collection_number": "01"},
            {"scale": 1e-4, "offset": 0},
            Calibration(1e-4, 0.0),
            id="declared",
        ),
    ],
)
def test_landsat_resolves(
    properties: dict[str, Any], band: dict[str, Any], expected: Calibration
) -> None:
    assert resolve(properties, band, LANDSAT) == expected


@pytest.mark.parametrize(
    ("properties", "band", "profile"),
    [
        pytest.param({}, {}, SENTINEL_2, id="no-baseline"),
        pytest.param({"s2:processing_baseline": "new"}, {}, SENTINEL_2, id="baseline-no-number"),
        pytest.param({"processing:version": "2.10"}, {}, SENTINEL_2, id="version-of-a-program"),
        pytest.param(
            {"s2:processing_baseline": "05.09"}, {"offset": -0.1}, SENTINEL_2, id="offset"
        ),
        pytest.param({"landsat:collection_number": "01"}, {}, LANDSAT, id="landsat-collection-1"),
        pytest.param({"landsat:correction": "L1TP"}, {}, LANDSAT, id="landsat-level-1"),
        pytest.param({}, {"scale": 1e-4}, LANDSAT, id="landsat-with-a-scale-of-another"),
        pytest.param({}, {"scale": 1e-4}, OWN, id="own-sensor-with-half-a-calibration"),
        pytest.param({}, {"scale": "0.0001", "offset": 0}, SENTINEL_2, id="text"),
        pytest.param({}, {"scale": True, "offset": 0}, SENTINEL_2, id="truth-value"),
        pytest.param({}, {"scale": 0.0, "offset": 0}, SENTINEL_2, id="zero"),
        pytest.param({}, {"scale": "nan", "offset": 0}, SENTINEL_2, id="nan"),
    ],
)
def test_an_item_that_does_not_say_how_its_numbers_scale_is_bad(
    properties: dict[str, Any], band: dict[str, Any], profile: SensorProfile
) -> None:
    with pytest.raises(SceneError) as caught:
        resolve(properties, band, profile)

    assert caught.value.reason == "radiometry_unknown"


def test_float_pixels_are_reflectance_and_are_not_scaled_again() -> None:
    assert resolve({}, {"data_type": "float32", "scale": 0.0001, "offset": -0.1}) is None


def test_the_words_nearest_to_the_band_win() -> None:
    item = {"properties": {"raster:scale": 1.0}}
    asset = {
        "raster:scale": 2.0,
        "nodata": 5,
        "bands": [{"raster:scale": 3.0}, {"raster:scale": 4.0, "raster:offset": -1.0}],
    }

    assert band_metadata(item, asset, 2) == {"scale": 4.0, "offset": -1.0, "nodata": 5}
    assert band_metadata(item, {"nodata": 5}, 1) == {"scale": 1.0, "nodata": 5}
    assert band_metadata(item, {"raster:bands": [{"scale": 9.0}], **asset}, 1)["scale"] == 9.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("05.09", (5, 9)),
        ("N0509", (5, 9)),
        ("05.10", (5, 10)),
        (4.0, (4, 0)),
        (5.1, (5, 10)),
        ("99.99", (99, 99)),
        ("new", None),
        (None, None),
        (True, None),
    ],
)
def test_baselines_compare_as_numbers(text: object, expected: tuple[int, int] | None) -> None:
    assert parse_baseline(text) == expected


REAL = {
    "S2A_33TWL_20230818_0_L2A.original": (SENTINEL_2, Calibration(0.0001, 0.0)),
    "S2A_33TWM_20230818_0_L2A.original": (SENTINEL_2, Calibration(0.0001, 0.0)),
    "S2B_33TWL_20230810_0_L2A.original": (SENTINEL_2, Calibration(0.0001, 0.0)),
    "S2B_33TWL_20230813_0_L2A.original": (SENTINEL_2, Calibration(0.0001, 0.0)),
    "S2B_33TWM_20230810_0_L2A.original": (SENTINEL_2, Calibration(0.0001, 0.0)),
    "S2B_33TWM_20230813_0_L2A.original": (SENTINEL_2, Calibration(0.0001, 0.0)),
    "S2A_T07HFE_20190212_N0212.stactools": (SENTINEL_2, Calibration(0.0001, 0.0)),
    "S2B_T33XWJ_20220413_N0400.stactools": (SENTINEL_2, Calibration(0.0001, -0.1)),
    "S2B_MSIL2A_20190629_T06VVN.pc_raster_ext": (SENTINEL_2, Calibration(0.0001, 0.0)),
    "LC08_L2SP_028030_20200114_SR.usgs": (LANDSAT, Calibration(2.75e-5, -0.2)),
    "LC08_L2SP_047027_20201204_02_T1.stactools": (LANDSAT, Calibration(2.75e-5, -0.2)),
}


@pytest.mark.samples
@pytest.mark.parametrize("name", sorted(REAL))
def test_items_of_real_archives_resolve(samples: Path, name: str) -> None:
    profile, expected = REAL[name]
    path = samples / "stac" / f"{name}.json"

    scene = read_scene(
        RawItem(json.loads(path.read_text()), str(path)), profile, needs=["red", "nir"]
    )

    assert {band.calibration for band in scene.bands.values()} == {expected}
    assert {band.nodata for band in scene.bands.values()} == {0.0}
    assert scene.class_band is not None
    assert scene.class_band.calibration is None


@pytest.mark.samples
def test_every_real_item_is_tested(samples: Path) -> None:
    names = {path.stem for path in (samples / "stac").glob("*.json")}

    assert {name for name in names if not name.endswith(".collection")} == set(REAL)
