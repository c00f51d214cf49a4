"""Validated boundaries as a worker needs them: by tile, with a hash of those that touch it.

They are read from their GeoParquet, so that a worker needs no database.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import shapely
from shapely import STRtree
from shapely.geometry.base import BaseGeometry

from spatial_assets.geo.grid.pixel_grid import PixelGrid, Tile
from spatial_assets.geo.vectors.to_lonlat import project_boundaries
from spatial_assets.pipeline.failures import MissingInputError
from spatial_assets.pipeline.fingerprints import fingerprint
from spatial_assets.stores import layout
from spatial_assets.stores.objects.store import ObjectStore
from spatial_assets.stores.vectors.validated import read_validated


class ValidatedBoundaries:
    """The boundary sets of a process, read once for each version of their object."""

    def __init__(self, store: ObjectStore, grid: PixelGrid) -> None:
        self._store = store
        self._grid = grid
        self._layers: dict[tuple[str, str], BoundaryLayer] = {}

    def layer(self, name: str) -> BoundaryLayer:
        """Return the validated boundaries of the set `name`.

        Raises:
            MissingInputError: they have not been validated yet.
        """
        version = (name, self._version(name))
        if version not in self._layers:
            self._layers[version] = self._read(name, layout.validated_boundaries(name))
        return self._layers[version]

    def _version(self, name: str) -> str:
        path = layout.validated_boundaries(name)
        found = self._store.head(path)
        if found is None:
            message = (
                f"{self._store.uri(path)} does not exist; materialize validated_{name} first "
                f'(--select "raw_{name}+")'
            )
            raise MissingInputError(message)
        return found.etag

    def features(self, names: Iterable[str], tile: Tile) -> dict[str, str]:
        """Map each set to a hash of its boundaries that touch a tile.

        Raises:
            MissingInputError: a set has not been validated yet.
        """
        layers = map(self.layer, names)
        return {layer.table: layer.fingerprint_of(layer.touching(tile)) for layer in layers}

    def versions(self, names: Iterable[str]) -> dict[str, str]:
        """Map each set to the version of its object, without reading it.

        Raises:
            MissingInputError: a set has not been validated yet.
        """
        return {name: self._version(name) for name in names}

    def _read(self, name: str, path: str) -> BoundaryLayer:
        table = read_validated(self._store.get(path))
        lonlat = tuple(table.geometry)
        keys = tuple(table["key"].astype(str))
        digests = tuple(
            hashlib.sha256(key.encode() + b"\0" + shapely.to_wkb(geometry)).hexdigest()
            for key, geometry in zip(keys, lonlat, strict=True)
        )
        projected = project_boundaries(lonlat, self._grid.crs)
        return BoundaryLayer(name, self._grid, keys, tuple(projected), digests)


@dataclass(frozen=True, eq=False)
class BoundaryLayer:
    """One set of validated boundaries, with a spatial index."""

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
        """Return the positions of the boundaries that touch the tile's own shards, ascending."""
        grid = self.grid
        boxes = [shapely.box(*grid.geobox(grid.shard_window(s)).bounds) for s in tile.shards]
        found = self._tree.query(shapely.union_all(boxes), predicate="intersects")
        return tuple(sorted(int(position) for position in found))

    def fingerprint_of(self, positions: tuple[int, ...]) -> str:
        """Hash these boundaries: a changed key or geometry changes it."""
        return fingerprint("boundaries", sorted(self.digests[position] for position in positions))
