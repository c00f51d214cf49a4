"""Common names of spectral bands: wavelengths as the EO extension of STAC gives them."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

COMMON_NAMES: Final = MappingProxyType(
    {
        "coastal": (0.40, 0.45),
        "blue": (0.45, 0.50),
        "green": (0.50, 0.60),
        "yellow": (0.58, 0.62),
        "pan": (0.50, 0.70),
        "red": (0.60, 0.70),
        "rededge": (0.70, 0.79),
        "rededge071": (0.69, 0.73),
        "rededge075": (0.73, 0.76),
        "rededge078": (0.76, 0.79),
        "nir": (0.75, 1.00),
        "nir08": (0.75, 0.90),
        "nir09": (0.85, 1.05),
        "cirrus": (1.35, 1.40),
        "swir16": (1.55, 1.75),
        "swir22": (2.10, 2.30),
        "lwir": (10.5, 12.5),
        "lwir11": (10.5, 11.5),
        "lwir12": (11.5, 12.5),
    }
)
"""Common name -> shortest and longest wavelength, micrometres: the table "Common Band Names" of
the EO extension 1.1, and the three parts of `rededge` of its version 2.0."""


def contradict(name: str, other: str) -> bool:
    """Return True if two common names cannot mean one band: their wavelengths lie apart.

    A name that is none of `COMMON_NAMES` contradicts no other.
    """
    if name not in COMMON_NAMES or other not in COMMON_NAMES:
        return False
    (first, last), (start, stop) = COMMON_NAMES[name], COMMON_NAMES[other]
    return last <= start or stop <= first
