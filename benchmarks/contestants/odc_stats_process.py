"""Run by a Python that has odc-stats, not by ours: a plugin, and the loop of its runner.

Reads a task as JSON from each line of its input, makes the tiles, and answers with a line.
No database: datasets come from STAC items, and tasks are given instead of fetched from a queue.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pystac
import xarray as xr
from affine import Affine
from datacube.metadata import stac2ds
from datacube.utils.dask import start_local_dask
from odc.algo._masking import erase_bad
from odc.geo.geobox import GeoBox
from odc.stats.io import S3COGSink
from odc.stats.plugins._base import StatsPluginInterface

CLEAR = (4, 5, 6, 7)
FILL = -32768
ASSETS = {
    "*": {"data_type": "uint16", "nodata": 0},
    "scl": {"data_type": "uint8", "nodata": 0},
}


class NdviMedian(StatsPluginInterface):  # type: ignore[misc, unused-ignore]
    """Plugin modelled on odc-stats' documented example ls_ndvi_median."""

    NAME = SHORT_NAME = "ndvi_median"
    VERSION = "1.0"

    @property
    def measurements(self) -> tuple[str, ...]:
        """Names of the output bands."""
        return ("ndvi", "observations", "red", "nir")

    def native_transform(self, xx: Any) -> Any:  # noqa: ANN401 - an xarray.Dataset of odc-stats
        """Mask on the pixels of the scene before warping, as odc-stats does."""
        bad = ~xx.scl.isin(CLEAR)
        return erase_bad(xx.drop_vars("scl"), bad)

    def reduce(self, xx: Any) -> Any:  # noqa: ANN401
        """Median NDVI of the days, observations, and the days themselves."""
        red, nir = (xx[band].where(xx[band] > 0).astype("float32") for band in ("red", "nir"))
        ndvi = (nir - red) / (nir + red)
        return xr.Dataset(
            {
                "ndvi": (ndvi.median("spec") * 10000).round().fillna(FILL).astype("int16"),
                "observations": ndvi.notnull().sum("spec").astype("uint16"),
                **{
                    f"{band}_{day}": xx[band].isel(spec=day, drop=True)
                    for band in ("red", "nir")
                    for day in range(xx.sizes["spec"])
                },
            }
        )


def datasets_of(scenes: Sequence[str]) -> list[Any]:
    """Convert scenes to Open Data Cube datasets."""
    items = [pystac.Item.from_file(f"{scene}/{Path(scene).name}.json") for scene in scenes]
    for item in items:
        item.make_asset_hrefs_absolute()
    return list(stac2ds(items, {"sentinel-2-l2a": {"assets": ASSETS}}))


def make(task: dict[str, Any], client: Any, plugin: NdviMedian) -> None:  # noqa: ANN401
    """Make all tiles of a task as `TaskRunner` does, a COG a band."""
    datasets, sink = datasets_of(task["scenes"]), S3COGSink()
    for tile in task["tiles"]:
        box = GeoBox((tile["size"], tile["size"]), Affine(*tile["transform"]), "EPSG:3857")
        made = client.persist(plugin.reduce(plugin.input_data(datasets, box)))
        files = [
            sink.write_cog(band, f"file://{task['folder']}/{tile['key']}_{name}.tif")
            for name, band in made.data_vars.items()
        ]
        for future in client.compute(files):
            future.result()


def main() -> None:
    """Run tasks until the input ends."""
    warnings.simplefilter("ignore")
    # One thread, like all contestants; no dashboard.
    client = start_local_dask(threads_per_worker=1, processes=False, dashboard_address=None)
    plugin = NdviMedian(input_bands=["red", "nir", "scl"], resampling="bilinear")
    for line in sys.stdin:
        make(json.loads(line), client, plugin)
        print("done", flush=True)
    client.close()


if __name__ == "__main__":
    main()
