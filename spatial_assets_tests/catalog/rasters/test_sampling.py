"""Position of the sample of a scene."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS

from spatial_assets.catalog.rasters.sampling import (
    SAMPLE_WINDOW_PIXELS,
    SAMPLE_WINDOWS_PER_SIDE,
    WHOLE_SCENE_PIXELS,
    sample_windows,
)
from spatial_assets.catalog.rasters.windows import READ_BLOCK
from spatial_assets.geo.warp.source_grid import SourceGrid
from spatial_assets_tests.fixtures.scene_factory import NORTH_UP

UTM = CRS.from_epsg(32633)


def grid(width: int, height: int) -> SourceGrid:
    return SourceGrid(transform=NORTH_UP, width=width, height=height, crs=UTM)


def test_each_window_of_a_sentinel_band_lies_in_one_block_of_the_file() -> None:
    windows = list(sample_windows(grid(10_980, 10_980), (1024, 1024)))

    assert len(windows) == SAMPLE_WINDOWS_PER_SIDE**2
    for window in windows:
        assert window.column // 1024 == (window.column_stop - 1) // 1024
        assert window.row // 1024 == (window.row_stop - 1) // 1024
        assert (window.width, window.height) == (SAMPLE_WINDOW_PIXELS, SAMPLE_WINDOW_PIXELS)


@given(
    width=st.integers(600, 20_000),
    height=st.integers(2_000, 20_000),
    own=st.sampled_from([16, 128, 256, 320, 512, 1024, 2048]),
)
def test_windows_lie_in_the_file_and_near_the_middle_of_their_parts(
    width: int, height: int, own: int
) -> None:
    scene = grid(width, height)
    if width * height <= WHOLE_SCENE_PIXELS:
        assert list(sample_windows(scene, (own, own))) == [scene.window]
        return

    windows = list(sample_windows(scene, (own, width)))

    for window in windows:
        assert scene.window.intersection(window) == window
    centres = [
        (2 * number + 1) * height // (2 * SAMPLE_WINDOWS_PER_SIDE)
        for number in range(SAMPLE_WINDOWS_PER_SIDE)
    ]
    for row in {window.row for window in windows}:
        assert (
            min(abs(row + SAMPLE_WINDOW_PIXELS // 2 - centre) for centre in centres)
            <= SAMPLE_WINDOW_PIXELS // 2 + 1
        )
        if own == READ_BLOCK and row + READ_BLOCK <= height:
            assert row // READ_BLOCK == (row + SAMPLE_WINDOW_PIXELS - 1) // READ_BLOCK
