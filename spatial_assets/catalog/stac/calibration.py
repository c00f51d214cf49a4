"""Scale and offset of a band, from the metadata of its item and the rule of its sensor.

Decided per item, never by date. plausibility.py checks the result against the pixels.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from spatial_assets.catalog.json_object import JsonObject
from spatial_assets.errors import RasterError, SceneError
from spatial_assets.geo.radiometry import Calibration
from spatial_assets.geo.sensor_profile import BaselineRule, RadiometryRule, SensorProfile
from spatial_assets.sensor_profiles import RADIOMETRY_RULES

_BASELINE = re.compile(r"N?(\d{1,2})[._]?(\d{0,2})")


@dataclass(frozen=True, kw_only=True)
class StatedCalibration:
    """Calibration of one band as far as its item and its sensor know it."""

    calibration: Calibration | None
    """None: the numbers are reflectance already, or `missing`."""

    scale: float | None = None
    """Scale that the item states."""

    offsets: tuple[float, ...] = ()
    """Offset that the item states, first; a file that was made from others may state the second."""

    missing: str = ""
    """Reason why it is not known."""


def resolve_calibration(
    properties: JsonObject, band: JsonObject, *, profile: SensorProfile
) -> Calibration | None:
    """Return the calibration of one band, or None if its numbers are reflectance already.

    Args:
        properties: of the item.
        band: result of `band_metadata`.
        profile: of the sensor.

    Raises:
        SceneError: scale or offset is neither declared nor known, or is not a number.
    """
    stated = stated_calibration(properties, band, profile=profile)
    if stated.missing:
        raise SceneError(stated.missing, reason="radiometry_unknown")
    return stated.calibration


def stated_calibration(
    properties: JsonObject, band: JsonObject, *, profile: SensorProfile
) -> StatedCalibration:
    """Return what item and sensor know of the calibration, with arguments of the above.

    Raises:
        SceneError: scale or offset is declared, and cannot be used.
    """
    if str(band.get("data_type", "")).startswith(("float", "cfloat")):
        return StatedCalibration(calibration=None)
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
    offsets = () if declared_offset is None else (declared_offset,)
    if properties.get("earthsearch:boa_offset_applied") is True:
        # Earth Search removed the offset from the pixels, and left raster:bands as ESA has it.
        offset = 0.0
        offsets = (0.0, *offsets)
    if scale is None or offset is None:
        missing = _unknown(properties, profile)
        return StatedCalibration(
            calibration=None, scale=declared_scale, offsets=offsets, missing=missing
        )
    try:
        calibration = Calibration(scale, offset)
    except RasterError as error:
        raise SceneError(
            f"the band's scale and offset: {error}", reason="radiometry_unknown"
        ) from error
    return StatedCalibration(calibration=calibration, scale=declared_scale, offsets=offsets)


def band_metadata(item: JsonObject, asset: JsonObject, index: int) -> JsonObject:
    """Return the metadata of band `index` (from 1) of an asset, STAC 1.0 and 1.1; nearest wins."""
    merged: dict[str, object] = {}
    for source in (item.get("properties"), asset, _nth(asset, "bands", index)):
        merged.update(_plain_names(source))
    raster = _nth(asset, "raster:bands", index)
    merged.update({key: value for key, value in raster.items() if value is not None})
    return merged


def declared_number(band: JsonObject, key: str) -> float | None:
    """Return a number of the band's metadata, possibly NaN or infinite; None if it has none.

    Raises:
        SceneError: the value is not a number.
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
    """Return a processing baseline ("05.09", "N0509" or 4.0) as comparable numbers, or None."""
    if isinstance(text, float | int) and not isinstance(text, bool) and math.isfinite(text):
        text = f"{text:.2f}"
    found = _BASELINE.fullmatch(text.strip()) if isinstance(text, str) else None
    return (int(found[1]), int(found[2] or 0)) if found else None


def processing_baseline(properties: JsonObject) -> str | None:
    """Return the processing baseline as the item states it, e.g. "05.09"; None if it has none."""
    for rule in RADIOMETRY_RULES.values():
        stated = _stated_baseline(properties, rule.baseline) if rule.baseline else None
        if stated is not None:
            return str(stated)
    return None


def _stated_baseline(properties: JsonObject, rule: BaselineRule) -> object:
    """Return the value of the first property that may hold the baseline; None: there is none."""
    for name, form in rule.item_properties.items():
        stated = properties.get(name)
        if stated is not None and re.fullmatch(form, str(stated)):
            return stated
    return None


def added_dn(baseline: str | None) -> float | None:
    """Return the constant that a producer adds to every DN at a baseline; None: none is known."""
    number = parse_baseline(baseline)
    for rule in RADIOMETRY_RULES.values():
        if number is not None and rule.baseline is not None and number >= rule.baseline.first:
            return -(rule.offset or 0.0) / (rule.scale or 1.0)
    return None


def _default(
    properties: JsonObject, profile: SensorProfile, *, scale: float | None
) -> tuple[float | None, float | None]:
    """Return (scale, offset) for what the item does not declare; None: unknown."""
    rule = profile.radiometry
    if rule.scale is None:
        return profile.scale, profile.offset
    declared = rule.scale if scale is None else scale
    if rule.is_tied_to_scale and not math.isclose(declared, rule.scale, rel_tol=1e-6):
        return None, None
    for name, pattern in rule.item_properties.items():
        if name in properties and not re.fullmatch(pattern, str(properties[name])):
            return None, None
    return rule.scale, _default_offset(properties, rule)


def _default_offset(properties: JsonObject, rule: RadiometryRule) -> float | None:
    """Return the offset of a rule that applies; None: the item has no baseline to decide it."""
    if rule.baseline is None:
        return rule.offset
    baseline = parse_baseline(_stated_baseline(properties, rule.baseline))
    if baseline is None:
        return None
    return rule.offset if baseline >= rule.baseline.first else 0.0


def _unknown(properties: JsonObject, profile: SensorProfile) -> str:
    """Return the message about an item without scale and offset."""
    has = ", ".join(
        f"{name} = {properties[name]!r}"
        for rule in RADIOMETRY_RULES.values()
        for name in rule.deciding_properties
        if name in properties
    )
    return (
        f"no scale and offset in raster:bands or bands, and no {profile.radiometry.needs} to take "
        f"them from{f' ({has})' if has else ''}; complete the item"
    )


def _nth(asset: JsonObject, key: str, index: int) -> JsonObject:
    """Return entry `index` (from 1) of a list of band descriptions; {} if there is none."""
    entries = asset.get(key)
    if not isinstance(entries, list) or not 1 <= index <= len(entries):
        return {}
    entry = entries[index - 1]
    return entry if isinstance(entry, Mapping) else {}


def _plain_names(source: object) -> dict[str, object]:
    """Return the radiometric keys of STAC 1.1 (raster:scale, nodata, ...) by their short names."""
    if not isinstance(source, Mapping):
        return {}
    short = {}
    for key in ("scale", "offset", "nodata", "data_type", "spatial_resolution"):
        for name in (key, f"raster:{key}"):
            if source.get(name) is not None:
                short[key] = source[name]
    return short
