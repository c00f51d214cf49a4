"""Clear sky: classes that are kept; unknown pixels are not."""

from __future__ import annotations

import numpy as np
import pytest

from spatial_assets.errors import RasterError
from spatial_assets.geo.clear_sky import ClearBits, ClearClasses

SCL = ClearClasses(frozenset({4, 5, 6, 7}))
QA_PIXEL = ClearBits((0, 1, 2, 3, 4))


def test_vegetation_soil_water_and_unclassified_are_clear_and_class_12_is_not() -> None:
    classes = np.arange(13, dtype=np.uint8)

    assert np.flatnonzero(SCL.clear(classes)).tolist() == [4, 5, 6, 7]


@pytest.mark.parametrize(
    ("pixel", "clear"),
    [
        pytest.param(21824, True, id="clear-land"),
        pytest.param(21952, True, id="clear-water"),
        pytest.param(1, False, id="fill"),
        pytest.param(22280, False, id="cloud"),
        pytest.param(23888, False, id="shadow"),
        pytest.param(21826, False, id="dilated-cloud"),
        pytest.param(54596, False, id="cirrus"),
        pytest.param(30048, True, id="snow-unless-asked"),
    ],
)
def test_landsat_values_of_the_product_guide(pixel: int, *, clear: bool) -> None:
    assert QA_PIXEL.clear(np.array([pixel], dtype=np.uint16)).tolist() == [clear]


def test_snow_is_dropped_by_its_bit() -> None:
    with_snow = ClearBits((0, 1, 2, 3, 4, 5))

    assert not with_snow.clear(np.array([30048], dtype=np.uint16)).any()


def test_what_stands_for_unobserved_is_never_clear() -> None:
    for rule in (SCL, ClearClasses(frozenset({0, 1, 2})), QA_PIXEL, ClearBits((3,))):
        assert not rule.clear(np.array([rule.unobserved], dtype=np.uint16)).any()


@pytest.mark.parametrize("bits", [(), (-1,), (16,)])
def test_bits_that_no_band_has_are_refused(bits: tuple[int, ...]) -> None:
    with pytest.raises(RasterError):
        ClearBits(bits)


def test_a_rule_that_keeps_nothing_is_refused() -> None:
    with pytest.raises(RasterError):
        ClearClasses(frozenset())
