"""A small made-up country on both sides of a UTM zone border, its scenes, and projects over it.

Everything follows from the numbers of a `Granule`: the same granule is the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer

from spatial_assets.project import Project, load_project

TWO_TILES = [11.9, 46.1, 12.1, 46.2]
"""A part of it that is two tiles of 256 pixels."""

FILES = {"red": "B04.tif", "nir": "B08.tif", "scl": "SCL.tif"}
VEGETATION, WATER, CLOUD = 4, 6, 9
TILED = {"tiled": True, "blockxsize": 128, "blockysize": 128, "compress": "deflate"}
AREA = [11.72, 45.98, 12.28, 46.3]
"""West, south, east, north: zone 32 ends and zone 33 begins at 12 degrees; four tiles."""


@dataclass(frozen=True, kw_only=True)
class Granule:
    """One scene: where, when, and what its sky was like."""

    id: str
    epsg: int = 32633
    left: float = 246_000.0
    top: float = 5_135_040.0
    pixel: float = 80.0
    columns: int = 600
    rows: int = 600
    day: str = "2023-08-10"
    platform: str = "sentinel-2a"
    cloud: float = 0.2
    """Share of the pixels under cloud, roughly; 1: all of them."""

    seed: int = 1
    wedge: int = 60
    """Columns without data at the top right corner: the edge of the swath."""

    @property
    def transform(self) -> Affine:
        return Affine(self.pixel, 0.0, self.left, 0.0, -self.pixel, self.top)

    @property
    def footprint(self) -> dict[str, object]:
        """The outline in lon/lat, as items have it."""
        right = self.left + self.columns * self.pixel
        bottom = self.top - self.rows * self.pixel
        corners = [(self.left, self.top), (right, self.top), (right, bottom), (self.left, bottom)]
        to_lonlat = Transformer.from_crs(self.epsg, "OGC:CRS84", always_xy=True)
        ring = [list(to_lonlat.transform(*corner)) for corner in [*corners, corners[0]]]
        return {"type": "Polygon", "coordinates": [ring]}

    def pixels(self) -> dict[str, NDArray[Any]]:
        """Digital numbers by band: fields and woods with soft edges, clouds, and no data."""
        shape = (self.rows, self.columns)
        green = smooth(shape, seed=self.seed)
        red = np.rint(300 + 1200 * (1 - green)).astype(np.uint16)
        nir = np.rint(1800 + 2800 * green).astype(np.uint16)
        cloudy = smooth(shape, seed=self.seed + 1000) < self.cloud
        scl = np.where(cloudy, CLOUD, VEGETATION).astype(np.uint8)
        if self.cloud >= 1:
            scl[:] = CLOUD
        missing = np.add.outer(-np.arange(self.rows), np.arange(self.columns)) > (
            self.columns - self.wedge
        )
        for band in (red, nir, scl):
            band[missing] = 0
        return {"red": red, "nir": nir, "scl": scl}

    def item(self, **properties: object) -> dict[str, Any]:
        """A Sentinel-2 item as Earth Search has it, offset already taken off."""
        reflectance = [{"nodata": 0, "data_type": "uint16", "scale": 0.0001, "offset": -0.1}]
        classes = [{"nodata": 0, "data_type": "uint8"}]
        return {
            "type": "Feature",
            "stac_version": "1.0.0",
            "id": self.id,
            "collection": "sentinel-2-l2a",
            "geometry": self.footprint,
            "properties": {
                "datetime": f"{self.day}T10:08:08.248000Z",
                "created": f"{self.day}T20:04:17.589Z",
                "platform": self.platform,
                "eo:cloud_cover": 100 * self.cloud,
                "proj:epsg": self.epsg,
                "s2:processing_baseline": "05.09",
                "earthsearch:boa_offset_applied": True,
                **properties,
            },
            "links": [],
            "assets": {
                "red": {"href": "B04.tif", "raster:bands": reflectance},
                "nir": {"href": "B08.tif", "raster:bands": reflectance},
                "scl": {"href": "SCL.tif", "raster:bands": classes},
            },
        }


WEST = Granule(id="west_0810", epsg=32632, left=708_960.0, top=5_133_000.0, seed=1)
EAST = Granule(id="east_0810", seed=2)
SOUTH = replace(EAST, id="south_0810", top=EAST.top - 20_040.0, seed=3, rows=400)
"""Overlaps EAST, on a grid shifted by half a pixel."""

LATER = replace(EAST, id="east_0820", day="2023-08-20", platform="sentinel-2b", seed=4)
SEPTEMBER = replace(WEST, id="west_0904", day="2023-09-04", seed=5)
COUNTRY = (WEST, EAST, SOUTH, LATER)


def smooth(shape: tuple[int, int], *, seed: int) -> NDArray[np.float64]:
    """Soft noise between 0 and 1, evenly spread over the ranks."""
    rows, columns = shape
    coarse = np.random.default_rng(seed).random((rows // 12 + 3, columns // 12 + 3))
    y, x = np.arange(rows) / 12, np.arange(columns) / 12
    top, left = y.astype(int), x.astype(int)
    down, across = (y - top)[:, np.newaxis], (x - left)[np.newaxis]
    parts = [coarse[np.ix_(top + i, left + j)] for i in (0, 1) for j in (0, 1)]
    upper = parts[0] * (1 - across) + parts[1] * across
    lower = parts[2] * (1 - across) + parts[3] * across
    noise = upper * (1 - down) + lower * down
    ranks = np.searchsorted(np.sort(noise, axis=None), noise)
    return np.asarray(ranks / noise.size)


def write_granule(
    catalog: Path,
    granule: Granule,
    *,
    pixels: Mapping[str, NDArray[Any]] | None = None,
    item: Mapping[str, Any] | None = None,
    **profile: Any,  # noqa: ANN401 - rasterio's options
) -> Path:
    """Write a granule's files and item into a folder of its own within `catalog`."""
    folder = catalog / granule.id
    folder.mkdir(parents=True, exist_ok=True)
    for name, band in (pixels or granule.pixels()).items():
        options = {
            "driver": "GTiff",
            "height": band.shape[0],
            "width": band.shape[1],
            "count": 1,
            "dtype": band.dtype.name,
            "crs": f"EPSG:{granule.epsg}",
            "transform": granule.transform,
            "nodata": 0,
            **TILED,
            **profile,
        }
        with rasterio.open(folder / FILES[name], "w", **options) as file:
            file.write(band, 1)
    (folder / f"{granule.id}.json").write_text(json.dumps(item or granule.item()))
    return folder


def write_country(catalog: Path, granules: Sequence[Granule] = COUNTRY) -> Path:
    """Write granules; the catalogue is the folder."""
    for granule in granules:
        write_granule(catalog, granule)
    return catalog


def spoil_block(path: Path, column: int, row: int) -> None:
    """Overwrite the bytes of one internal block, so that it cannot be decoded."""
    with rasterio.open(path) as file:
        offset = int(file.get_tag_item(f"BLOCK_OFFSET_{column}_{row}", "TIFF", bidx=1))
        size = int(file.get_tag_item(f"BLOCK_SIZE_{column}_{row}", "TIFF", bidx=1))
    data = bytearray(path.read_bytes())
    data[offset : offset + size] = b"\xff" * size
    path.write_bytes(bytes(data))


def write_project(folder: Path, catalog: Path, **tables: Mapping[str, object]) -> Project:
    """A project over the country; `grid={"level": 9}` changes keys of a table."""
    settings: dict[str, dict[str, object]] = {
        "area": {"bbox": AREA},
        "grid": {"pixel_zoom": 10, "chunk": 128, "shard": 256, "level": 10},
        "scenes": {"catalog": str(catalog), "sensor": "sentinel-2-l2a"},
        "time": {"start": "2023-08-01", "end": "2023-09-30"},
        "storage": {"url": "data"},
        "database": {"url": "duckdb:///data/spatial.duckdb"},
        "compute": {"workers": 2},
    }
    boundaries = tables.pop("boundaries", None)
    for name, changes in tables.items():
        settings[name] = {**settings.get(name, {}), **changes}
    lines = [line for name, table in settings.items() for line in _toml(f"[{name}]", table)]
    if boundaries is not None:
        lines += _toml("[[boundaries]]", boundaries)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "project.toml").write_text("\n".join(lines))
    return load_project(folder, {})


def _toml(heading: str, table: Mapping[str, object]) -> list[str]:
    dates = {"start", "end"}
    return [
        heading,
        *(f"{k} = {v if k in dates else json.dumps(v)}" for k, v in table.items() if v is not None),
    ]
