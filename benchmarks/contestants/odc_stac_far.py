"""`odc.stac.load` of items whose files are in S3, xarray, and zarr with its defaults."""

from __future__ import annotations

import odc.stac
import pystac
from odc.geo.geobox import GeoBox

from benchmarks.contestants.odc_stac import ndvi, product_of
from benchmarks.contestants.task import CRS, Contestant, Task


def work(task: Task) -> None:
    """Masked reflectance, index and observations of each tile, a Zarr store each."""
    items = [pystac.Item.from_file(str(path)) for path in (task.project / "items").glob("*.json")]
    for tile in task.tiles:
        data = odc.stac.load(
            items,
            bands=["red", "nir", "scl"],
            geobox=GeoBox(tile.shape, tile.transform, CRS),
            resampling={"*": "bilinear", "scl": "nearest"},
            dtype={"*": "uint16", "scl": "uint8"},
            nodata=0,
            groupby="solar_day",
        )
        product_of(data).to_zarr(task.folder / f"{tile.key}.zarr", mode="w", consolidated=False)


CONTESTANT = Contestant(
    name="odc.stac.load + zarr",
    work=work,
    ndvi=ndvi,
    stores="reflectance, NDVI and observations",
    settings="Loaded without Dask; what is set of GDAL is what odc sets.",
    packages=("odc-stac", "odc-loader", "odc-geo", "zarr", "xarray"),
)
