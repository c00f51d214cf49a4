"""The demo landscape as maps on one lon/lat lattice: land cover, vegetation vigour and soil.

Granules of every UTM zone sample the same maps, so overlapping granules agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize
from shapely.geometry.base import BaseGeometry

from spatial_assets.demo import terrain
from spatial_assets.demo.noise import FloatGrid, blurred, fractal_noise, smooth_noise

CENTRE = (18.0176, 45.8902)
"""Centre in lon/lat, next to the border of two UTM zones so that both are needed."""

CELL = 18.0  # metres; the satellite's pixels here are 20
HALF_WIDTH, HALF_HEIGHT = 23_400.0, 16_200.0  # metres: the area and a margin for rotated granules
SHAPE = (int(2 * HALF_HEIGHT / CELL), int(2 * HALF_WIDTH / CELL))

METRES_PER_DEGREE = 111_195.0
EAST = METRES_PER_DEGREE * float(np.cos(np.radians(CENTRE[1])))

_LATTICE_TRANSFORM = Affine(CELL, 0.0, -HALF_WIDTH, 0.0, -CELL, HALF_HEIGHT)
_SEED = 20230605


class LandCover(IntEnum):
    """Land-cover classes."""

    WATER = 0
    FOREST = 1
    TOWN = 2
    ROAD = 3
    MEADOW = 4
    WHEAT = 5
    RAPESEED = 6
    MAIZE = 7
    SUNFLOWER = 8
    SOY = 9
    ALFALFA = 10
    VINEYARD = 11
    FALLOW = 12


_CROPS = (
    LandCover.WHEAT,
    LandCover.RAPESEED,
    LandCover.MAIZE,
    LandCover.SUNFLOWER,
    LandCover.SOY,
    LandCover.ALFALFA,
    LandCover.MEADOW,
    LandCover.FALLOW,
)
_FOOT, _CREST = 0.45, 0.95  # vines grow between these heights, and forest above
_GROVE, _GROVE_REGION = 1.5, 0.2  # thresholds of wildness and of region for groves of trees
_DAMP, _WET = 3.9, 6.3  # wetness above which a field is meadow, and above which it is forest
_CROP_SHARES = (0.29, 0.08, 0.27, 0.11, 0.11, 0.05, 0.05, 0.04)


@dataclass(frozen=True, eq=False)
class Landscape:
    """Maps of one lattice, shape (row, column); row 0 is the northern edge."""

    cover: NDArray[np.uint8]
    """Land cover, a `LandCover`."""

    delay: FloatGrid
    """Days by which the crop of a parcel is later than usual."""

    vigour: FloatGrid
    """Relative growth of plants, about 1."""

    soil: FloatGrid
    """Relative brightness of bare soil, about 1."""


def lattice_coordinates(
    lon: NDArray[np.float64], lat: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coordinates (column, row) of points on the lattice, in cells from its top-left corner."""
    east, north = (lon - CENTRE[0]) * EAST, (lat - CENTRE[1]) * METRES_PER_DEGREE
    return (east + HALF_WIDTH) / CELL, (HALF_HEIGHT - north) / CELL


def to_lonlat(xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert metres east and north of the centre to lon/lat."""
    return xy / [EAST, METRES_PER_DEGREE] + CENTRE


def on_lattice(area: BaseGeometry) -> NDArray[np.bool_]:
    """True where the centre of a cell lies in a lon/lat area, shape (row, column)."""
    flat = shapely.transform(area, lambda xy: (xy - CENTRE) * [EAST, METRES_PER_DEGREE])
    inside: NDArray[np.bool_] = _rasterized([flat], [1]) == 1
    return inside


def make_landscape() -> Landscape:
    """Generate the landscape, reproducibly."""
    rng = np.random.default_rng(_SEED)
    cover, delay, vigour = _farmland(rng)
    wild = fractal_noise(SHAPE, 70.0, octaves=5, rng=rng)
    _lay_out_hills(cover, wild, rng)
    _lay_out_water(cover, wild, rng)
    # The vigour of trees and gardens does not depend on the parcels below them.
    vigour[(cover == LandCover.FOREST) | (cover == LandCover.TOWN)] = 1.0
    vigour += 0.03 * fractal_noise(SHAPE, 45.0, octaves=5, rng=rng)
    grain = blurred(rng.standard_normal(SHAPE, dtype=np.float32))
    # A grain is a tuft in a field, but in a town a row of houses beside gardens.
    vigour += grain * np.where(cover == LandCover.TOWN, np.float32(0.12), np.float32(0.03))
    soil = 1 + 0.16 * fractal_noise(SHAPE, 160.0, octaves=5, rng=rng)
    return Landscape(cover, delay, vigour, soil)


def _farmland(rng: np.random.Generator) -> tuple[NDArray[np.uint8], FloatGrid, FloatGrid]:
    """Cover, delay and vigour of farmland: parcels in strips between tracks."""
    land = terrain.blocks(HALF_WIDTH, HALF_HEIGHT, rng)
    centres = shapely.get_coordinates(shapely.centroid(np.array(land)))
    angles = terrain.field_directions(centres, rng)
    strips = [
        parcel
        for block, angle in zip(land, angles.tolist(), strict=True)
        for parcel in terrain.parcels(block, angle, rng)
    ]
    number = _rasterized(strips, range(1, len(strips) + 1), dtype="int32")
    count = len(strips) + 1
    crops = rng.choice(np.array(_CROPS, dtype=np.uint8), size=count, p=_CROP_SHARES)
    delay = (4.5 * rng.standard_normal(count)).astype(np.float32)
    vigour = (1 + 0.07 * rng.standard_normal(count)).astype(np.float32)
    cover = crops[number]
    tracks = [shapely.buffer(block.boundary, 7.0) for block in land]
    cover[_rasterized(tracks, [1] * len(tracks)) == 1] = LandCover.MEADOW
    return cover, delay[number], vigour[number]


def _lay_out_hills(cover: NDArray[np.uint8], wild: FloatGrid, rng: np.random.Generator) -> None:
    """Raise the land to the north-west, with forest on the crests and vines on some slopes."""
    rows, columns = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]].astype(np.float32)
    height = fractal_noise(SHAPE, 420.0, octaves=7, rng=rng) + 0.22 * wild
    height += 0.72 - 2.0 * rows / SHAPE[0] - 0.9 * columns / SHAPE[1]
    slope = (height > _FOOT) & (height < _CREST)
    cover[slope & np.isin(cover, [LandCover.WHEAT, LandCover.RAPESEED, LandCover.SOY])] = (
        LandCover.VINEYARD
    )
    cover[height > _CREST] = LandCover.FOREST
    groves = (wild > _GROVE) & (smooth_noise(SHAPE, 300.0, rng) > _GROVE_REGION)
    cover[groves] = LandCover.FOREST


def _lay_out_water(cover: NDArray[np.uint8], wild: FloatGrid, rng: np.random.Generator) -> None:
    """Draw the river with its flood plain, the lake, the town and the villages over the fields."""
    river = terrain.river_line(HALF_WIDTH)
    still = shapely.union_all([terrain.oxbows(river), terrain.lake_outline(rng)])
    # Nested strips approximate the distance to water, from 1 (far) to 8 (next to it).
    strips = [river.buffer(180.0 * n).union(still.buffer(60.0 * n)) for n in range(8, 0, -1)]
    wetness = _rasterized(strips, range(1, 9)) + 2.2 * wild
    cover[wetness > _DAMP] = LandCover.MEADOW
    cover[wetness > _WET] = LandCover.FOREST
    houses = [terrain.town_outline(rng), *terrain.village_outlines(rng)]
    cover[_rasterized([terrain.main_roads(rng).buffer(11.0)], [1]) == 1] = LandCover.ROAD
    cover[_rasterized(houses, [1] * len(houses)) == 1] = LandCover.TOWN
    cover[_rasterized([still, river.buffer(105.0)], [1, 1]) == 1] = LandCover.WATER


def _rasterized(
    shapes: Sequence[BaseGeometry], numbers: Sequence[int], dtype: str = "uint8"
) -> NDArray[np.int32]:
    """Rasterize shapes: the number of the shape that covers each cell; 0 where none does."""
    pairs = zip(shapes, numbers, strict=True)
    numbered: NDArray[np.int32] = rasterize(pairs, SHAPE, transform=_LATTICE_TRANSFORM, dtype=dtype)
    return numbered
