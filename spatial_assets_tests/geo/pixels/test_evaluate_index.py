"""Indices: their values on known surfaces, and no invented values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from spatial_assets.errors import RasterError
from spatial_assets.geo.pixels.evaluate_index import (
    SpectralIndex,
    apply_index,
    index_spread,
    judge_range,
)
from spatial_assets.geo.radiometry import FILL
from spatial_assets.indices import INDICES

NDVI = INDICES["ndvi"]
COMMON_NAMES = {"blue", "green", "red", "nir", "swir16", "swir22", "rededge"}


def one(index: SpectralIndex, bands: dict[str, float], *, known: bool = True) -> tuple[float, bool]:
    arrays = {name: np.array([[value]], dtype=np.float32) for name, value in bands.items()}
    values, valid = apply_index(index, arrays, np.array([[known]]))
    return float(values[0, 0]), bool(valid[0, 0])


@pytest.mark.parametrize(
    ("red", "nir", "expected"),
    [
        pytest.param(0.1, 0.5, 0.4 / 0.6, id="leaf"),
        pytest.param(0.3, 0.3, 0.0, id="bare-soil"),
        pytest.param(0.2, 0.1, -1 / 3, id="water"),
        pytest.param(0.0, 0.3, 1.0, id="black-in-red"),
    ],
)
def test_ndvi_of_known_surfaces(red: float, nir: float, expected: float) -> None:
    value, valid = one(NDVI, {"red": red, "nir": nir})

    assert valid
    assert value == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("red", "nir"),
    [
        pytest.param(0.0, 0.0, id="zero-denominator"),
        pytest.param(-0.2, 0.1, id="negative-denominator"),
        pytest.param(-0.01, 0.3, id="above-one"),
        pytest.param(0.3, -0.01, id="below-minus-one"),
        pytest.param(float("nan"), 0.3, id="unknown-band"),
    ],
)
def test_an_answer_that_means_nothing_is_invalid_rather_than_clipped(
    red: float, nir: float
) -> None:
    value, valid = one(NDVI, {"red": red, "nir": nir})

    assert not valid
    assert np.isnan(value)


def test_an_invalid_input_is_an_invalid_answer() -> None:
    assert not one(NDVI, {"red": 0.1, "nir": 0.5}, known=False)[1]


def test_a_missing_band_is_named() -> None:
    with pytest.raises(RasterError, match="missing nir") as caught:
        one(NDVI, {"red": 0.1})

    assert caught.value.reason == "missing_band"


@pytest.mark.parametrize(
    ("name", "bands", "expected"),
    [
        ("evi", {"blue": 0.05, "red": 0.1, "nir": 0.5}, 2.5 * 0.4 / (0.5 + 0.6 - 0.375 + 1)),
        ("ndwi", {"green": 0.2, "nir": 0.1}, 1 / 3),
        ("ndmi", {"nir": 0.4, "swir16": 0.2}, 1 / 3),
        ("savi", {"red": 0.1, "nir": 0.5}, 1.5 * 0.4 / 1.1),
    ],
)
def test_the_other_indices_by_hand(name: str, bands: dict[str, float], expected: float) -> None:
    value, valid = one(INDICES[name], bands)

    assert valid
    assert value == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES)
def test_an_index_states_names_a_source_and_a_range_that_can_be_stored(
    index: SpectralIndex,
) -> None:
    assert index.name == index.name.lower()
    assert set(index.needs) <= COMMON_NAMES
    assert "doi:" in index.reference
    assert max(map(abs, index.expected_range)) <= 3.2767


@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES)
@given(data=st.data())
def test_a_valid_answer_is_finite_and_in_range(index: SpectralIndex, data: st.DataObject) -> None:
    reflectances = st.integers(-32767, 32767).map(lambda step: step * 1e-4)
    bands = {name: data.draw(reflectances) for name in index.needs}

    value, valid = one(index, bands)

    low, high = index.expected_range
    assert (low <= value <= high) if valid else np.isnan(value)


def test_indices_are_found_by_name_in_alphabetical_order() -> None:
    assert list(INDICES) == sorted(INDICES)
    assert {"ndvi", "evi", "ndwi", "ndmi", "savi"} <= set(INDICES)


@pytest.mark.parametrize(
    ("computed", "kept", "passed"),
    [(1000, 1000, True), (1000, 990, True), (1000, 989, False), (1000, 0, False), (0, 0, True)],
)
def test_the_range_check_judges_the_share_removed(
    computed: int, *, kept: int, passed: bool
) -> None:
    verdict = judge_range(NDVI, computed, kept=kept, most_removed_share=0.01)

    assert verdict.passed is passed
    assert verdict.evidence["removed_fraction"] == pytest.approx(
        1 - kept / computed if computed else 0
    )


@pytest.mark.parametrize(
    ("values", "spread"),
    [
        pytest.param(np.zeros((40, 40)), 0.0, id="zero"),
        pytest.param(np.full((40, 40), 7895), 0.0, id="constant"),
        pytest.param(np.arange(1600).reshape(40, 40), 0.14391, id="ramp"),
        pytest.param(np.where(np.arange(1600) < 20, 5000, 0).reshape(40, 40), 0.0, id="speckle"),
        pytest.param(np.zeros((30, 30)), None, id="few-pixels"),
        pytest.param(np.full((40, 40), FILL), None, id="nothing-valid"),
        pytest.param(np.zeros((2000, 2000)), 0.0, id="sampled"),
    ],
)
def test_the_spread_of_an_index(values: NDArray[np.int64], spread: float | None) -> None:
    assert index_spread(values.astype(np.int16)) == spread
