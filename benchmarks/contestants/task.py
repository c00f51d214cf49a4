"""What every contestant is asked for, in terms that belong to none of them, and what it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from affine import Affine
from numpy.typing import NDArray

CRS = "EPSG:3857"
CLEAR = (4, 5, 6, 7)
"""Classes of scl that are kept: vegetation, soil, water, unclassified."""

FILL = -32768
"""What stands where no scene sees a pixel of the index; the index is stored times 10,000."""


class AbsentError(Exception):
    """What a contestant needs is not here: the message says what, and where to get it."""


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A square of pixels in web-mercator."""

    key: str
    left: float
    """x of its western edge, in metres of the projection."""

    top: float
    """y of its northern edge, likewise."""

    pixel: float
    """Side of a pixel, likewise."""

    size: int
    """Pixels along a side."""

    @property
    def transform(self) -> Affine:
        """(column, row) of a pixel's corner -> (x, y)."""
        return Affine(self.pixel, 0.0, self.left, 0.0, -self.pixel, self.top)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north."""
        side = self.size * self.pixel
        return self.left, self.top - side, self.left + side, self.top

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.size, self.size


@dataclass(frozen=True, kw_only=True)
class Task:
    """Tiles to make: for each, of each scene the masked reflectance, and the median of the index.

    Every contestant leaves in `folder`, for each tile, red and nir as reflectance x 10,000 with
    0 where a pixel is masked, the median NDVI x 10,000 of the days, and the number of
    observations; some the raw windows of the scenes as well, as the product does.
    """

    scenes: tuple[Path, ...]
    """A folder for each day: red.tif, nir.tif and scl.tif, and a STAC item named as the folder."""

    tiles: tuple[Tile, ...]
    project: Path
    """Where our own project file is; it names the same scenes."""

    folder: Path
    """The contestant's own."""


Answer = Callable[[Task, Tile], NDArray[np.int16]]


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """A way to make the tiles."""

    name: str
    """As the results call it."""

    work: Callable[[Task], None]
    """Makes all tiles of a task. Runs in a process of its own, again and again."""

    ndvi: Answer
    """Reads back what was left of a tile: shape (row, column)."""

    stores: str
    """What it leaves behind, in words."""

    settings: str
    """Why it is written as it is: for readers who would have done it otherwise."""

    packages: tuple[str, ...] = ()
    """Distributions whose versions matter."""

    most: float | None = None
    """That our cost may be, as a multiple of its cost, if something is promised."""

    program: Callable[[], str] | None = None
    """Tells name and version of what is no package of our Python, and fetches it if need be.

    Raises:
        AbsentError: it is not here, and cannot be fetched.
    """
