"""A period of a cube as one GeoTIFF: for QGIS, and for GDAL before 3.13, which reads no cube.

Read shard by shard and written block by block, so the size of the area does not matter.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rasterio
import rasterio.shutil
import shapely
from rasterio.errors import RasterioError
from rasterio.windows import Window as RasterioWindow
from shapely.geometry.base import BaseGeometry

from spatial_assets.errors import GridError, StoreError
from spatial_assets.geo.grid.geobox import Window
from spatial_assets.geo.radiometry import FILL, INDEX_SCALE
from spatial_assets.stores import layout
from spatial_assets.stores.cube.cube import read_window, stored_cube
from spatial_assets.stores.cube.metadata import CubeSpec
from spatial_assets.stores.objects.geotiff import BLOCK_PIXELS, CREATION, gdal_crs
from spatial_assets.stores.objects.store import ObjectStore

EDGE = 1e-6  # pixels; an edge of the area that lies on one of a pixel takes no more pixels

COG: dict[str, Any] = {
    "driver": "COG",
    "compress": "DEFLATE",  # every GDAL reads it; many builds lack ZSTD
    "predictor": "YES",
    "blocksize": BLOCK_PIXELS,
    "overview_resampling": "AVERAGE",  # of the valid pixels
    "bigtiff": "IF_SAFER",
}


@dataclass(frozen=True, kw_only=True)
class ExportedCog:
    """What was written."""

    path: Path
    window: Window
    """Absolute pixels of the grid."""

    valid_fraction: float
    """Share of pixels that hold a value."""

    size: int
    """Bytes of the file."""


def export_cog(
    store: ObjectStore,
    destination: Path,
    *,
    index: str,
    period: str,
    area: BaseGeometry | None = None,
) -> ExportedCog:
    """Write one period as a cloud-optimized GeoTIFF: int16, scale, nodata, overviews, CRS.

    Args:
        store: where the cube is.
        destination: written whole or not at all; a file that is there is replaced.
        index: name of the index.
        period: its label, such as "2023-08".
        area: lon/lat; the pixels of its bounding box. Default: the whole cube.

    Raises:
        StoreError: there is no such cube, or the file cannot be written.
        GridError: there is no such period, or the area does not touch the cube.
    """
    spec = stored_cube(store, index)
    if spec is None:
        raise StoreError(
            f"there is no cube at {store.uri(layout.cube(index))}; materialize {index} first"
        )
    number = period_index(spec, period)
    window = spec.extent if area is None else window_of(spec, area)
    try:
        with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".export-") as folder:
            plain, cog = Path(folder) / "plain.tif", Path(folder) / "cog.tif"
            valid = _write_plain(store, plain, spec=spec, number=number, window=window)
            rasterio.shutil.copy(plain, cog, **COG)
            cog.replace(destination)
    except (OSError, RasterioError) as error:
        raise StoreError(f"could not write {destination}: {error}") from error
    fraction = valid / (window.width * window.height)
    size = destination.stat().st_size
    return ExportedCog(path=destination, window=window, valid_fraction=fraction, size=size)


def period_index(spec: CubeSpec, label: str) -> int:
    """The period that is called `label`.

    Raises:
        GridError: none is; the message names the first and the last.
    """
    labels = [spec.periods.label(number) for number in range(spec.periods.count)]
    if label not in labels:
        raise GridError(
            f"{spec.index}.zarr has no period {label!r}; "
            f"it has the {spec.periods.length}s {labels[0]} to {labels[-1]}"
        )
    return labels.index(label)


def window_of(spec: CubeSpec, area: BaseGeometry) -> Window:
    """The cube's pixels in the bounding box of a lon/lat area.

    Raises:
        GridError: there are none, or the area leaves the grid.
    """
    left, top, right, bottom = spec.grid.in_pixels(area).bounds
    column, row = math.floor(left + EDGE), math.floor(top + EDGE)
    width = max(math.ceil(right - EDGE) - column, 1)
    height = max(math.ceil(bottom - EDGE) - row, 1)
    found = Window(column, row, width, height).intersection(spec.extent)
    if found is None:
        west, south, east, north = spec.grid.unproject(shapely.box(*spec.geobox.bounds)).bounds
        raise GridError(
            f"the area does not touch {spec.index}.zarr, which reaches from "
            f"{west:.4f}, {south:.4f} to {east:.4f}, {north:.4f} (lon/lat)"
        )
    return found


def _write_plain(
    store: ObjectStore, path: Path, *, spec: CubeSpec, number: int, window: Window
) -> int:
    """Write the window as a tiled GeoTIFF; a COG can only be copied from one.

    Returns:
        How many pixels hold a value.
    """
    valid = 0
    with rasterio.open(path, "w", **_profile(spec, window)) as dataset:
        dataset.descriptions = (spec.index,)
        dataset.scales = (INDEX_SCALE,)
        dataset.update_tags(
            index=spec.index, period=spec.periods.label(number), grid_id=spec.grid_id
        )
        for part in parts(window, size=spec.grid.shard):
            values, _ = read_window(store, spec.index, period=number, window=part)
            found = int((values != FILL).sum())
            valid += found
            if found:  # what is not written reads as nodata and takes no room
                rows, columns = part.slices_in(window)
                dataset.write(values, 1, window=RasterioWindow.from_slices(rows, columns))
    return valid


def _profile(spec: CubeSpec, window: Window) -> dict[str, Any]:
    box = spec.grid.geobox(window)
    return {
        **CREATION,
        "predictor": 2,
        "dtype": "int16",
        "count": 1,
        "width": window.width,
        "height": window.height,
        "transform": box.transform,
        "crs": gdal_crs(box.crs),
        "nodata": FILL,
        "sparse_ok": True,
    }


def parts(window: Window, *, size: int) -> Iterator[Window]:
    """`window` cut along absolute squares of `size` pixels, row by row."""
    for row in range(window.row // size, (window.row_stop - 1) // size + 1):
        for column in range(window.column // size, (window.column_stop - 1) // size + 1):
            part = Window(column * size, row * size, size, size).intersection(window)
            if part is not None:
                yield part
