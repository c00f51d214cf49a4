"""The margin round clouds: discs that can be checked by eye, and the same in every window."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pyproj import CRS

from spatial_assets.geo.clear_sky import ClearBits, ClearClasses, CloudBuffer, CloudClasses
from spatial_assets.geo.grid.geobox import Window
from spatial_assets.geo.warp.cloud_buffer import Disc, clear_outside_buffer, disc_on, with_halo
from spatial_assets.geo.warp.source_grid import SourceGrid

CLOUDS = CloudClasses(cloud=frozenset({8, 9}), shadow=frozenset({3}))
SCL = ClearClasses(frozenset({4, 5}), CLOUDS)


def grid(crs: str, size: float, pixels: int = 9, *, left: float, top: float) -> SourceGrid:
    transform = Affine(size, 0, left, 0, -size, top)
    return SourceGrid(transform=transform, width=pixels, height=pixels, crs=CRS(crs))


UTM = grid("EPSG:32633", 20, left=5e5, top=5e6)


def drawn(pixels: NDArray[np.bool_]) -> list[str]:
    return ["".join(".x"[each] for each in row) for row in pixels.astype(int)]


def one(shape: tuple[int, int], *at: tuple[int, int]) -> NDArray[np.bool_]:
    pixels = np.zeros(shape, dtype=np.bool_)
    for each in at:
        pixels[each] = True
    return pixels


@pytest.mark.parametrize(
    ("radius", "expected"),
    [
        pytest.param(19, [".....", ".....", "..x..", ".....", "....."], id="less-than-a-pixel"),
        pytest.param(20, [".....", "..x..", ".xxx.", "..x..", "....."], id="one-pixel"),
        pytest.param(29, [".....", ".xxx.", ".xxx.", ".xxx.", "....."], id="the-diagonal"),
        pytest.param(40, ["..x..", ".xxx.", "xxxxx", ".xxx.", "..x.."], id="two-pixels"),
        pytest.param(45, [".xxx.", "xxxxx", "xxxxx", "xxxxx", ".xxx."], id="a-knights-move"),
    ],
)
def test_a_disc_has_the_pixels_whose_centre_is_within_the_radius(
    radius: float, expected: list[str]
) -> None:
    assert drawn(disc_on(UTM, radius).around(one((5, 5), (2, 2)))) == expected


def test_pixels_of_another_height_make_an_ellipse_of_pixels() -> None:
    assert drawn(Disc(20, width=20, height=10).around(one((5, 5), (2, 2)))) == [
        "..x..",
        "..x..",
        ".xxx.",
        "..x..",
        "..x..",
    ]


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    share=st.sampled_from([0.0, 0.01, 0.2, 1.0]),
    radius=st.floats(0, 130),
    size=st.tuples(st.sampled_from([10.0, 20.0, 30.0]), st.sampled_from([10.0, 20.0, 30.0])),
    shape=st.tuples(st.integers(1, 12), st.integers(1, 12)),
)
def test_every_pixel_within_the_radius_of_a_cloud_and_no_other(
    seed: int,
    *,
    share: float,
    radius: float,
    size: tuple[float, float],
    shape: tuple[int, int],
) -> None:
    clouds = np.random.default_rng(seed).random(shape) < share
    rows, columns = np.nonzero(clouds)
    expected = np.zeros(shape, dtype=np.bool_)
    for row, column in np.ndindex(shape):
        far = np.hypot((rows - row) * size[1], (columns - column) * size[0])
        expected[row, column] = bool((far <= radius * (1 + 1e-9)).any())

    assert (Disc(radius, *size).around(clouds) == expected).all()


@pytest.mark.parametrize(
    ("source", "pixels"),
    [
        pytest.param(UTM, 6, id="utm"),
        pytest.param(grid("EPSG:32633", 20, left=833000, top=9e5), 6, id="at-the-edge-of-a-zone"),
        # 20 m of web-mercator are 10 m on the ground at 60 degrees north
        pytest.param(grid("EPSG:3857", 20, left=1e6, top=8399738), 12, id="web-mercator"),
        pytest.param(grid("EPSG:2263", 65.6168, left=1e6, top=2e5), 6, id="feet"),
        pytest.param(grid("EPSG:4326", 120 / 6 / 111320, left=10, top=0), 6, id="degrees"),
    ],
)
def test_the_radius_is_metres_on_the_ground(source: SourceGrid, pixels: int) -> None:
    assert disc_on(source, 121).columns == pixels


def test_nothing_within_the_margin_of_a_cloud_is_clear() -> None:
    classes = np.full((5, 7), 4, dtype=np.uint8)
    classes[2, 1], classes[2, 5], classes[0, 3] = 9, 3, 0
    rule = SCL.with_buffer(CloudBuffer(cloud=20, shadow=40))

    assert drawn(clear_outside_buffer(classes, rule, UTM)) == [
        "xxx.x.x",
        "x.xx...",
        ".......",
        "x.xx...",
        "xxxxx.x",
    ]
    assert drawn(clear_outside_buffer(classes, SCL, UTM)) == [
        "xxx.xxx",
        "xxxxxxx",
        "x.xxx.x",
        "xxxxxxx",
        "xxxxxxx",
    ]


def test_flags_have_margins_too_and_fill_has_none() -> None:
    flags = np.zeros((3, 6), dtype=np.uint16)
    flags[1, 0], flags[1, 5] = 1, 1 << 3
    rule = ClearBits((0, 1, 2, 3, 4), CloudClasses(cloud=frozenset({2, 3})))

    found = clear_outside_buffer(flags, rule.with_buffer(CloudBuffer(20, 20)), UTM)

    assert drawn(found) == ["xxxxx.", ".xxx..", "xxxxx."]


def test_a_margin_round_classes_that_nobody_named_is_none() -> None:
    rule = ClearClasses(frozenset({1})).with_buffer(CloudBuffer(120, 120))

    assert rule.clouds.buffer == CloudBuffer()
    assert not rule.clouds.margins


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    radii=st.tuples(*[st.sampled_from([0.0, 20.0, 50.0, 90.0])] * 2),
    part=st.tuples(*[st.integers(0, 30)] * 2, *[st.integers(1, 10)] * 2),
)
def test_a_part_and_its_halo_have_the_pixels_of_the_whole(
    seed: int, *, radii: tuple[float, float], part: tuple[int, int, int, int]
) -> None:
    source = grid("EPSG:32633", 20, 40, left=5e5, top=5e6)
    random = np.random.default_rng(seed)
    classes = random.choice([4, 9, 3], size=(40, 40), p=[0.97, 0.02, 0.01]).astype(np.uint8)
    rule = SCL.with_buffer(CloudBuffer(*radii))
    whole = clear_outside_buffer(classes, rule, source)
    window = Window(*part)

    larger = with_halo(window, rule, source)
    found = clear_outside_buffer(classes[larger.slices_in(source.window)], rule, source)

    assert (found[window.slices_in(larger)] == whole[window.slices_in(source.window)]).all()
