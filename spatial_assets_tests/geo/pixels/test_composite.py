"""Composites: one value a pixel from a period, counted, and the same however it is cut."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from pyproj import CRS

from spatial_assets.errors import RasterError
from spatial_assets.geo.grid.geobox import GeoBox, Window
from spatial_assets.geo.pixels.composite import CompositeMethod, compose_index, composite
from spatial_assets.geo.pixels.mosaic import GranuleReflectance
from spatial_assets.geo.radiometry import FILL
from spatial_assets.indices import INDICES
from spatial_assets_tests.geo.warp_cases import matrix_origin

NAN = float("nan")
NDVI = INDICES["ndvi"]
UTM33, UTM34 = CRS(32633), CRS(32634)
TARGET = GeoBox(Window(0, 0, 2, 1), Affine(10, 0, 500000, 0, -10, 5000000), UTM33)


def granule(name: str, red: list[int], nir: list[int], *, crs: CRS = UTM33) -> GranuleReflectance:
    bands = {"red": np.array([red], dtype=np.int16), "nir": np.array([nir], dtype=np.int16)}
    return GranuleReflectance(name, crs, bands)


@pytest.mark.parametrize(
    ("method", "expected"),
    [("median", [3, 2.5, 7, NAN]), ("max", [9, 4, 7, NAN]), ("latest", [9, 1, 7, NAN])],
)
def test_one_value_a_pixel(method: CompositeMethod, expected: list[float]) -> None:
    stack = np.array([[[1, 4, NAN, NAN]], [[3, NAN, 7, NAN]], [[9, 1, NAN, NAN]]], dtype=np.float32)

    values, observations = composite(stack, method)

    np.testing.assert_array_equal(values, np.array([expected], dtype=np.float32))
    assert observations.tolist() == [[3, 2, 1, 0]]
    assert observations.dtype == np.uint16


@given(
    hnp.arrays(
        np.float32, st.tuples(st.integers(1, 7), st.integers(1, 3), st.integers(1, 3)),
        elements=st.floats(-1, 1, width=32) | st.just(NAN),
    )
)  # fmt: skip
def test_the_median_is_that_of_the_valid_values(stack: NDArray[np.float32]) -> None:
    values, observations = composite(stack, "median")

    for row, column in np.ndindex(values.shape):
        seen = stack[:, row, column][np.isfinite(stack[:, row, column])]
        assert observations[row, column] == len(seen)
        if len(seen):
            assert values[row, column] == pytest.approx(float(np.median(seen)), abs=1e-6)
        else:
            assert np.isnan(values[row, column])


@pytest.mark.parametrize("method", get_args(CompositeMethod))
def test_a_period_without_layers_is_fill_and_no_observation(method: CompositeMethod) -> None:
    found = compose_index(NDVI, [], target=TARGET, method=method)

    assert found.values.tolist() == [[FILL, FILL]]
    assert found.observations.tolist() == [[0, 0]]


def test_overlapping_granules_of_one_day_count_once() -> None:
    day = [granule("a", [1000, 1000], [3000, FILL]), granule("b", [1000, 1000], [4000, 4000])]

    found = compose_index(NDVI, [day], target=TARGET, method="median")

    assert found.values.tolist() == [[5000, 6000]]
    assert found.observations.tolist() == [[1, 1]]


def test_a_pixel_out_of_range_falls_back_on_the_next_granule_and_is_counted() -> None:
    day = [granule("a", [-100, 1000], [3000, 3000]), granule("b", [1000, 1000], [4000, 4000])]

    found = compose_index(NDVI, [day], target=TARGET, method="max")

    assert found.values.tolist() == [[6000, 5000]]
    assert (found.computed, found.kept) == (4, 3)


def test_the_composite_is_made_of_indices_and_not_of_reflectances() -> None:
    days = [
        [granule("a", [1000, FILL], [3000, FILL])],
        [granule("b", [4000, 1000], [6000, 2000])],
        [granule("c", [2000, FILL], [8000, FILL])],
    ]

    found = compose_index(NDVI, days, target=TARGET, method="median")

    assert found.values.tolist() == [[5000, 3333]]
    assert found.observations.tolist() == [[3, 1]]


def test_shapes_and_empty_layers_are_refused() -> None:
    with pytest.raises(RasterError, match="shape"):
        compose_index(NDVI, [[granule("a", [1], [2])]], target=TARGET, method="max")
    with pytest.raises(RasterError, match="no granule"):
        compose_index(NDVI, [[]], target=TARGET, method="max")


def random_days(seed: int, shape: tuple[int, int]) -> list[list[GranuleReflectance]]:
    random = np.random.default_rng(seed)
    days = []
    for day in range(3):
        granules = []
        for crs in (UTM33, UTM34):
            bands = {
                name: random.integers(100, 5000, shape).astype(np.int16) for name in NDVI.needs
            }
            bands["red"][random.random(shape) < 0.4] = FILL
            granules.append(GranuleReflectance(f"{day}-{crs.to_epsg()}", crs, bands))
        days.append(granules)
    return days


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 1000),
    method=st.sampled_from(get_args(CompositeMethod)),
    column=st.integers(0, 39),
    row=st.integers(0, 29),
)
def test_any_part_has_the_bits_of_the_whole(
    seed: int, method: CompositeMethod, *, column: int, row: int
) -> None:
    """Across 18 degrees east, the border of zones 33 and 34."""
    crs, origin = matrix_origin("WebMercatorQuad", 10)
    left, top = (int(place) for place in ~origin @ (2003750.83, 5780000.0))
    whole = GeoBox(Window(left - 20, top, 40, 30), origin, crs)
    part = GeoBox(Window(left - 20 + column, top + row, 40 - column, 30 - row), origin, crs)
    days = random_days(seed, (30, 40))
    cut = [
        [
            GranuleReflectance(g.id, g.crs, {n: band[row:, column:] for n, band in g.bands.items()})
            for g in day
        ]
        for day in days
    ]

    expected = compose_index(NDVI, days, target=whole, method=method)
    found = compose_index(NDVI, cut, target=part, method=method)

    assert found.values.tobytes() == expected.values[row:, column:].tobytes()
    assert found.observations.tobytes() == expected.observations[row:, column:].tobytes()


def test_a_window_that_is_worked_on_in_strips_has_the_bits_of_its_parts() -> None:
    """Three layers of 700 x 700 pixels are more than one strip; three of 100 x 700 are not."""
    crs, origin = matrix_origin("WebMercatorQuad", 10)
    days = random_days(1, (700, 700))
    whole = GeoBox(Window(144000, 92000, 700, 700), origin, crs)
    part = GeoBox(Window(144000, 92450, 700, 100), origin, crs)
    cut = [
        [GranuleReflectance(g.id, g.crs, {n: b[450:550] for n, b in g.bands.items()}) for g in day]
        for day in days
    ]

    expected = compose_index(NDVI, days, target=whole, method="median")
    found = compose_index(NDVI, cut, target=part, method="median")

    assert found.values.tobytes() == expected.values[450:550].tobytes()
    assert (expected.observations > 0).mean() > 0.9
