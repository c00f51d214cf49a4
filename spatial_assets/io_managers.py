"""The IO manager of user assets: loads their inputs by name, and stores what they return.

`ndvi: xr.DataArray` is the tile's window of the cube, `regions: gpd.GeoDataFrame` a boundary set,
`ndvi_by_boundary: pd.DataFrame` the tile's rows. A returned value is stored as one object per tile,
encoded by `stores/objects/user_values.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from spatial_assets.pipeline.stages import RAW, REPROJECTED_RASTER, TILE_INDEX, by_boundary
from spatial_assets.project import Project
from spatial_assets.resources import DatabaseResource, StoreResource
from spatial_assets.stores import layout

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd
    import xarray as xr

    from spatial_assets.stores.objects.store import ObjectStore


TILE_IO_MANAGER = "tile_io_manager"


class TileIOManager(dg.IOManager):
    """Loads the results of the chain, tile by tile, and stores what assets downstream return."""

    def __init__(self, project: Project, store: StoreResource, database: DatabaseResource) -> None:
        self._project = project
        self._store = store
        self._database = database
        indices = project.indices.names
        self._tables = frozenset({TILE_INDEX, *(by_boundary(index) for index in indices)})
        self._boundaries = {
            asset: each.name
            for each in project.boundaries
            for asset in (each.name, f"validated_{each.name}")
        }

    def load_input(self, context: dg.InputContext) -> object:
        """Return the upstream asset for the tile of this run; all of it in an unpartitioned run.

        Raises:
            dg.DagsterInvariantViolationError: the asset cannot be loaded, or is not in the store.
        """
        name = self._project.asset_of_path(context.asset_key.path)
        # not `partition_key`: Dagster runs a single tile of a backfill as a range of one
        tiles = context.asset_partition_keys if context.has_asset_partitions else ()
        tile = tiles[0] if len(tiles) == 1 else None
        if name in self._project.indices.names:
            return self._pixels(name, tile)
        if name in self._boundaries:
            return self._boundary_set(self._boundaries[name])
        if name in self._tables:
            return self._rows(name, tile)
        if name in {RAW, REPROJECTED_RASTER}:
            raise dg.DagsterInvariantViolationError(
                f"{name} is several files per tile and cannot be an argument; name it in `deps`, "
                f"and read the files below {self._store.url}/{name}{self._released(name)}"
            )
        if len(tiles) > 1:
            return {tile: self._returned(name, tile) for tile in tiles}
        return self._returned(name, tile)

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Store what an asset returned for one tile; None is not stored.

        Raises:
            dg.DagsterInvariantViolationError: the value is neither a table nor a raster, or the
                run has several tiles.
        """
        from spatial_assets.pipeline import ownership
        from spatial_assets.stores.objects.user_values import (
            SUFFIXES,
            UnsupportedValueError,
            encode,
        )

        if obj is None:
            return
        name = self._project.asset_of_path(context.asset_key.path)
        tiles = context.asset_partition_keys if context.has_asset_partitions else ()
        if len(tiles) > 1:
            raise dg.DagsterInvariantViolationError(
                f"{name} returned one object for a run of {len(tiles)} tiles; give it no "
                "backfill policy, so that each tile runs on its own"
            )
        try:
            suffix, data = encode(obj)
        except UnsupportedValueError as error:
            raise dg.DagsterInvariantViolationError(f"{name} returned {error}") from error
        store = self._store.open()
        ownership.claim(self._project, store)
        written = store.put(layout.tile_asset(name, "".join(tiles), suffix), data)
        for other in set(SUFFIXES) - {suffix}:  # from when it returned another type
            store.delete(layout.tile_asset(name, "".join(tiles), other))
        uri = dg.MetadataValue.text(store.uri(written.path))
        context.add_output_metadata({"dagster/uri": uri, "bytes": written.size})

    def _released(self, stage: str) -> str:
        """Return a note if [retention] deletes the files of old periods; else ""."""
        if getattr(self._project.retention, stage) is None:
            return ""
        return f', where those of old periods are deleted by [retention] {stage} (set "keep")'

    def _open_own_store(self) -> ObjectStore:
        """Open the store for reading.

        Raises:
            ForeignProjectError: it belongs to another project.
        """
        from spatial_assets.pipeline import ownership

        store = self._store.open()
        ownership.verify(self._project, store, None)
        return store

    def _pixels(self, index: str, tile: str | None) -> xr.DataArray:
        """Return the tile's pixels of an index, all periods, NaN elsewhere; or the cube, unread."""
        import rioxarray  # noqa: F401 - registers ndvi.rio.crs

        from spatial_assets.stores.cube.cube import open_cube, stored_cube

        store = self._open_own_store()
        cube = open_cube(store, index)[index]
        spec = stored_cube(store, index)
        if tile is None or spec is None:  # there is a spec: open_cube read it
            return cube
        chosen = self._project.partitioning.tile(tile)
        rows, columns = chosen.window.slices_in(spec.extent)
        window = cube.isel(y=rows, x=columns).load()
        owned = chosen.owned(self._project.pixel_grid)
        return window if owned.all() else window.where(owned)

    def _boundary_set(self, name: str) -> gpd.GeoDataFrame:
        """Return the validated features in lon/lat."""
        from spatial_assets.stores.vectors.validated import read_validated

        return read_validated(self._open_own_store().get(layout.validated_boundaries(name)))

    def _rows(self, table: str, tile: str | None) -> pd.DataFrame:
        """Return the tile's rows of a table of the chain."""
        from spatial_assets.stores.objects.user_values import frame_of
        from spatial_assets.stores.tables.declarations import declare

        columns = declare(self._project.boundaries, self._project.indices.names).table(table).c
        where = {"grid_id": self._project.grid_id, **({} if tile is None else {"tile": tile})}
        with self._database.open(self._project) as opened:
            return frame_of(opened.rows(table, where), columns.keys())

    def _returned(self, name: str, tile: str | None) -> object:
        """Return what another user asset returned."""
        from spatial_assets.stores.objects.user_values import SUFFIXES, decode

        store = self._open_own_store()
        for suffix in SUFFIXES:
            data = store.find(layout.tile_asset(name, tile or "", suffix))
            if data is not None:
                return decode(data, suffix)
        of = "" if tile is None else f" of tile {tile}"
        raise dg.DagsterInvariantViolationError(
            f"{name}{of} is not in the store, and it is neither an index, a table nor a boundary "
            "set of the project; materialize it first"
        )


def project_io_managers(project: Project) -> dict[str, dg.IOManagerDefinition]:
    """Return the IO managers of a project by name."""

    @dg.io_manager(
        required_resource_keys={"store", "database"},
        description="Loads windows of cubes, rows and boundary sets; stores one object per tile.",
    )
    def tile_io_manager(context: dg.InitResourceContext) -> TileIOManager:
        return TileIOManager(project, context.resources.store, context.resources.database)

    return {TILE_IO_MANAGER: tile_io_manager}
