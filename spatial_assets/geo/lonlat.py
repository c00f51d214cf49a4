"""Longitude and latitude: the two CRSs that name them, and the ranges of their values.

Imports nothing heavy. Geometries between lon/lat and another CRS belong in
`geo/grid/projections.py`.
"""

from __future__ import annotations

from typing import Final

CRS84: Final = "OGC:CRS84"
"""WGS 84 with longitude first: the CRS of GeoJSON and STAC, and the one we transform with."""

EPSG_4326: Final = "EPSG:4326"
"""WGS 84 with latitude first by its definition: the CRS declared for stored boundaries, whose
coordinates are nevertheless x (longitude) before y."""

HALF_TURN: Final = 180.0
FULL_TURN: Final = 360.0
POLE_LATITUDE: Final = 90.0

BBox = tuple[float, float, float, float]
"""West, south, east, north in degrees; west > east crosses the antimeridian."""
