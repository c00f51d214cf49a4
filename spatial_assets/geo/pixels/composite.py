"""Composites: one index value a pixel from the granules of a period, mosaicked day by day."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from spatial_assets.errors import RasterError
from spatial_assets.geo import numba_loader
from spatial_assets.geo.grid.geobox import GeoBox, Window
from spatial_assets.geo.pixels.evaluate_index import Band, SpectralIndex, apply_index
from spatial_assets.geo.pixels.mosaic import GranuleReflectance, Longitudes, mosaic, several_zones
from spatial_assets.geo.radiometry import (
    FILL,
    INDEX_SCALE,
    REFLECTANCE_SCALE,
    dequantise,
    quantise,
    storable_limit,
)

__all__ = [
    "Composite",
    "CompositeMethod",
    "GranuleReflectance",
    "compose_index",
    "composite",
    "mosaic",
]

CompositeMethod: TypeAlias = Literal["median", "max", "latest"]

_STRIP_VALUES: Final = 1 << 18
"""Values over all layers processed at a time: 1 MB, which stays in the CPU cache."""

_MAX_EXCHANGE_SORTED: Final = 24
"""Largest number of layers for which an odd-even sort is faster than sorting each pixel."""


@dataclass(frozen=True, eq=False)
class Composite:
    """Index values of one period on the target's pixels."""

    values: NDArray[np.int16]
    """Quantised index, `FILL` where no layer is valid."""

    observations: NDArray[np.uint16]
    """Number of valid (solar day, platform) layers."""

    computed: int
    """Number of granule pixels whose bands were all known."""

    kept: int
    """Number of those whose index was within its range; see `judge_range`."""


def compose_index(
    index: SpectralIndex,
    layers: Sequence[Sequence[GranuleReflectance]],
    *,
    target: GeoBox,
    method: CompositeMethod,
) -> Composite:
    """Evaluate `index` on every granule and reduce a period to one value a pixel.

    Args:
        index: index to evaluate.
        layers: one layer per (solar day, platform) in order of time, each with its granules.
        target: pixels that all granules cover.
        method: reduction of the layers of a pixel to one value.

    Raises:
        RasterError: a band is missing or has the wrong shape.
    """
    _require_shapes(layers, target.window.shape)
    values = np.full(target.window.shape, FILL, dtype=np.int16)
    observations = np.zeros(target.window.shape, dtype=np.uint16)
    longitudes = Longitudes(target)
    computed = kept = 0
    numba_loader.load_for(target.window.width * target.window.height)
    for strip in _strips(target.window, len(layers)):
        at = strip.slices_in(target.window)
        stack = np.empty((len(layers), *strip.shape), dtype=np.float32)
        for number, granules in enumerate(layers):
            evaluated = [_evaluate(index, granule, at) for granule in granules]
            computed += sum(each.computed for each in evaluated)
            kept += sum(each.kept for each in evaluated)
            where = longitudes.of(strip) if several_zones(granules) else None
            stack[number] = mosaic([each.values for each in evaluated], granules, longitudes=where)
        _reduce(stack, method, values=values[at], observations=observations[at])
    return Composite(values, observations, computed, kept)


def composite(
    stack: NDArray[np.float32], method: CompositeMethod
) -> tuple[Band, NDArray[np.uint16]]:
    """Reduce layers to one value a pixel.

    Args:
        stack: shape (layer, row, column) in order of time, NaN where invalid.
        method: the median (for an even number the mean of the middle two), the largest, or the
            latest of the valid values.

    Returns:
        Values, NaN where no layer is valid, and the number of valid layers.
    """
    valid = np.isfinite(stack)
    observations = valid.sum(axis=0, dtype=np.uint16)
    values = np.full(stack.shape[1:], np.nan, dtype=np.float32)
    if method == "median" and len(stack):
        values = _median(stack, valid, observations)
    elif method == "max":
        values = np.fmax.reduce(stack, axis=0, initial=np.float32("nan"))
    else:
        for layer, known in zip(stack, valid, strict=True):
            np.copyto(values, layer, where=known)
    return values, observations


def _median(
    stack: NDArray[np.float32], valid: NDArray[np.bool_], observations: NDArray[np.uint16]
) -> Band:
    """Median of each pixel's valid values."""
    if len(stack) == 1:
        return np.where(valid[0], stack[0], np.float32("nan"))
    ordered = _ordered(np.where(valid, stack, np.float32(np.inf)))
    above = observations >> 1
    below = (np.maximum(observations, 1) - 1) >> 1
    lower, upper = ordered[0].copy(), ordered[0].copy()
    for rank in range(1, len(stack) // 2 + 1):
        np.copyto(lower, ordered[rank], where=below == rank)
        np.copyto(upper, ordered[rank], where=above == rank)
    mean: Band = (lower + upper) * np.float32(0.5)
    return np.where(observations > 0, mean, np.float32("nan"))


def _ordered(layers: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sort `layers` in place, the values of each pixel in ascending order."""
    if len(layers) > _MAX_EXCHANGE_SORTED:
        layers.sort(axis=0)
        return layers
    # Odd-even sort: each step is one pass over whole layers.
    for turn in range(len(layers)):
        for first in range(turn % 2, len(layers) - 1, 2):
            low = np.minimum(layers[first], layers[first + 1])
            np.maximum(layers[first], layers[first + 1], out=layers[first + 1])
            layers[first] = low
    return layers


@dataclass(frozen=True, eq=False)
class _Evaluated:
    """Index values on one strip of a granule."""

    values: Band
    """Index values, NaN outside the index's range."""

    computed: int
    """Number of pixels whose bands were all known."""

    kept: int
    """Number of those whose index is within its range."""


def _evaluate(
    index: SpectralIndex, granule: GranuleReflectance, at: tuple[slice, slice]
) -> _Evaluated:
    """Evaluate `index` on one strip of a granule."""
    stored = {name: granule.bands[name][at] for name in index.needs if name in granule.bands}
    compiled = numba_loader.loaded()
    if compiled is not None and len(stored) == len(index.needs):
        return _evaluate_compiled(compiled, index, list(stored.values()))
    bands: dict[str, Band] = {}
    known = np.ones(np.broadcast_shapes(*(band.shape for band in stored.values())), bool)
    for name, pixels in stored.items():
        bands[name], valid = dequantise(pixels, REFLECTANCE_SCALE)
        known &= valid
    values, kept = apply_index(index, bands, known)
    return _Evaluated(values, int(np.count_nonzero(known)), int(np.count_nonzero(kept)))


def _evaluate_compiled(
    compiled: ModuleType, index: SpectralIndex, stored: Sequence[NDArray[np.int16]]
) -> _Evaluated:
    """Evaluate like `apply_index`, with the same bits; bands are in the order of `index.needs`."""
    known = np.ones(stored[0].shape, dtype=np.bool_)
    bands = [np.empty(known.shape, dtype=np.float32) for _ in stored]
    steps = np.float32(1.0 / REFLECTANCE_SCALE)
    for pixels, band in zip(stored, bands, strict=True):
        compiled.dequantise(pixels, FILL, steps, band, known)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        values = index.formula(*bands).astype(np.float32, copy=False)
        denominator = index.denominator(*bands)
    low, high = (np.float32(bound) for bound in index.expected_range)
    computed, kept = compiled.keep_in_range(values, denominator, known, low, high)
    return _Evaluated(values, computed, kept)


def _reduce(
    stack: NDArray[np.float32],
    method: CompositeMethod,
    *,
    values: NDArray[np.int16],
    observations: NDArray[np.uint16],
) -> None:
    """Reduce a strip, and write the quantised composite."""
    compiled = numba_loader.loaded()
    if compiled is not None and method == "median" and 0 < len(stack) <= _MAX_EXCHANGE_SORTED:
        limit, steps = storable_limit(INDEX_SCALE), 1.0 / INDEX_SCALE
        compiled.median(stack, np.float32(limit), np.float32(steps), FILL, values, observations)
        return
    reduced, observations[:] = composite(stack, method)
    values[:] = quantise(reduced, np.isfinite(reduced), INDEX_SCALE)


def _strips(window: Window, layers: int) -> Iterator[Window]:
    """Cut `window` into strips of rows with a bounded number of values."""
    rows = max(1, _STRIP_VALUES // (window.width * max(layers, 1)))
    for top in range(window.row, window.row_stop, rows):
        yield Window(window.column, top, window.width, min(rows, window.row_stop - top))


def _require_shapes(layers: Sequence[Sequence[GranuleReflectance]], shape: tuple[int, int]) -> None:
    """Refuse granules that do not cover the target's pixels."""
    for granule in (granule for granules in layers for granule in granules):
        for name, band in granule.bands.items():
            if band.shape != shape:
                message = f"{granule.id}: band {name} has shape {band.shape}, the target {shape}"
                raise RasterError(message, reason="bad_shape")
    if not all(layers):
        message = "a layer has no granule; leave it out"
        raise RasterError(message, reason="empty_layer")
