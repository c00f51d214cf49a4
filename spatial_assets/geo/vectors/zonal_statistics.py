"""Statistics of pixels within boundaries, computed by tile and merged.

The weight of a pixel is its coverage by the boundary times its true area. Coverage is computed in
absolute pixel coordinates, where pixel edges are integers, so that a pixel on the edge of a tile
has the same coverage from both sides.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from exactextract import exact_extract
from exactextract._exactextract import Feature
from exactextract.feature import FeatureSource
from exactextract.raster import NumPyRasterSource
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from spatial_assets.errors import RasterError
from spatial_assets.geo.grid.geobox import GeoBox, Window
from spatial_assets.geo.vectors.areas import pixel_areas

MAX_PIXELS_AT_ONCE = 8_000_000
"""Covered pixels held in memory at a time, 24 bytes each."""


@dataclass(frozen=True, kw_only=True)
class BoundaryPart:
    """Contribution of one tile to the statistics of one boundary; parts of disjoint tiles merge."""

    key: str
    """Key of the boundary."""

    pixels: float
    """Sum of coverage over valid pixels: the observed area in whole pixels."""

    weight: float
    """Sum of w over valid pixels, m2; w = coverage x true pixel area."""

    sum: float
    """Sum of w v over valid pixels with value v."""

    sum_squares: float
    """Sum of w v^2 over valid pixels."""

    min: float | None
    """Smallest value of the valid pixels that the boundary touches; None if none is valid."""

    max: float | None
    """Largest value of the valid pixels that the boundary touches; None if none is valid."""

    area_total: float
    """Sum of w over owned pixels, valid or not, m2: the area of the boundary within the tile."""

    @property
    def mean(self) -> float | None:
        """Weighted mean; None, not zero, if nothing was observed."""
        return self.sum / self.weight if self.weight > 0.0 else None

    @property
    def variance(self) -> float | None:
        """Weighted population variance; None if nothing was observed."""
        if self.weight <= 0.0:
            return None
        mean = self.sum / self.weight
        return max(self.sum_squares / self.weight - mean * mean, 0.0)


def boundary_parts(
    values: NDArray[np.floating],
    valid: NDArray[np.bool_],
    *,
    geobox: GeoBox,
    owned: NDArray[np.bool_],
    features: Sequence[tuple[str, BaseGeometry]],
) -> list[BoundaryPart]:
    """Summarise the owned pixels of one tile within each boundary, in the order of `features`.

    Args:
        values: shape (row, column); invalid values are ignored, NaN included.
        valid: True where a value was observed.
        geobox: georeference of the pixels.
        owned: True where the pixel belongs to this tile; a neighbour counts the others.
        features: (key, geometry in the CRS of the grid).

    Returns:
        A part for every boundary that covers an owned pixel, with weight 0 if none is valid.

    Raises:
        RasterError: the arrays disagree in shape.
    """
    shapes = {values.shape, valid.shape, owned.shape, geobox.window.shape}
    if len(shapes) > 1:
        raise RasterError(f"values, valid, owned and geobox differ in shape: {sorted(shapes)}")
    areas = pixel_areas(geobox)
    parts = []
    for key, covered in _covered_pixels(features, geobox):
        pixels = covered.where(owned[covered.rows, covered.columns])
        if not len(pixels.coverage):
            continue
        at = (pixels.rows, pixels.columns)
        sample = _Sample(values[at].astype(np.float64), pixels.coverage, areas[at], valid[at])
        parts.append(sample.part(key))
    return parts


def merge_parts(parts: Iterable[BoundaryPart]) -> list[BoundaryPart]:
    """Merge to one part per key, as if all tiles were one; keys in order of first appearance."""
    by_key: dict[str, list[BoundaryPart]] = {}
    for part in parts:
        by_key.setdefault(part.key, []).append(part)
    return [_merged(key, group) for key, group in by_key.items()]


def _merged(key: str, group: Sequence[BoundaryPart]) -> BoundaryPart:
    return BoundaryPart(
        key=key,
        pixels=math.fsum(part.pixels for part in group),
        weight=math.fsum(part.weight for part in group),
        sum=math.fsum(part.sum for part in group),
        sum_squares=math.fsum(part.sum_squares for part in group),
        min=min((part.min for part in group if part.min is not None), default=None),
        max=max((part.max for part in group if part.max is not None), default=None),
        area_total=math.fsum(part.area_total for part in group),
    )


@dataclass(frozen=True, eq=False)
class _Sample:
    """Owned pixels that one boundary covers, one entry per pixel."""

    values: NDArray[np.float64]
    coverage: NDArray[np.float64]
    areas: NDArray[np.float64]
    valid: NDArray[np.bool_]

    def part(self, key: str) -> BoundaryPart:
        """Sum the pixels to the part of a boundary."""
        weights = self.coverage * self.areas
        values, weight = self.values[self.valid], weights[self.valid]
        weighted = weight * values
        return BoundaryPart(
            key=key,
            pixels=float(self.coverage[self.valid].sum()),
            weight=float(weight.sum()),
            sum=float(weighted.sum()),
            sum_squares=float((weighted * values).sum()),
            min=float(values.min()) if len(values) else None,
            max=float(values.max()) if len(values) else None,
            area_total=float(weights.sum()),
        )


@dataclass(frozen=True, eq=False)
class _Covered:
    """Pixels of a window that one boundary covers, and their coverage in (0, 1]."""

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    coverage: NDArray[np.float64]

    def where(self, keep: NDArray[np.bool_]) -> _Covered:
        """Select the pixels where `keep` is True."""
        return _Covered(self.rows[keep], self.columns[keep], self.coverage[keep])


def _covered_pixels(
    features: Sequence[tuple[str, BaseGeometry]], geobox: GeoBox
) -> Iterator[tuple[str, _Covered]]:
    window = geobox.window
    in_pixels = [(key, _in_pixels(geometry, geobox)) for key, geometry in features]
    for batch in _batches(in_pixels, window):
        # zeros without memory: only cells and coverage are requested, never the value
        raster = NumPyRasterSource(
            np.broadcast_to(np.int8(0), window.shape),
            xmin=float(window.column),
            xmax=float(window.column_stop),
            ymin=-float(window.row_stop),
            ymax=-float(window.row),
        )
        source = _Polygons([geometry for _, geometry in batch])
        rows = exact_extract(raster, source, ["cell_id", "coverage"], output="geojson")
        for (key, _), row in zip(batch, rows, strict=True):
            cells = np.asarray(row["properties"]["cell_id"], dtype=np.int64)
            coverage = np.asarray(row["properties"]["coverage"], dtype=np.float64)
            yield key, _Covered(cells // window.width, cells % window.width, coverage)


def _in_pixels(geometry: BaseGeometry, geobox: GeoBox) -> BaseGeometry:
    """Geometry in (column, -row), so that north stays up."""
    origin = geobox.origin

    def to_pixels(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        scale = np.array([origin.a, -origin.e])
        return np.asarray((xy - np.array([origin.c, origin.f])) / scale)

    return shapely.transform(geometry, to_pixels)


def _batches(
    boundaries: Sequence[tuple[str, BaseGeometry]], window: Window
) -> Iterator[list[tuple[str, BaseGeometry]]]:
    """Batches of boundaries that touch the window, each of a bounded number of pixels."""
    bounds = (window.column, -window.row_stop, window.column_stop, -window.row)
    batch: list[tuple[str, BaseGeometry]] = []
    pixels = 0.0
    for key, geometry in boundaries:
        if geometry.is_empty:
            continue
        west, south, east, north = geometry.bounds
        wide = min(east, bounds[2]) - max(west, bounds[0])
        high = min(north, bounds[3]) - max(south, bounds[1])
        if wide <= 0.0 or high <= 0.0:
            continue
        if batch and pixels + wide * high > MAX_PIXELS_AT_ONCE:
            yield batch
            batch, pixels = [], 0.0
        batch.append((key, geometry))
        pixels += wide * high
    if batch:
        yield batch


class _Polygons(FeatureSource):  # type: ignore[misc] # published without types
    """Boundaries as a feature source of exactextract, without a detour through GeoJSON."""

    def __init__(self, geometries: Sequence[BaseGeometry]) -> None:
        super().__init__()
        self._geometries = geometries

    def count(self) -> int:
        return len(self._geometries)

    def __iter__(self) -> Iterator[Feature]:
        return (_Polygon(geometry) for geometry in self._geometries)

    def srs_wkt(self) -> None:
        """No CRS to compare: raster and boundaries are both in pixels."""


class _Polygon(Feature):  # type: ignore[misc] # published without types
    def __init__(self, geometry: BaseGeometry) -> None:
        super().__init__()
        self._geometry = geometry

    def geometry(self) -> bytes:
        return bytes(shapely.to_wkb(self._geometry, byte_order=1))

    def fields(self) -> list[str]:
        return []
