"""How a pixel grid is said in metadata: CF for xarray, `proj:` and `spatial:` for zarr readers.

Only the wording of conventions belongs here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyproj import CRS

from spatial_assets.geo.geobox import GeoBox

REGISTRATIONS = tuple(
    {
        "name": name,
        "uuid": uuid,
        "schema_url": f"https://raw.githubusercontent.com/zarr-conventions/{name}/refs/tags/v0.1/schema.json",
        "spec_url": f"https://github.com/zarr-conventions/{name}/blob/v0.1/README.md",
        "description": description,
    }
    for name, uuid, description in (
        (
            "proj",
            "f17cb550-5864-4468-aeb7-f3180cfb622f",
            "Coordinate reference system information for geospatial data",
        ),
        ("spatial", "689b58e2-cf7b-45e0-9fff-9cfc0883d6b4", "Spatial coordinate information"),
    )
)


@dataclass(frozen=True)
class CrsAttributes:
    """CF attributes of the variables that carry the CRS."""

    grid_mapping: Mapping[str, Any]
    x: Mapping[str, Any]
    y: Mapping[str, Any]


def spatial_attributes(geobox: GeoBox) -> dict[str, Any]:
    """`proj:` and `spatial:` attributes of a group whose arrays have dimensions y and x."""
    code = geobox.crs.to_authority()
    attributes: dict[str, Any] = {
        "zarr_conventions": [dict(registration) for registration in REGISTRATIONS],
        "proj:wkt2": geobox.crs.to_wkt(),
        "spatial:dimensions": ["y", "x"],
        "spatial:transform": list(geobox.transform)[:6],
        "spatial:bbox": list(geobox.bounds),
        "spatial:shape": list(geobox.window.shape),
        "spatial:registration": "pixel",
    }
    return attributes if code is None else {**attributes, "proj:code": ":".join(code)}


def crs_attributes(geobox: GeoBox) -> CrsAttributes:
    """CF attributes, with the GeoTransform that rioxarray and GDAL read."""
    crs, transform = geobox.crs, geobox.transform
    numbers = " ".join(repr(float(number)) for number in transform.to_gdal())
    mapping = {**crs.to_cf(), "spatial_ref": crs.to_wkt(), "GeoTransform": numbers}
    axes = {axis["axis"]: axis for axis in crs.cs_to_cf() if "axis" in axis}
    return CrsAttributes(mapping, axes.get("X", plain("x", crs)), axes.get("Y", plain("y", crs)))


def plain(name: str, crs: CRS) -> dict[str, Any]:
    """Attributes of an axis that CF has no standard name for."""
    unit = crs.axis_info[0].unit_name if crs.axis_info else "1"
    return {"axis": name.upper(), "long_name": f"{name} of {crs.name}", "units": unit}
