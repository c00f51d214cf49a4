"""Mosaics: the granules of one solar day and platform as one layer, overlaps counted once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS

from spatial_assets.errors import RasterError
from spatial_assets.geo.grid.geobox import GeoBox, Window
from spatial_assets.geo.grid.projections import central_meridian
from spatial_assets.geo.lonlat import CRS84
from spatial_assets.geo.pixels.evaluate_index import Band
from spatial_assets.geo.warp.lattice import Lattice, SourceCoordinates
from spatial_assets.geo.warp.source_grid import SourceGrid

_DEGREE_STEP: Final = 1e-4
_LONGITUDES: Final = SourceGrid(
    transform=Affine(_DEGREE_STEP, 0.0, -180.0, 0.0, -_DEGREE_STEP, 90.0),
    width=3_600_000,
    height=1_800_000,
    crs=CRS.from_user_input(CRS84),
)
"""The whole Earth as a grid, so that the lattice of the warp also computes longitudes."""


@dataclass(frozen=True, eq=False)
class GranuleReflectance:
    """Reprojected reflectance of one scene on the target's pixels."""

    id: str
    """Scene id; its alphabetical order decides between granules of one zone."""

    crs: CRS
    """CRS in which the scene was delivered, which is its zone."""

    bands: Mapping[str, NDArray[np.int16]]
    """Quantised reflectance by common band name, `FILL` where unknown, each (row, column)."""

    @cached_property
    def meridian(self) -> float:
        """Central meridian of the zone in degrees; infinite if the CRS has none."""
        return central_meridian(self.crs)


@dataclass(frozen=True, eq=False)
class Longitudes:
    """Longitudes of target pixels, with the same bits in every window."""

    target: GeoBox

    @cached_property
    def _coordinates(self) -> SourceCoordinates:
        return SourceCoordinates(_LONGITUDES, Lattice.around(self.target, _LONGITUDES.crs))

    def of(self, window: Window) -> NDArray[np.float64]:
        """Longitudes in degrees of the pixel centres of `window`, a part of the target."""
        column, _ = self._coordinates.centres(window)
        return column * _DEGREE_STEP - 180.0


def mosaic(
    values: Sequence[Band],
    granules: Sequence[GranuleReflectance],
    *,
    longitudes: NDArray[np.float64] | None,
) -> Band:
    """Merge granules to one layer; each pixel is from the valid granule with the nearest zone.

    Args:
        values: values of each granule, NaN where invalid, all of one shape.
        granules: granules in the order of `values`; within one zone the id decides.
        longitudes: longitudes of the pixels in degrees; not needed if all granules share a zone.

    Raises:
        RasterError: the granules have several zones, and `longitudes` is None.
    """
    order = sorted(range(len(granules)), key=lambda index: granules[index].id)
    if len(order) == 1:
        return values[0]
    if longitudes is None and several_zones(granules):
        message = f"granules of several zones need longitudes: {[item.id for item in granules]}"
        raise RasterError(message, reason="no_longitudes")
    result = np.full(values[0].shape, np.nan, dtype=np.float32)
    nearest = np.full(values[0].shape, np.nan)
    for index in order:
        distance = _distance(longitudes, granules[index].meridian)
        # Strictly nearer, so on a tie the earlier id stays; NaN where nothing is valid yet.
        taken = np.isfinite(values[index]) & ~(distance >= nearest)
        np.copyto(result, values[index], where=taken)
        np.copyto(nearest, distance, where=taken)
    return result


def several_zones(granules: Sequence[GranuleReflectance]) -> bool:
    """True if the choice between `granules` depends on the longitude."""
    return len({granule.meridian for granule in granules}) > 1


def _distance(longitudes: NDArray[np.float64] | None, meridian: float) -> NDArray[np.floating[Any]]:
    """Shorter way to `meridian` in degrees; infinite everywhere without longitudes."""
    if longitudes is None or math.isinf(meridian):
        return np.full(() if longitudes is None else longitudes.shape, np.inf)
    around: NDArray[np.float64] = np.abs((longitudes - meridian + 180.0) % 360.0 - 180.0)
    # A pixel without a longitude is equally far from every zone, so the id decides.
    return np.where(np.isfinite(around), around, np.inf)
