"""A small cube of a year of months, and tiles to write into it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatial_assets.geo.grid.pixel_grid import PixelGrid, Shard, Tile
from spatial_assets.geo.periods import Periods
from spatial_assets.stores.cube.cube import ensure_cube, write_tile
from spatial_assets.stores.cube.metadata import CubeSpec
from spatial_assets.stores.objects.store import ObjectStore

GRID = PixelGrid(tile_matrix_set="WebMercatorQuad", pixel_zoom=10, chunk=64, shard=128)
YEAR = Periods(date(2023, 1, 1), "month", date(2023, 12, 31))
CORNER = Shard(1100, 700)


def now() -> datetime:
    return datetime.now(UTC)


def tile_of(*shards: Shard, key: str = "0231") -> Tile:
    return Tile(key, shards, GRID.shards_window(shards))


def spec(columns: int = 3, rows: int = 2, **others: Any) -> CubeSpec:  # noqa: ANN401 - any field
    corner = others.pop("corner", CORNER)
    extent = GRID.shards_window([corner, Shard(corner.column + columns - 1, corner.row + rows - 1)])
    fields = {"index": "ndvi", "grid": GRID, "grid_id": "abc", "extent": extent, "periods": YEAR}
    return CubeSpec(**{**fields, **others})


def make(store: ObjectStore, wanted: CubeSpec | None = None) -> CubeSpec:
    return ensure_cube(store, wanted or spec(), owner="test", clock=now)


def pixels_of(tile: Tile, seed: int = 1) -> tuple[NDArray[np.int16], NDArray[np.uint16]]:
    random = np.random.default_rng(seed)
    values = random.integers(-10000, 10000, tile.window.shape).astype(np.int16)
    return values, random.integers(1, 9, tile.window.shape).astype(np.uint16)


def write(store: ObjectStore, tile: Tile, *, period: int = 0, seed: int = 1) -> NDArray[np.int16]:
    values, observations = pixels_of(tile, seed)
    write_tile(store, "ndvi", period=period, tile=tile, values=values, observations=observations)
    return values


ONE = tile_of(Shard(1101, 700))
