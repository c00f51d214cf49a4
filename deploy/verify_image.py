"""Checks inside the built image, run by the build as the image's own user.

A wheel whose data or libraries are missing imports well and fails at the first raster.
"""

from __future__ import annotations

import os
from importlib.metadata import distribution, version
from pathlib import Path

import duckdb
import pyogrio
import pyproj
import rasterio
import rasterio.crs
import rasterio.warp
import shapely
import yaml

SLOVENIA_TM = 3794  # a national grid: found only in PROJ's database, not built into the code
LJUBLJANA = (14.5058, 46.0511)
LJUBLJANA_TM = (461_757.0, 101_374.0)
TOLERANCE_M = 5.0  # how well datums agree without the network's grids; a wrong one is 400 m off
NEEDED_DRIVERS = {"GTiff", "COG"}
NEEDED_FORMATS = {"GPKG", "GeoJSON", "FlatGeobuf", "ESRI Shapefile", "OpenFileGDB", "GML"}


class ImageError(Exception):
    """The image would not work; the message says what is missing."""


def check(claim: str, *, holds: bool) -> None:
    """Print the claim, or refuse the image."""
    if not holds:
        raise ImageError(f"not so: {claim}")
    print(f"ok  {claim}")


def check_coordinates() -> None:
    """PROJ of pyproj and of GDAL find their databases, and agree."""
    by_proj = pyproj.Transformer.from_crs(4326, SLOVENIA_TM, always_xy=True).transform(*LJUBLJANA)
    target = rasterio.crs.CRS.from_epsg(SLOVENIA_TM)
    xs, ys = rasterio.warp.transform("EPSG:4326", target, [LJUBLJANA[0]], [LJUBLJANA[1]])
    for name, place in (("pyproj", by_proj), ("GDAL", (xs[0], ys[0]))):
        off = max(abs(got - want) for got, want in zip(place, LJUBLJANA_TM, strict=True))
        check(f"{name} puts Ljubljana where it is ({off:.0f} m)", holds=off < TOLERANCE_M)
    check("PROJ asks no network", holds=os.environ["PROJ_NETWORK"] == "OFF")


def check_formats() -> None:
    """GDAL has the drivers the product reads and writes with."""
    with rasterio.Env() as env:
        missing = NEEDED_DRIVERS - set(env.drivers())
    check(f"raster drivers {sorted(NEEDED_DRIVERS)}", holds=not missing)
    missing = NEEDED_FORMATS - set(pyogrio.list_drivers(read=True))
    check(f"vector drivers {sorted(NEEDED_FORMATS)}", holds=not missing)


def check_duckdb() -> None:
    """DuckDB loads its spatial extension from the package, offline."""
    files = distribution("duckdb-extension-spatial").files or []
    extensions = [file.locate() for file in files if file.name.endswith(".duckdb_extension")]
    check("the spatial extension of DuckDB is there", holds=len(extensions) == 1)
    with duckdb.connect() as connection:
        connection.execute(f"LOAD '{extensions[0]}'")
        answer = connection.execute("SELECT ST_Area(ST_MakeEnvelope(0, 0, 2, 3))").fetchone()
    check("DuckDB measures a rectangle", holds=answer == (6.0,))


def main() -> None:
    """Check everything, and say which versions the image has."""
    check("nothing runs as root", holds=os.geteuid() != 0)
    home = Path(os.environ["DAGSTER_HOME"])
    check("DAGSTER_HOME is writable", holds=os.access(home, os.W_OK))
    instance = yaml.safe_load((home / "dagster.yaml").read_text())
    check("Dagster's storage is PostgreSQL", holds="postgres" in instance["storage"])
    check_coordinates()
    check_formats()
    check_duckdb()
    versions = {"GDAL": rasterio.__gdal_version__, "PROJ": pyproj.proj_version_str}
    versions |= {"GEOS": shapely.geos_version_string, "dagster": version("dagster")}
    print(*(f"{name} {number}" for name, number in versions.items()), sep=", ")


if __name__ == "__main__":
    main()
