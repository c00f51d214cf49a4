"""Shards as places on the sphere: which H3 or S2 cell owns each, and whether each cell owns one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spatial_assets.errors import GridError
from spatial_assets.geo.cells import EARTH_RADIUS, CellScheme, cells_of, inscribed_radius, on_sphere
from spatial_assets.geo.grid import PixelGrid, Shard
from spatial_assets.geo.projecting import to_lonlat

_MEASURED = 500  # sizes change slowly over an area: so many shards along the curve speak for all


@dataclass(frozen=True, eq=False)
class Centres:
    """The middles of shards, in the order the shards were given."""

    lon: NDArray[np.float64]
    """Degrees east."""

    lat: NDArray[np.float64]
    """Degrees north."""

    reach: NDArray[np.float64]
    """Metres from a middle to the farthest corner: the widest disc with no middle inside it."""

    def sample(self) -> Centres:
        """Up to 500 of them, evenly taken, the first and last among them."""
        some = np.linspace(0, len(self.lon) - 1, min(len(self.lon), _MEASURED)).astype(np.int64)
        return Centres(self.lon[some], self.lat[some], self.reach[some])


def shard_centres(grid: PixelGrid, shards: Sequence[Shard]) -> Centres:
    """Where each shard lies on the earth, and how large it truly is there.

    Raises:
        GridError: the middle of a shard is where the grid's CRS has no lon/lat.
    """
    bounds = np.array([grid.geobox(grid.shard_window(shard)).bounds for shard in shards])
    left, bottom, right, top = bounds.T
    degrees = to_lonlat(grid.crs).transform
    lon, lat = degrees((left + right) / 2.0, (bottom + top) / 2.0)
    middle = on_sphere(lon, lat)
    if not np.isfinite(middle).all():
        message = f"the middle of a shard lies where {grid.crs.name} has no longitude and latitude"
        raise GridError(message)
    corners = [on_sphere(*degrees(x, y)) for x in (left, right) for y in (bottom, top)]
    chords = [np.linalg.norm(corner - middle, axis=-1) for corner in corners]
    # A corner without lon/lat, outside the disc of the earth in the projection, measures nothing.
    reach = 2.0 * np.arcsin(np.nanmax(chords, axis=0) / 2.0) * EARTH_RADIUS
    return Centres(lon, lat, reach)


def owning_cells(scheme: CellScheme, level: int, centres: Centres) -> list[str]:
    """The cell that each middle lies in.

    Raises:
        GridError: cells of that level are so small that one could hold no middle of a shard.
    """
    tight = _tightest(scheme, level, centres.sample())
    if tight is None:
        return cells_of(scheme, level, lon=centres.lon, lat=centres.lat)
    radius, reach = tight
    coarser = level - 1
    while coarser >= 0 and _tightest(scheme, coarser, centres.sample()):
        coarser -= 1
    remedy = f"take level = {coarser} or less, or" if coarser >= 0 else "no level fits, take"
    message = (
        f"[grid] level = {level}: a cell of {scheme} level {level} holds a circle of "
        f"{_length(radius)} radius here, but the corners of a shard lie {_length(reach)} from its "
        f"middle, so a cell could lie between the middles and own no shard "
        f"({radius:,.6g} < {reach:,.6g} m); {remedy} a smaller [grid] shard"
    )
    raise GridError(message)


def _tightest(scheme: CellScheme, level: int, centres: Centres) -> tuple[float, float] | None:
    """(cell's inscribed radius, shard's reach) in metres where cells are smallest; None if wide."""
    names = cells_of(scheme, level, lon=centres.lon, lat=centres.lat)
    radii = {name: inscribed_radius(scheme, name) for name in dict.fromkeys(names)}
    pairs = [
        (radii[name], reach) for name, reach in zip(names, centres.reach.tolist(), strict=True)
    ]
    tightest = min(pairs, key=lambda pair: pair[0] / pair[1])
    return tightest if tightest[0] < tightest[1] else None


def _length(metres: float) -> str:
    kilometre = 1000.0
    return f"{metres / kilometre:,.1f} km" if metres >= kilometre else f"{metres:,.3g} m"
