"""The fixed sample of a scene: its pixels, and their values in every band, at full resolution.

The whole scene up to a megapixel, else sixteen windows on a fixed 4 x 4 lattice; never overviews.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.rasters.masks import read_masked_blocks
from spatial_assets.catalog.rasters.opening import open_or_explain
from spatial_assets.catalog.rasters.plausibility import Sample, SampleBand
from spatial_assets.catalog.rasters.prefetch import prefetching
from spatial_assets.catalog.rasters.windows import READ_BLOCK, with_bytes
from spatial_assets.catalog.scene import BandSource, Scene
from spatial_assets.catalog.scene_facts import BandFacts
from spatial_assets.geo.clear_sky import ClearSky
from spatial_assets.geo.grid.geobox import Window
from spatial_assets.geo.warp.source_grid import SourceGrid

WHOLE_SCENE_PIXELS = 1 << 20
SAMPLE_WINDOWS_PER_SIDE = 4
SAMPLE_WINDOW_PIXELS = 128  # per side


@dataclass(frozen=True, eq=False)
class _Values:
    """Values of one band at the sample pixels."""

    values: NDArray[Any]
    known: NDArray[np.bool_]


def take_sample(
    scene: Scene, facts: Mapping[str, BandFacts], *, clear: ClearSky | None, access: SourceAccess
) -> Sample:
    """Read the sample of a scene; unreadable pixels are unknown. Call within `gdal_settings`.

    Raises:
        SourceUnavailableError: the archive did not answer.
    """
    sampled = facts["red" if "red" in scene.bands else min(scene.bands)]
    windows = list(sample_windows(sampled.grid, sampled.block))
    positions = {
        name: [_Position.of(facts[name].grid, window, reference=sampled.grid) for window in windows]
        for name in (source.name for source in scene.sources)
    }
    areas = [
        (
            source,
            [position.area for position in positions[source.name] if position.area is not None],
        )
        for source in scene.sources
    ]
    with prefetching(areas, access):
        taken = {
            source.name: _take(
                source, facts[source.name].masks, positions=positions[source.name], access=access
            )
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


def sample_windows(grid: SourceGrid, block: tuple[int, int]) -> Iterator[Window]:
    """Yield the windows of the sample, within the sampled grid.

    Args:
        grid: of the file that is sampled.
        block: (rows, columns) of its own blocks.
    """
    if grid.width * grid.height <= WHOLE_SCENE_PIXELS:
        yield grid.window
        return
    rows, columns = (
        _starts(total, own=own) for total, own in zip((grid.height, grid.width), block, strict=True)
    )
    for row in rows:
        for column in columns:
            yield Window(
                column,
                row,
                min(SAMPLE_WINDOW_PIXELS, grid.width - column),
                min(SAMPLE_WINDOW_PIXELS, grid.height - row),
            )


def _starts(total: int, *, own: int) -> list[int]:
    """Return the first pixels of the lattice's windows along an axis, each amid its quarter.

    Shifted so that a window lies in one block: reading it decodes, and fetches, only that one.
    """
    block = own if own % READ_BLOCK == 0 else READ_BLOCK
    starts = set()
    for number in range(SAMPLE_WINDOWS_PER_SIDE):
        centre = (2 * number + 1) * total // (2 * SAMPLE_WINDOWS_PER_SIDE)
        first = centre // block * block
        start = min(
            max(centre - SAMPLE_WINDOW_PIXELS // 2, first), first + block - SAMPLE_WINDOW_PIXELS
        )
        starts.add(max(0, min(start, total - SAMPLE_WINDOW_PIXELS)))
    return sorted(starts)


def _take(
    source: BandSource,
    masks: tuple[str, ...],
    *,
    positions: Sequence[_Position],
    access: SourceAccess,
) -> _Values:
    """Read one band at the pixels that hold the centres of the reference's sample pixels."""
    areas = [position.area for position in positions if position.area is not None]
    dataset = open_or_explain(source, access)
    with_bytes(source, dataset, windows=areas, access=access)
    parts = [
        _take_window(source, masks, position=position, access=access) for position in positions
    ]
    return _Values(
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.known for part in parts]),
    )


def _take_window(
    source: BandSource, masks: tuple[str, ...], *, position: _Position, access: SourceAccess
) -> _Values:
    """Read one window of `_take`; pixels outside the band's file, or masked, are unknown."""
    dataset = open_or_explain(source, access)
    shape = position.in_rows.size, position.in_columns.size
    values = np.zeros(shape, dtype=dataset.dtypes[source.index - 1])
    known = np.zeros(shape, dtype=np.bool_)
    if position.area is not None:
        inside = np.ix_(position.in_rows, position.in_columns)
        rows = position.rows[position.in_rows] - position.area.row
        columns = position.columns[position.in_columns] - position.area.column
        pixels = read_masked_blocks(source, masks, window=position.area, access=access)
        values[inside], known[inside] = (
            pixels.values[np.ix_(rows, columns)],
            pixels.observed[np.ix_(rows, columns)],
        )
    return _Values(values.ravel(), known.ravel())


@dataclass(frozen=True, eq=False)
class _Position:
    """Position of the pixel centres of a reference window in a band's file.

    Neither grid is rotated, so columns depend on x alone and rows on y alone.
    """

    columns: NDArray[np.int64]
    rows: NDArray[np.int64]
    in_columns: NDArray[np.bool_]
    """True where a column is one of the file."""

    in_rows: NDArray[np.bool_]
    area: Window | None
    """Pixels of the file that hold any centre; None: the file does not extend there."""

    @classmethod
    def of(cls, grid: SourceGrid, window: Window, *, reference: SourceGrid) -> _Position:
        """Return the position of a window of `reference` in `grid`."""
        there = ~grid.transform @ reference.transform
        columns, rows = (
            np.floor((np.arange(start, stop) + 0.5) * step + origin).astype(np.int64)
            for start, stop, step, origin in (
                (window.column, window.column_stop, there.a, there.c),
                (window.row, window.row_stop, there.e, there.f),
            )
        )
        in_columns = (columns >= 0) & (columns < grid.width)
        in_rows = (rows >= 0) & (rows < grid.height)
        area = None
        if in_columns.any() and in_rows.any():
            x, y = columns[in_columns], rows[in_rows]
            left, top = int(x.min()), int(y.min())
            area = Window(left, top, int(x.max()) - left + 1, int(y.max()) - top + 1)
        return cls(columns, rows, in_columns, in_rows, area)
