"""Windows have the right pixels, and every window agrees on a bad block."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.env import get_gdal_config

from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.rasters.gdal_datasets import close_all, gdal_settings
from spatial_assets.catalog.rasters.windows import READ_BLOCK, probing_window, read_window
from spatial_assets.errors import SceneError
from spatial_assets.geo.grid.geobox import Window
from spatial_assets_tests.catalog.noise_rasters import (
    COLUMNS,
    LAYOUTS,
    ROWS,
    damage,
    facts_of,
    noise,
    read,
)
from spatial_assets_tests.fixtures.scene_factory import quick_access, source_of, write_raster


@pytest.fixture(scope="module", params=sorted(LAYOUTS))
def damaged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with one damaged block, near the middle."""
    path = write_raster(
        tmp_path_factory.mktemp("damaged") / f"{request.param}.tif",
        noise(),
        **LAYOUTS[request.param],
    )
    with rasterio.open(path) as file:
        rows, columns = file.block_shapes[0]
    damage(path, x=600 // columns, y=600 // rows)
    return path


def windows() -> st.SearchStrategy[Window]:
    return st.builds(
        lambda x, y, w, h: Window(x, y, min(w, COLUMNS - x), min(h, ROWS - y)),
        st.integers(0, COLUMNS - 1),
        st.integers(0, ROWS - 1),
        st.integers(1, 700),
        st.integers(1, 700),
    )


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(window=windows())
def test_a_block_is_bad_for_every_window_or_for_none(
    damaged: Path, window: Window, tmp_path_factory: pytest.TempPathFactory
) -> None:
    access = quick_access(tmp_path_factory.getbasetemp())
    whole = Window(0, 0, COLUMNS, ROWS)
    all_pixels, all_readable = read(damaged, whole, access)

    pixels, readable = read(damaged, window, access)

    inside = window.slices_in(whole)
    assert np.array_equal(readable, all_readable[inside])
    assert np.array_equal(pixels, all_pixels[inside])
    assert np.array_equal(all_pixels[all_readable], noise()[all_readable])


def test_only_whole_512_blocks_are_unreadable(damaged: Path, access: SourceAccess) -> None:
    _, readable = read(damaged, Window(0, 0, COLUMNS, ROWS), access)

    for row in range(0, ROWS, READ_BLOCK):
        for column in range(0, COLUMNS, READ_BLOCK):
            block = readable[row : row + READ_BLOCK, column : column + READ_BLOCK]
            assert block.all() or not block.any()
    assert not readable.all()
    assert not readable[600, 600]


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_a_good_file_is_read_as_it_is(tmp_path: Path, access: SourceAccess, layout: str) -> None:
    path = write_raster(tmp_path / "good.tif", noise(), **LAYOUTS[layout])
    window = Window(500, 300, 600, 700)

    pixels, readable = read(path, window, access)

    assert readable.all()
    assert np.array_equal(pixels, noise()[300:1000, 500:1100])


def test_nothing_is_added_to_a_window_where_the_blocks_of_the_file_fit() -> None:
    class Tiled:
        width, height, block_shapes = 10_980, 10_980, ((1024, 1024),)

    class Strips:
        width, height, block_shapes = 7931, 8041, ((16, 7931),)

    window = Window(700, 700, 100, 100)

    assert probing_window(window, Tiled()) == window
    assert probing_window(window, Strips()) == Window(700, 512, 100, 512)


def test_a_truncated_file_gives_what_is_there(tmp_path: Path, access: SourceAccess) -> None:
    path = write_raster(tmp_path / "cut.tif", noise(), **LAYOUTS["tiled-512"])
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 55 // 100])

    pixels, readable = read(path, Window(0, 0, COLUMNS, ROWS), access)

    assert readable[:512, :512].all()
    assert not readable[-1, -1]
    assert np.array_equal(pixels[readable], noise()[readable])


def test_a_sparse_block_is_readable_and_empty(tmp_path: Path, access: SourceAccess) -> None:
    pixels = noise()
    pixels[:512, :512] = 0
    path = write_raster(
        tmp_path / "sparse.tif", pixels, **LAYOUTS["tiled-512"], sparse_ok=True, nodata=0
    )

    found, readable = read(path, Window(0, 0, 600, 600), access)

    assert readable.all()
    assert not found[:512, :512].any()


def test_a_file_that_changes_while_it_is_open_is_read_again(
    tmp_path: Path, access: SourceAccess
) -> None:
    path = write_raster(tmp_path / "b.tif", np.full((64, 64), 1, dtype=np.uint16))
    first, _ = read(path, Window(0, 0, 64, 64), access)
    path.unlink()
    write_raster(path, np.full((64, 64), 2, dtype=np.uint16))

    second, _ = read(path, Window(0, 0, 64, 64), access)

    assert (first[0, 0], second[0, 0]) == (1, 2)


def test_a_file_of_another_shape_than_was_inspected_is_refused(
    tmp_path: Path, access: SourceAccess
) -> None:
    path = write_raster(tmp_path / "b.tif", np.ones((64, 64), dtype=np.uint16))
    source = source_of(path)
    facts = facts_of(source, access)
    close_all()
    path.unlink()
    write_raster(path, np.ones((32, 32), dtype=np.uint16))

    with pytest.raises(SceneError) as caught:
        read_window(source, facts, Window(0, 0, 8, 8), access)

    assert caught.value.reason == "changed_since_inspection"


@pytest.mark.parametrize("index", [1, 2, 3])
def test_a_band_within_a_file_is_read_by_its_number(
    tmp_path: Path, access: SourceAccess, index: int
) -> None:
    bands = np.stack([np.full((64, 64), n, dtype=np.uint16) for n in (1, 2, 3)])
    path = write_raster(tmp_path / "b.tif", bands, interleave="pixel", compress="deflate")

    pixels, _ = read(path, Window(0, 0, 8, 8), access, index=index)

    assert (pixels == index).all()


def test_the_block_cache_has_the_megabytes_that_are_set(tmp_path: Path) -> None:
    """GDAL takes a bare 64 for megabytes, rasterio hands it on as bytes: nothing would be kept."""
    with gdal_settings(quick_access(tmp_path)):
        assert get_gdal_config("GDAL_CACHEMAX") == 64 << 20
