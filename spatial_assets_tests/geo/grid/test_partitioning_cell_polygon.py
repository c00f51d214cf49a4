import morecantile
import pytest
import s2cell
import shapely
from hypothesis import example, given
from hypothesis import strategies as st

from spatial_assets.errors import GridError
from spatial_assets.geo.grid.partitioning import cell_polygon
from spatial_assets.geo.mercator_tiles import PartitionScheme


def test_the_polygon_of_a_quadkey_is_the_tile_of_morecantile() -> None:
    matrices = morecantile.tms.get("WebMercatorQuad")
    expected = tuple(matrices.bounds(matrices.quadkey_to_tile("12023032")))

    assert cell_polygon("tiles", "12023032").bounds == pytest.approx(expected)


def test_the_polygon_of_a_zxy_key_needs_its_set() -> None:
    polygon = cell_polygon("tiles", "8-277-61", tile_matrix_set="WorldCRS84Quad")

    assert polygon.bounds == (14.765625, 46.40625, 15.46875, 47.109375)


@example(-179.9, -65.43516244037171, 5)  # one of its edges lies on the antimeridian
@example(179.9, -65.43516244037171, 5)
@example(-179.9, 65.43516244037171, 5)
@given(st.floats(-179.9, 179.9), st.floats(-89, 89), st.integers(1, 20))
def test_the_polygon_of_an_s2_cell_holds_the_places_with_its_token(
    lon: float, lat: float, level: int
) -> None:
    token = s2cell.lat_lon_to_token(lat, lon, level)

    polygon = cell_polygon("s2", token)

    middle_lat, middle_lon = s2cell.token_to_lat_lon(token)
    assert shapely.is_valid(polygon)
    assert polygon.contains(shapely.Point(middle_lon, middle_lat))
    assert polygon.distance(shapely.Point(lon, lat)) < 0.05 * polygon.length + 1e-9


def test_the_cells_of_the_poles_and_of_the_antimeridian_are_cut_not_torn() -> None:
    whole = [cell_polygon("s2", token) for token in ("1", "3", "5", "7", "9", "b")]

    assert sum(polygon.area for polygon in whole) == pytest.approx(360 * 180, rel=0.01)
    assert all(shapely.is_valid(polygon) for polygon in whole)


@pytest.mark.parametrize(
    ("scheme", "key"),
    [
        ("h3", "821E17FFFFFFFFF"),
        ("h3", "821e17fffffffff0"),
        ("h3", "4761"),
        ("s2", "zz"),
        ("s2", "47610"),
        ("s2", ""),
        ("tiles", "0124"),
        ("tiles", ""),
    ],
)
def test_a_key_of_no_cell_is_refused(scheme: PartitionScheme, key: str) -> None:
    with pytest.raises(GridError, match="not a"):
        cell_polygon(scheme, key)
