"""Cells of the H3 and S2 globes: whose a place is, how wide a cell is, and its outline.

Angles on the sphere decide nothing but refusals and pictures; a cell owns a place by its index.

Shards as places on the sphere: which H3 or S2 cell owns each, and whether each cell owns one.
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
ON_THE_EDGE = 1e-9
"""Degrees: a tenth of a millimetre."""

_EDGE_PIECES = 8


def cells_of(
    scheme: CellScheme, level: int, *, lon: NDArray[np.float64], lat: NDArray[np.float64]
) -> list[str]:
    """The cell each place lies in: H3 index in lower case, or S2 token.

    Raises:
        GridError: the scheme has no such level.
    """
    if not 0 <= level <= MAX_CELL_LEVEL[scheme]:
        message = f"{scheme} has no level {level} (it has 0 to {MAX_CELL_LEVEL[scheme]})"
        raise GridError(message)
    places = zip(lat.tolist(), lon.tolist(), strict=True)
    if scheme == "h3":
        return [h3.latlng_to_cell(y, x, level) for y, x in places]
    return [s2cell.lat_lon_to_token(y, x, level) for y, x in places]


def cell_level(scheme: CellScheme, key: str) -> int:
    """The level of a cell.

    Raises:
        GridError: `key` names no cell of the scheme, or not in the one way we write it.
    """
    if scheme == "h3" and key == key.lower() and h3.is_valid_cell(key):
        return int(h3.get_resolution(key))
    if scheme == "s2" and _is_token(key):
        return int(s2cell.token_to_level(key))
    wanted = "an H3 index in lower case" if scheme == "h3" else "an S2 token in lower case"
    raise GridError(f"not {wanted}: {key!r}")


def _is_token(key: str) -> bool:
    """Whether `key` is an S2 token, without the zeros that may be left off."""
    try:
        return bool(s2cell.token_is_valid(key)) and key == s2cell.token_to_canonical_token(key)
    except (s2cell.InvalidToken, s2cell.InvalidCellID, ValueError):
        return False


def cell_outline(scheme: CellScheme, key: str) -> BaseGeometry:
    """The cell in lon/lat, its edges followed along great circles, cut at the antimeridian."""
    corners = _corners(scheme, key)
    weights = np.linspace(0.0, 1.0, _EDGE_PIECES, endpoint=False)[:, np.newaxis]
    following = np.roll(corners, -1, axis=0)
    edges = [a * (1.0 - weights) + b * weights for a, b in zip(corners, following, strict=True)]
    x, y, z = np.concatenate(edges).T
    lon, lat = np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(z, np.hypot(x, y)))
    # An edge along the antimeridian has both signs by chance: it lies on the side of its cell.
    middle = corners.mean(axis=0)
    side = np.copysign(HALF_TURN, np.arctan2(middle[1], middle[0]))
    lon = np.where(np.abs(lon) > HALF_TURN - ON_THE_EDGE, side, lon)
    outline = shapely.Polygon(np.column_stack([lon, lat]))
    return shapely.orient_polygons(normalize_longitudes(outline))


def inscribed_radius(scheme: CellScheme, key: str) -> float:
    """Metres from the cell's centre to its nearest edge: no disc around it that fits is larger."""
    corners = _corners(scheme, key)
    centre = corners.mean(axis=0)
    normals = np.cross(corners, np.roll(corners, -1, axis=0))
    sines = normals @ centre / np.linalg.norm(normals, axis=1) / np.linalg.norm(centre)
    return float(np.arcsin(np.abs(sines).min()) * EARTH_RADIUS)


def on_sphere(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit vectors of places in degrees, shape (..., 3)."""
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
    """Corners of an S2 cell by its definition: a square of leaf cells on a face of a cube."""
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


_MEASURED = 500  # sizes change slowly over an area: so many shards along the curve speak for all


@dataclass(frozen=True, eq=False)
class ShardCentres:
    """The middles of shards, in the order the shards were given."""

    lon: NDArray[np.float64]
    """Degrees east."""

    lat: NDArray[np.float64]
    """Degrees north."""

    reach: NDArray[np.float64]
    """Metres from a middle to the farthest corner: the widest disc with no middle inside it."""

    def sample(self) -> ShardCentres:
        """Up to 500 of them, evenly taken, the first and last among them."""
        some = np.linspace(0, len(self.lon) - 1, min(len(self.lon), _MEASURED)).astype(np.int64)
        return ShardCentres(self.lon[some], self.lat[some], self.reach[some])


def shard_centres(grid: PixelGrid, shards: Sequence[Shard]) -> ShardCentres:
    """Where each shard lies on the earth, and how large it truly is there.

    Raises:
        GridError: the middle of a shard is where the grid's CRS has no lon/lat.
    """
    bounds = np.array([grid.geobox(grid.shard_window(shard)).bounds for shard in shards])
    left, bottom, right, top = bounds.T
    degrees = transformer_to_lonlat(grid.crs).transform
    lon, lat = degrees((left + right) / 2.0, (bottom + top) / 2.0)
    middle = on_sphere(lon, lat)
    if not np.isfinite(middle).all():
        message = f"the middle of a shard lies where {grid.crs.name} has no longitude and latitude"
        raise GridError(message)
    corners = [on_sphere(*degrees(x, y)) for x in (left, right) for y in (bottom, top)]
    chords = [np.linalg.norm(corner - middle, axis=-1) for corner in corners]
    # A corner without lon/lat, outside the disc of the earth in the projection, measures nothing.
    reach = 2.0 * np.arcsin(np.nanmax(chords, axis=0) / 2.0) * EARTH_RADIUS
    return ShardCentres(lon, lat, reach)


def owning_cells(scheme: CellScheme, level: int, centres: ShardCentres) -> list[str]:
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


def _tightest(scheme: CellScheme, level: int, centres: ShardCentres) -> tuple[float, float] | None:
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
