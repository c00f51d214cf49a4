"""`odc.stac.load` of items whose files are in S3, xarray, and zarr with its defaults."""

from __future__ import annotations

import pystac

from benchmarks.contestants.odc_stac import make_tiles, ndvi
from benchmarks.contestants.task import Contestant, Task


def work(task: Task) -> None:
    """Write the masked reflectance, index and observations of each tile, a Zarr store each."""
    paths = (task.project / "items").glob("*.json")
    make_tiles(task, [pystac.Item.from_file(str(path)) for path in paths])


CONTESTANT = Contestant(
    name="odc.stac.load + zarr",
    work=work,
    ndvi=ndvi,
    stores="reflectance, NDVI and observations",
    settings="Loaded without Dask; what is set of GDAL is what odc sets.",
    packages=("odc-stac", "odc-loader", "odc-geo", "zarr", "xarray"),
)
