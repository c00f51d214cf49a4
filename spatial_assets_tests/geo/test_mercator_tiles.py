"""The tiles of a box by arithmetic: the same as by geometry, or no answer."""

import math

import morecantile
import pytest
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spatial_assets.geo.grid import area_cover
from spatial_assets.geo.grid.partitioning import partition_area
from spatial_assets.geo.grid.pixel_grid import PixelGrid
from spatial_assets.geo.lonlat import BBox
from spatial_assets.geo.mercator_tiles import (
    AMBIGUITY_PIXELS,
    MIN_OVERLAP_PIXELS,
    WEB_MERCATOR_MAX_ZOOM,
    WEB_MERCATOR_QUAD,
    tile_block,
)

DEMO = (17.76, 45.775, 18.275, 46.005)
NEARLY_NORTH = 85.0511287798  # where the grid ends, but for a hundredth of a millimetre


def by_geometry(box: BBox, *, pixel_zoom: int, shard: int, level: int) -> tuple[str, ...]:
    grid = PixelGrid(
        tile_matrix_set=WEB_MERCATOR_QUAD, pixel_zoom=pixel_zoom, chunk=shard, shard=shard
    )
    return partition_area(grid, "tiles", level, area=shapely.box(*box)).keys


def edge_of_tile(zoom: int, column: int) -> float:
    """Longitude of the left edge of a column of tiles."""
    return math.ldexp(column * 360.0, -zoom) - 180.0


@st.composite
def boxes(draw: st.DrawFn) -> BBox:
    """Boxes of up to ten degrees anywhere on the grid, some along the edges of tiles."""
    west = draw(st.floats(-180, 179) | st.integers(0, 1023).map(lambda n: edge_of_tile(10, n)))
    south = draw(st.floats(-85, 84))
    east = min(180.0, west + draw(st.floats(1e-6, 10) | st.just(edge_of_tile(8, 1) + 180)))
    north = min(NEARLY_NORTH, south + draw(st.floats(1e-6, 10)))
    return (west, south, east, north)


@settings(max_examples=150)
@given(boxes(), st.integers(0, 3), st.integers(0, 2), st.integers(7, 10))
@example(DEMO, 0, 0, 9)
@example((-180.0, -85.0, -175.0, NEARLY_NORTH), 0, 0, 7)
@example((170.0, 0.0, 180.0, 10.0), 1, 1, 8)
def test_arithmetic_finds_the_tiles_that_geometry_finds_in_the_same_order(
    box: BBox, coarser: int, halvings: int, pixel_zoom: int
) -> None:
    level = pixel_zoom - coarser
    shard = 256 << max(0, coarser - halvings)

    block = tile_block(box, pixel_zoom=pixel_zoom, shard=shard, level=level)

    if block is not None:
        expected = by_geometry(box, pixel_zoom=pixel_zoom, shard=shard, level=level)
        assert block.keys() == expected


@pytest.mark.parametrize(
    ("box", "pixel_zoom"), [(DEMO, 13), ((15.0, 45.06, 16.44, 46.95), 14), ((-180, -10, 0, 10), 8)]
)
def test_the_usual_area_is_answered(box: BBox, pixel_zoom: int) -> None:
    assert tile_block(box, pixel_zoom=pixel_zoom, shard=512, level=pixel_zoom - 1) is not None


def test_a_box_along_the_edges_of_tiles_has_no_neighbours() -> None:
    west, east = edge_of_tile(10, 600), edge_of_tile(10, 602)

    block = tile_block((west, 1.0, east, 2.0), pixel_zoom=10, shard=256, level=10)

    assert block is not None
    assert block.columns == range(600, 602)


@pytest.mark.parametrize("inward", [-1, 1])
def test_an_edge_where_the_answer_changes_is_left_to_geometry(inward: int) -> None:
    degrees_a_pixel = 360 / (256 << 10)
    inside = (MIN_OVERLAP_PIXELS + inward * 0.5 * AMBIGUITY_PIXELS) * degrees_a_pixel
    east = edge_of_tile(10, 602) + inside

    assert tile_block((50.0, 1.0, east, 2.0), pixel_zoom=10, shard=256, level=10) is None


@pytest.mark.parametrize(
    "box",
    [
        pytest.param((179.0, -18.0, -178.0, -16.0), id="antimeridian"),
        pytest.param((10.0, 80.0, 11.0, 86.0), id="beyond-the-grid"),
        pytest.param((10.0, -90.0, 11.0, 90.0), id="poles"),
        pytest.param((-170.0, -80.0, 170.0, 80.0), id="too-many"),
        pytest.param((-1e-9, 45.0, 1e-9, 45.1), id="all-within-the-margins-of-two-tiles"),
    ],
)
def test_what_is_not_usual_is_left_to_geometry(box: BBox) -> None:
    assert tile_block(box, pixel_zoom=14, shard=256, level=14) is None


@pytest.mark.parametrize(
    ("pixel_zoom", "shard", "level"), [(14, 768, 12), (14, 2048, 12), (10, 256, 11), (10, 256, 0)]
)
def test_a_level_that_geometry_would_refuse_is_not_answered(
    pixel_zoom: int, shard: int, level: int
) -> None:
    assert tile_block(DEMO, pixel_zoom=pixel_zoom, shard=shard, level=level) is None


def test_the_grid_is_the_one_that_morecantile_knows() -> None:
    matrices = morecantile.tms.get(WEB_MERCATOR_QUAD).tileMatrices
    half = 6378137 * math.pi

    assert [matrix.id for matrix in matrices] == [
        str(zoom) for zoom in range(WEB_MERCATOR_MAX_ZOOM + 1)
    ]
    for zoom, matrix in enumerate(matrices):
        assert matrix.cellSize * (256 << zoom) == pytest.approx(2 * half, rel=1e-15)
        assert matrix.pointOfOrigin == pytest.approx((-half, half), rel=1e-15)


def test_the_margin_is_the_one_of_geometry() -> None:
    assert vars(area_cover)["MIN_OVERLAP_PIXELS"] == MIN_OVERLAP_PIXELS
