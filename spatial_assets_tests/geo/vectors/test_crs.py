"""A CRS is one with a position on the Earth, whatever its name; its accuracy is told."""

from __future__ import annotations

import pytest
import shapely
from pyproj import CRS

from spatial_assets.errors import VectorError
from spatial_assets.geo.vectors.to_lonlat import has_position
from spatial_assets.geo.vectors.validate import refuse_inaccurate_crs
from spatial_assets_tests.fixtures.feature_factory import SQUARE, FeatureMaker, validated

ALBERS = "+proj=aea +lat_1=43 +lat_2=62 +lat_0=30 +lon_0=10 {} +units=m +type=crs"
QUEBEC = shapely.box(270_000, 250_000, 280_000, 260_000)
UNDEFINED = (
    'GEOGCS["Undefined geographic SRS",DATUM["unknown",SPHEROID["unknown",6378137,298.257223563]],'
    'PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]]'
)


@pytest.mark.parametrize("datum", ["+datum=WGS84", "+ellps=GRS80"])
def test_a_complete_crs_named_unknown_is_one(datum: str) -> None:
    crs = CRS(ALBERS.format(datum))

    assert crs.name == "unknown"
    assert has_position(crs)


@pytest.mark.parametrize(
    "wkt", [UNDEFINED, 'LOCAL_CS["unknown",UNIT["metre",1]]'], ids=["geopackage-0", "drawing"]
)
def test_a_crs_without_a_position_is_none(wkt: str) -> None:
    assert not has_position(CRS(wkt))


@pytest.mark.parametrize(
    ("crs", "geometry", "accuracy"),
    [
        ("EPSG:4326", SQUARE, 0.0),
        ("EPSG:32633", shapely.box(500_000, 5_100_000, 501_000, 5_101_000), 0.0),
        ("EPSG:3794", shapely.box(460_000, 100_000, 461_000, 101_000), 1.0),
        ("EPSG:31467", shapely.box(3_500_000, 5_600_000, 3_501_000, 5_601_000), 3.0),
        (ALBERS.format("+datum=WGS84"), shapely.box(0, 2e6, 1e3, 2.001e6), 0.0),
    ],
)
def test_a_known_accuracy_is_reported_without_a_warning(
    raw: FeatureMaker, crs: str, geometry: shapely.Polygon, accuracy: float
) -> None:
    report = validated(raw((1, geometry)), crs=CRS(crs)).report

    assert report["crs_accuracy_m"] == accuracy
    assert report["warnings"] == []


@pytest.mark.parametrize(
    ("crs", "geometry", "words"),
    [
        ("EPSG:2138", QUEBEC, "unknown (Inverse of Quebec Lambert Projection + Ballpark"),
        (ALBERS.format("+ellps=GRS80"), shapely.box(0, 2e6, 1e3, 2.001e6), "unknown"),
        ("EPSG:26717", shapely.box(500_000, 4e6, 501_000, 4.001e6), " m (Inverse of UTM zone 17N"),
    ],
    ids=["no-grid", "no-datum", "poor"],
)
def test_an_unknown_or_poor_accuracy_is_a_warning_or_a_refusal(
    raw: FeatureMaker, crs: str, geometry: shapely.Polygon, words: str
) -> None:
    result = validated(raw((1, geometry)), crs=CRS(crs))

    assert words in str(result.report["warnings"])
    assert len(result.kept) == 1
    with pytest.raises(VectorError, match="on_inaccurate_crs is 'refuse'"):
        refuse_inaccurate_crs(result)
