"""Features made by hand, and their judgement in one call."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Literal

import shapely
from pyproj import CRS

from spatial_assets.geo.vectors.features import RawFeature, ValidatedFeatures
from spatial_assets.geo.vectors.validate import validate_features

FeatureMaker = Callable[..., list[RawFeature]]
LONLAT = CRS("EPSG:4326")
SQUARE = shapely.box(15.0, 46.0, 15.1, 46.1)
BOW_TIE = shapely.from_wkt("POLYGON ((15 46, 15.1 46.1, 15.1 46, 15 46.1, 15 46))")
OVERLAPPING = shapely.from_wkt(
    "MULTIPOLYGON (((15 46, 15.2 46, 15.2 46.2, 15 46.2, 15 46)),"
    "((15.1 46.1, 15.3 46.1, 15.3 46.3, 15.1 46.3, 15.1 46.1)))"
)


def validated(
    features: list[RawFeature],
    *,
    crs: CRS = LONLAT,
    on_invalid: Literal["repair", "quarantine", "refuse"] = "repair",
) -> ValidatedFeatures:
    return validate_features(
        features, source_crs=crs, key="id", columns=["name"], on_invalid=on_invalid
    )


def reasons(result: ValidatedFeatures) -> list[str]:
    return [feature.reason for feature in result.quarantined]


def polygon_wkb(*rings: list[tuple[float, float]]) -> bytes:
    """WKB as broken as it is given; shapely would not write it."""
    packed = struct.pack("<BII", 1, 3, len(rings))
    for ring in rings:
        packed += struct.pack("<I", len(ring)) + b"".join(struct.pack("<2d", *p) for p in ring)
    return packed
