"""Checks of GDAL and PROJ: required drivers, and agreement on coordinates."""

from __future__ import annotations

import os
from collections.abc import Mapping

from spatial_assets.cli.diagnosis.finding import Finding, failed, passed

REQUIRED_DRIVERS = ("GTiff", "COG", "VRT")
DATA_VARIABLES = ("PROJ_DATA", "PROJ_LIB", "GDAL_DATA")

# A point of UTM zone 33 in the middle of Slovenia and its web-mercator coordinates, which are the
# same on every machine to far below a pixel.
UTM_33 = (500_000.0, 5_100_000.0)
WEB_MERCATOR = (1_669_792.3618991, 5_788_938.7110)
TOLERANCE_M = 0.001


def gdal() -> Finding:
    """Check that GDAL of the rasterio wheel has the drivers that the product needs."""
    import rasterio

    version = f"{rasterio.__gdal_version__} (rasterio {rasterio.__version__})"
    with rasterio.Env() as environment:
        known = environment.drivers()
    missing = [driver for driver in REQUIRED_DRIVERS if driver not in known]
    if missing:
        detail = f"{version} has no driver for {', '.join(missing)}"
        return failed(
            "GDAL", detail, remedy="install rasterio from its wheel: pip install rasterio"
        )
    return passed("GDAL", f"{version}, drivers {', '.join(REQUIRED_DRIVERS)}")


def proj(env: Mapping[str, str] | None = None) -> Finding:
    """Check a round trip through PROJ of pyproj and PROJ of rasterio against a known point."""
    env = os.environ if env is None else env
    foreign = [f"${name} = {env[name]}" for name in DATA_VARIABLES if env.get(name)]
    remedy = (
        f"unset {', '.join(foreign)}: the wheels have their own data"
        if foreign
        else "reinstall pyproj and rasterio from their wheels"
    )
    try:
        error_m = _round_trip()
    except _coordinate_errors() as error:
        return failed("PROJ", f"a transformation failed: {error}", remedy=remedy)
    detail = f"{_versions()}; round trip to {error_m:.1e} m"
    if not error_m <= TOLERANCE_M:
        return failed("PROJ", f"{detail}, more than {TOLERANCE_M} m", remedy=remedy)
    return passed("PROJ", f"{detail}{f'; despite {foreign[0]}' if foreign else ''}")


def _round_trip() -> float:
    """Return the largest error in metres of a round trip of the known point in both libraries."""
    from pyproj import Transformer
    from rasterio.warp import transform

    forward = Transformer.from_crs("EPSG:32633", "EPSG:3857", always_xy=True)
    projected = forward.transform(*UTM_33)
    back = forward.transform(*projected, direction="INVERSE")
    xs, ys = transform("EPSG:32633", "EPSG:3857", [UTM_33[0]], [UTM_33[1]])
    pairs = [(projected, WEB_MERCATOR), (back, UTM_33), ((xs[0], ys[0]), WEB_MERCATOR)]
    errors = [
        abs(float(one) - other)
        for found, known in pairs
        for one, other in zip(found, known, strict=True)
    ]
    return max(errors)


def _coordinate_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions of both libraries for PROJ data of another version."""
    from pyproj.exceptions import ProjError
    from rasterio.errors import RasterioError

    return (ProjError, RasterioError, ValueError, OSError)


def _versions() -> str:
    """Format the versions of both copies of PROJ, one per wheel."""
    import pyproj
    import rasterio

    return f"{pyproj.proj_version_str} (pyproj) and {rasterio.__proj_version__} (rasterio)"
