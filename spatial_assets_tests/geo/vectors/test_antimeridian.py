"""Rings across 180 degrees keep their area in every spelling, judged where they are whole."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from shapely.geometry import MultiPolygon, Polygon

from spatial_assets.geo.vectors.areas import area_m2
from spatial_assets.geo.vectors.features import RawFeature, ValidatedFeatures
from spatial_assets_tests.fixtures.feature_factory import (
    SQUARE,
    FeatureMaker,
    polygon_wkb,
    reasons,
    validated,
)

Ring = list[tuple[float, float]]

# a ring of Fiji as Natural Earth would have it uncut: over 180 and back twice
FIJI = [
    *((178.0, -17.0), (179.5, -16.5), (180.0, -16.0), (-179.0, -16.2), (-179.5, -17.0)),
    *((180.0, -17.5), (179.8, -18.0), (-179.9, -18.5), (-179.2, -19.5), (178.5, -19.0)),
    (178.0, -17.0),
]


def one(wkb: bytes, crs: str = "EPSG:4326") -> ValidatedFeatures:
    feature = RawFeature(index=0, properties={"id": 1, "name": "x"}, wkb=wkb)
    return validated([feature], crs=CRS(crs))


def wrapped(ring: Ring, *, east: bool = True) -> Ring:
    """The ring between -180 and 180; a vertex at 180 is written as 180 if `east`, else -180."""
    turned = [((x + 180.0) % 360.0 - 180.0, y) for x, y in ring]
    return [(180.0 if east and x == -180.0 else x, y) for x, y in turned]


def whole(ring: Ring) -> Polygon:
    """The ring where its longitudes go on beyond 180."""
    return Polygon([(x + 360.0 if x < 0 else x, y) for x, y in ring])


def in_crs(ring: Ring, crs: str) -> Ring:
    transformer = Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    return [transformer.transform(x, y) for x, y in ring]


@pytest.mark.parametrize("east", [True, False])
@pytest.mark.parametrize("middle", [[], [(180.0, 0.0)]], ids=["corners", "vertices-at-180"])
def test_a_quad_at_180_keeps_all_of_its_hundred_square_degrees(middle: Ring, *, east: bool) -> None:
    top = [(x, 10.0) for x, _ in middle]
    corners = [(175.0, 0.0), *middle, (185.0, 0.0), (185.0, 10.0), *top, (175.0, 10.0)]
    ring = wrapped(corners, east=east)

    (feature,) = one(polygon_wkb([*ring, ring[0]])).kept

    assert feature.repairs == ()
    assert feature.geometry.area == pytest.approx(100.0, abs=1e-9)
    assert feature.geometry.bounds == (-180.0, 0.0, 180.0, 10.0)
    elsewhere = MultiPolygon([shapely.box(0, 0, 10, 10)])
    assert feature.area_m2 == pytest.approx(area_m2(elsewhere), rel=1e-9)


def test_a_ring_that_crosses_four_times_is_not_repaired() -> None:
    (feature,) = one(polygon_wkb(FIJI)).kept

    assert feature.repairs == ()
    assert feature.geometry.area == pytest.approx(whole(FIJI).area, rel=1e-12)


def test_a_ring_that_steps_from_180_to_minus_180_has_no_edge_there() -> None:
    ring = [(170.0, 0.0), (180.0, 0.0), (-180.0, 0.0), (-170.0, 0.0), (-170.0, 10.0)]
    ring += [(-180.0, 10.0), (180.0, 10.0), (170.0, 10.0), (170.0, 0.0)]

    (feature,) = one(polygon_wkb(ring)).kept

    assert feature.repairs == ()
    assert feature.geometry.area == pytest.approx(200.0, abs=1e-9)


@pytest.mark.parametrize(
    "world",
    [
        shapely.box(-180, -90, 180, 90),
        shapely.box(-180, -50, 180, 50),
        Polygon([(-180, -90), (180, -90), (180, -80), (0, -70), (-180, -80)]),
    ],
    ids=["world", "belt", "antarctica"],
)
def test_a_map_of_the_world_is_not_cut(raw: FeatureMaker, world: Polygon) -> None:
    (feature,) = validated(raw((1, world))).kept

    assert feature.geometry.equals(world)
    assert feature.repairs == ()


def test_a_bow_tie_across_180_is_repaired_where_it_is_whole() -> None:
    ring = wrapped([(175.0, 0.0), (185.0, 10.0), (185.0, 0.0), (175.0, 10.0), (175.0, 0.0)])

    (feature,) = one(polygon_wkb(ring)).kept

    assert [defect.reason for defect in feature.repairs] == ["self_intersection"]
    assert feature.geometry.area == pytest.approx(50.0, abs=1e-9)


def test_a_bow_tie_across_180_is_refused_where_nothing_is_repaired() -> None:
    ring = wrapped([(175.0, 0.0), (185.0, 10.0), (185.0, 0.0), (175.0, 10.0), (175.0, 0.0)])
    feature = RawFeature(index=0, properties={"id": 1, "name": "x"}, wkb=polygon_wkb(ring))

    assert reasons(validated([feature], on_invalid="quarantine")) == ["self_intersection"]


def test_parts_that_overlap_only_on_the_earth_are_ambiguous() -> None:
    west = wrapped([(170.0, 0.0), (186.0, 0.0), (186.0, 10.0), (170.0, 10.0), (170.0, 0.0)])
    east = [(-179.0, 5.0), (-170.0, 5.0), (-170.0, 15.0), (-179.0, 15.0), (-179.0, 5.0)]
    parts = shapely.MultiPolygon([Polygon(west), Polygon(east)])

    assert reasons(one(shapely.to_wkb(parts))) == ["repair_ambiguous"]


@pytest.mark.parametrize("crs", ["EPSG:3857", "EPSG:3395", "EPSG:4087", "EPSG:8857"])
def test_a_ring_across_the_seam_of_its_own_projection_is_whole(crs: str) -> None:
    (feature,) = one(polygon_wkb(in_crs(FIJI, crs)), crs).kept

    assert feature.repairs == ()
    assert feature.geometry.area == pytest.approx(whole(FIJI).area, rel=1e-9)


def test_a_ring_across_the_seam_of_a_map_of_the_pacific_is_whole() -> None:
    pacific = "+proj=merc +lon_0=150 +datum=WGS84 +type=crs"  # its seam is at 30 degrees west
    ring: Ring = [(-35.0, 10.0), (-25.0, 10.0), (-25.0, 20.0), (-35.0, 20.0), (-35.0, 10.0)]

    (feature,) = one(polygon_wkb(in_crs(ring, pacific)), pacific).kept

    assert feature.geometry.area == pytest.approx(100.0, rel=1e-9)
    assert feature.repairs == ()


@st.composite
def stars(draw: st.DrawFn, *, whole_degrees: bool) -> tuple[Ring, Ring | None]:
    """A star-shaped shell around a point near 180 degrees, and a hole of the same shape or none."""
    centre = draw(st.integers(172, 188))
    latitude = draw(st.integers(-50, 50))
    corners = draw(st.integers(4, 14))
    radii: NDArray[np.float64] = np.array(
        draw(st.lists(st.floats(3.0, 30.0), min_size=corners, max_size=corners))
    )
    angles = np.linspace(0.0, 2 * np.pi, corners, endpoint=False) + draw(st.floats(0.0, 1.0))
    across, up = radii * np.cos(angles), radii * np.sin(angles)
    shell = np.column_stack([centre + across, latitude + up])
    hole = np.column_stack([centre + across / 3.0, latitude + up / 3.0])[::-1]
    if whole_degrees:
        shell, hole = np.rint(shell), np.rint(hole)
    closed = [[(float(x), float(y)) for x, y in [*ring, ring[0]]] for ring in (shell, hole)]
    return closed[0], closed[1] if draw(st.booleans()) else None


@settings(max_examples=150, deadline=None)
@given(
    star=st.booleans().flatmap(lambda rounded: stars(whole_degrees=rounded)),
    crs=st.sampled_from(["EPSG:4326", "EPSG:3857", "EPSG:4087"]),
    east=st.booleans(),
)
def test_a_valid_ring_near_180_keeps_its_area_and_is_not_repaired(
    star: tuple[Ring, Ring | None], crs: str, *, east: bool
) -> None:
    rings = [ring for ring in star if ring is not None]
    expected = Polygon(rings[0], rings[1:])
    assume(expected.is_valid and expected.area > 1.0)
    spelled = [in_crs(wrapped(ring, east=east), crs) for ring in rings]

    (feature,) = one(polygon_wkb(*spelled), crs).kept

    assert feature.repairs == ()
    assert feature.geometry.is_valid
    assert feature.geometry.area == pytest.approx(expected.area, rel=1e-7)
    elsewhere = shapely.transform(expected, lambda xy: xy - [180.0, 0.0])
    assert feature.area_m2 == pytest.approx(area_m2(MultiPolygon([elsewhere])), rel=1e-6)


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:32633"])
def test_a_hole_outside_of_its_polygon_is_ambiguous_and_never_land(crs: str) -> None:
    size = 0.01 if crs == "EPSG:4326" else 500.0
    x, y = (15.0, 46.0) if crs == "EPSG:4326" else (500_000.0, 5_100_000.0)
    shell = [(x, y), (x + size, y), (x + size, y + size), (x, y + size), (x, y)]
    far = [(x + 3 * size + dx, y + dy) for dx, dy in ((0, 0), (0, size), (size, size), (size, 0))]

    result = one(polygon_wkb(shell, [*far, far[0]]), crs)

    assert reasons(result) == ["repair_ambiguous"]
    assert result.quarantined[0].evidence["was"] == "hole_lies_outside_shell"
    assert result.kept == ()


def test_a_stray_hole_is_found_behind_another_defect() -> None:
    bow_tie = [(15.0, 46.0), (15.1, 46.1), (15.1, 46.0), (15.0, 46.1), (15.0, 46.0)]
    hole = [(16.0, 46.0), (16.0, 46.001), (16.001, 46.001), (16.0, 46.0)]

    assert reasons(one(polygon_wkb(bow_tie, hole))) == ["repair_ambiguous"]


def test_a_hole_of_another_polygon_of_the_same_feature_is_ambiguous() -> None:
    other = shapely.box(16.0, 46.0, 16.3, 46.3)
    stray = Polygon(SQUARE.exterior, [shapely.box(16.1, 46.1, 16.2, 46.2).exterior])

    assert reasons(one(shapely.to_wkb(MultiPolygon([stray, other])))) == ["repair_ambiguous"]


def test_a_hole_that_touches_its_shell_stays_a_hole(raw: FeatureMaker) -> None:
    touching = Polygon(SQUARE.exterior, [[(15.0, 46.05), (15.05, 46.06), (15.05, 46.04)]])

    (feature,) = validated(raw((1, touching))).kept

    assert feature.geometry.area == pytest.approx(touching.area, rel=1e-12)
