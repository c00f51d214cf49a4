"""Digital numbers to reflectance and to int16: fill first, never clipped, nearest step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from spatial_assets.errors import RasterError
from spatial_assets.geo.radiometry import (
    ALREADY_REFLECTANCE,
    FILL,
    INDEX_SCALE,
    Calibration,
    dequantise,
    fill_mask,
    quantise,
    reflectance,
)

SENTINEL = Calibration(1e-4, -0.1)


def test_fill_is_masked_before_the_offset_makes_it_look_real() -> None:
    dn = np.array([0, 1000, 5000], dtype=np.uint16)

    values, valid = reflectance(dn, SENTINEL, fill=fill_mask(dn, 0))

    assert valid.tolist() == [False, True, True]
    assert np.isnan(values[0])
    assert values[1:] == pytest.approx([0.0, 0.4], abs=1e-7)


@pytest.mark.parametrize(
    ("dn", "nodata", "fill"),
    [
        pytest.param(np.array([0, 7, 255], dtype=np.uint8), 255, [1, 0, 1], id="zero-and-nodata"),
        pytest.param(np.array([0, 7], dtype=np.uint16), None, [1, 0], id="zero-undeclared"),
        pytest.param(np.array([-9999, 7], dtype=np.int16), -9999.0, [1, 0], id="negative"),
        pytest.param(np.array([0.0, np.nan, -1.0]), -1.0, [0, 1, 1], id="float-zero-is-dark"),
        pytest.param(np.array([np.inf, 0.5]), float("nan"), [1, 0], id="nan-declared"),
    ],
)
def test_fill_is_zero_of_whole_numbers_nodata_and_nan(
    dn: NDArray[Any],
    nodata: float | None,
    fill: list[int],
) -> None:
    assert fill_mask(dn, nodata).astype(int).tolist() == fill


def test_float_reflectance_is_not_scaled_again() -> None:
    values, valid = reflectance(
        np.array([0.25], dtype=np.float32), ALREADY_REFLECTANCE, fill=np.zeros(1, dtype=np.bool_)
    )

    assert valid.all()
    assert values.tolist() == [0.25]


def test_reflectance_beyond_int16_is_invalid_and_not_clipped() -> None:
    dn = np.array([33766, 33768, 65535], dtype=np.uint16)

    _, valid = reflectance(dn, SENTINEL, fill=fill_mask(dn, 0))

    assert valid.tolist() == [True, False, False]


@given(st.lists(st.integers(-32767, 32767), min_size=1))
def test_what_was_stored_is_stored_again_the_same(steps: list[int]) -> None:
    stored = np.array([*steps, FILL], dtype=np.int16)

    assert quantise(*dequantise(stored, INDEX_SCALE), INDEX_SCALE).tolist() == stored.tolist()


@given(st.floats(-3.25, 3.25, width=32))
def test_storing_errs_by_half_a_step_at_most(value: float) -> None:
    values = np.array([value], dtype=np.float32)

    back, valid = dequantise(quantise(values, np.ones(1, dtype=np.bool_), 1e-4), 1e-4)

    assert valid.all()
    assert abs(float(back[0]) - value) <= 0.5e-4 + 1e-6


def test_a_step_is_the_nearest_and_not_the_lower() -> None:
    values = np.array([0.12346, -0.12346, 0.99999], dtype=np.float32)

    assert quantise(values, np.ones(3, dtype=np.bool_), 1e-4).tolist() == [1235, -1235, 10000]


def test_nan_infinity_and_the_unrepresentable_are_stored_as_fill() -> None:
    values = np.array([np.nan, np.inf, -np.inf, 3.2768, -3.2768, 1.0], dtype=np.float32)
    valid = np.array([True, True, True, True, True, False])

    assert quantise(values, valid, 1e-4).tolist() == [FILL] * 6


@pytest.mark.parametrize(("scale", "offset"), [(0, 0), (-1e-4, 0), (float("nan"), 0), (1, np.inf)])
def test_a_calibration_that_no_archive_means_is_refused(scale: float, offset: float) -> None:
    with pytest.raises(RasterError):
        Calibration(scale, offset)
