"""Lines and outlines of the demo landscape, in metres east and north of its centre.

Geometry only: a meandering river, a lake, a town, villages, roads, and parcels in strips.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import affinity
from shapely.geometry.base import BaseGeometry

from spatial_assets.demo.noise import smooth_noise

LAKE = (11_500.0, 7_200.0)
TOWN = (-1_800.0, 3_400.0)
_TURNED = 0.35  # share of blocks ploughed at right angles to their neighbours
VILLAGES = (
    (-15_500.0, 1_500.0),
    (-11_000.0, -10_800.0),
    (-7_600.0, 11_300.0),
    (4_300.0, -9_700.0),
    (7_000.0, 12_300.0),
    (14_200.0, -2_400.0),
    (17_200.0, -11_600.0),
    (-18_300.0, -4_600.0),
)


def river_line(half_width: float) -> shapely.LineString:
    """Course of a river from west to east: a sine-generated curve, as meanders form."""
    along = np.linspace(0.0, 1.0, 4000)
    swing = 1.55 + 0.45 * np.sin(2 * np.pi * (2.3 * along + 0.1))
    bends = np.sin(2 * np.pi * 13.0 * along + 2.2 * np.sin(2 * np.pi * 3.1 * along))
    drift = 0.35 * np.sin(2 * np.pi * (1.1 * along + 0.55))
    heading = swing * bends * 0.78 + drift
    east, north = np.cumsum(np.cos(heading)), np.cumsum(np.sin(heading))
    scale = 2.3 * half_width / (east[-1] - east[0])
    east, north = (east - east[0]) * scale - 1.15 * half_width, (north - north.mean()) * scale
    return shapely.LineString(np.column_stack([east, north - 3_600.0]))


def oxbows(river: shapely.LineString) -> BaseGeometry:
    """Oxbow lakes: crescents of old bends, cut off from the river."""
    crescents = []
    for share, side, size in ((0.19, 1, 820), (0.41, -1, 1000), (0.63, 1, 760), (0.82, -1, 900)):
        near = river.interpolate(share, normalized=True)
        arc = np.linspace(0.15 * np.pi, 1.25 * np.pi, 40) + share * 20
        x = near.x + size * np.cos(arc)
        y = near.y + side * 1900 + size * 0.8 * np.sin(arc)
        crescents.append(shapely.LineString(np.column_stack([x, y])).buffer(75))
    return shapely.difference(shapely.union_all(crescents), river.buffer(260))


def lake_outline(rng: np.random.Generator) -> BaseGeometry:
    """Outline of a lake with bays and an irregular shore."""
    return _blob(LAKE, radius=1_900.0, stretch=1.7, rng=rng)


def town_outline(rng: np.random.Generator) -> BaseGeometry:
    """Outline of the built-up area of the town."""
    return _blob(TOWN, radius=1_850.0, stretch=1.25, rng=rng)


def village_outlines(rng: np.random.Generator) -> list[BaseGeometry]:
    """Outlines of street villages, which are long and narrow."""
    outlines = []
    for centre in VILLAGES:
        stretch, turn = float(rng.uniform(2.2, 3.4)), float(rng.uniform(0, 180))
        outlines.append(
            affinity.rotate(_blob(centre, radius=430.0, stretch=stretch, rng=rng), turn)
        )
    return outlines


def main_roads(rng: np.random.Generator) -> BaseGeometry:
    """Gently curved roads from the town to every village."""
    roads = []
    for x, y in VILLAGES:
        t = np.linspace(0.0, 1.0, 30)
        bow = 700.0 * float(rng.uniform(-1, 1)) * np.sin(np.pi * t)
        length = np.hypot(x - TOWN[0], y - TOWN[1])
        normal = np.array([-(y - TOWN[1]), x - TOWN[0]]) / length
        line = np.outer(1 - t, TOWN) + np.outer(t, (x, y)) + np.outer(bow, normal)
        roads.append(shapely.LineString(line))
    return shapely.union_all(roads)


def blocks(half_width: float, half_height: float, rng: np.random.Generator) -> list[BaseGeometry]:
    """Blocks of farmland between tracks: Voronoi cells of a jittered grid of points."""
    step = 1_150.0
    columns, rows = int(2 * half_width / step) + 2, int(2 * half_height / step) + 2
    grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2)
    jitter = rng.uniform(-0.36, 0.36, grid.shape)
    points = (grid + jitter) * step - [half_width, half_height]
    cells = shapely.voronoi_polygons(shapely.MultiPoint(points))
    frame = shapely.box(-half_width, -half_height, half_width, half_height)
    clipped = shapely.intersection(np.array(shapely.get_parts(cells)), frame)
    # The order of Voronoi cells depends on the version of GEOS; sort them by position.
    centres = shapely.get_coordinates(shapely.centroid(clipped))
    order = np.lexsort(np.round(centres).T)
    return [clipped[index] for index in order if not clipped[index].is_empty]


def parcels(block: BaseGeometry, angle: float, rng: np.random.Generator) -> list[BaseGeometry]:
    """Cut a block into strips along one direction, and some strips into parcels."""
    middle = shapely.centroid(block)
    level = affinity.rotate(block, -angle, origin=middle)
    left, bottom, right, top = level.bounds
    edges = bottom + np.cumsum(np.append(0.0, rng.gamma(5.0, 32.0, size=60) + 40.0))
    corners = []
    for low, high in pairwise(edges[: np.searchsorted(edges, top) + 1]):
        cuts = np.sort(rng.uniform(left, right, size=int(rng.integers(0, 4))))
        corners += [(a, low, b, high) for a, b in pairwise([left, *cuts, right])]
    pieces = shapely.intersection(shapely.box(*np.array(corners).T), level)
    together = shapely.GeometryCollection(np.asarray(pieces).tolist())
    turned = shapely.get_parts(affinity.rotate(together, angle, origin=middle))
    return [piece for piece in turned if piece.area > 0]


def _blob(
    centre: tuple[float, float], *, radius: float, stretch: float, rng: np.random.Generator
) -> BaseGeometry:
    """Closed outline around a point: a circle deformed by a few smooth waves."""
    angle = np.linspace(0.0, 2 * np.pi, 181)[:-1]
    waves: NDArray[np.float64] = np.zeros_like(angle)
    for number in range(2, 9):
        phase = rng.uniform(0, 2 * np.pi)
        waves += 0.30 / number * np.cos(number * angle + phase)
    radii = radius * (1 + waves)
    x = centre[0] + radii * stretch**0.5 * np.cos(angle)
    y = centre[1] + radii / stretch**0.5 * np.sin(angle)
    return shapely.Polygon(np.column_stack([x, y])).buffer(0)


def field_directions(centres: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Direction of the strips in each block, in degrees; neighbours mostly agree."""
    swirl = smooth_noise((64, 64), 16.0, rng)
    rows, columns = (np.clip((centres / 700.0).astype(np.int64) + 32, 0, 63)).T[::-1]
    turn: NDArray[np.float64] = 30.0 * swirl[rows, columns] + 8.0 * rng.standard_normal(
        len(centres)
    )
    turn += 90.0 * (rng.random(len(centres)) < _TURNED)
    return turn
