"""Smooth random noise that makes hills, fields and clouds look natural."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatGrid = NDArray[np.float32]


def _weights(length: int, knots: int) -> FloatGrid:
    """Cubic B-spline weights of `knots` + 3 knots at `length` points, shape (length, knots + 3)."""
    positions = np.arange(length) * (knots / length)
    first = positions.astype(np.int64)
    t = (positions - first).astype(np.float32)
    spline = np.stack(
        [
            (1 - t) ** 3 / 6,
            (3 * t**3 - 6 * t**2 + 4) / 6,
            (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6,
            t**3 / 6,
        ]
    )
    weights = np.zeros((length, knots + 3), dtype=np.float32)
    for offset, weight in enumerate(spline):
        weights[np.arange(length), first + offset] = weight
    return weights


def smooth_noise(shape: tuple[int, int], scale: float, rng: np.random.Generator) -> FloatGrid:
    """Noise with mean 0 and a standard deviation of about 1 that varies over `scale` pixels."""
    rows, columns = (max(1, round(size / scale)) for size in shape)
    knots = rng.standard_normal((rows + 3, columns + 3), dtype=np.float32)
    spread = np.float32(1.0 / 0.48)  # averaging sixteen knots leaves 0.48 of the spread
    return _weights(shape[0], rows) @ (knots * spread) @ _weights(shape[1], columns).T


def fractal_noise(
    shape: tuple[int, int], scale: float, *, octaves: int, rng: np.random.Generator
) -> FloatGrid:
    """Noise with detail at all scales up to `scale` pixels, and a standard deviation of about 1."""
    total = np.zeros(shape, dtype=np.float32)
    power = 0.0
    for octave in range(octaves):
        amplitude = 0.5**octave
        total += np.float32(amplitude) * smooth_noise(shape, scale / 2**octave, rng)
        power += amplitude**2
    total /= np.float32(power**0.5)
    return total


def soft_step(values: FloatGrid, edge: float, width: float) -> FloatGrid:
    """Step from 0 below `edge` to 1 above, with a smooth transition of `width`."""
    t = np.clip((values - np.float32(edge)) / np.float32(width) + np.float32(0.5), 0, 1)
    step: FloatGrid = t * t * (3 - 2 * t)
    return step


def blurred(values: FloatGrid) -> FloatGrid:
    """Blur each value with its neighbours, like the optics of a satellite."""
    rows = values.copy()
    rows[1:-1] = (values[:-2] + 2 * values[1:-1] + values[2:]) / 4
    out = rows.copy()
    out[:, 1:-1] = (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 4
    return out
