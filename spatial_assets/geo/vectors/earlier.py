"""Geometries as an earlier validation judged them, found by their bytes as read.

The judgement of a geometry follows from its bytes, the CRS of its file, the settings and the
libraries. Where the last three are the same, equal bytes need not be judged again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from shapely.geometry import MultiPolygon

from spatial_assets.geo.vectors.features import Defect

DIGEST_BYTES = 16

Operation: TypeAlias = tuple[str, float | None]
"""Operation of PROJ that moved a geometry to lon/lat: its name, and its accuracy in metres."""


@dataclass(frozen=True, kw_only=True)
class JudgedGeometry:
    """A usable geometry, as its validation left it."""

    geometry: MultiPolygon
    """Geometry in lon/lat (EPSG:4326): x before y, 2D, valid, shells counter-clockwise."""

    area_m2: float
    """Area on the WGS84 ellipsoid."""

    repairs: tuple[Defect, ...] = ()
    """Defects that have been repaired."""

    operation: Operation | None = None
    """Operation that moved it; None if it was not asked for."""


EarlierResults: TypeAlias = Callable[[bytes], JudgedGeometry | None]
"""Function from the digest of a geometry as read to its judgement; None if it is not known."""


def nothing_earlier(_digest: bytes) -> None:
    """Return None: no geometry was judged before."""


def digest_of(wkb: bytes) -> bytes:
    """Hash of a geometry as read."""
    return hashlib.blake2b(wkb, digest_size=DIGEST_BYTES).digest()
