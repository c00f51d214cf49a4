"""From the metadata of an item to the scale and offset of one of its bands.

Decided per item, never by date. Whether the answer suits the pixels is asked in plausibility.py.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from spatial_assets.catalog.json_object import JsonObject
from spatial_assets.errors import RasterError, SceneError
from spatial_assets.geo.radiometry import Calibration
from spatial_assets.project.sensors import SensorProfile

SENTINEL_2_SCALE = 1e-4
SENTINEL_2_OFFSET = -0.1  # reflectance; from baseline 04.00 on, ESA adds 1000 to every DN
FIRST_OFFSET_BASELINE = (4, 0)
LANDSAT = Calibration(2.75e-5, -0.2)  # Collection 2 Level-2 surface reflectance, USGS LSDS-1619
LANDSAT_COLLECTION = 2

_BASELINE = re.compile(r"N?(\d{1,2})[._]?(\d{0,2})")


def resolve_calibration(
    properties: JsonObject, band: JsonObject, *, profile: SensorProfile
) -> Calibration | None:
    """The calibration of one band, or None where its numbers are reflectance already.

    Args:
        properties: of the item.
        band: what `band_metadata` says of the band.
        profile: of the sensor.

    Raises:
        SceneError: nothing says how the numbers scale, or what says so is no number.
    """
    if str(band.get("data_type", "")).startswith(("float", "cfloat")):
        return None
    declared_scale = declared_number(band, "scale")
    declared_offset = declared_number(band, "offset")
    if declared_scale is None and declared_offset is not None:
        raise SceneError(
            f"the band declares offset {declared_offset} without a scale; declare both",
            reason="radiometry_unknown",
        )
    default = _default(properties, profile, scale=declared_scale)
    scale = declared_scale if declared_scale is not None else default[0]
    offset = declared_offset if declared_offset is not None else default[1]
    if properties.get("earthsearch:boa_offset_applied") is True:
        # Earth Search took the offset off the pixels and left raster:bands as ESA has it.
        offset = 0.0
    if scale is None or offset is None:
        raise _unknown(properties, profile)
    try:
        return Calibration(scale, offset)
    except RasterError as error:
        raise SceneError(
            f"the band's scale and offset: {error}", reason="radiometry_unknown"
        ) from (error)


def band_metadata(item: JsonObject, asset: JsonObject, index: int) -> JsonObject:
    """What is said of band `index` (from 1) of an asset: STAC 1.0 and 1.1, nearest word first."""
    merged: dict[str, object] = {}
    for source in (item.get("properties"), asset, _nth(asset, "bands", index)):
        merged.update(_plain_names(source))
    raster = _nth(asset, "raster:bands", index)
    merged.update({key: value for key, value in raster.items() if value is not None})
    return merged


def declared_number(band: JsonObject, key: str) -> float | None:
    """A number of the band's metadata, which may be NaN or infinite, or None where it has none.

    Raises:
        SceneError: something is there that is no number.
    """
    value = band.get(key)
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and value.strip("+-").lower() in ("nan", "inf", "infinity"):
        return float(value)
    raise SceneError(
        f"the band declares {key} = {str(value)[:60]!r}, not a number", reason="radiometry_unknown"
    )


def parse_baseline(text: object) -> tuple[int, int] | None:
    """A processing baseline such as "05.09", "N0509" or 4.0 as numbers that compare, or None."""
    if isinstance(text, float | int) and not isinstance(text, bool) and math.isfinite(text):
        text = f"{text:.2f}"
    found = _BASELINE.fullmatch(text.strip()) if isinstance(text, str) else None
    return (int(found[1]), int(found[2] or 0)) if found else None


def _default(
    properties: JsonObject, profile: SensorProfile, *, scale: float | None
) -> tuple[float | None, float | None]:
    """(scale, offset) for what the item does not declare."""
    if profile.radiometry == "sentinel-2":
        baseline = parse_baseline(properties.get("s2:processing_baseline"))
        offset = None
        if baseline is not None:
            offset = SENTINEL_2_OFFSET if baseline >= FIRST_OFFSET_BASELINE else 0.0
        return SENTINEL_2_SCALE, offset
    if profile.radiometry == "landsat":
        agrees = scale is None or math.isclose(scale, LANDSAT.scale, rel_tol=1e-6)
        known = agrees and _is_landsat_level_2(properties)
        return (LANDSAT.scale, LANDSAT.offset) if known else (None, None)
    return profile.scale, profile.offset


def _is_landsat_level_2(properties: JsonObject) -> bool:
    """Whether nothing in the item says that it is of another collection or level."""
    correction = str(properties.get("landsat:correction", "L2"))
    number = str(properties.get("landsat:collection_number", LANDSAT_COLLECTION))
    return correction.upper().startswith("L2") and number.lstrip("0") == str(LANDSAT_COLLECTION)


def _unknown(properties: JsonObject, profile: SensorProfile) -> SceneError:
    """The refusal of an item that does not say how its numbers scale."""
    wanted = {
        "sentinel-2": "s2:processing_baseline",
        "landsat": "landsat:collection_number 02 and landsat:correction L2*",
        "declared": "[scenes.sensor] scale and offset in project.toml",
    }[profile.radiometry]
    has = ", ".join(
        f"{key} = {properties[key]!r}"
        for key in ("s2:processing_baseline", "landsat:collection_number", "landsat:correction")
        if key in properties
    )
    return SceneError(
        f"no scale and offset in raster:bands or bands, and no {wanted} to take them from"
        f"{f' ({has})' if has else ''}; complete the item",
        reason="radiometry_unknown",
    )


def _nth(asset: JsonObject, key: str, index: int) -> JsonObject:
    """Entry `index` (from 1) of a list of band descriptions, {} where there is none."""
    entries = asset.get(key)
    if not isinstance(entries, list) or not 1 <= index <= len(entries):
        return {}
    entry = entries[index - 1]
    return entry if isinstance(entry, Mapping) else {}


def _plain_names(source: object) -> dict[str, object]:
    """The radiometric keys of STAC 1.1 (raster:scale, nodata, ...) under their short names."""
    if not isinstance(source, Mapping):
        return {}
    short = {}
    for key in ("scale", "offset", "nodata", "data_type", "spatial_resolution"):
        for name in (key, f"raster:{key}"):
            if source.get(name) is not None:
                short[key] = source[name]
    return short
