"""Resampling of source pixels to target pixels, with the same bits however the target is cut.

Everything is computed from absolute pixel indices, and every operation is elementwise. `lattice`
computes the coordinates of a pixel, `bilinear` and `average` its value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatial_assets.errors import RasterError
from spatial_assets.geo import numba_loader
from spatial_assets.geo.grid.geobox import GeoBox, Window
from spatial_assets.geo.radiometry import LARGEST_FLOAT
from spatial_assets.geo.warp import fused
from spatial_assets.geo.warp.average import PixelFootprints, sample_average
from spatial_assets.geo.warp.bilinear import (
    Sampled,
    require_window,
    sample_bilinear,
    unsampled,
)
from spatial_assets.geo.warp.fused import CalibratedBand, store_sampled
from spatial_assets.geo.warp.kernel_choice import Kernel, choose_kernel
from spatial_assets.geo.warp.lattice import NODE_SPACING, Coordinates, Lattice, SourceCoordinates
from spatial_assets.geo.warp.source_grid import SourceGrid

__all__ = [
    "CalibratedBand",
    "Kernel",
    "Lattice",
    "Sampling",
    "SourceGrid",
    "choose_kernel",
    "source_window",
    "warp_average",
    "warp_bilinear",
]

_BLOCK_COLUMNS = 1024
_BLOCK_SOURCE_PIXELS = 1 << 19  # the running sums of a block stay in the CPU cache


@dataclass(frozen=True, eq=False)
class Sampling:
    """Resampling from one source grid to one target window: computed once, used for every band."""

    target: GeoBox
    coordinates: SourceCoordinates

    @classmethod
    def of(cls, source: SourceGrid, target: GeoBox, *, lattice: Lattice | None = None) -> Sampling:
        """Compute the coordinates of the pixels of `target` in `source`.

        Args:
            source: grid of the band files.
            target: requested window.
            lattice: lattice of the same target in the same CRS, shared by the grids of a scene.

        Raises:
            RasterError: the CRSs have no transformation, or the lattice does not fit.
        """
        lattice = lattice or Lattice.around(target, source.crs)
        if lattice.crs != source.crs or lattice.target.window != target.window:
            message = f"a lattice of {lattice.target.window} in {lattice.crs.name} does not fit"
            raise RasterError(message, reason="wrong_lattice")
        return cls(target, SourceCoordinates(source, lattice))

    @property
    def source(self) -> SourceGrid:
        """Grid of the source."""
        return self.coordinates.source

    def sample(
        self,
        kernel: Kernel,
        bands: Sequence[NDArray[Any]],
        *,
        counted: NDArray[np.bool_],
        window: Window,
    ) -> Sampled:
        """Sample bands whose pixels cover the absolute source `window`.

        Args:
            kernel: kernel of all bands.
            bands: source pixels of each band.
            counted: True where a source pixel counts, in all bands; see `scene_mask`.
            window: see `source_window`.

        Raises:
            RasterError: a shape is wrong, or `window` is smaller than `source_window`.
        """
        values, valid = unsampled(len(bands), self.target.window.shape)
        ready, counted = _prepared(bands, counted, window)
        for block in self._blocks(kernel):
            at = block.slices_in(self.target.window)
            found, valid[at] = self._sampled(kernel, ready, counted, block=block, window=window)
            for band, new in zip(values, found, strict=True):
                band[at] = new
        return values, valid

    def store(
        self,
        kernel: Kernel,
        bands: Sequence[CalibratedBand],
        *,
        counted: NDArray[np.bool_],
        window: Window,
        stored: Sequence[NDArray[np.int16]],
        known: NDArray[np.bool_],
    ) -> None:
        """Sample bands, and calibrate and quantise while the pixels are in the CPU cache.

        Args:
            kernel: kernel of all bands.
            bands: source bands that cover the absolute source `window`.
            counted: True where a source pixel counts, in all bands; see `scene_mask`.
            window: see `source_window`.
            stored: output of each band; `FILL` in all bands where one is unknown.
            known: True where a pixel is requested; set to False where a band is unknown.

        Raises:
            RasterError: a shape is wrong, or `window` is smaller than `source_window`.
        """
        # here, since planning a tile does not need the compiler
        numba_loader.load_for(self.target.window.width * self.target.window.height)
        pixels, counted = _prepared([band.pixels for band in bands], counted, window)
        ready = [
            CalibratedBand(each, band.calibration) for each, band in zip(pixels, bands, strict=True)
        ]
        if kernel == "bilinear" and fused.store_bilinear(
            ready, counted, window=window, coordinates=self.coordinates, stored=stored, known=known
        ):
            return
        for block in self._blocks(kernel):
            at = block.slices_in(self.target.window)
            sampled = self._sampled(kernel, pixels, counted, block=block, window=window)
            store_sampled(ready, sampled, stored=[band[at] for band in stored], known=known[at])

    def _blocks(self, kernel: Kernel) -> Iterator[Window]:
        """Cut the target so that the data of a block stays in the CPU cache."""
        rows, columns = NODE_SPACING, _BLOCK_COLUMNS
        if kernel == "average":
            rows = columns = self._average_block_edge()
        return _blocks(self.target.window, rows, columns=columns)

    def _sampled(
        self,
        kernel: Kernel,
        bands: Sequence[NDArray[Any]],
        counted: NDArray[np.bool_],
        *,
        block: Window,
        window: Window,
    ) -> Sampled:
        """Sample one block of the target."""
        if kernel == "bilinear":
            coordinates = self.coordinates.centres(block)
            return sample_bilinear(
                bands, counted, window=window, coordinates=coordinates, source=self.source
            )
        footprints = PixelFootprints.between(self.coordinates.corners(block), self.source)
        if footprints is None:
            return unsampled(len(bands), block.shape)
        require_window(footprints.box, window, self.source)
        return sample_average(bands, counted, window=window, footprints=footprints)

    def source_window(self, kernel: Kernel) -> Window | None:
        """Absolute window of the file that `kernel` reads; None if there is none."""
        points = self._outline(kernel)
        low, high = np.full(2, np.inf), np.full(2, -np.inf)
        for column_and_row in points:
            for axis, values in enumerate(column_and_row):
                low[axis] = np.fmin(low[axis], np.fmin.reduce(values, axis=None))
                high[axis] = np.fmax(high[axis], np.fmax.reduce(values, axis=None))
        sizes = np.array([self.source.width, self.source.height])
        if not (np.all(high >= 0) and np.all(low <= sizes)):  # also if nothing transforms
            return None
        # bilinear needs half a pixel beyond the centres; the rest allows for a curved outline
        first = np.clip(np.floor(low) - 2, 0, sizes - 1).astype(int)
        stop = np.clip(np.ceil(high) + 2, first + 1, sizes).astype(int)
        return Window(int(first[0]), int(first[1]), *map(int, stop - first))

    def _outline(self, kernel: Kernel) -> Iterable[Coordinates]:
        """Coordinates that include the extremes: the rim of the window, or all if it is torn."""
        window = self.target.window
        interpolate = self.coordinates.corners if kernel == "average" else self.coordinates.centres
        if self.coordinates.irregular.any():
            return map(interpolate, _blocks(window, NODE_SPACING, columns=_BLOCK_COLUMNS))
        rim = [
            Window(window.column, window.row, window.width, 1),
            Window(window.column, window.row_stop - 1, window.width, 1),
            Window(window.column, window.row, 1, window.height),
            Window(window.column_stop - 1, window.row, 1, window.height),
        ]
        return map(interpolate, rim)

    def _average_block_edge(self) -> int:
        """Side of a block in pixels, chosen so that its source pixels fit the CPU cache."""
        per_pixel = self.coordinates.source_pixels_per_target_pixel()
        return int(np.clip(np.sqrt(_BLOCK_SOURCE_PIXELS / max(per_pixel, 1.0)), 8, 256))


def source_window(source: SourceGrid, target: GeoBox, *, kernel: Kernel) -> Window | None:
    """Absolute window of the file that a warp to `target` reads; None if there is none."""
    return Sampling.of(source, target).source_window(kernel)


def warp_bilinear(
    pixels: NDArray[Any],
    counted: NDArray[np.bool_],
    *,
    window: Window,
    source: SourceGrid,
    target: GeoBox,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """`Sampling.sample` of a single band, bilinear."""
    return _warp("bilinear", pixels, counted=counted, window=window, on=(source, target))


def warp_average(
    pixels: NDArray[Any],
    counted: NDArray[np.bool_],
    *,
    window: Window,
    source: SourceGrid,
    target: GeoBox,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """`Sampling.sample` of a single band, averaged."""
    return _warp("average", pixels, counted=counted, window=window, on=(source, target))


def _warp(
    kernel: Kernel,
    pixels: NDArray[Any],
    *,
    counted: NDArray[np.bool_],
    window: Window,
    on: tuple[SourceGrid, GeoBox],
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    values, valid = Sampling.of(*on).sample(kernel, [pixels], counted=counted, window=window)
    return values[0], valid


def _blocks(window: Window, rows: int, *, columns: int) -> Iterator[Window]:
    """Cut `window` at absolute multiples of `rows` and `columns`; no result depends on the cut."""
    for top in range(window.row // rows * rows, window.row_stop, rows):
        for left in range(window.column // columns * columns, window.column_stop, columns):
            block = Window(left, top, columns, rows).intersection(window)
            if block is not None:
                yield block


def _prepared(
    bands: Sequence[NDArray[Any]], counted: NDArray[np.bool_], window: Window
) -> tuple[list[NDArray[Any]], NDArray[np.bool_]]:
    """Prepare bands for sampling: contiguous, and finite, since a weight of 0 cannot hide NaN."""
    for array in (*bands, counted):
        _require_shape(array, window)
    is_float = [np.issubdtype(pixels.dtype, np.floating) for pixels in bands]
    for pixels, is_one in zip(bands, is_float, strict=True):
        counted = counted & (np.abs(pixels) < LARGEST_FLOAT) if is_one else counted
    ready = [
        np.ascontiguousarray(np.where(counted, pixels, 0) if is_one else pixels)
        for pixels, is_one in zip(bands, is_float, strict=True)
    ]
    return ready, np.ascontiguousarray(counted)


def _require_shape(array: NDArray[Any], window: Window) -> None:
    if array.shape != window.shape:
        message = f"pixels have shape {array.shape}, but their window is {window.shape}"
        raise RasterError(message, reason="bad_shape")
