"""Export of one period of a cube as GeoTIFF: for QGIS, and GDAL before 3.13, which reads no cube.

Pixels are read shard by shard and written block by block, so the area may have any size.
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

EDGE_TOLERANCE = 1e-6  # pixels; an area edge on a pixel edge adds no further pixels

COG: dict[str, Any] = {
    "driver": "COG",
    "compress": "DEFLATE",  # every GDAL build reads it; many lack ZSTD
    "predictor": "YES",
    "blocksize": BLOCK_PIXELS,
    "overview_resampling": "AVERAGE",  # of the valid pixels
    "bigtiff": "IF_SAFER",
}


@dataclass(frozen=True, kw_only=True)
class ExportedCog:
    """An exported file."""

    path: Path
    window: Window
    """Absolute pixels of the grid."""

    valid_fraction: float
    """Fraction of pixels with a value, 0 to 1."""

    size: int
    """Size of the file in bytes."""


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
        store: store of the cube.
        destination: written atomically; an existing file is replaced.
        index: name of the index.
        period: label of the period, such as "2023-08".
        area: in lon/lat; its bounding box is exported. Default: the whole cube.

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
    """Number of the period with this label.

    Raises:
        GridError: there is none; the message names the first and the last.
    """
    labels = [spec.periods.label(number) for number in range(spec.periods.count)]
    if label not in labels:
        raise GridError(
            f"{spec.index}.zarr has no period {label!r}; "
            f"it has the {spec.periods.length}s {labels[0]} to {labels[-1]}"
        )
    return labels.index(label)


def window_of(spec: CubeSpec, area: BaseGeometry) -> Window:
    """Pixels of the cube in the bounding box of a lon/lat area.

    Raises:
        GridError: there are none, or the area extends beyond the grid.
    """
    left, top, right, bottom = spec.grid.in_pixels(area).bounds
    column, row = math.floor(left + EDGE_TOLERANCE), math.floor(top + EDGE_TOLERANCE)
    width = max(math.ceil(right - EDGE_TOLERANCE) - column, 1)
    height = max(math.ceil(bottom - EDGE_TOLERANCE) - row, 1)
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
    """Write the window as a tiled GeoTIFF, from which GDAL copies the COG.

    Returns:
        Number of pixels with a value.
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
            if found:  # unwritten blocks read as nodata and take no space
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
    """Cut `window` along absolute squares of `size` pixels, row by row."""
    for row in range(window.row // size, (window.row_stop - 1) // size + 1):
        for column in range(window.column // size, (window.column_stop - 1) // size + 1):
            part = Window(column * size, row * size, size, size).intersection(window)
            if part is not None:
                yield part
