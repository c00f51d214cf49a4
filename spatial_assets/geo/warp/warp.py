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
from spatial_assets.geo.warp import fused
from spatial_assets.geo.warp.average import PixelFootprints, sample_average
from spatial_assets.geo.warp.bilinear import (
    MaskedBand,
    Sampled,
    require_window,
    sample_bilinear,
    sample_nearest,
    unsampled,
)
from spatial_assets.geo.warp.fused import CalibratedBand, store_sampled
from spatial_assets.geo.warp.kernel_choice import Kernel, choose_kernel, classes_on_band_grid
from spatial_assets.geo.warp.lattice import NODE_SPACING, Coordinates, Lattice, SourceCoordinates
from spatial_assets.geo.warp.source_grid import SourceGrid

__all__ = [
    "CalibratedBand",
    "Kernel",
    "Lattice",
    "Sampling",
    "SourceGrid",
    "choose_kernel",
    "classes_on_band_grid",
    "source_window",
    "warp_average",
    "warp_bilinear",
    "warp_nearest",
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

    def bilinear(self, bands: Sequence[MaskedBand], *, window: Window) -> list[Sampled]:
        """Sample bands whose pixels cover the absolute source `window` bilinearly.

        Valid here means observed: a cloud mask is applied afterwards, so that a clear pixel
        beside a cloud keeps all its neighbours.

        Raises:
            RasterError: a shape is wrong, or `window` is smaller than `source_window`.
        """
        return self._sampled("bilinear", bands, window=window)

    def average(self, bands: Sequence[MaskedBand], *, window: Window) -> list[Sampled]:
        """Average bands whose pixels cover the absolute source `window` over the footprints.

        Valid here means observed under a clear sky: see `classes_on_band_grid`.

        Raises:
            RasterError: a shape is wrong, or `window` is smaller than `source_window`.
        """
        return self._sampled("average", bands, window=window)

    def store(
        self,
        kernel: Kernel,
        bands: Sequence[CalibratedBand],
        *,
        window: Window,
        stored: Sequence[NDArray[np.int16]],
        known: NDArray[np.bool_],
    ) -> None:
        """Sample bands, and calibrate and quantise while the pixels are in the CPU cache.

        Args:
            kernel: kernel of all bands.
            bands: source bands that cover the absolute source `window`.
            window: see `source_window`.
            stored: output of each band; `FILL` in all bands where one is unknown.
            known: True where a pixel is requested; set to False where a band is unknown.

        Raises:
            RasterError: a shape is wrong, or `window` is smaller than `source_window`.
        """
        self._load_loops()
        ready = [
            CalibratedBand(*_prepared(band.pixels, band.valid, window), band.calibration)
            for band in bands
        ]
        if kernel == "bilinear" and fused.store_bilinear(
            ready, window=window, coordinates=self.coordinates, stored=stored, known=known
        ):
            return
        pairs = [(band.pixels, band.valid) for band in ready]
        sample = self._average if kernel == "average" else self._bilinear
        for block in self._blocks(kernel):
            at = block.slices_in(self.target.window)
            sampled = sample(pairs, block, window=window)
            store_sampled(ready, sampled, stored=[band[at] for band in stored], known=known[at])

    def _blocks(self, kernel: Kernel) -> Iterator[Window]:
        """Cut the target so that the data of a block stays in the CPU cache."""
        rows, columns = NODE_SPACING, _BLOCK_COLUMNS
        if kernel == "average":
            rows = columns = self._average_block_edge()
        return _blocks(self.target.window, rows, columns=columns)

    def _load_loops(self) -> None:
        """Load the compiled loops before sampling; planning a tile does not need the compiler."""
        numba_loader.load_for(self.target.window.width * self.target.window.height)

    def _sampled(
        self, kernel: Kernel, bands: Sequence[MaskedBand], *, window: Window
    ) -> list[Sampled]:
        results = [unsampled(self.target.window.shape) for _ in bands]
        ready = [_prepared(pixels, valid, window) for pixels, valid in bands]
        sample = self._average if kernel == "average" else self._bilinear
        for block in self._blocks(kernel):
            at = block.slices_in(self.target.window)
            found = sample(ready, block, window=window)
            for (values, kept), (new_values, new_kept) in zip(results, found, strict=True):
                values[at], kept[at] = new_values, new_kept
        return results

    def _bilinear(
        self, bands: Sequence[MaskedBand], block: Window, *, window: Window
    ) -> list[Sampled]:
        coordinates = self.coordinates.centres(block)
        return sample_bilinear(bands, window=window, coordinates=coordinates, source=self.source)

    def _average(
        self, bands: Sequence[MaskedBand], block: Window, *, window: Window
    ) -> list[Sampled]:
        footprints = PixelFootprints.between(self.coordinates.corners(block), self.source)
        if footprints is None:
            return [unsampled(block.shape) for _ in bands]
        require_window(footprints.box, window, self.source)
        return [
            sample_average(pixels, valid, window=window, footprints=footprints)
            for pixels, valid in bands
        ]

    def nearest(self, classes: NDArray[Any], *, window: Window, fill_value: int) -> NDArray[Any]:
        """Sample the class of the source pixel that contains each target pixel's centre.

        Args:
            classes: class numbers that cover the absolute source `window`.
            window: see `source_window`.
            fill_value: class of pixels outside the file.

        Raises:
            RasterError: a shape is wrong, or `window` is smaller than `source_window`.
        """
        self._load_loops()
        _require_shape(classes, window)
        classes = np.ascontiguousarray(classes)
        result = np.full(self.target.window.shape, fill_value, dtype=classes.dtype)
        if fused.sample_nearest(
            classes, window=window, coordinates=self.coordinates, result=result
        ):
            return result
        for block in _blocks(self.target.window, NODE_SPACING, columns=_BLOCK_COLUMNS):
            result[block.slices_in(self.target.window)] = sample_nearest(
                classes,
                window=window,
                coordinates=self.coordinates.centres(block),
                source=self.source,
                fill_value=fill_value,
            )
        return result

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
    valid: NDArray[np.bool_],
    *,
    window: Window,
    source: SourceGrid,
    target: GeoBox,
) -> Sampled:
    """`Sampling.bilinear` of a single band."""
    return Sampling.of(source, target).bilinear([(pixels, valid)], window=window)[0]


def warp_average(
    pixels: NDArray[Any],
    valid: NDArray[np.bool_],
    *,
    window: Window,
    source: SourceGrid,
    target: GeoBox,
) -> Sampled:
    """`Sampling.average` of a single band."""
    return Sampling.of(source, target).average([(pixels, valid)], window=window)[0]


def warp_nearest(
    classes: NDArray[Any], fill_value: int, *, window: Window, source: SourceGrid, target: GeoBox
) -> NDArray[Any]:
    """`Sampling.nearest` of a single class band."""
    return Sampling.of(source, target).nearest(classes, window=window, fill_value=fill_value)


def _blocks(window: Window, rows: int, *, columns: int) -> Iterator[Window]:
    """Cut `window` at absolute multiples of `rows` and `columns`; no result depends on the cut."""
    for top in range(window.row // rows * rows, window.row_stop, rows):
        for left in range(window.column // columns * columns, window.column_stop, columns):
            block = Window(left, top, columns, rows).intersection(window)
            if block is not None:
                yield block


def _prepared(pixels: NDArray[Any], valid: NDArray[np.bool_], window: Window) -> MaskedBand:
    """Prepare a band for sampling: contiguous, and valid only where float32 can hold it."""
    _require_shape(pixels, window)
    _require_shape(valid, window)
    pixels = np.ascontiguousarray(pixels)
    if np.issubdtype(pixels.dtype, np.floating):
        valid = valid & (np.abs(pixels) <= np.finfo(np.float32).max)
    return pixels, np.ascontiguousarray(valid)


def _require_shape(array: NDArray[Any], window: Window) -> None:
    if array.shape != window.shape:
        message = f"pixels have shape {array.shape}, but their window is {window.shape}"
        raise RasterError(message, reason="bad_shape")
