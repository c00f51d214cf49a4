"""Clouds and the shadows they throw, on the landscape's lattice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spatial_assets.demo.landscape import CELL
from spatial_assets.demo.noise import Field, fractal_noise, soft_step

_CLOUD_BASE = 1_500.0  # metres above the ground


@dataclass(frozen=True, eq=False)
class CloudCover:
    """What stands between the ground and the satellite."""

    cloud: Field
    """Share of light that comes from cloud: 0 clear, 1 opaque."""

    shadow: Field
    """Share of sunlight that a cloud takes from the ground."""

    brightness: Field
    """Reflectance of the cloud itself."""


@dataclass(frozen=True, kw_only=True)
class Weather:
    """The clouds of a day."""

    seed: int
    """Of their shapes."""

    cover: float
    """Share of the ground under cloud, 0 to 1."""

    scale: float
    """Pixels from one cloud to the next."""


def make_sky(weather: Weather, shape: tuple[int, int], *, sun: tuple[float, float]) -> CloudCover:
    """The sky of a day.

    Args:
        weather: its clouds.
        shape: of the lattice, (rows, columns).
        sun: (azimuth, elevation) in degrees.
    """
    rng = np.random.default_rng(weather.seed)
    heaps = fractal_noise(shape, weather.scale, octaves=5, rng=rng)
    # Overcast is deeper than the thinnest spot of a cloud: nothing shines through.
    edge = float(np.quantile(heaps[::8, ::8], 1 - weather.cover)) - (weather.cover >= 1)
    cloud = soft_step(heaps, edge, 0.22)
    azimuth, elevation = np.radians(sun)
    reach = _CLOUD_BASE / np.tan(elevation) / CELL
    # A shadow falls away from the sun; north is up, so rows grow to the south.
    down, right = round(reach * np.cos(azimuth)), round(-reach * np.sin(azimuth))
    brightness = 0.52 + 0.09 * np.clip(heaps - np.float32(edge), 0, 3)
    return CloudCover(cloud, _moved(cloud, down, right), brightness.astype(np.float32))


def _moved(values: Field, down: int, right: int) -> Field:
    """The values elsewhere, their edge repeated where they came from."""
    pad = max(abs(down), abs(right))
    padded = np.pad(values, pad, mode="edge")
    height, width = values.shape
    return padded[pad - down : pad - down + height, pad - right : pad - right + width]
