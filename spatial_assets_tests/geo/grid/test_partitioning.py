import itertools
import pickle
import time

import h3
import morecantile
import numpy as np
import pytest
import s2cell
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from spatial_assets.errors import GridError
from spatial_assets.geo.grid import h3_s2_cells
from spatial_assets.geo.grid.partitioning import Partitioning, cell_polygon, partition_area
from spatial_assets.geo.grid.pixel_grid import PixelGrid, Shard
from spatial_assets.geo.mercator_tiles import PartitionScheme

FIJI = shapely.union_all([shapely.box(178, -20, 180, -15), shapely.box(-180, -20, -178, -15)])
SLOVENIA = shapely.box(13.4, 45.4, 16.6, 46.9)


def grid_of(
    name: str = "WebMercatorQuad", zoom: int = 10, *, chunk: int = 256, shard: int = 256
) -> PixelGrid:
    return PixelGrid(tile_matrix_set=name, pixel_zoom=zoom, chunk=chunk, shard=shard)


def shards_of(partitioning: Partitioning) -> list[Shard]:
    return [shard for tile in partitioning.tiles.values() for shard in tile.shards]


areas = st.builds(
    lambda lon, lat, width, height: shapely.box(lon, lat, lon + width, lat + height),
    st.floats(-170, 160),
    st.floats(-75, 70),
    st.floats(0.01, 8),
    st.floats(0.01, 8),
)
levels = st.one_of(
    st.tuples(st.just("tiles"), st.integers(1, 10)),
    st.tuples(st.just("h3"), st.integers(0, 2)),
    st.tuples(st.just("s2"), st.integers(0, 4)),
)


@settings(deadline=None, max_examples=60)
@given(areas, levels, st.sampled_from([256, 512]))
def test_every_scheme_and_level_shares_out_the_same_shards_once(
    area: shapely.Polygon, scheme_level: tuple[PartitionScheme, int], shard: int
) -> None:
    grid = grid_of(zoom=9, shard=shard)
    scheme, level = scheme_level
    if scheme == "tiles":
        level = min(level, 9 - (shard // 256 - 1))
    expected = grid.shards_touching(area)

    shared = shards_of(partition_area(grid, scheme, level, area=area))

    assert len(shared) == len(set(shared))
    assert set(shared) == set(expected)


@settings(deadline=None, max_examples=30)
@given(areas, levels)
def test_tiles_are_whole_ordered_and_named_once(
    area: shapely.Polygon, scheme_level: tuple[PartitionScheme, int]
) -> None:
    grid = grid_of(zoom=10)
    partitioning = partition_area(grid, scheme_level[0], scheme_level[1], area=area)

    assert partitioning.keys == tuple(sorted(set(partitioning.keys)))
    for key, tile in partitioning.tiles.items():
        assert tile.key == key
        assert partitioning.tile(key) is tile
        assert tile.window == grid.shards_window(tile.shards)
        assert int(tile.owned(grid).sum()) == 256 * 256 * len(tile.shards)
        assert not set(key) & {",", "/", "."}
    assert partitioning.extent == grid.shards_window(shards_of(partitioning))


@settings(deadline=None, max_examples=30)
@given(areas)
def test_the_shards_of_a_tile_lie_within_the_tile_of_morecantile(area: shapely.Polygon) -> None:
    grid = grid_of(zoom=9)
    matrices = morecantile.tms.get("WebMercatorQuad")

    partitioning = partition_area(grid, "tiles", 6, area=area)

    for key, tile in partitioning.tiles.items():
        bounds = matrices.xy_bounds(matrices.quadkey_to_tile(key))
        whole = shapely.box(*bounds).buffer(1e-3)
        assert all(whole.contains(grid.shard_box(shard)) for shard in tile.shards)


@settings(deadline=None, max_examples=30)
@given(areas, st.sampled_from([("h3", 2), ("s2", 4)]))
def test_a_cell_owns_the_shards_whose_middle_its_outline_holds(
    area: shapely.Polygon, scheme_level: tuple[PartitionScheme, int]
) -> None:
    grid = grid_of(zoom=10)

    partitioning = partition_area(grid, scheme_level[0], scheme_level[1], area=area)

    for key, tile in partitioning.tiles.items():
        outline = cell_polygon(scheme_level[0], key).buffer(0.02)  # our edges bow between vertices
        for shard in tile.shards:
            assert outline.contains(
                grid.unproject(grid.shard_box(shard).centroid.buffer(1)).centroid
            )


def test_keys_are_those_of_the_projects_that_invented_them() -> None:
    grid = grid_of(zoom=11)
    point = shapely.Point(14.5, 46.05).buffer(0.01)

    matrices = morecantile.tms.get("WebMercatorQuad")
    assert partition_area(grid, "tiles", 7, area=point).keys == (
        matrices.quadkey(matrices.tile(14.5, 46.05, 7)),
    )
    assert partition_area(grid, "h3", 3, area=point).keys == (h3.latlng_to_cell(46.05, 14.5, 3),)
    assert partition_area(grid, "s2", 5, area=point).keys == (
        s2cell.lat_lon_to_token(46.05, 14.5, 5),
    )


@pytest.mark.parametrize(
    ("column", "row", "runs"), [(16, 32, 1), (24, 24, 4), (20, 12, 10), (21, 13, 46)]
)
def test_a_16_by_16_area_of_a_64_by_64_grid_is_few_runs_of_keys(
    column: int, row: int, runs: int
) -> None:
    grid = grid_of(zoom=6)
    everything = shapely.box(-180, -85.0511, 180, 85.0511)
    order = {key: n for n, key in enumerate(partition_area(grid, "tiles", 6, area=everything).keys)}
    window = grid.shards_window([Shard(column, row), Shard(column + 15, row + 15)])
    area = grid.unproject(shapely.box(*grid.geobox(window).bounds).buffer(-1.0))

    places = [order[key] for key in partition_area(grid, "tiles", 6, area=area).keys]

    assert len(places) == 256
    assert 1 + sum(b - a > 1 for a, b in itertools.pairwise(places)) == runs


@pytest.mark.parametrize("name", ["WorldCRS84Quad", "WGS1984Quad", "UTM31WGS84Quad"])
def test_a_set_without_quadkeys_has_zxy_keys_in_morton_order(name: str) -> None:
    area = shapely.box(1, 44, 6, 48)
    grid = grid_of(name, 9)

    partitioning = partition_area(grid, "tiles", 8, area=area)

    assert all(key.startswith("8-") for key in partitioning.keys)
    assert [s for tile in partitioning.tiles.values() for s in tile.shards] == list(
        grid.shards_touching(area)
    )


@pytest.mark.parametrize("scheme_level", [("tiles", 7), ("s2", 4)])
def test_both_sides_of_the_antimeridian_are_partitioned(
    scheme_level: tuple[PartitionScheme, int],
) -> None:
    grid = grid_of(zoom=10)

    partitioning = partition_area(grid, scheme_level[0], scheme_level[1], area=FIJI)

    assert set(shards_of(partitioning)) == set(grid.shards_touching(FIJI))
    assert all(tile.window.width < 8192 for tile in partitioning.tiles.values())


def test_a_cell_at_both_edges_of_the_grid_is_refused() -> None:
    with pytest.raises(GridError, match=r"cell 819b7ffffffffff has shards at both edges"):
        partition_area(grid_of(zoom=10), "h3", 1, area=FIJI)


@pytest.mark.parametrize(
    ("shard", "level", "arithmetic"),
    [
        (1024, 9, r"256 x 2\^\(10 - 9\) = 512 pixels.*512 / 1024 = 0.5.*level = 8 or less"),
        (256, 11, r"256 x 2\^\(10 - 11\) = 128 pixels.*level = 10 or less"),
        (128, 11, r"level = 11 is a finer zoom .* pixel_zoom = 10; use level = 10"),
        (768, 5, "256 times a power of two"),
        (256, -1, "not a zoom"),
        (256, 0, "quadkey would be empty; use level 1"),
    ],
)
def test_a_level_that_cuts_shards_or_has_no_key_is_refused(
    shard: int, level: int, arithmetic: str
) -> None:
    grid = grid_of(chunk=min(shard, 256), shard=shard)

    with pytest.raises(GridError, match=arithmetic):
        partition_area(grid, "tiles", level, area=SLOVENIA)


def test_a_set_that_is_not_halved_has_no_tiles_but_cells() -> None:
    grid = grid_of("CanadianNAD83_LCC", 8)
    area = shapely.box(-80, 45, -70, 50)

    with pytest.raises(GridError, match=r"a pixel of zoom 5 is .* not 2; .*h3"):
        partition_area(grid, "tiles", 5, area=area)
    assert set(shards_of(partition_area(grid, "h3", 1, area=area))) == set(
        grid.shards_touching(area)
    )


@pytest.mark.parametrize(
    ("scheme_level", "fits"), [(("h3", 5), ("h3", 4)), (("s2", 30), ("s2", 7))]
)
def test_cells_too_small_to_own_a_shard_are_refused_with_the_level_that_fits(
    scheme_level: tuple[PartitionScheme, int], fits: tuple[PartitionScheme, int]
) -> None:
    grid = grid_of()

    with pytest.raises(GridError, match=rf"m\); use level = {fits[1]} or less"):
        partition_area(grid, scheme_level[0], scheme_level[1], area=SLOVENIA)

    assert partition_area(grid, fits[0], fits[1], area=SLOVENIA).keys


@pytest.mark.parametrize("scheme_level", [("h3", 4), ("s2", 7)])
def test_at_a_level_that_fits_every_cell_within_the_area_owns_a_shard(
    scheme_level: tuple[h3_s2_cells.CellScheme, int],
) -> None:
    scheme, level = scheme_level
    partitioning = partition_area(grid_of(), scheme, level, area=SLOVENIA)
    places = [(13.5 + 0.01 * i, 45.5 + 0.01 * j) for i in range(300) for j in range(130)]
    lon, lat = np.array(places).T

    met = set(h3_s2_cells.cells_of(scheme, level, lon=lon, lat=lat))

    within = {key for key in met if SLOVENIA.contains(cell_polygon(scheme, key))}
    assert within <= set(partitioning.keys)


@pytest.mark.parametrize("scheme_level", [("h3", 16), ("s2", 31), ("h3", -1)])
def test_a_level_the_scheme_does_not_have_is_refused(
    scheme_level: tuple[PartitionScheme, int],
) -> None:
    with pytest.raises(GridError, match="has no level"):
        partition_area(grid_of(), scheme_level[0], scheme_level[1], area=SLOVENIA)


def test_a_trillion_tiles_are_refused_at_once_with_the_level_that_fits() -> None:
    world = shapely.box(-180, -85, 180, 85)
    grid = grid_of(zoom=24)
    began = time.process_time()

    with pytest.raises(GridError, match=r"level 8 has 65,536 .*4\^12.*use level = 8 or less"):
        partition_area(grid, "tiles", 20, area=world)

    assert time.process_time() - began < 2


def test_a_level_that_the_refusal_named_does_fit() -> None:
    grid = grid_of(zoom=12)
    area = shapely.box(-20, 35, 40, 70)

    with pytest.raises(GridError, match="use level = 10 or less"):
        partition_area(grid, "tiles", 12, area=area)

    assert len(partition_area(grid, "tiles", 10, area=area).keys) < 100_000


def test_an_unknown_key_names_the_command_that_lists_the_known() -> None:
    partitioning = partition_area(grid_of(), "tiles", 8, area=SLOVENIA)

    with pytest.raises(GridError, match=r"no tile '0000'.*spatial-assets tiles"):
        partitioning.tile("0000")


@settings(deadline=None, max_examples=30)
@given(areas, areas, st.sampled_from([("tiles", 8), ("h3", 2), ("s2", 3)]))
def test_touching_finds_the_tiles_whose_shards_the_geometry_touches(
    area: shapely.Polygon, other: shapely.Polygon, scheme_level: tuple[PartitionScheme, int]
) -> None:
    grid = grid_of(zoom=9)
    partitioning = partition_area(grid, scheme_level[0], scheme_level[1], area=area)
    touched = set(grid.shards_touching(other))

    expected = [k for k, tile in partitioning.tiles.items() if touched & set(tile.shards)]

    assert list(partitioning.touching(other)) == expected


def test_touching_takes_a_geometry_that_leaves_the_grid() -> None:
    partitioning = partition_area(grid_of(), "tiles", 8, area=SLOVENIA)

    assert partitioning.touching(shapely.box(-180, -90, 180, 90)) == partitioning.keys
    assert partitioning.touching(shapely.box(100, 80, 110, 90)) == ()


def test_the_same_area_is_partitioned_the_same_twice_and_travels() -> None:
    first = partition_area(grid_of(), "h3", 3, area=SLOVENIA)
    again = partition_area(grid_of(), "h3", 3, area=SLOVENIA)

    assert first == again
    assert pickle.loads(pickle.dumps(first)) == first  # noqa: S301
