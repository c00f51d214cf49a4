"""Clouds and their shadows on the landscape's lattice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spatial_assets.demo.landscape import CELL
from spatial_assets.demo.noise import FloatGrid, fractal_noise, soft_step

_CLOUD_BASE = 1_500.0  # metres above the ground


@dataclass(frozen=True, eq=False)
class CloudCover:
    """Clouds and shadows between the ground and the satellite."""

    cloud: FloatGrid
    """Share of the light that comes from the cloud: 0 clear, 1 opaque."""

    shadow: FloatGrid
    """Share of the sunlight that a cloud keeps from the ground."""

    brightness: FloatGrid
    """Reflectance of the cloud itself."""


@dataclass(frozen=True, kw_only=True)
class Weather:
    """Parameters of the clouds of a day."""

    seed: int
    """Random seed of their shapes."""

    cover: float
    """Share of the ground under cloud, 0 to 1."""

    scale: float
    """Distance from one cloud to the next, in pixels."""


def make_clouds(
    weather: Weather, shape: tuple[int, int], *, sun: tuple[float, float]
) -> CloudCover:
    """Generate the clouds and shadows of a day.

    Args:
        weather: parameters of the clouds.
        shape: (rows, columns) of the lattice.
        sun: (azimuth, elevation) in degrees.
    """
    rng = np.random.default_rng(weather.seed)
    density = fractal_noise(shape, weather.scale, octaves=5, rng=rng)
    # An overcast day needs a lower threshold, so that nothing shines through.
    edge = float(np.quantile(density[::8, ::8], 1 - weather.cover)) - (weather.cover >= 1)
    cloud = soft_step(density, edge, 0.22)
    azimuth, elevation = np.radians(sun)
    distance = _CLOUD_BASE / np.tan(elevation) / CELL
    # Shadows point away from the sun; row numbers increase to the south.
    down, right = round(distance * np.cos(azimuth)), round(-distance * np.sin(azimuth))
    brightness = 0.52 + 0.09 * np.clip(density - np.float32(edge), 0, 3)
    return CloudCover(cloud, _shifted(cloud, down, right), brightness.astype(np.float32))


def _shifted(values: FloatGrid, down: int, right: int) -> FloatGrid:
    """Shift values by cells, repeating the edge values."""
    pad = max(abs(down), abs(right))
    padded = np.pad(values, pad, mode="edge")
    height, width = values.shape
    return padded[pad - down : pad - down + height, pad - right : pad - right + width]
