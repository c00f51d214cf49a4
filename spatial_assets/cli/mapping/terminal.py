"""A map in a terminal, with two cells of the map per character."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.text import Text

from spatial_assets.geo.pixels.colour_ramp import colours_of
from spatial_assets.geo.pixels.downsample import downsampled

UPPER_HALF = "▀"
MAX_COLUMNS = 84  # columns
SIDE_MARGIN = 2


def can_show(console: Console) -> bool:
    """Return True if a terminal has colours and the half-block character."""
    return console.color_system in {"256", "truecolor"} and console.encoding.startswith("utf")


def half_blocks(values: NDArray[np.floating], console: Console) -> Text:
    """Render a raster as coloured characters that fill the width, with square pixels."""
    columns = min(MAX_COLUMNS, console.width - 2 * SIDE_MARGIN)
    rows_of_pixels = columns if values.shape[0] <= values.shape[1] else 2 * columns
    cells = colours_of(downsampled(values, rows_of_pixels))
    if len(cells) % 2:
        cells = cells[:-1]
    lines = [_line(upper, lower) for upper, lower in zip(cells[::2], cells[1::2], strict=True)]
    return Text("\n").join(lines)


def _line(upper: NDArray[np.uint8], lower: NDArray[np.uint8]) -> Text:
    line = Text(" " * SIDE_MARGIN)
    for above, below in zip(upper.tolist(), lower.tolist(), strict=True):
        style = Style(color=Color.from_rgb(*above), bgcolor=Color.from_rgb(*below))
        line.append(UPPER_HALF, style)
    return line
