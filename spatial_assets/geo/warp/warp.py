"""Source pixels to target pixels, the same bits however the target is cut.

Everything comes from absolute pixel indices, and every operation is elementwise. Where a pixel
lies is the business of `lattice`; what its value is, of `bilinear` and `average`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

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

Warped: TypeAlias = Sampled

_BLOCK_COLUMNS = 1024
_BLOCK_SOURCE_PIXELS = 1 << 19  # running sums of a block stay near the processor


@dataclass(frozen=True, eq=False)
class Sampling:
    """How the pixels of one source grid reach one target window: made once, used by every band."""

    target: GeoBox
    coordinates: SourceCoordinates

    @classmethod
    def of(cls, source: SourceGrid, target: GeoBox, *, lattice: Lattice | None = None) -> Sampling:
        """Place the pixels of `target` in `source`.

        Args:
            source: grid of the band files.
            target: window wanted.
            lattice: of the same target in the same CRS, to share between grids of one scene.

        Raises:
            RasterError: there is no way between the two CRSs, or the lattice is another's.
        """
        lattice = lattice or Lattice.around(target, source.crs)
        if lattice.crs != source.crs or lattice.target.window != target.window:
            message = f"a lattice of {lattice.target.window} in {lattice.crs.name} does not fit"
            raise RasterError(message, reason="wrong_lattice")
        return cls(target, SourceCoordinates(source, lattice))

    @property
    def source(self) -> SourceGrid:
        """The grid that is sampled."""
        return self.coordinates.source

    def bilinear(self, bands: Sequence[MaskedBand], *, window: Window) -> list[Warped]:
        """Bilinear values of bands whose pixels cover the absolute source `window`.

        Validity, here, is being observed: a cloud mask is applied afterwards, so that a clear
        pixel beside a cloud keeps all its neighbours.

        Raises:
            RasterError: a shape is wrong, or `window` is smaller than `source_window` says.
        """
        return self._gathered("bilinear", bands, window=window)

    def average(self, bands: Sequence[MaskedBand], *, window: Window) -> list[Warped]:
        """Means over the footprints, of bands whose pixels cover the absolute source `window`.

        Validity, here, is being observed under a clear sky: see `classes_on_band_grid`.

        Raises:
            RasterError: a shape is wrong, or `window` is smaller than `source_window` says.
        """
        return self._gathered("average", bands, window=window)

    def store(
        self,
        kernel: Kernel,
        bands: Sequence[CalibratedBand],
        *,
        window: Window,
        stored: Sequence[NDArray[np.int16]],
        known: NDArray[np.bool_],
    ) -> None:
        """`bilinear` or `average`, calibrated and quantised while the pixels are near.

        Args:
            kernel: of all bands.
            bands: cover the absolute source `window`.
            window: see `source_window`.
            stored: of each band, written: `FILL` in all of them where one is not known.
            known: True where a pixel is wanted; becomes False where a band is not known.

        Raises:
            RasterError: a shape is wrong, or `window` is smaller than `source_window` says.
        """
        self._load_loops()
        ready = [
            CalibratedBand(*_ready(band.pixels, band.valid, window), band.calibration)
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
        """The target, cut so that what a block needs stays near the processor."""
        rows, columns = NODE_SPACING, _BLOCK_COLUMNS
        if kernel == "average":
            rows = columns = self._average_block_edge()
        return _blocks(self.target.window, rows, columns=columns)

    def _load_loops(self) -> None:
        """Now that pixels are to be sampled: who only plans a tile does without the compiler."""
        numba_loader.load_for(self.target.window.width * self.target.window.height)

    def _gathered(
        self, kernel: Kernel, bands: Sequence[MaskedBand], *, window: Window
    ) -> list[Warped]:
        results = [unsampled(self.target.window.shape) for _ in bands]
        ready = [_ready(pixels, valid, window) for pixels, valid in bands]
        sample = self._average if kernel == "average" else self._bilinear
        for block in self._blocks(kernel):
            at = block.slices_in(self.target.window)
            found = sample(ready, block, window=window)
            for (values, kept), (new_values, new_kept) in zip(results, found, strict=True):
                values[at], kept[at] = new_values, new_kept
        return results

    def _bilinear(
        self, bands: Sequence[MaskedBand], block: Window, *, window: Window
    ) -> list[Warped]:
        coordinates = self.coordinates.centres(block)
        return sample_bilinear(bands, window=window, coordinates=coordinates, source=self.source)

    def _average(
        self, bands: Sequence[MaskedBand], block: Window, *, window: Window
    ) -> list[Warped]:
        footprints = PixelFootprints.between(self.coordinates.corners(block), self.source)
        if footprints is None:
            return [unsampled(block.shape) for _ in bands]
        require_window(footprints.box, window, self.source)
        return [
            sample_average(pixels, valid, window=window, footprints=footprints)
            for pixels, valid in bands
        ]

    def nearest(self, classes: NDArray[Any], *, window: Window, fill_value: int) -> NDArray[Any]:
        """The class of the source pixel that contains each target pixel's centre.

        Args:
            classes: cover the absolute source `window`.
            window: see `source_window`.
            fill_value: class of pixels outside the file.

        Raises:
            RasterError: a shape is wrong, or `window` is smaller than `source_window` says.
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
        """Absolute source pixels that `kernel` reads, within the file; None if there are none."""
        points = self._outline(kernel)
        low, high = np.full(2, np.inf), np.full(2, -np.inf)
        for column_and_row in points:
            for axis, place in enumerate(column_and_row):
                low[axis] = np.fmin(low[axis], np.fmin.reduce(place, axis=None))
                high[axis] = np.fmax(high[axis], np.fmax.reduce(place, axis=None))
        sizes = np.array([self.source.width, self.source.height])
        if not (np.all(high >= 0) and np.all(low <= sizes)):  # also when nothing transforms
            return None
        # bilinear reaches half a pixel beyond the centres; the rest is for the curve of an outline
        first = np.clip(np.floor(low) - 2, 0, sizes - 1).astype(int)
        stop = np.clip(np.ceil(high) + 2, first + 1, sizes).astype(int)
        return Window(int(first[0]), int(first[1]), *map(int, stop - first))

    def _outline(self, kernel: Kernel) -> Iterable[Coordinates]:
        """Coordinates that include the extremes: the rim of the window, or all where it is torn."""
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
        """Rows and columns of a block, such that its source pixels fit the workspace."""
        per_pixel = self.coordinates.source_pixels_per_target_pixel()
        return int(np.clip(np.sqrt(_BLOCK_SOURCE_PIXELS / max(per_pixel, 1.0)), 8, 256))


def source_window(source: SourceGrid, target: GeoBox, *, kernel: Kernel) -> Window | None:
    """Absolute source pixels that warping to `target` reads, within the file; None if none."""
    return Sampling.of(source, target).source_window(kernel)


def warp_bilinear(
    pixels: NDArray[Any],
    valid: NDArray[np.bool_],
    *,
    window: Window,
    source: SourceGrid,
    target: GeoBox,
) -> Warped:
    """`Sampling.bilinear` of a single band."""
    return Sampling.of(source, target).bilinear([(pixels, valid)], window=window)[0]


def warp_average(
    pixels: NDArray[Any],
    valid: NDArray[np.bool_],
    *,
    window: Window,
    source: SourceGrid,
    target: GeoBox,
) -> Warped:
    """`Sampling.average` of a single band."""
    return Sampling.of(source, target).average([(pixels, valid)], window=window)[0]


def warp_nearest(
    classes: NDArray[Any], fill_value: int, *, window: Window, source: SourceGrid, target: GeoBox
) -> NDArray[Any]:
    """`Sampling.nearest` of a single class band."""
    return Sampling.of(source, target).nearest(classes, window=window, fill_value=fill_value)


def _blocks(window: Window, rows: int, *, columns: int) -> Iterator[Window]:
    """`window` cut at absolute multiples of `rows` and `columns`. No result depends on the cut."""
    for top in range(window.row // rows * rows, window.row_stop, rows):
        for left in range(window.column // columns * columns, window.column_stop, columns):
            block = Window(left, top, columns, rows).intersection(window)
            if block is not None:
                yield block


def _ready(pixels: NDArray[Any], valid: NDArray[np.bool_], window: Window) -> MaskedBand:
    """A band as every sampler takes it: contiguous, and valid only where float32 can hold it."""
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
