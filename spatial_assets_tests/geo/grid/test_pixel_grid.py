import math
import pickle

import morecantile
import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer

from spatial_assets.errors import GridError
from spatial_assets.geo.grid.geobox import Window
from spatial_assets.geo.grid.partitioning import partition_area
from spatial_assets.geo.grid.pixel_grid import PixelGrid, Shard, Tile

EVEN_SETS = [
    "WebMercatorQuad",
    "WorldCRS84Quad",
    "WGS1984Quad",
    "WorldMercatorWGS84Quad",
    "EuropeanETRS89_LAEAQuad",
    "NZTM2000Quad",
    "UPSArcticWGS84Quad",
    "UTM31WGS84Quad",
    "LINZAntarticaMapTilegrid",
    "CanadianNAD83_LCC",
]
TOP = 85.0511287798066


def grid_of(
    name: str = "WebMercatorQuad", zoom: int = 10, *, chunk: int = 256, shard: int = 256
) -> PixelGrid:
    return PixelGrid(tile_matrix_set=name, pixel_zoom=zoom, chunk=chunk, shard=shard)


@given(name=st.sampled_from(EVEN_SETS), zoom=st.integers(2, 11), data=st.data())
def test_a_shard_of_256_pixels_is_the_tile_of_morecantile(
    name: str, zoom: int, data: st.DataObject
) -> None:
    grid = grid_of(name, zoom)
    column = data.draw(st.integers(0, grid.width // 256 - 1))
    row = data.draw(st.integers(0, grid.height // 256 - 1))

    bounds = grid.geobox(grid.shard_window(Shard(column, row))).bounds

    expected = morecantile.tms.get(name).xy_bounds(morecantile.Tile(column, row, zoom))
    assert bounds == pytest.approx(tuple(expected), rel=1e-12, abs=grid.pixel_size * 1e-6)


@pytest.mark.parametrize("name", ["WGS1984Quad", "NZTM2000Quad", "EuropeanETRS89_LAEAQuad"])
def test_x_is_east_even_if_the_crs_has_north_first(name: str) -> None:
    grid = grid_of(name, 5)
    west_north = morecantile.tms.get(name).xy_bbox

    assert (grid.origin.c, grid.origin.f) == (west_north.left, west_north.top)
    assert grid.origin.a > 0 > grid.origin.e


def test_a_pixel_of_zoom_10_is_152_metres_at_the_equator() -> None:
    grid = grid_of(zoom=10)

    assert grid.pixel_size == pytest.approx(2 * math.pi * 6378137 / 256 / 1024)
    assert (grid.width, grid.height) == (262144, 262144)


def test_the_last_shard_is_cut_at_the_edge_of_the_matrix() -> None:
    grid = grid_of(zoom=1, chunk=100, shard=300)

    assert grid.shard_window(Shard(1, 1)) == Window(300, 300, 212, 212)
    with pytest.raises(GridError, match="outside the 512 x 512 pixels"):
        grid.shard_window(Shard(2, 0))


lons = st.floats(-180, 180)
lats = st.floats(-85, 85)


@given(st.tuples(lons, lats), st.tuples(lons, lats), st.sampled_from([256, 512, 768, 1024]))
def test_shards_hold_the_area_and_each_holds_some_of_it(
    one: tuple[float, float], other: tuple[float, float], shard: int
) -> None:
    area = shapely.box(*np.minimum(one, other), *np.maximum(one, other))
    grid = grid_of(zoom=6, shard=shard)
    if min(np.abs(np.subtract(one, other))) < 0.1:
        return

    shards = grid.shards_touching(area)

    pixels = grid.in_pixels(area)
    boxes = shapely.box(*(np.array(shards).T * shard), *((np.array(shards).T + 1) * shard))
    assert len(set(shards)) == len(shards)
    assert shapely.difference(pixels, shapely.union_all(boxes)).area < 0.01 * pixels.length
    assert shapely.intersects(boxes, pixels).all()


@given(st.integers(0, 62), st.integers(0, 62), st.integers(1, 9), st.integers(1, 9))
def test_a_box_drawn_along_shard_borders_covers_no_neighbour(
    column: int, row: int, width: int, height: int
) -> None:
    grid = grid_of(zoom=6)
    width, height = min(width, 64 - column), min(height, 64 - row)
    window = Window(column * 256, row * 256, width * 256, height * 256)
    drawn = grid.unproject(shapely.box(*grid.geobox(window).bounds))

    shards = grid.shards_touching(drawn)

    expected = {(column + i, row + j) for i in range(width) for j in range(height)}
    assert set(shards) == expected


def test_touching_is_what_asking_every_shard_would_say() -> None:
    star = shapely.Polygon([(15, 45), (18, 52), (21, 45), (13, 49.5), (23, 49.5)]).buffer(0)
    grid = grid_of(zoom=8)
    pixels = grid.in_pixels(star)
    everything = [(c, r) for c in range(256) for r in range(256)]
    boxes = shapely.box(*(np.array(everything).T * 256), *((np.array(everything).T + 1) * 256))

    brute = {s for s, hit in zip(everything, shapely.intersects(boxes, pixels), strict=True) if hit}

    assert set(grid.shards_touching(star)) == brute


def test_both_sides_of_the_antimeridian_are_covered_and_nothing_between() -> None:
    fiji = shapely.union_all([shapely.box(178, -20, 180, -15), shapely.box(-180, -20, -178, -15)])
    grid = grid_of(zoom=8)

    columns = {shard.column for shard in grid.shards_touching(fiji)}

    assert columns == {0, 1, 254, 255}


def test_longitudes_that_run_past_180_are_refused() -> None:
    with pytest.raises(GridError, match="MultiPolygon cut there"):
        grid_of().shards_touching(shapely.box(178, -20, 182, -15))


def test_web_mercator_takes_an_area_up_to_its_edge_and_refuses_one_beyond() -> None:
    whole = shapely.box(-180, -TOP, 180, TOP)

    assert len(grid_of(zoom=2).shards_touching(whole)) == 16
    with pytest.raises(GridError, match=r"pixels beyond the edge .* 85\.0511"):
        grid_of(zoom=10).shards_touching(shapely.box(15, 80, 16, 85.06))
    with pytest.raises(GridError, match="beyond"):
        grid_of(zoom=10).shards_touching(shapely.box(15, 80, 16, 90))


def test_a_polar_cap_is_a_disc_in_a_polar_set() -> None:
    grid = grid_of("UPSArcticWGS84Quad", 7)
    cap = shapely.box(-180, 80, 180, 90)

    shards = grid.shards_touching(cap)

    windows = [grid.shard_window(shard) for shard in shards]
    middle_column = sum(w.column + 128 for w in windows) / len(windows)
    middle_row = sum(w.row + 128 for w in windows) / len(windows)
    assert ~grid.origin @ (2e6, 2e6) == pytest.approx((middle_column, middle_row), abs=1e-3)


def test_the_footprint_of_a_shard_at_the_pole_reaches_90_degrees() -> None:
    grid = grid_of("UPSArcticWGS84Quad", 7)
    shards = grid.shards_touching(shapely.box(-180, 89, 180, 90))
    footprint = Tile("x", shards, grid.shards_window(shards)).footprint(grid)

    assert shapely.is_valid(footprint)
    assert footprint.bounds[0::2] == (-180.0, 180.0)
    assert footprint.bounds[3] == pytest.approx(90.0)
    assert footprint.contains(shapely.Point(0, 89.9))


@pytest.mark.parametrize(
    ("name", "box"),
    [
        ("WebMercatorQuad", (178, 60, 180, 70)),
        ("WGS1984Quad", (-180, 80, -170, 90)),
        ("UPSArcticWGS84Quad", (-180, 89, 180, 90)),
        ("EuropeanETRS89_LAEAQuad", (10, 50, 12, 51)),
    ],
)
def test_outlines_of_many_shards_are_those_of_each(
    name: str, box: tuple[float, float, float, float]
) -> None:
    grid = grid_of(name, 7)
    shards = grid.shards_touching(shapely.box(*box))

    outlines = grid.outlines(shards)

    assert len(shards) > 1
    assert list(outlines) == [grid.unproject(grid.shard_box(shard)) for shard in shards]


@pytest.mark.parametrize("name", ["WebMercatorQuad", "EuropeanETRS89_LAEAQuad"])
@pytest.mark.parametrize("level", [7, 8, 9])
def test_footprints_of_all_tiles_are_those_of_each(name: str, level: int) -> None:
    grid = PixelGrid(tile_matrix_set=name, pixel_zoom=9, chunk=128, shard=256)
    area = shapely.Polygon([(10, 50), (13, 50.3), (11, 52)])  # its tiles own one shard to 16
    partitioning = partition_area(grid, "tiles", level, area=area)

    tiles = list(partitioning.tiles.values())
    footprints = partitioning.footprints

    assert all(
        found.equals(tile.footprint(grid)) for found, tile in zip(footprints, tiles, strict=True)
    )
    some = partitioning.keys[::2]
    assert list(partitioning.footprints_of(some)) == list(footprints[::2])
    assert [tile.window for tile in tiles] == [grid.shards_window(tile.shards) for tile in tiles]


def test_a_footprint_that_crosses_the_antimeridian_is_cut_there() -> None:
    grid = grid_of("NZTM2000Quad", 8, shard=512)
    east = shapely.box(179.6, -45, 180, -44.6)
    shards = grid.shards_touching(east)

    footprint = Tile("x", shards, grid.shards_window(shards)).footprint(grid)

    assert footprint.geom_type == "MultiPolygon"
    assert footprint.area < 20
    assert shapely.covers(footprint.buffer(1e-6), east)


def test_edges_are_followed_where_the_projection_bends_them() -> None:
    grid = grid_of("UTM31WGS84Quad", 12)
    area = shapely.box(-20, 60, 26, 61)
    along = grid.project(area)

    to_grid = Transformer.from_crs("OGC:CRS84", grid.crs, always_xy=True)
    on_edge = shapely.points(*to_grid.transform(np.linspace(-19.99, 25.99, 777), np.full(777, 60)))
    assert shapely.distance(along.boundary, on_edge).max() < 1.0


@pytest.mark.parametrize("area", [shapely.Polygon(), shapely.MultiPolygon()])
def test_an_empty_area_is_refused(area: shapely.Polygon) -> None:
    with pytest.raises(GridError, match="empty"):
        grid_of().shards_touching(area)


def test_an_area_of_a_billion_shards_is_refused_before_they_are_counted() -> None:
    with pytest.raises(GridError, match="over 1,048,576 shards of 256 pixels"):
        grid_of(zoom=24).shards_touching(shapely.box(-180, -80, 180, 80))


@pytest.mark.parametrize(
    ("name", "zoom", "chunk", "shard", "reason"),
    [
        ("WebMercatorQuad", 10, 512, 1000, "1.95312"),
        ("WebMercatorQuad", 10, 0, 512, "whole number of chunks"),
        ("WebMercatorQuad", 10, 512, 0, "whole number of chunks"),
        ("WebMercatorQuad", 25, 512, 512, "no zoom 25 .*0 to 24"),
        ("WebMercatorQuad", -1, 512, 512, "no zoom -1"),
        ("Mercator", 5, 512, 512, "have .*WebMercatorQuad"),
        ("GNOSISGlobalGrid", 5, 512, 512, "different widths"),
        ("CDB1GlobalGrid", 5, 512, 512, "different widths"),
    ],
)
def test_a_grid_that_cannot_be_is_refused_with_the_reason(
    name: str, zoom: int, chunk: int, *, shard: int, reason: str
) -> None:
    with pytest.raises(GridError, match=reason):
        grid_of(name, zoom, chunk=chunk, shard=shard)


def test_a_grid_is_a_value_that_travels_to_workers() -> None:
    grid = grid_of()
    grid.shards_touching(shapely.box(15, 45, 16, 46))

    other = pickle.loads(pickle.dumps(grid))  # noqa: S301

    assert other == grid
    assert hash(other) == hash(grid)
    assert other.origin == grid.origin


def test_a_tile_owns_exactly_the_pixels_of_its_shards() -> None:
    grid = grid_of()
    shards = (Shard(4, 4), Shard(5, 5))
    tile = Tile("x", shards, grid.shards_window(shards))

    owned = tile.owned(grid)

    assert owned.shape == (512, 512)
    assert owned[:256, :256].all()
    assert owned[256:, 256:].all()
    assert owned.sum() == 2 * 256 * 256
