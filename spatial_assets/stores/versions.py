"""The versions that decide what pixels and geometries come out, as kept in manifests."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version

from spatial_assets import __version__

LIBRARIES = ("zarr", "numpy", "rasterio", "shapely", "pyproj")


@cache
def software_versions() -> dict[str, str]:
    """Name -> version of our code, the libraries it computes with, and what they wrap."""
    import pyproj  # noqa: PLC0415 - heavy, and asked for only when a tile is committed
    import rasterio  # noqa: PLC0415
    import shapely  # noqa: PLC0415

    wrapped = {
        "spatial-assets": __version__,
        "gdal": rasterio.__gdal_version__,
        "proj": pyproj.proj_version_str,
        "geos": ".".join(str(part) for part in shapely.geos_version),
    }
    return {name: version(name) for name in LIBRARIES} | wrapped
