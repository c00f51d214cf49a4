"""The fourth stage: what one tile contributes to each boundary, index and period.

Boundaries are read from their validated GeoParquet, so that a worker needs the object store
and nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import STRtree
from shapely.geometry.base import BaseGeometry

from spatial_assets.geo.grid.geobox import GeoBox
from spatial_assets.geo.grid.pixel_grid import PixelGrid, Tile
from spatial_assets.geo.radiometry import INDEX_SCALE, dequantise
from spatial_assets.geo.vectors.to_lonlat import project_boundaries
from spatial_assets.geo.vectors.zonal_statistics import boundary_parts
from spatial_assets.pipeline.failures import MissingInputError
from spatial_assets.pipeline.fingerprints import fingerprint
from spatial_assets.stores import layout
from spatial_assets.stores.objects.store import ObjectStore
from spatial_assets.stores.vectors.validated import read_validated


@dataclass(frozen=True, eq=False)
class BoundaryLayer:
    """One set of validated boundaries, ready to be asked what touches a tile."""

    table: str
    grid: PixelGrid
    keys: tuple[str, ...]
    geometries: tuple[BaseGeometry, ...]
    """In the CRS of the grid."""

    digests: tuple[str, ...]
    """Hash of key and lon/lat WKB, feature by feature."""

    @cached_property
    def _tree(self) -> STRtree:
        return STRtree(self.geometries)

    def touching(self, tile: Tile) -> tuple[int, ...]:
        """Positions of the boundaries that reach into the tile's own shards, ascending."""
        grid = self.grid
        boxes = [shapely.box(*grid.geobox(grid.shard_window(s)).bounds) for s in tile.shards]
        found = self._tree.query(shapely.union_all(boxes), predicate="intersects")
        return tuple(sorted(int(position) for position in found))

    def fingerprint_of(self, positions: tuple[int, ...]) -> str:
        """Hash of these boundaries: changes when a key or a geometry does."""
        return fingerprint("boundaries", sorted(self.digests[position] for position in positions))


class ValidatedBoundaries:
    """The boundary layers of a process, read once for each version of their object."""

    def __init__(self, store: ObjectStore, grid: PixelGrid) -> None:
        self._store = store
        self._grid = grid
        self._layers: dict[tuple[str, str], BoundaryLayer] = {}

    def layer(self, name: str) -> BoundaryLayer:
        """The validated boundaries of the set `name`.

        Raises:
            MissingInputError: they have not been validated yet.
        """
        path = layout.validated_boundaries(name)
        found = self._store.head(path)
        if found is None:
            message = (
                f"{self._store.uri(path)} does not exist; materialize validated_{name} first "
                f'(--select "raw_{name}+")'
            )
            raise MissingInputError(message)
        version = (name, found.etag)
        if version not in self._layers:
            self._layers[version] = self._read(name, path)
        return self._layers[version]

    def features(self, names: Iterable[str], tile: Tile) -> dict[str, str]:
        """Set -> hash of its boundaries that touch a tile.

        Raises:
            MissingInputError: a set has not been validated yet.
        """
        layers = map(self.layer, names)
        return {layer.table: layer.fingerprint_of(layer.touching(tile)) for layer in layers}

    def _read(self, name: str, path: str) -> BoundaryLayer:
        table = read_validated(self._store.get(path))
        lonlat = tuple(table.geometry)
        keys = tuple(table["key"].astype(str))
        digests = tuple(
            hashlib.sha256(key.encode() + b"\0" + shapely.to_wkb(geometry)).hexdigest()
            for key, geometry in zip(keys, lonlat, strict=True)
        )
        moved = project_boundaries(lonlat, self._grid.crs)
        return BoundaryLayer(name, self._grid, keys, tuple(moved), digests)


def statistics_rows(
    values: NDArray[np.int16],
    *,
    box: GeoBox,
    owned: NDArray[np.bool_],
    layer: BoundaryLayer,
    positions: tuple[int, ...],
) -> tuple[Mapping[str, object], ...]:
    """The tile's part of each boundary at `positions`, as columns of the statistics table.

    Args:
        values: the stored index, shape (row, column) of `box`.
        box: where the pixels lie.
        owned: True where a pixel belongs to the tile.
        layer: the boundaries.
        positions: which of them touch the tile.
    """
    real, valid = dequantise(values, INDEX_SCALE)
    parts = boundary_parts(
        real,
        valid,
        geobox=box,
        owned=owned,
        features=[(layer.keys[at], layer.geometries[at]) for at in positions],
    )
    rows = []
    for part in parts:
        columns = asdict(part)
        rows.append({"boundary_key": columns.pop("key"), **columns})
    return tuple(rows)
