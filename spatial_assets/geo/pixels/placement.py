"""Checks of placement: valid pixels within their shards and files, and rasters on the grid."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS

from spatial_assets.geo.grid.geobox import GeoBox
from spatial_assets.geo.verdict import Verdict
from spatial_assets.geo.warp.kernel_choice import pixel_ratio
from spatial_assets.geo.warp.lattice import Coordinates, crs_coordinates, to_source_pixels
from spatial_assets.geo.warp.source_grid import SourceGrid

STRIDE: Final = 8
"""Every eighth row and column is located in the files, enough to detect a shift or a mirroring."""

MARGIN_PIXELS: Final = 1.0
"""Tolerance in target pixels: a pixel half on the file is valid, but its centre may be off it."""


def judge_extent(
    valid: NDArray[np.bool_],
    *,
    owned: NDArray[np.bool_],
    box: GeoBox,
    files: Mapping[str, SourceGrid],
) -> Verdict:
    """Check that no pixel is valid outside the owned shards, or off a file it was computed from.

    PROJ transforms the pixels one by one, independently of the lattice that the warp uses.

    Args:
        valid: True where a value is about to be stored, shape (row, column) of `box`.
        owned: True where a pixel belongs to the tile, in the same shape.
        box: georeference of the pixels.
        files: pixel grid of the source file of each band.
    """
    beyond = int(np.count_nonzero(valid & ~owned))
    sample = valid[::STRIDE, ::STRIDE]
    off: dict[str, int] = {}
    for grid, names in _by_grid(files):
        count = _count_off(grid, box, sample) if sample.any() else 0
        off |= dict.fromkeys(names, count) if count else {}
    return Verdict(
        passed=not beyond and not off,
        evidence={
            "valid_outside_owned_shards": beyond,
            "valid_off_a_file": str(off or "none"),
            "places_looked_at": int(np.count_nonzero(sample)),
        },
    )


def _by_grid(files: Mapping[str, SourceGrid]) -> list[tuple[SourceGrid, list[str]]]:
    """Group the bands by grid; most scenes have a single grid."""
    found: list[tuple[SourceGrid, list[str]]] = []
    for name, grid in files.items():
        names = next((names for known, names in found if known == grid), None)
        if names is None:
            found.append((grid, [name]))
        else:
            names.append(name)
    return found


def _count_off(grid: SourceGrid, box: GeoBox, sample: NDArray[np.bool_]) -> int:
    """Number of the valid sample pixels that lie off a file by more than the margin."""
    margin = MARGIN_PIXELS * max(1.0, pixel_ratio(grid, box))
    column, row = to_source_pixels(grid, _sample_coordinates(box, grid.crs))
    on = (column >= -margin) & (column <= grid.width + margin)
    on &= (row >= -margin) & (row <= grid.height + margin)
    return int(np.count_nonzero(sample & ~on))


@lru_cache(maxsize=2)
def _sample_coordinates(box: GeoBox, crs: CRS) -> Coordinates:
    """Coordinates (x, y) in `crs` of the sample pixels, shared by the scenes of a tile."""
    window = box.window
    columns, rows = np.arange(0, window.width, STRIDE), np.arange(0, window.height, STRIDE)
    u, v = np.meshgrid(columns + (window.column + 0.5), rows + (window.row + 0.5))
    return crs_coordinates(box, crs, u, v=v)


MAX_SHIFT_PIXELS = 1e-6
"""A GeoTIFF stores doubles, so a larger difference than rounding means another grid."""


def judge_alignment(
    transform: Affine, shape: tuple[int, int], *, crs: CRS, expected: GeoBox
) -> Verdict:
    """Check that a stored raster lies exactly on the pixels of the grid.

    Args:
        transform: (column, row) -> (x, y) as read back from the file.
        shape: (rows, columns) of the file.
        crs: CRS of the file.
        expected: window that the file should contain.
    """
    column, row = ~expected.origin @ (transform.c, transform.f)
    far_column, far_row = ~expected.origin @ (transform @ (float(shape[1]), float(shape[0])))
    window = expected.window
    shift = max(
        abs(column - window.column),
        abs(row - window.row),
        abs(far_column - window.column_stop),
        abs(far_row - window.row_stop),
    )
    agrees = crs == expected.crs
    return Verdict(
        passed=shift <= MAX_SHIFT_PIXELS and shape == window.shape and agrees,
        evidence={
            "shift_pixels": shift,
            "largest_shift_pixels": MAX_SHIFT_PIXELS,
            "shape": f"{shape[0]} x {shape[1]}",
            "wanted_shape": f"{window.height} x {window.width}",
            "crs_agrees": str(agrees),
        },
    )
