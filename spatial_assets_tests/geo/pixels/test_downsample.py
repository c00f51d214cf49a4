"""A raster downsampled in parts equals the one downsampled at once, and has the right colours."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatial_assets.geo.pixels.colour_ramp import RAMP_STOPS, UNKNOWN_COLOUR, colours_of
from spatial_assets.geo.pixels.downsample import Overview, downsampled

nan = float("nan")


def test_a_cell_is_the_mean_of_what_is_known_in_it() -> None:
    values = np.array([[1.0, 3.0, nan], [nan, 2.0, nan], [5.0, 7.0, 9.0]])

    assert np.array_equal(downsampled(values, 2), [[2.0, nan], [6.0, 9.0]], equal_nan=True)


@given(
    rows=st.integers(1, 40),
    columns=st.integers(1, 40),
    longest=st.integers(1, 50),
    cut=st.integers(1, 13),
    seed=st.integers(0, 99),
)
def test_how_it_is_cut_into_parts_changes_nothing(
    rows: int, columns: int, *, longest: int, cut: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    values = np.where(rng.random((rows, columns)) < 0.3, nan, rng.integers(0, 100, (rows, columns)))

    overview = Overview((rows, columns), longest)
    for row in range(0, rows, cut):
        for column in range(0, columns, cut):
            overview.add(values[row : row + cut, column : column + cut], row, column)

    assert np.array_equal(overview.means(), downsampled(values, longest), equal_nan=True)
    assert max(overview.means().shape) <= longest


def test_what_is_small_enough_stays_as_it_is() -> None:
    values = np.array([[1.0, 2.0], [3.0, nan]])

    assert np.array_equal(downsampled(values, 2), values, equal_nan=True)


def test_stops_unknown_and_beyond_have_their_colours() -> None:
    values = np.array([-5.0, *(value for value, _ in RAMP_STOPS), 5.0, nan])

    assert colours_of(values).tolist() == [
        list(RAMP_STOPS[0][1]),
        *(list(colour) for _, colour in RAMP_STOPS),
        list(RAMP_STOPS[-1][1]),
        list(UNKNOWN_COLOUR),
    ]


@pytest.mark.parametrize("value", np.linspace(0.1, 0.94, 30))
def test_denser_leaves_are_darker(value: float) -> None:
    lighter, darker = colours_of(np.array([value, value + 0.01])).astype(int).sum(axis=1)

    assert darker <= lighter + 3
