"""The colour ramp of an index, the same on previews, maps and terminals."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

RAMP_STOPS: Final = (
    (-0.2, (42, 72, 122)),  # water
    (0.0, (148, 156, 166)),
    (0.08, (214, 196, 164)),  # bare soil and roofs
    (0.25, (226, 212, 138)),
    (0.45, (160, 190, 90)),
    (0.65, (70, 146, 62)),
    (0.8, (20, 102, 50)),
    (0.95, (2, 56, 34)),  # closed canopy
)
"""Index value -> red, green, blue. From blue over sand to green with steadily falling lightness,
so that the order survives a grey print and colour blindness."""

RAMP_MIN: Final = RAMP_STOPS[0][0]
RAMP_MAX: Final = RAMP_STOPS[-1][0]

UNKNOWN_COLOUR: Final = (235, 235, 235)
"""Colour of pixels without a clear observation."""


def colours_of(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Map values to red, green, blue along a new last axis; NaN becomes `UNKNOWN_COLOUR`.

    Values beyond either end of the ramp get the colour of that end.
    """
    known = np.isfinite(values)
    positions = np.where(known, values, RAMP_MIN)
    stops = [value for value, _ in RAMP_STOPS]
    colours = np.array([colour for _, colour in RAMP_STOPS])
    channels = [np.interp(positions, stops, colours[:, channel]) for channel in range(3)]
    coloured: NDArray[np.uint8] = np.rint(np.stack(channels, axis=-1)).astype(np.uint8)
    coloured[~known] = UNKNOWN_COLOUR
    return coloured
