import morecantile
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatial_assets.errors import GridError
from spatial_assets.geo.grid.quadkeys import (
    from_quadkey,
    from_zxy_key,
    morton_codes,
    quadkey,
    zxy_key,
)

indices = st.integers(1, 31).flatmap(
    lambda zoom: st.tuples(
        st.just(zoom), st.integers(0, (1 << zoom) - 1), st.integers(0, (1 << zoom) - 1)
    )
)


@given(indices)
def test_a_quadkey_survives_the_trip_through_its_indices(tile: tuple[int, int, int]) -> None:
    assert from_quadkey(quadkey(*tile)) == tile


@given(indices)
def test_a_quadkey_is_the_one_morecantile_gives(tile: tuple[int, int, int]) -> None:
    zoom, column, row = tile
    expected = morecantile.tms.get("WebMercatorQuad").quadkey(morecantile.Tile(column, row, zoom))

    assert quadkey(zoom, column, row) == expected


@given(st.tuples(st.integers(0, 40), st.integers(0, 10**9), st.integers(0, 10**9)))
def test_a_zxy_key_survives_the_trip_through_its_indices(tile: tuple[int, int, int]) -> None:
    assert from_zxy_key(zxy_key(*tile)) == tile


@given(indices)
def test_a_morton_code_is_the_quadkey_read_as_a_number(tile: tuple[int, int, int]) -> None:
    zoom, column, row = tile
    code = morton_codes(np.array([column]), np.array([row]))

    assert int(code[0]) == int(quadkey(zoom, column, row), 4)


def test_sorting_by_code_and_by_key_is_the_same_order() -> None:
    tiles = [(9, column, row) for column in range(0, 512, 37) for row in range(0, 512, 41)]
    tiles = [tiles[i] for i in np.random.default_rng(1).permutation(len(tiles))]
    _, columns, rows = np.array(tiles).T

    by_code = [tiles[i] for i in np.argsort(morton_codes(columns, rows))]

    assert by_code == sorted(tiles, key=lambda tile: quadkey(*tile))


@pytest.mark.parametrize("key", ["", "4", "0123a", "12 3", "-1", "0" * 32, "\u0660\u0661"])
def test_what_is_no_quadkey_is_refused(key: str) -> None:
    with pytest.raises(GridError, match="not a quadkey"):
        from_quadkey(key)


@pytest.mark.parametrize("key", ["", "7", "7-1", "7-1-2-3", "7--1-2", "07-1-2", "7,1,2"])
def test_what_is_no_zxy_key_is_refused(key: str) -> None:
    with pytest.raises(GridError, match="not a tile key"):
        from_zxy_key(key)


def test_zoom_0_has_no_quadkey() -> None:
    with pytest.raises(GridError, match="zoom 0 has no quadkey"):
        quadkey(0, 0, 0)


@pytest.mark.parametrize(("column", "row"), [(8, 0), (0, 8), (-1, 0)])
def test_a_tile_beyond_its_zoom_is_refused(column: int, row: int) -> None:
    with pytest.raises(GridError, match="8 x 8 tiles"):
        quadkey(3, column, row)
