"""How an index is coloured, on previews, maps and terminals alike."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

STOPS: Final = (
    (-0.2, (42, 72, 122)),  # water
    (0.0, (148, 156, 166)),
    (0.08, (214, 196, 164)),  # bare soil and roofs
    (0.25, (226, 212, 138)),
    (0.45, (160, 190, 90)),
    (0.65, (70, 146, 62)),
    (0.8, (20, 102, 50)),
    (0.95, (2, 56, 34)),  # closed canopy
)
"""Index value -> red, green, blue; from blue over sand to green with lightness falling steadily,
so that a grey print and a colour-blind reader see the same order."""

LOWEST: Final = STOPS[0][0]
HIGHEST: Final = STOPS[-1][0]

UNKNOWN: Final = (235, 235, 235)
"""Where nobody looked, or only clouds were seen."""


def colours_of(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Red, green, blue of each value, one axis more; `UNKNOWN` for NaN.

    What lies beyond the last colours has them.
    """
    known = np.isfinite(values)
    places = np.where(known, values, LOWEST)
    stops = [value for value, _ in STOPS]
    channels = [
        np.interp(places, stops, [colour[channel] for _, colour in STOPS]) for channel in range(3)
    ]
    coloured = np.rint(np.stack(channels, axis=-1)).astype(np.uint8)
    coloured[~known] = UNKNOWN
    return coloured
