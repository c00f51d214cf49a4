"""Cells of the H3 and S2 grids: their outlines and sizes, and the shards they own.

The index of a cell decides which points it owns; angles on the sphere serve only to refuse cells
that are too small and to draw outlines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import h3
import numpy as np
import s2cell
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from spatial_assets.errors import GridError
from spatial_assets.geo.grid.pixel_grid import PixelGrid, Shard
from spatial_assets.geo.grid.projections import normalize_longitudes, transformer_to_lonlat
from spatial_assets.geo.lonlat import HALF_TURN

CellScheme = Literal["h3", "s2"]

MAX_CELL_LEVEL = {"h3": 15, "s2": 30}
EARTH_RADIUS = 6_371_008.8  # metres, the sphere of H3 and S2

_S2_SIZE = 1 << 30  # leaf cells along the edge of one of the six faces
ANTIMERIDIAN_TOLERANCE = 1e-9
"""Degrees; a tenth of a millimetre."""

_SEGMENTS_PER_CELL_EDGE = 8


def cells_of(
    scheme: CellScheme, level: int, *, lon: NDArray[np.float64], lat: NDArray[np.float64]
) -> list[str]:
    """Cell that contains each point: an H3 index in lower case, or an S2 token.

    Raises:
        GridError: the scheme has no such level.
    """
    if not 0 <= level <= MAX_CELL_LEVEL[scheme]:
        message = f"{scheme} has no level {level} (it has 0 to {MAX_CELL_LEVEL[scheme]})"
        raise GridError(message)
    points = zip(lat.tolist(), lon.tolist(), strict=True)
    if scheme == "h3":
        return [h3.latlng_to_cell(y, x, level) for y, x in points]
    return [s2cell.lat_lon_to_token(y, x, level) for y, x in points]


def cell_level(scheme: CellScheme, key: str) -> int:
    """Level of a cell.

    Raises:
        GridError: `key` is not the canonical key of a cell of the scheme.
    """
    if scheme == "h3" and key == key.lower() and h3.is_valid_cell(key):
        return int(h3.get_resolution(key))
    if scheme == "s2" and _is_token(key):
        return int(s2cell.token_to_level(key))
    expected = "an H3 index in lower case" if scheme == "h3" else "an S2 token in lower case"
    raise GridError(f"not {expected}: {key!r}")


def _is_token(key: str) -> bool:
    """Return True if `key` is an S2 token without its optional trailing zeros."""
    try:
        return bool(s2cell.token_is_valid(key)) and key == s2cell.token_to_canonical_token(key)
    except (s2cell.InvalidToken, s2cell.InvalidCellID, ValueError):
        return False


def cell_outline(scheme: CellScheme, key: str) -> BaseGeometry:
    """Outline of a cell in lon/lat, with edges along great circles, cut at the antimeridian."""
    corners = _corners(scheme, key)
    weights = np.linspace(0.0, 1.0, _SEGMENTS_PER_CELL_EDGE, endpoint=False)[:, np.newaxis]
    following = np.roll(corners, -1, axis=0)
    edges = [a * (1.0 - weights) + b * weights for a, b in zip(corners, following, strict=True)]
    x, y, z = np.concatenate(edges).T
    lon, lat = np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(z, np.hypot(x, y)))
    # Rounding gives an edge along the antimeridian either sign: put it on the side of its cell.
    middle = corners.mean(axis=0)
    side = np.copysign(HALF_TURN, np.arctan2(middle[1], middle[0]))
    lon = np.where(np.abs(lon) > HALF_TURN - ANTIMERIDIAN_TOLERANCE, side, lon)
    outline = shapely.Polygon(np.column_stack([lon, lat]))
    return shapely.orient_polygons(normalize_longitudes(outline))


def inscribed_radius(scheme: CellScheme, key: str) -> float:
    """Radius in metres of the largest disc around the cell's centre that fits into the cell."""
    corners = _corners(scheme, key)
    centre = corners.mean(axis=0)
    normals = np.cross(corners, np.roll(corners, -1, axis=0))
    sines = normals @ centre / np.linalg.norm(normals, axis=1) / np.linalg.norm(centre)
    return float(np.arcsin(np.abs(sines).min()) * EARTH_RADIUS)


def on_sphere(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit vectors of points in degrees, shape (..., 3)."""
    east, north = np.radians(lon), np.radians(lat)
    parts = [np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)]
    return np.stack(parts, axis=-1)


def _corners(scheme: CellScheme, key: str) -> NDArray[np.float64]:
    """Unit vectors of the cell's corners, in order around it, shape (corner, 3)."""
    cell_level(scheme, key)
    if scheme == "h3":
        lat, lon = np.array(h3.cell_to_boundary(key), dtype=np.float64).T
        return on_sphere(lon, lat)
    return _s2_corners(key)


def _s2_corners(token: str) -> NDArray[np.float64]:
    """Corners of an S2 cell, which is by definition a square of leaf cells on a face of a cube."""
    face, i, j = s2cell.s2_cell_id_to_face_ij(s2cell.token_to_cell_id(token))
    size = _S2_SIZE >> int(s2cell.token_to_level(token))
    i, j = i - i % size, j - j % size
    s = np.array([i, i + size, i + size, i]) / _S2_SIZE
    t = np.array([j, j, j + size, j + size]) / _S2_SIZE
    u, v, one = _s2_curved(s), _s2_curved(t), np.ones(4)
    faces = {
        0: (one, u, v),
        1: (-u, one, v),
        2: (-u, -v, one),
        3: (-one, -v, -u),
        4: (v, -one, -u),
        5: (v, u, -one),
    }
    corners: NDArray[np.float64] = np.column_stack(faces[face])
    corners /= np.linalg.norm(corners, axis=1, keepdims=True)
    return corners


def _s2_curved(along: NDArray[np.float64]) -> NDArray[np.float64]:
    """S2's quadratic projection: 0..1 along a face -> -1..1 on the cube."""
    high, low = (4.0 * along**2 - 1.0) / 3.0, (1.0 - 4.0 * (1.0 - along) ** 2) / 3.0
    return np.where(along >= 0.5, high, low)  # noqa: PLR2004


_SAMPLE_SHARDS = 500  # cell and shard sizes change slowly over an area, so a sample is enough


@dataclass(frozen=True, eq=False)
class ShardCentres:
    """Centres of shards, in the order of the shards."""

    lon: NDArray[np.float64]
    """Degrees east."""

    lat: NDArray[np.float64]
    """Degrees north."""

    circumradius: NDArray[np.float64]
    """Metres from a centre to the farthest corner: the widest disc that can hold no centre."""

    def sample(self) -> ShardCentres:
        """Up to 500 evenly spaced centres, including the first and the last."""
        some = np.linspace(0, len(self.lon) - 1, min(len(self.lon), _SAMPLE_SHARDS)).astype(
            np.int64
        )
        return ShardCentres(self.lon[some], self.lat[some], self.circumradius[some])


def shard_centres(grid: PixelGrid, shards: Sequence[Shard]) -> ShardCentres:
    """Locate the shards on the Earth, and measure their true size there.

    Raises:
        GridError: the centre of a shard has no lon/lat in the grid's CRS.
    """
    bounds = np.array([grid.geobox(grid.shard_window(shard)).bounds for shard in shards])
    left, bottom, right, top = bounds.T
    degrees = transformer_to_lonlat(grid.crs).transform
    lon, lat = degrees((left + right) / 2.0, (bottom + top) / 2.0)
    centre = on_sphere(lon, lat)
    if not np.isfinite(centre).all():
        message = f"the centre of a shard lies where {grid.crs.name} has no longitude and latitude"
        raise GridError(message)
    corners = [on_sphere(*degrees(x, y)) for x in (left, right) for y in (bottom, top)]
    chords = [np.linalg.norm(corner - centre, axis=-1) for corner in corners]
    # A corner outside the projection's disc of the Earth has no lon/lat and is left out.
    circumradius = 2.0 * np.arcsin(np.nanmax(chords, axis=0) / 2.0) * EARTH_RADIUS
    return ShardCentres(lon, lat, circumradius)


def owning_cells(scheme: CellScheme, level: int, centres: ShardCentres) -> list[str]:
    """Cell that contains each centre.

    Raises:
        GridError: cells of that level are so small that one could contain no centre of a shard.
    """
    tight = _tightest(scheme, level, centres.sample())
    if tight is None:
        return cells_of(scheme, level, lon=centres.lon, lat=centres.lat)
    radius, circumradius = tight
    coarser = level - 1
    while coarser >= 0 and _tightest(scheme, coarser, centres.sample()):
        coarser -= 1
    remedy = f"use level = {coarser} or less, or" if coarser >= 0 else "no level fits, use"
    message = (
        f"[grid] level = {level}: the inscribed circle of a cell of {scheme} level {level} has a "
        f"radius of {_length(radius)} here, but the corners of a shard lie "
        f"{_length(circumradius)} from its centre, so a cell could lie between the centres and "
        f"own no shard ({radius:,.6g} < {circumradius:,.6g} m); {remedy} a smaller [grid] shard"
    )
    raise GridError(message)


def _tightest(scheme: CellScheme, level: int, centres: ShardCentres) -> tuple[float, float] | None:
    """Inscribed radius of a cell and circumradius of a shard where they are tightest, in metres.

    None if every cell is wide enough to own a shard.
    """
    names = cells_of(scheme, level, lon=centres.lon, lat=centres.lat)
    radii = {name: inscribed_radius(scheme, name) for name in dict.fromkeys(names)}
    pairs = [
        (radii[name], circumradius)
        for name, circumradius in zip(names, centres.circumradius.tolist(), strict=True)
    ]
    tightest = min(pairs, key=lambda pair: pair[0] / pair[1])
    return tightest if tightest[0] < tightest[1] else None


def _length(metres: float) -> str:
    kilometre = 1000.0
    return f"{metres / kilometre:,.1f} km" if metres >= kilometre else f"{metres:,.3g} m"
