"""The thumbnail: small, transparent where unknown, greener for more vegetation."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from spatial_assets.geo.pixels.thumbnail import preview_png
from spatial_assets.geo.radiometry import FILL


def picture(values: NDArray[np.int16]) -> Image.Image:
    return Image.open(io.BytesIO(preview_png(values)))


@pytest.mark.parametrize(
    ("shape", "size"),
    [((2048, 2048), (112, 112)), ((512, 1024), (112, 56)), ((3, 2), (2, 3)), ((1, 900), (112, 1))],
)
def test_the_longest_side_is_112_pixels_at_most(
    shape: tuple[int, int], size: tuple[int, int]
) -> None:
    assert picture(np.full(shape, 8000, dtype=np.int16)).size == size


def test_noise_is_the_worst_case_and_a_few_kilobytes() -> None:
    noise = np.random.default_rng(1).integers(-2000, 9500, (112, 112)).astype(np.int16)

    assert len(preview_png(noise)) < 12_000


def test_the_unknown_is_transparent_and_the_known_is_not() -> None:
    values = np.full((4, 4), 8000, dtype=np.int16)
    values[0, 0] = FILL

    alpha = np.asarray(picture(values).convert("RGBA"))[:, :, 3]

    assert alpha[0, 0] == 0
    assert (alpha.ravel()[1:] == 255).all()


def test_a_cell_is_the_mean_of_what_is_known_in_it() -> None:
    values = np.full((224, 224), FILL, dtype=np.int16)
    values[::2, ::2] = 8000

    sparse, dense = picture(values), picture(np.full((224, 224), 8000, dtype=np.int16))

    assert sparse.convert("RGBA").tobytes() == dense.convert("RGBA").tobytes()


def test_more_leaves_are_darker_from_bare_soil_to_forest() -> None:
    steps = np.array([[800, 2500, 4500, 6500, 8000, 9500]], dtype=np.int16)

    grey = np.asarray(picture(steps).convert("RGB").convert("L"))[0]

    assert (np.diff(grey[1:].astype(int)) < 0).all()


def test_beyond_the_ramp_is_its_end() -> None:
    values = np.array([[-10000, -2000, 9500, 10000]], dtype=np.int16)

    colours = np.asarray(picture(values).convert("RGB"))[0].tolist()

    assert colours[0] == colours[1]
    assert colours[2] == colours[3]
