"""Facts of a CRS about going round the earth: its central meridian, and the length of a turn."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

from pyproj import CRS, Transformer

_MERIDIAN_PARAMETERS: Final = (
    "Longitude of natural origin",
    "Longitude of false origin",
    "Longitude of projection centre",
    "Longitude of origin",
)
_CYLINDRICAL_METHODS: Final = ("mercator", "cylindrical")


def central_meridian(crs: CRS) -> float:
    """Central meridian in degrees of a projected CRS, infinite for any other."""
    operation = crs.coordinate_operation
    for parameter in operation.params if operation is not None else ():
        if parameter.name in _MERIDIAN_PARAMETERS:
            return math.degrees(float(parameter.value) * float(parameter.unit_conversion_factor))
    return math.inf


@lru_cache(maxsize=64)
def full_turn(crs: CRS) -> float | None:
    """What to add to x to come to the same place again, in units of `crs`; None if nothing does."""
    if crs.is_geographic:
        return 2.0 * math.pi / float(crs.axis_info[0].unit_conversion_factor)
    operation, geographic = crs.coordinate_operation, crs.geodetic_crs
    method = "" if operation is None else operation.method_name.lower()
    upright = any(name in method for name in _CYLINDRICAL_METHODS)
    if geographic is None or not upright or "transverse" in method or "oblique" in method:
        return None
    transformer = Transformer.from_crs(geographic, crs, always_xy=True)
    quarter = math.pi / 2.0 / float(geographic.axis_info[0].unit_conversion_factor)
    origin = central_meridian(crs) * quarter / 90.0
    east, west = (transformer.transform(origin + side, 0.0)[0] for side in (quarter, -quarter))
    return 2.0 * float(east - west)
