"""Statistics per boundary: by hand on 3 x 3 pixels, by exactextract, and over any split."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from exactextract import exact_extract
from exactextract.raster import NumPyRasterSource
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pyproj import CRS
from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry

from spatial_assets.errors import RasterError
from spatial_assets.geo.grid.geobox import GeoBox, Window
from spatial_assets.geo.vectors.areas import pixel_areas
from spatial_assets.geo.vectors.zonal_statistics import BoundaryPart, boundary_parts, merge_parts

EQUAL_AREA = CRS("EPSG:3035")
MERCATOR = CRS("EPSG:3857")
# 100 m pixels, absolute pixel (0, 0) at x = 4,000,000, y = 3,000,000
EUROPE = Affine(100.0, 0.0, 4e6, 0.0, -100.0, 3e6)
CENTRAL = Affine(120.0, 0.0, 1_700_000.0, 0.0, -120.0, 5_800_000.0)


def parts_of(
    values: NDArray[np.float64],
    *,
    features: list[tuple[str, BaseGeometry]],
    valid: NDArray[np.bool_] | None = None,
    owned: NDArray[np.bool_] | None = None,
    geobox: GeoBox | None = None,
) -> dict[str, BoundaryPart]:
    rows, columns = values.shape
    box = geobox or GeoBox(Window(0, 0, columns, rows), EUROPE, EQUAL_AREA)
    everything = np.ones(values.shape, dtype=bool)
    parts = boundary_parts(
        values,
        everything if valid is None else valid,
        geobox=box,
        owned=everything if owned is None else owned,
        features=features,
    )
    return {part.key: part for part in parts}


def pixels_box(left: float, top: float, right: float, bottom: float) -> BaseGeometry:
    """A box given in (column, row) of the equal-area grid."""
    west, north = EUROPE @ (left, top)
    east, south = EUROPE @ (right, bottom)
    return shapely.box(west, south, east, north)


NINE = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]])


def test_a_boundary_over_four_half_and_quarter_pixels() -> None:
    # half of the first column's width, from the middle of row 0: covers 1, 2, 4, 5 by 1/4 and 1/2
    part = parts_of(NINE, features=[("a", pixels_box(0.5, 0.5, 1.5, 2.0))])["a"]

    assert part.pixels == pytest.approx(0.25 + 0.25 + 0.5 + 0.5)
    assert part.weight == pytest.approx(15_000.0, rel=1e-6)
    assert part.mean == pytest.approx((0.25 * 1 + 0.25 * 2 + 0.5 * 4 + 0.5 * 5) / 1.5)
    assert (part.min, part.max) == (1.0, 5.0)
    assert part.area_total == pytest.approx(15_000.0, rel=1e-6)


def test_an_invalid_pixel_counts_in_the_area_and_in_nothing_else() -> None:
    valid = NINE != 5.0
    values = np.where(valid, NINE, np.nan)

    part = parts_of(values, valid=valid, features=[("a", pixels_box(0, 0, 3, 3))])["a"]

    assert part.pixels == pytest.approx(8.0)
    assert part.mean == pytest.approx(5.0)
    assert part.sum_squares / part.weight == pytest.approx(
        np.square([1, 2, 3, 4, 6, 7, 8, 9]).mean()
    )
    assert part.area_total == pytest.approx(90_000.0, rel=1e-6)


def test_a_pixel_that_a_neighbour_owns_counts_in_nothing() -> None:
    owned = np.array([[True, True, False]] * 3)

    part = parts_of(NINE, owned=owned, features=[("a", pixels_box(0, 0, 3, 3))])["a"]

    assert part.pixels == pytest.approx(6.0)
    assert part.max == 8.0
    assert part.area_total == pytest.approx(60_000.0, rel=1e-6)


def test_a_boundary_without_a_valid_pixel_has_weight_zero_and_no_mean() -> None:
    nothing = np.zeros((3, 3), dtype=bool)

    part = parts_of(NINE, valid=nothing, features=[("a", pixels_box(0, 0, 2, 2))])["a"]

    assert (part.pixels, part.weight, part.sum) == (0.0, 0.0, 0.0)
    assert (part.min, part.max, part.mean, part.variance) == (None, None, None, None)
    assert part.area_total == pytest.approx(40_000.0, rel=1e-6)


def test_a_boundary_off_the_tile_or_only_touching_it_has_no_part() -> None:
    features = [
        ("off", pixels_box(10, 10, 12, 12)),
        ("touching", pixels_box(3, 0, 5, 3)),
        ("empty", shapely.MultiPolygon()),
        ("on", pixels_box(1, 1, 2, 2)),
    ]

    assert set(parts_of(NINE, features=features)) == {"on"}


def test_a_hole_is_not_counted() -> None:
    ring = shapely.difference(pixels_box(0, 0, 3, 3), pixels_box(1, 1, 2, 2))

    part = parts_of(NINE, features=[("a", ring)])["a"]

    assert part.pixels == pytest.approx(8.0)
    assert part.sum / part.weight == pytest.approx(40.0 / 8.0)


def test_arrays_of_different_shape_are_refused() -> None:
    with pytest.raises(RasterError, match="differ in shape"):
        parts_of(NINE, valid=np.ones((2, 3), dtype=bool), features=[])


def wobbly(seed: int) -> BaseGeometry:
    """A star of 40 corners, some 20 pixels across, in web-mercator."""
    rng = np.random.default_rng(seed)
    angles = np.linspace(0.0, 2.0 * np.pi, 40, endpoint=False)
    radius = rng.uniform(4.0, 16.0, 40)
    column = 20.0 + rng.uniform(-4.0, 4.0) + radius * np.cos(angles)
    row = 20.0 + rng.uniform(-4.0, 4.0) + radius * np.sin(angles)
    xy = [CENTRAL @ (float(c), float(r)) for c, r in zip(column, row, strict=True)]
    return shapely.make_valid(shapely.Polygon(xy), method="structure")


def mosaic(seed: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    rng = np.random.default_rng(seed)
    values = rng.uniform(-0.2, 0.9, (40, 40))
    return values, rng.uniform(size=values.shape) > 0.2


@given(
    seed=st.integers(0, 10_000),
    cuts=st.tuples(
        st.lists(st.integers(1, 39), max_size=4, unique=True),
        st.lists(st.integers(1, 39), max_size=4, unique=True),
    ),
)
@settings(max_examples=60, deadline=None)
def test_any_split_into_tiles_merges_to_the_same_statistics(
    seed: int, cuts: tuple[list[int], list[int]]
) -> None:
    values, valid = mosaic(seed)
    features = [("a", wobbly(seed)), ("b", wobbly(seed + 1))]
    whole = GeoBox(Window(100, 200, 40, 40), CENTRAL @ Affine.translation(-100, -200), MERCATOR)
    expected = parts_of(values, valid=valid, features=features, geobox=whole)

    pieces: list[BoundaryPart] = []
    edges = [[0, *sorted(axis), 40] for axis in cuts]
    for top, bottom in zip(edges[0], edges[0][1:], strict=False):
        for left, right in zip(edges[1], edges[1][1:], strict=False):
            window = Window(100 + left, 200 + top, right - left, bottom - top)
            at = (slice(top, bottom), slice(left, right))
            box = GeoBox(window, whole.origin, MERCATOR)
            pieces += parts_of(values[at], valid=valid[at], features=features, geobox=box).values()

    for merged in merge_parts(pieces):
        single = expected[merged.key]
        for figure in ("pixels", "weight", "sum", "sum_squares", "area_total"):
            assert getattr(merged, figure) == pytest.approx(getattr(single, figure), rel=1e-9)
        assert (merged.min, merged.max) == (single.min, single.max)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_tiles_that_read_more_than_they_own_merge_to_the_same_statistics(seed: int) -> None:
    values, valid = mosaic(seed)
    features = [("a", wobbly(seed))]
    box = GeoBox(Window(0, 0, 40, 40), CENTRAL, MERCATOR)
    mine = np.random.default_rng(seed).uniform(size=values.shape) > 0.5
    expected = parts_of(values, valid=valid, features=features, geobox=box)["a"]

    pieces = [
        part
        for owned in (mine, ~mine)
        for part in parts_of(
            values, valid=valid, owned=owned, features=features, geobox=box
        ).values()
    ]

    (merged,) = merge_parts(pieces)
    assert merged.sum == pytest.approx(expected.sum, rel=1e-9)
    assert merged.area_total == pytest.approx(expected.area_total, rel=1e-9)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_the_mean_is_exactextract_weighted_by_the_area_raster(seed: int) -> None:
    values, valid = mosaic(seed)
    star = wobbly(seed)
    box = GeoBox(Window(0, 0, 40, 40), CENTRAL, MERCATOR)
    left, bottom, right, top = box.bounds
    extent = {"xmin": left, "ymin": bottom, "xmax": right, "ymax": top}

    part = parts_of(values, valid=valid, features=[("a", star)], geobox=box)["a"]

    oracle = exact_extract(
        NumPyRasterSource(np.where(valid, values, np.nan), nodata=np.nan, **extent),
        {"type": "Feature", "properties": {}, "geometry": mapping(star)},
        ["weighted_mean", "weighted_variance", "count", "min", "max"],
        weights=NumPyRasterSource(np.array(pixel_areas(box)), **extent),
    )[0]["properties"]
    assert part.mean == pytest.approx(oracle["weighted_mean"], rel=1e-6)
    assert part.variance == pytest.approx(oracle["weighted_variance"], rel=1e-5)
    assert part.pixels == pytest.approx(oracle["count"], rel=1e-6)
    assert (part.min, part.max) == (oracle["min"], oracle["max"])


def test_the_area_of_a_boundary_in_mercator_is_its_geodesic_area() -> None:
    star = wobbly(7)
    box = GeoBox(Window(0, 0, 40, 40), CENTRAL, MERCATOR)
    lonlat = gpd.GeoSeries([star], crs=MERCATOR).to_crs(4326).iloc[0]
    geod = CRS("EPSG:4326").get_geod()
    assert geod is not None

    part = parts_of(np.zeros((40, 40)), features=[("a", star)], geobox=box)["a"]

    assert part.area_total == pytest.approx(abs(geod.geometry_area_perimeter(lonlat)[0]), rel=1e-5)
