"""A script of GDAL's programs: gdal_translate, gdalwarp, gdal_calc, and GDAL's Zarr."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
import xarray as xr
from numpy.typing import NDArray
from rasterio.warp import transform_bounds

from benchmarks.contestants.gdal_programs import gdal_programs, gdal_version
from benchmarks.contestants.task import CLEAR, CRS, FILL, Contestant, Task, Tile

BANDS = ("red", "nir", "scl")
OUTPUT_OPTIONS = ("TILED=YES", "COMPRESS=DEFLATE", "PREDICTOR=2")
"""Creation options of GeoTIFFs that are kept."""

ZARR = (
    "COMPRESS=BLOSC",
    "BLOSC_CNAME=zstd",
    "BLOSC_CLEVEL=1",
    "BLOSC_SHUFFLE=BIT",
    "BLOCKSIZE=512,512",
)
CLEAR_PIXEL = f"(C>={min(CLEAR)})*(C<={max(CLEAR)})*(A>0)*(B>0)"
MEDIAN = (
    "nan_to_num(rint(10000*nanmedian("
    "(B.astype(float32)-A.astype(float32))/(B.astype(float32)+A.astype(float32)),axis=0)),"
    f"nan={FILL})"
)


def work(task: Task) -> None:
    """Write the raw windows, masked reflectance, index and observations of each tile."""
    for tile in task.tiles:
        days = [one_scene(tile, scene, task.folder) for scene in task.scenes]
        product(tile, days, task.folder)


def one_scene(tile: Tile, scene: Path, folder: Path) -> Path:
    """Write the masked red and nir of a scene, and its raw windows."""
    run = gdal_programs().run
    name = folder / f"{tile.key}_{scene.name}"
    windows = {band: Path(f"{name}_{band}.tif") for band in BANDS}
    for band, window in windows.items():
        source = scene / f"{band}.tif"
        run(
            "gdal_translate",
            "-q",
            "-projwin",
            *source_window(tile, source),
            *options(OUTPUT_OPTIONS),
            source,
            window,
        )
    stack, bands, classes = (Path(f"{name}_{part}") for part in ("b.vrt", "b.tif", "c.tif"))
    run("gdalbuildvrt", "-q", "-separate", stack, windows["red"], windows["nir"])
    run("gdalwarp", "-q", "-overwrite", "-r", "bilinear", *target_pixels(tile), stack, bands)
    run("gdalwarp", "-q", "-overwrite", "-r", "near", *target_pixels(tile), windows["scl"], classes)
    masked = Path(f"{name}.tif")
    inputs = ("-A", bands, "--A_band=1", "-B", bands, "--B_band=2", "-C", classes)
    calc = [f"--calc={band}*{CLEAR_PIXEL}" for band in "AB"]
    calculate(*inputs, *calc, *creation(OUTPUT_OPTIONS), "--NoDataValue=0", f"--outfile={masked}")
    for part in (stack, bands, classes):
        part.unlink()
    return masked


def product(tile: Tile, days: list[Path], folder: Path) -> None:
    """Write the median index and the number of observations, each as a Zarr array."""
    inputs: list[str | Path] = ["-A", *days, "--A_band=1", "-B", *days, "--B_band=2"]
    for name, calc in (("ndvi", MEDIAN), ("observations", "(A>0).sum(axis=0)")):
        calculated, kept = (folder / f"{tile.key}_{name}.{kind}" for kind in ("tif", "zarr"))
        calculate(*inputs, f"--calc={calc}", "--type=Int16", f"--outfile={calculated}")
        # GDAL 3.6 cannot write a part of a compressed chunk, which gdal_calc would need
        to_zarr = ("-q", "-of", "Zarr", *options(ZARR))
        gdal_programs().run("gdal_translate", *to_zarr, calculated, kept)
        calculated.unlink()


def calculate(*arguments: str | Path) -> None:
    """Run gdal_calc; nodata is 0, and takes part in the calculation."""
    gdal_programs().run("gdal_calc.py", "--quiet", "--overwrite", "--hideNoData", *arguments)


def source_window(tile: Tile, source: Path) -> list[str]:
    """Arguments for the window of a source: west, north, east, south of the tile, with a margin."""
    with rasterio.open(source) as file:
        west, south, east, north = transform_bounds(CRS, file.crs, *tile.bounds)
        more = 2 * file.res[0]
    return [repr(each) for each in (west - more, north + more, east + more, south - more)]


def target_pixels(tile: Tile) -> list[str]:
    """Arguments of gdalwarp for the pixels of the tile."""
    extent = [repr(each) for each in tile.bounds]
    return ["-t_srs", CRS, "-te", *extent, "-ts", str(tile.size), str(tile.size)]


def options(creation_options: tuple[str, ...]) -> list[str]:
    """Creation options as arguments of the compiled programs."""
    return [part for each in creation_options for part in ("-co", each)]


def creation(creation_options: tuple[str, ...]) -> list[str]:
    """Creation options as arguments of gdal_calc."""
    return [f"--co={each}" for each in creation_options]


def ndvi(task: Task, tile: Tile) -> NDArray[np.int16]:
    """Read the median index."""
    folder = task.folder / f"{tile.key}_ndvi.zarr"
    with xr.open_zarr(folder, consolidated=False, zarr_format=2, mask_and_scale=False) as data:
        (name,) = data.data_vars
        pixels: NDArray[np.int16] = data[name].values
        return pixels


CONTESTANT = Contestant(
    name="gdalwarp + gdal_calc + GDAL Zarr",
    work=work,
    ndvi=ndvi,
    stores="raw windows, reflectance, NDVI and observations",
    settings=(
        "Both bands are warped at once; what is thrown away again is not compressed; "
        "gdal_calc takes all days at once; Zarr with blosc, zstd level 1, as ours."
    ),
    most=1 / 3,
    program=gdal_version,
)
