"""The fixed sample of a scene: which pixels, and their values in every band, at full resolution.

Whole scene up to a megapixel, else sixteen windows on a fixed 4 x 4 lattice; overviews never.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatial_assets.catalog.access import SourceAccess
from spatial_assets.catalog.facts import BandFacts
from spatial_assets.catalog.opening import opened_or_reason
from spatial_assets.catalog.plausibility import Sample, SampleBand
from spatial_assets.catalog.reader import read_blocks
from spatial_assets.catalog.scene import BandSource, Scene
from spatial_assets.geo.clearsky import ClearSky
from spatial_assets.geo.geobox import Window
from spatial_assets.geo.source_grid import SourceGrid

WHOLE_SCENE = 1 << 20  # pixels
LATTICE = 4  # windows a side
WINDOW = 128  # pixels a side


@dataclass(frozen=True, eq=False)
class _Values:
    """One band at the places of the sample."""

    values: NDArray[Any]
    known: NDArray[np.bool_]


def take_sample(
    scene: Scene, facts: Mapping[str, BandFacts], *, clear: ClearSky | None, access: SourceAccess
) -> Sample:
    """Read the sample of a scene; what cannot be read is not known. Call within `gdal_settings`.

    Raises:
        SourceUnavailableError: the archive did not answer.
    """
    reference = facts["red" if "red" in scene.bands else min(scene.bands)].grid
    taken = {
        source.name: _take(source, facts[source.name].grid, reference=reference, access=access)
        for source in scene.sources
    }
    first, *others = taken.values()
    known = first.known.copy()
    for other in others:
        known &= other.known
    if scene.class_band is not None and clear is not None:
        known &= clear.clear(taken[scene.class_band.name].values)
    bands = {
        name: SampleBand(taken[name].values, facts[name].nodata, facts[name].calibration)
        for name in scene.bands
    }
    return Sample(bands, known)


def sample_windows(grid: SourceGrid) -> Iterator[Window]:
    """The windows of the sample, within the grid that is sampled."""
    if grid.width * grid.height <= WHOLE_SCENE:
        yield grid.window
        return
    columns, rows = (_starts(total) for total in (grid.width, grid.height))
    for row in rows:
        for column in columns:
            yield Window(
                column, row, min(WINDOW, grid.width - column), min(WINDOW, grid.height - row)
            )


def _starts(total: int) -> list[int]:
    """First pixels of the lattice's windows along an axis: each in the middle of its quarter."""
    centres = [(2 * number + 1) * total // (2 * LATTICE) for number in range(LATTICE)]
    return sorted({max(0, min(centre - WINDOW // 2, total - WINDOW)) for centre in centres})


def _take(
    source: BandSource, grid: SourceGrid, *, reference: SourceGrid, access: SourceAccess
) -> _Values:
    """One band at the centres of the reference's sample pixels, by the pixel that holds each."""
    parts = [
        _take_window(source, grid, window=window, reference=reference, access=access)
        for window in sample_windows(reference)
    ]
    return _Values(
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.known for part in parts]),
    )


def _take_window(
    source: BandSource,
    grid: SourceGrid,
    *,
    window: Window,
    reference: SourceGrid,
    access: SourceAccess,
) -> _Values:
    """One window of `_take`; pixels outside the band's file are not known."""
    columns, rows = _pixels_of(grid, window=window, reference=reference)
    in_columns = (columns >= 0) & (columns < grid.width)
    in_rows = (rows >= 0) & (rows < grid.height)
    dataset = opened_or_reason(source, access)
    values = np.zeros(window.shape, dtype=dataset.dtypes[source.index - 1])
    known = np.zeros(window.shape, dtype=np.bool_)
    if in_columns.any() and in_rows.any():
        inside = np.ix_(in_rows, in_columns)
        columns, rows = columns[in_columns], rows[in_rows]
        left, top = int(columns.min()), int(rows.min())
        area = Window(left, top, int(columns.max()) - left + 1, int(rows.max()) - top + 1)
        pixels, readable = read_blocks(source, dataset, window=area, access=access)
        places = np.ix_(rows - top, columns - left)
        values[inside], known[inside] = pixels[places], readable[places]
    return _Values(values.ravel(), known.ravel())


def _pixels_of(
    grid: SourceGrid, *, window: Window, reference: SourceGrid
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(columns, rows) in `grid` that hold the pixel centres of a window of `reference`.

    Neither grid is rotated, so columns depend on x alone and rows on y alone.
    """
    there = ~grid.transform @ reference.transform
    columns = np.arange(window.column, window.column_stop) + 0.5
    rows = np.arange(window.row, window.row_stop) + 0.5
    return (
        np.floor(columns * there.a + there.c).astype(np.int64),
        np.floor(rows * there.e + there.f).astype(np.int64),
    )
