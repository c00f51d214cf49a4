"""Bilinear sampling of one block of target pixels.

A target pixel is valid only if the source pixel that contains its centre counts; neighbours that
do not count get no weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from spatial_assets.errors import RasterError
from spatial_assets.geo.grid.geobox import Window
from spatial_assets.geo.warp.lattice import Coordinates
from spatial_assets.geo.warp.source_grid import SourceGrid

Sampled: TypeAlias = "tuple[list[NDArray[np.float32]], NDArray[np.bool_]]"
"""Target values of each band, NaN where invalid, and True where they are valid."""

NUDGE: Final = 1e-6
"""Source pixels by which a point may fall short of the next pixel and still count as inside it, so
that grids which share an edge do not depend on the last bit of a coordinate."""

_ALL_FOUR: Final = 0b1111


@dataclass(frozen=True, eq=False)
class Taps:
    """The four source pixels around each target pixel of a block, and their weights."""

    box: Window
    """Source pixels to read. May extend one pixel beyond the file; that pixel never counts."""

    first: NDArray[np.intp]
    """Index of the upper-left of the four pixels, counting `box` row by row."""

    weights: tuple[NDArray[np.float32], ...]
    """Weights of the upper-left, upper-right, lower-left and lower-right pixel."""

    container: NDArray[np.uint8]
    """Number, 0 to 3, of the one that contains the target pixel's centre."""

    inside: NDArray[np.bool_]
    """True where the target pixel's centre lies in the file."""

    @classmethod
    def around(cls, coordinates: Coordinates, source: SourceGrid) -> Taps | None:
        """Taps of the target pixels at `coordinates`; None if all of them miss the file."""
        inside = inside_file(coordinates, source)
        if not inside.any():
            return None
        column, across, right = _split(coordinates[0], source.width)
        row, down, lower = _split(coordinates[1], source.height)
        box = _bounding_window(column, row, inside=inside)
        first = _flat_index(column, row, box=box)
        weights = (
            (1 - across) * (1 - down),
            across * (1 - down),
            (1 - across) * down,
            across * down,
        )
        container = right.astype(np.uint8) + np.uint8(2) * lower.astype(np.uint8)
        return cls(box, first, weights, container, inside)

    def leave_out(self, counted: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Set the weights of pixels that do not count to 0, and scale up the others to a sum of 1.

        Args:
            counted: True where a source pixel counts, in the shape of `box`.

        Returns:
            True where the target pixel is valid.
        """
        quad = neighbour_bits(counted).ravel().take(self.first, mode="clip")
        valid: NDArray[np.bool_] = self.inside & ((quad >> self.container) & 1).astype(np.bool_)
        partial = np.nonzero(valid & (quad != _ALL_FOUR))
        kept = [w[partial] * ((quad[partial] >> bit) & 1) for bit, w in enumerate(self.weights)]
        share = np.zeros(partial[0].shape, dtype=np.float32)
        for weight in kept:
            share += weight
        for weight, part in zip(self.weights, kept, strict=True):
            weight[partial] = part / share
        return valid


def sample_bilinear(
    bands: Sequence[NDArray[Any]],
    counted: NDArray[np.bool_],
    *,
    window: Window,
    coordinates: Coordinates,
    source: SourceGrid,
) -> Sampled:
    """Sample each band at `coordinates`.

    Args:
        bands: source pixels of each band, finite where they count.
        counted: True where a source pixel counts, in all bands.
        window: absolute source window of the bands.
        coordinates: absolute (column, row) in the source of each target pixel.
        source: grid of the whole file.

    Raises:
        RasterError: `window` is smaller than the coordinates require.
    """
    taps = Taps.around(coordinates, source)
    if taps is None:
        return unsampled(len(bands), coordinates[0].shape)
    require_window(taps.box, window, source)
    cut = _cut(counted, window, box=taps.box)
    valid = taps.leave_out(cut)
    return [
        _by_taps(np.where(cut, _cut(pixels, window, box=taps.box), 0), valid, taps=taps)
        for pixels in bands
    ], valid


def unsampled(bands: int, shape: tuple[int, ...]) -> Sampled:
    """Values and mask of a target without a valid pixel."""
    values = [np.full(shape, np.nan, dtype=np.float32) for _ in range(bands)]
    return values, np.zeros(shape, dtype=np.bool_)


def _by_taps(pixels: NDArray[Any], valid: NDArray[np.bool_], *, taps: Taps) -> NDArray[np.float32]:
    """Sample one band; `pixels` covers the box of the taps."""
    flat, width = pixels.astype(np.float32).ravel(), taps.box.width
    result = np.zeros(taps.first.shape, dtype=np.float32)
    for offset, weight in zip((0, 1, width, width + 1), taps.weights, strict=True):
        result += flat[offset:].take(taps.first, mode="clip") * weight
    result[~valid] = np.nan
    return result


def inside_file(coordinates: Coordinates, source: SourceGrid) -> NDArray[np.bool_]:
    """True where a point lies in the file; False for NaN."""
    column, row = coordinates
    inside: NDArray[np.bool_] = (column >= -NUDGE) & (column < source.width - NUDGE)
    inside &= (row >= -NUDGE) & (row < source.height - NUDGE)
    return inside


def require_window(needed: Window, window: Window, source: SourceGrid) -> Window | None:
    """Return the part of `needed` that lies in the file, or None.

    Raises:
        RasterError: `window` does not contain it; the caller read too little.
    """
    present = needed.intersection(source.window)
    if present is not None and present.intersection(window) != present:
        message = f"the warp needs source {present}, but got {window}; see source_window"
        raise RasterError(message, reason="window_too_small")
    return present


def _split(
    coordinate: NDArray[np.float64], size: int
) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.bool_]]:
    """Split coordinates along one axis at the pixel centre at or before each.

    Returns:
        The index of that pixel, limited to -1 to size - 1; the fraction of a pixel after its
        centre; and True where the point lies in the next pixel.
    """
    from_centre = coordinate - 0.5
    index = np.floor(from_centre)
    fraction = from_centre - index
    later = fraction >= 0.5 - NUDGE
    # fmin and fmax turn NaN, a point without coordinates, into an index that is ignored later
    index = np.fmin(np.fmax(index, -1.0), size - 1.0)
    return index, fraction.astype(np.float32), later


def _bounding_window(
    column: NDArray[np.float64],
    row: NDArray[np.float64],
    *,
    inside: NDArray[np.bool_],
) -> Window:
    """Window of the indices that are `inside`, and of one more to the right and the bottom."""
    low = [int(np.min(index, where=inside, initial=np.inf)) for index in (column, row)]
    high = [int(np.max(index, where=inside, initial=-np.inf)) for index in (column, row)]
    return Window(low[0], low[1], high[0] - low[0] + 2, high[1] - low[1] + 2)


def _flat_index(
    column: NDArray[np.float64], row: NDArray[np.float64], *, box: Window
) -> NDArray[np.intp]:
    """Row-by-row index in `box`; points outside it, all ignored later, are moved to its edge."""
    across = np.fmin(np.fmax(column - box.column, 0.0), box.width - 2.0)
    down = np.fmin(np.fmax(row - box.row, 0.0), box.height - 2.0)
    return (down * box.width + across).astype(np.intp)


def _cut(array: NDArray[Any], window: Window, *, box: Window) -> NDArray[Any]:
    """Copy `box` out of `array`, which covers `window`; 0 where it does not."""
    result = np.zeros(box.shape, dtype=array.dtype)
    present = box.intersection(window)
    if present is not None:
        result[present.slices_in(box)] = array[present.slices_in(window)]
    return result


def neighbour_bits(counted: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Bits 0 to 3 of a pixel: it and its right, lower and lower-right neighbour count."""
    own = counted.view(np.uint8)
    bits = own.copy()
    bits[:, :-1] |= own[:, 1:] << 1
    bits[:-1, :] |= own[1:, :] << 2
    bits[:-1, :-1] |= own[1:, 1:] << 3
    return bits
