"""Smooth random fields: what makes hills, fields and clouds look grown rather than drawn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]


def _weights(length: int, knots: int) -> Field:
    """Cubic B-spline weights of `knots` + 3 knots at `length` places, shape (length, knots + 3)."""
    places = np.arange(length) * (knots / length)
    first = places.astype(np.int64)
    t = (places - first).astype(np.float32)
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


def smooth_noise(shape: tuple[int, int], scale: float, rng: np.random.Generator) -> Field:
    """Noise of mean 0 and about unit spread that changes over `scale` pixels."""
    rows, columns = (max(1, round(size / scale)) for size in shape)
    knots = rng.standard_normal((rows + 3, columns + 3), dtype=np.float32)
    spread = np.float32(1.0 / 0.48)  # what averaging sixteen knots leaves of their spread
    return _weights(shape[0], rows) @ (knots * spread) @ _weights(shape[1], columns).T


def fractal_noise(
    shape: tuple[int, int], scale: float, *, octaves: int, rng: np.random.Generator
) -> Field:
    """Noise with detail at every scale from `scale` pixels down, of about unit spread."""
    total = np.zeros(shape, dtype=np.float32)
    power = 0.0
    for octave in range(octaves):
        amplitude = 0.5**octave
        total += np.float32(amplitude) * smooth_noise(shape, scale / 2**octave, rng)
        power += amplitude**2
    total /= np.float32(power**0.5)
    return total


def soft_step(values: Field, edge: float, width: float) -> Field:
    """0 below `edge`, 1 above, with a soft passage `width` wide."""
    t = np.clip((values - np.float32(edge)) / np.float32(width) + np.float32(0.5), 0, 1)
    step: Field = t * t * (3 - 2 * t)
    return step


def blurred(values: Field) -> Field:
    """Each value mixed with its neighbours, as the optics of a satellite do."""
    rows = values.copy()
    rows[1:-1] = (values[:-2] + 2 * values[1:-1] + values[2:]) / 4
    out = rows.copy()
    out[:, 1:-1] = (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 4
    return out
