"""Whether a stored raster lies on the pixels of the grid: judged from what was written."""

from __future__ import annotations

from affine import Affine
from pyproj import CRS

from spatial_assets.geo.geobox import GeoBox
from spatial_assets.geo.verdict import Verdict

MAX_SHIFT_PIXELS = 1e-6
"""A GeoTIFF keeps doubles: what differs by more than rounding was computed elsewhere."""


def judge_alignment(
    transform: Affine, shape: tuple[int, int], *, crs: CRS, wanted: GeoBox
) -> Verdict:
    """Compare a raster's own placement with the integers of the grid.

    Args:
        transform: (column, row) -> (x, y) as read back from the file.
        shape: (rows, columns) of the file.
        crs: of the file.
        wanted: the window that the file is said to hold.
    """
    column, row = ~wanted.origin @ (transform.c, transform.f)
    far_column, far_row = ~wanted.origin @ (transform @ (float(shape[1]), float(shape[0])))
    window = wanted.window
    shift = max(
        abs(column - window.column),
        abs(row - window.row),
        abs(far_column - window.column_stop),
        abs(far_row - window.row_stop),
    )
    agrees = crs == wanted.crs
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
