"""Variables of GDAL that decide which files open and what is in them: they are ignored.

Such a variable is often set for another program on the machine. GDAL would obey it in silence:
`GDAL_SKIP` removes a format, `CPL_VSIL_CURL_ALLOWED_EXTENSIONS` refuses a file for its name,
`GTIFF_POINT_GEO_IGNORE` shifts the pixels by half. A verdict on a file must not depend on that.
Some of them have no neutral value, and drivers are registered once a process, so that they are
removed from the environment before GDAL is used. `spatial-assets env` names them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

IGNORED_PREFIXES = (
    "CPL_VSIL_",
    "GDAL_PAM_",
    "GML_",
    "GTIFF_",
    "LIBKML_",
    "OGR_",
    "OPENFILEGDB_",
    "OSR_",
    "SHAPE_",
)
"""Families of options of one format, of virtual file systems, and of coordinate systems."""

IGNORED_NAMES = frozenset(
    {
        *("GDAL_SKIP", "GDAL_DRIVER_PATH", "GDAL_CONFIG_FILE"),
        *("GDAL_DISABLE_READDIR_ON_OPEN", "GDAL_READDIR_LIMIT_ON_OPEN", "GDAL_MAX_BAND_COUNT"),
        *("GDAL_VALIDATE_OPEN_OPTIONS", "GDAL_INGESTED_BYTES_AT_OPEN", "GDAL_FORCE_CACHING"),
        *("GDAL_GEOREF_SOURCES", "GDAL_TIFF_INTERNAL_MASK_TO_8BIT", "GDAL_ENABLE_TIFF_SPLIT"),
        *("GDAL_JP2K_ALT_OFFSETVECTOR_ORDER", "GDAL_IGNORE_AXIS_ORIENTATION", "GDAL_ONE_BIG_READ"),
        *("CONVERT_YCBCR_TO_RGB", "USE_RRD", "SQLITE_LIST_ALL_TABLES", "VSI_CACHE"),
        *("VSI_CACHE_SIZE", "CENTER_LONG"),
    }
)
"""Options outside those families."""

_removed: dict[str, str] = {}
"""Variable -> its value, of those that this process has removed."""


def is_ignored(name: str) -> bool:
    """Return True if a variable of this name is ignored."""
    return name in IGNORED_NAMES or name.startswith(IGNORED_PREFIXES)


def ignore_gdal_variables() -> None:
    """Remove the variables from the environment of this process; call before GDAL is used."""
    for name in [name for name in os.environ if is_ignored(name)]:
        _removed[name] = os.environ.pop(name)


def ignored_gdal_variables() -> Mapping[str, str]:
    """Return the ignored variables that were set for this process, and their values."""
    return _removed | {name: value for name, value in os.environ.items() if is_ignored(name)}
