"""Inputs by name for assets that people write themselves, and a place for what they return.

`ndvi: xr.DataArray` is the tile's window of the cube, `regions: gpd.GeoDataFrame` a boundary
set. Tables come back as Parquet, rasters as GeoTIFF, one object a tile.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import dagster as dg

from spatial_assets.project import Project
from spatial_assets.resources import DatabaseResource, StoreResource
from spatial_assets.stores import layout

if TYPE_CHECKING:
    import geopandas as gpd
    import xarray as xr

    from spatial_assets.stores.objects import ObjectStore

TILE_IO_MANAGER = "tile_io_manager"


class TileIOManager(dg.IOManager):
    """Loads what the chain made, tile by tile, and keeps what assets downstream of it return."""

    def __init__(self, project: Project, store: StoreResource, database: DatabaseResource) -> None:
        self._project = project
        self._store = store
        self._database = database

    def load_input(self, context: dg.InputContext) -> object:
        """The upstream asset: a window of a cube, a boundary set, or what was stored before.

        Raises:
            dg.DagsterInvariantViolationError: nothing is known of such an asset.
        """
        name = context.asset_key.to_user_string()
        store = self._store.open()
        if name in self._project.indices.names:
            return self._window(store, name, context.partition_key)
        if name in {each.name for each in self._project.boundaries}:
            return _boundaries(store, name)
        return self._stored(store, name, context)

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Keep what an asset returned for one tile.

        Raises:
            dg.DagsterInvariantViolationError: it is neither a table nor a raster.
        """
        if obj is None:
            return
        name = context.asset_key.to_user_string()
        suffix, data = _encoded(obj, name)
        key = context.partition_key if context.has_partition_key else ""
        store = self._store.open()
        written = store.put(layout.tile_asset(name, key, suffix), data)
        context.add_output_metadata(
            {
                "dagster/uri": dg.MetadataValue.text(store.uri(written.path)),
                "bytes": written.size,
            }
        )

    def _window(self, store: ObjectStore, index: str, tile: str) -> xr.DataArray:
        """The tile's pixels of an index, all periods; NaN for fill."""
        from spatial_assets.stores.cube import open_cube, stored_cube  # noqa: PLC0415 - xarray

        spec = stored_cube(store, index)
        cube = open_cube(store, index)[index]
        if spec is None:  # open_cube has refused already
            return cube
        rows, columns = self._project.partitioning.tile(tile).window.slices_in(spec.extent)
        return cube.isel(y=rows, x=columns).load()

    def _stored(self, store: ObjectStore, name: str, context: dg.InputContext) -> object:
        """What another asset of the user's own returned for this tile."""
        key = context.partition_key if context.has_partition_key else ""
        for suffix in (".parquet", ".tif"):
            data = store.find(layout.tile_asset(name, key, suffix))
            if data is not None:
                return _decoded(data, suffix)
        raise dg.DagsterInvariantViolationError(
            f"{name} of tile {key} is not in the store, and it is neither an index nor a boundary "
            "set of the project; materialize it first"
        )


def project_io_managers(project: Project) -> dict[str, dg.IOManagerDefinition]:
    """The IO managers of a project, by the names that assets ask for."""

    @dg.io_manager(
        required_resource_keys={"store", "database"},
        description="Windows of cubes and boundary sets in; one object a tile out.",
    )
    def tile_io_manager(context: dg.InitResourceContext) -> TileIOManager:
        return TileIOManager(project, context.resources.store, context.resources.database)

    return {TILE_IO_MANAGER: tile_io_manager}


def _boundaries(store: ObjectStore, name: str) -> gpd.GeoDataFrame:
    """A boundary set in lon/lat."""
    from spatial_assets.stores.validated import read_validated  # noqa: PLC0415 - geopandas

    return read_validated(store.get(layout.validated_boundaries(name)))


def _encoded(obj: object, name: str) -> tuple[str, bytes]:
    """Suffix and bytes of a returned table or raster."""
    import pandas as pd  # noqa: PLC0415 - not at import
    import xarray as xr  # noqa: PLC0415 - not at import

    if isinstance(obj, pd.DataFrame):
        buffer = io.BytesIO()
        obj.to_parquet(buffer)
        return ".parquet", buffer.getvalue()
    if isinstance(obj, xr.DataArray):
        return ".tif", _geotiff(obj)
    raise dg.DagsterInvariantViolationError(
        f"{name} returned a {type(obj).__name__}; return a (Geo)DataFrame, an xarray.DataArray "
        "with a CRS, or None"
    )


def _geotiff(raster: xr.DataArray) -> bytes:
    import rioxarray  # noqa: F401, PLC0415 - registers .rio, not at import
    from rasterio.io import MemoryFile  # noqa: PLC0415 - not at import

    with MemoryFile() as memory:
        raster.rio.to_raster(memory.name, driver="GTiff", compress="zstd", tiled=True)
        return bytes(memory.getbuffer())


def _decoded(data: bytes, suffix: str) -> object:
    import pandas as pd  # noqa: PLC0415 - not at import
    import rioxarray  # noqa: PLC0415 - not at import
    from rasterio.io import MemoryFile  # noqa: PLC0415 - not at import

    if suffix == ".parquet":
        return pd.read_parquet(io.BytesIO(data))
    with MemoryFile(data) as memory:
        raster = rioxarray.open_rasterio(memory.name, masked=True)
        if isinstance(raster, list):  # subdatasets, which a GeoTIFF of ours never has
            raise dg.DagsterInvariantViolationError("the stored raster has several subdatasets")
        return raster.load()
