"""A boundary set that lost most of its features is refused: the statistics of the others stay."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import pytest
import shapely

from spatial_assets.errors import VectorError
from spatial_assets_tests.fixtures.boundary_chain import boundary_chain, names_by_key


def write_regions(path: Path, count: int) -> Path:
    """Write a number of regions side by side."""
    boxes = [shapely.box(15 + at / 10, 46, 15.1 + at / 10, 46.1) for at in range(count)]
    names = [f"r{at}" for at in range(count)]
    frame = gpd.GeoDataFrame({"pid": names, "name": names}, geometry=boxes, crs=4326)
    frame.to_file(path, driver="GeoJSON")
    return path


def test_a_source_that_lost_most_features_is_refused_and_the_rows_stay(tmp_path: Path) -> None:
    source = write_regions(tmp_path / "regions.geojson", 5)
    chain = boundary_chain(tmp_path / "p", source, lines='columns = ["name"]')
    assert len(chain.run()) == 5
    write_regions(source, 2)

    with pytest.raises(VectorError, match=r"has 2 usable features and had 5.*withdrawn_share"):
        chain.validate()

    assert len(chain.rows()) == 5


def test_a_source_that_lost_a_few_features_is_followed(tmp_path: Path) -> None:
    source = write_regions(tmp_path / "regions.geojson", 5)
    chain = boundary_chain(tmp_path / "p", source, lines='columns = ["name"]')
    chain.run()
    write_regions(source, 3)

    assert set(names_by_key(chain.run())) == {"r0", "r1", "r2"}


def test_another_source_may_be_as_small_as_it_likes(tmp_path: Path) -> None:
    source = write_regions(tmp_path / "regions.geojson", 5)
    boundary_chain(tmp_path / "p", source, lines='columns = ["name"]').run()
    other = write_regions(tmp_path / "two.geojson", 2)

    assert len(boundary_chain(tmp_path / "p", other, lines='columns = ["name"]').run()) == 2


def test_a_set_that_is_meant_to_shrink_may_by_setting(tmp_path: Path) -> None:
    source = write_regions(tmp_path / "regions.geojson", 5)
    lines = 'columns = ["name"]\n[checks]\nwithdrawn_share = 1.0'
    chain = boundary_chain(tmp_path / "p", source, lines=lines)
    chain.run()
    write_regions(source, 1)

    assert len(chain.run()) == 1
