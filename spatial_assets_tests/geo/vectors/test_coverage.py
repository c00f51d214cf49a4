"""Overlaps and gaps between neighbours, in square metres."""

from __future__ import annotations

import json

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from spatial_assets.geo.vectors.areas import area_m2
from spatial_assets.geo.vectors.coverage import coverage_report

LEFT = shapely.box(15.0, 46.0, 15.1, 46.1)
RIGHT = shapely.box(15.1, 46.0, 15.2, 46.1)


def test_neighbours_that_share_an_edge_neither_overlap_nor_leave_a_gap() -> None:
    report = coverage_report(["a", "b"], [LEFT, RIGHT])

    assert (report.overlaps, report.gaps, report.features_with_invalid_edges) == ((), (), 0)


def test_an_overlap_names_both_and_its_area() -> None:
    shared = shapely.box(15.09, 46.0, 15.1, 46.1)

    report = coverage_report(["a", "b"], [LEFT, shapely.union(RIGHT, shared)])

    (overlap,) = report.overlaps
    assert overlap.keys == ("a", "b")
    assert overlap.area_m2 == pytest.approx(area_m2(shared), rel=1e-9)
    assert report.overlap_m2 == overlap.area_m2
    assert report.features_with_invalid_edges == 2


@pytest.mark.parametrize("inner", [LEFT, LEFT.buffer(-0.01)], ids=["same", "inside"])
def test_a_boundary_within_another_overlaps_wholly(inner: shapely.Polygon) -> None:
    (overlap,) = coverage_report(["a", "b"], [LEFT, inner]).overlaps

    assert overlap.area_m2 == pytest.approx(area_m2(inner), rel=1e-9)


def test_a_gap_is_ground_enclosed_and_claimed_by_none() -> None:
    hole = shapely.box(15.04, 46.04, 15.06, 46.041)
    ring = shapely.difference(LEFT, hole)

    (gap,) = coverage_report(["a", "b"], [ring, RIGHT]).gaps

    assert gap.area_m2 == pytest.approx(area_m2(hole), rel=1e-9)
    assert hole.contains(shapely.Point(gap.centre))
    assert gap.roundness < 0.2


def test_rounding_of_coordinates_is_neither() -> None:
    nudged = shapely.transform(RIGHT, lambda xy: xy - np.array([1e-12, 0.0]))

    report = coverage_report(["a", "b"], [LEFT, nudged])

    assert (report.overlaps, report.gaps) == ((), ())


def test_no_boundaries_make_an_empty_report() -> None:
    figures = coverage_report([], []).figures()

    assert figures["overlaps"] == figures["gaps"] == 0


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_areas_of_any_set_add_up_to_the_union_and_what_is_shared(seed: int) -> None:
    rng = np.random.default_rng(seed)
    boxes = [shapely.box(x, y, x + 0.2, y + 0.2) for x, y in rng.uniform(15, 15.3, (2, 2))]

    report = coverage_report(["a", "b"], boxes)

    total = sum(area_m2(box) for box in boxes)
    assert total - report.overlap_m2 == pytest.approx(area_m2(shapely.union_all(boxes)), rel=1e-6)
    assert json.loads(json.dumps(report.figures()))["gaps"] == 0


boxes = st.builds(
    lambda x, y, width, height: shapely.box(x / 10, y / 10, (x + width) / 10, (y + height) / 10),
    st.integers(0, 8),
    st.integers(0, 8),
    st.integers(1, 4),
    st.integers(1, 4),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(boxes, min_size=1, max_size=25))
def test_gaps_are_the_holes_of_the_union_whatever_overlaps(shapes: list[shapely.Polygon]) -> None:
    """Clean neighbours, doubles, boxes within boxes: the union of GEOS is the oracle."""
    report = coverage_report([str(number) for number in range(len(shapes))], shapes)

    union = shapely.union_all(shapes)
    holes = [shapely.Polygon(ring) for part in shapely.get_parts(union) for ring in part.interiors]
    assert len(report.gaps) == len(holes)
    assert report.gap_m2 == pytest.approx(sum(map(area_m2, holes)), rel=1e-9)
