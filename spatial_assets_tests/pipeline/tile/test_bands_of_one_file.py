"""Bands of one file, with an alpha band: read by number through the whole chain, local or not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp

from spatial_assets.project import Project
from spatial_assets_tests.fixtures.pipeline_runs import PIXELS, pixels, read_cube, run_tiles
from spatial_assets_tests.fixtures.two_zone_project import (
    EAST,
    TWO_TILES,
    VEGETATION,
    write_granule,
    write_project,
)
from spatial_assets_tests.fixtures.web_server import WebServer, serving

GRANULE = replace(EAST, cloud=0.1)
GRID = {"pixel_zoom": 10, "chunk": 128, "shard": 256, "level": 10}


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebServer]:
    """A web server of nothing yet."""
    (tmp_path / "web").mkdir()
    with serving(tmp_path / "web") as running:
        yield running


def opaque() -> NDArray[np.bool_]:
    """True where the alpha band lets pixels count: all but a disc."""
    rows, columns = np.ogrid[: GRANULE.rows, : GRANULE.columns]
    return np.asarray((rows - 300) ** 2 + (columns - 250) ** 2 > 120**2)


def project_of_separate_files(folder: Path) -> Project:
    """The same pixels in a file each, with fill where the alpha band is 0."""
    bands = {name: np.where(opaque(), band, 0) for name, band in GRANULE.pixels().items()}
    bands = {name: band.astype(GRANULE.pixels()[name].dtype) for name, band in bands.items()}
    write_granule(folder / "catalog", GRANULE, pixels=bands)
    return write_project(folder / "p", folder / "catalog", area={"bbox": TWO_TILES}, grid=GRID)


def project_of_one_file(folder: Path, image: Path, href: str, *, access: str) -> Project:
    """A project whose only scene has noise, near infrared, red, classes and alpha in one file."""
    found: dict[str, NDArray[Any]] = dict(GRANULE.pixels())
    noise = np.random.default_rng(3).integers(1, 9000, found["red"].shape, dtype=np.uint16)
    layers = [noise, found["nir"], found["red"], found["scl"].astype(np.uint16)]
    stack = np.stack([*layers, np.where(opaque(), 65_535, 0).astype(np.uint16)])
    options = {"driver": "GTiff", "dtype": "uint16", "count": 5, "photometric": "minisblack"}
    tiles = {"tiled": True, "blockxsize": 128, "blockysize": 128, "compress": "deflate"}
    size = {"height": GRANULE.rows, "width": GRANULE.columns}
    place = {"crs": f"EPSG:{GRANULE.epsg}", "transform": GRANULE.transform}
    with rasterio.open(image, "w", **options, **tiles, **size, **place) as file:
        file.write(stack)
    with rasterio.open(image, "r+") as file:
        file.colorinterp = [ColorInterp.gray, *[ColorInterp.undefined] * 3, ColorInterp.alpha]
    item = {**GRANULE.item(), "assets": {"image": {"href": href}}}
    (folder / "catalog" / "item.json").write_text(json.dumps(item))
    return write_project(
        folder / "p",
        folder / "catalog",
        area={"bbox": TWO_TILES},
        grid=GRID,
        scenes={"sensor": None, "access": access},
        **{
            "scenes.sensor": {"scale": 0.0001, "offset": 0.0, "clear_classes": [VEGETATION]},
            "scenes.sensor.bands.nir": {"asset": "image", "band": 2},
            "scenes.sensor.bands.red": {"asset": "image", "band": 3},
            "scenes.sensor.class_band": {"asset": "image", "band": 4},
        },
    )


@pytest.mark.parametrize("way", ["local", "stream", "download"])
def test_bands_of_one_file_give_the_pixels_of_a_file_each(
    tmp_path: Path, web: WebServer, way: str
) -> None:
    apart = project_of_separate_files(tmp_path / "apart")
    catalog = tmp_path / "together" / "catalog"
    catalog.mkdir(parents=True)
    image = (catalog if way == "local" else web.folder) / "image.tif"
    href = "image.tif" if way == "local" else f"{web.url}/image.tif"
    together = project_of_one_file(
        tmp_path / "together", image, href, access="download" if way == "download" else "stream"
    )

    run_tiles(apart, stages=PIXELS)
    run_tiles(together, stages=PIXELS)

    ndvi, observations = read_cube(apart)
    assert np.count_nonzero(observations) > 10_000
    assert np.array_equal(read_cube(together)[0], ndvi)
    stored = pixels(together)
    for path in Path(together.storage_url).rglob("reprojected_raster/**/*.tif"):
        path.unlink()
    run_tiles(together, stages=("reprojected_raster", "ndvi"))
    assert pixels(together) == stored, "the stored raw tiles hold bands, classes and alpha"
