"""The task of every contestant in neutral terms, and the description of a contestant."""

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
"""Value of index pixels without an observation; the index is stored times 10,000."""


class AbsentError(Exception):
    """A dependency of a contestant is missing; the message names it and its source."""


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A square of pixels in web-mercator."""

    key: str
    left: float
    """x of the western edge, in metres of the projection."""

    top: float
    """y of the northern edge, in metres of the projection."""

    pixel: float
    """Side of a pixel, in metres of the projection."""

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
    """Tiles to make from scenes: the masked reflectance of each scene, and the median of the index.

    Every contestant writes into `folder`, for each tile, red and nir as reflectance x 10,000 with
    0 where a pixel is masked, the median NDVI x 10,000 of the days, and the number of
    observations. Some also write the raw windows of the scenes, as the product does.
    """

    scenes: tuple[Path, ...]
    """A folder for each day: red.tif, nir.tif, scl.tif and a STAC item named like the folder."""

    tiles: tuple[Tile, ...]
    project: Path
    """Folder of the product's project file, which names the same scenes."""

    folder: Path
    """Output folder of the contestant."""


Answer = Callable[[Task, Tile], NDArray[np.int16]]


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """A way to make the tiles."""

    name: str
    """Name in the results."""

    work: Callable[[Task], None]
    """Makes all tiles of a task. Called repeatedly in a separate process."""

    ndvi: Answer
    """Reads the index of a tile that was made: shape (row, column)."""

    stores: str
    """Description of its output."""

    settings: str
    """Reason for its settings, for readers who would choose others."""

    packages: tuple[str, ...] = ()
    """Distributions whose versions are reported."""

    most: float | None = None
    """Maximum of our cost as a multiple of its cost; None: no target."""

    program: Callable[[], str] | None = None
    """Returns the name and version of a program outside our Python, fetching it if necessary.

    Raises:
        AbsentError: it is missing and cannot be fetched.
    """
