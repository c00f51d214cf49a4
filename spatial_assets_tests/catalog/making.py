"""Small scenes of known pixels, their items, and projects that find them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning

from spatial_assets.catalog.access.source_access import RetryPolicy, SourceAccess
from spatial_assets.catalog.scene import BandSource, Scene
from spatial_assets.project import Project, load_project

ORIGIN = (499_980.0, 5_100_000.0)  # of MGRS tile 33TWL, as all its products
PIXEL = 120.0
NORTH_UP = Affine(PIXEL, 0.0, ORIGIN[0], 0.0, -PIXEL, ORIGIN[1])
QUICK = RetryPolicy(
    attempts=3, first_delay=0.01, max_delay=0.02, connect_timeout=2.0, read_timeout=2.0
)
FOOTPRINT: dict[str, Any] = {
    "type": "Polygon",
    "coordinates": [[[15.0, 45.1], [16.4, 45.1], [16.4, 46.0], [15.0, 46.0], [15.0, 45.1]]],
}


def write_raster(path: Path, pixels: NDArray[Any], **profile: Any) -> Path:  # noqa: ANN401 - rasterio's options
    """A GeoTIFF on the grid of tile 33TWL; options go to rasterio."""
    rows, columns = pixels.shape[-2:]
    bands = pixels.reshape(-1, rows, columns)
    options = {
        "driver": "GTiff",
        "width": columns,
        "height": rows,
        "count": len(bands),
        "dtype": pixels.dtype.name,
        "crs": "EPSG:32633",
        "transform": NORTH_UP,
        **profile,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # some are meant to have none
        with rasterio.open(path, "w", **options) as file:
            file.write(bands)
    return path


def meadow(rows: int = 64, columns: int = 64) -> dict[str, NDArray[Any]]:
    """Bands of a clear green scene: red 0.03 to 0.05, nir 0.40, all of it vegetation."""
    red = 300 + (np.arange(rows * columns, dtype=np.uint16) % 200).reshape(rows, columns)
    nir = np.full((rows, columns), 4000, dtype=np.uint16)
    return {
        "red": red.astype(np.uint16),
        "nir": nir,
        "scl": np.full((rows, columns), 4, dtype=np.uint8),
    }


def item_of(name: str = "S2A_33TWL_20230818_0_L2A", /, **properties: object) -> dict[str, Any]:
    """A Sentinel-2 item as Earth Search has it, offset already taken off."""
    bands = [{"nodata": 0, "data_type": "uint16", "scale": 0.0001, "offset": -0.1}]
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "collection": "sentinel-2-l2a",
        "geometry": FOOTPRINT,
        "properties": {
            "datetime": "2023-08-18T10:08:08.248000Z",
            "created": "2023-08-18T20:04:17.589Z",
            "platform": "sentinel-2a",
            "eo:cloud_cover": 45.7,
            "proj:epsg": 32633,
            "grid:code": "MGRS-33TWL",
            "s2:processing_baseline": "05.09",
            "earthsearch:boa_offset_applied": True,
            **properties,
        },
        "links": [],
        "assets": {
            "red": {"href": "B04.tif", "raster:bands": bands},
            "nir": {"href": "B08.tif", "raster:bands": bands},
            "scl": {
                "href": "SCL.tif",
                "raster:bands": [{"nodata": 0, "data_type": "uint8"}],
            },
        },
    }


FILES = {"red": "B04.tif", "nir": "B08.tif", "scl": "SCL.tif"}


def write_scene(
    folder: Path,
    item: Mapping[str, Any] | None = None,
    *,
    pixels: Mapping[str, NDArray[Any]] | None = None,
    **profile: Any,  # noqa: ANN401 - rasterio's options
) -> Path:
    """A folder with an item and its files; the path of the item."""
    item = item or item_of()
    for name, band in (pixels or meadow()).items():
        write_raster(folder / FILES[name], band, **profile)
    return write_item(folder, item)


def write_item(folder: Path, item: Mapping[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{item['id']}.json"
    path.write_text(json.dumps(item))
    return path


def project_in(folder: Path, catalog: str | Path, **scenes: object) -> Project:
    """A project over the footprint of the made-up scenes; more keys go to [scenes]."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "catalog": str(catalog),
        "sensor": "sentinel-2-l2a",
        "datetime": "2023-08-01/2023-08-31",
        **scenes,
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items() if value is not None]
    (folder / "project.toml").write_text(
        "\n".join(
            [
                "[area]",
                "bbox = [15.0, 45.06, 16.44, 46.95]",
                "[grid]",
                "pixel_zoom = 10",
                "shard = 1024",
                "level = 8",
                "[time]",
                "start = 2023-01-01",
                "[scenes]",
                *lines,
            ]
        )
    )
    return load_project(folder, {})


def source_of(path: Path | str, **changes: Any) -> BandSource:  # noqa: ANN401 - any field
    """A band in the only band of a file."""
    plain = BandSource(
        name="red", href=str(path), calibration=None, nodata=None, checksum=None, size=None
    )
    return replace(plain, **changes)


def with_band(scene: Scene, name: str, **changes: Any) -> Scene:  # noqa: ANN401 - any field
    """The scene with one of its sources changed."""
    if scene.class_band is not None and scene.class_band.name == name:
        return replace(scene, class_band=replace(scene.class_band, **changes))
    return replace(scene, bands={**scene.bands, name: replace(scene.bands[name], **changes)})


def quick_access(folder: Path, **changes: Any) -> SourceAccess:  # noqa: ANN401 - any field
    """Access that does not wait long for anything."""
    return SourceAccess(cache_folder=folder, retry_policy=QUICK, gdal_cache_mb=64, **changes)
