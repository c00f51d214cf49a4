"""Features made by hand for the tests of this area."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import shapely
from shapely.geometry.base import BaseGeometry

from spatial_assets.geo.vectors.features import RawFeature

FeatureMaker = Callable[..., list[RawFeature]]


@pytest.fixture
def raw() -> FeatureMaker:
    """Raw features of (key, geometry or WKB or None) pairs, in order."""

    def make(*pairs: tuple[object, BaseGeometry | bytes | None]) -> list[RawFeature]:
        features = []
        for index, (key, geometry) in enumerate(pairs):
            wkb = shapely.to_wkb(geometry) if isinstance(geometry, BaseGeometry) else geometry
            properties = {"id": key, "name": f"feature {index}"}
            features.append(RawFeature(index=index, properties=properties, wkb=wkb))
        return features

    return make
