"""Pixels of a window at full resolution, and a mask of those that could be read.

A file is judged in blocks of 512 x 512 of its own pixels, counted from its pixel (0, 0): if any
part of a block cannot be decoded, the whole block is unreadable for every window that touches it.
So the answer never depends on how the area is divided.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import rasterio.windows
from numpy.typing import NDArray
from rasterio.errors import RasterioError

from spatial_assets.catalog.access.hrefs import is_remote
from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.cache.download import forget_copy
from spatial_assets.catalog.cache.sparse_file import ByteSpan
from spatial_assets.catalog.rasters.gdal_datasets import (
    Dataset,
    cached_raster_of,
    close_dataset,
    gdal_settings,
)
from spatial_assets.catalog.rasters.opening import as_local, open_or_explain
from spatial_assets.catalog.scene import BandSource
from spatial_assets.catalog.scene_facts import BandFacts
from spatial_assets.errors import CHANGED_SINCE_INSPECTION, SceneError
from spatial_assets.geo.grid.geobox import Window
from spatial_assets.project.secrets import mask_secrets

READ_BLOCK = 512  # pixels per side
TIFF_DRIVER = "GTiff"

Pixels = tuple[NDArray[Any], NDArray[np.bool_]]


def read_window(
    source: BandSource, facts: BandFacts, window: Window, access: SourceAccess
) -> Pixels:
    """Read the pixels of `window` in the file's own type, and True where they could be read.

    Args:
        source: the band.
        facts: found in its file at the inspection of the scene.
        window: absolute pixel indices of the file, within it.
        access: how the file is reached.

    Raises:
        SourceUnavailableError: the archive did not answer.
        SceneError: the file is gone, or has changed.
    """
    source = as_local(source, access)
    with gdal_settings(access):
        dataset = open_or_explain(source, access)
        require_same(dataset, facts, source)
        return read_blocks(source, dataset, window=window, access=access)


def read_blocks(
    source: BandSource,
    dataset: Dataset,
    *,
    window: Window,
    access: SourceAccess,
    is_mask: bool = False,
) -> Pixels:
    """Read as `read_window`, from an open dataset; call within `gdal_settings`.

    One read answers for all blocks if it covers every part of each of them.

    Args:
        source: whose dataset it is.
        dataset: open.
        window: absolute pixel indices of the file.
        access: how the file is reached.
        is_mask: read the band's internal mask, 0 where it excludes a pixel, in place of the band.
    """
    probe = probing_window(window, dataset)
    dataset = with_bytes(source, dataset, windows=[probe], access=access)
    pixels = _read(dataset, source, probe, is_mask=is_mask)
    _require_arrived(source, access)
    if pixels is not None:
        return pixels[window.slices_in(probe)], np.ones(window.shape, dtype=np.bool_)
    readable = np.zeros(window.shape, dtype=np.bool_)
    dtype = np.uint8 if is_mask else dataset.dtypes[source.index - 1]
    result = np.zeros(window.shape, dtype=dtype)
    for block in blocks_touching(window, width=dataset.width, height=dataset.height):
        pixels = _read_block(source, block, access, is_mask=is_mask)
        shared = block.intersection(window)
        if pixels is not None and shared is not None:
            inside = shared.slices_in(window)
            result[inside] = pixels[shared.slices_in(block)]
            readable[inside] = True
    return result, readable


def blocks_touching(window: Window, *, width: int, height: int) -> Iterator[Window]:
    """Yield the blocks of a file of `width` x `height` pixels that `window` touches, clipped."""
    for row in range(window.row // READ_BLOCK * READ_BLOCK, window.row_stop, READ_BLOCK):
        for column in range(
            window.column // READ_BLOCK * READ_BLOCK, window.column_stop, READ_BLOCK
        ):
            yield Window(
                column, row, min(READ_BLOCK, width - column), min(READ_BLOCK, height - row)
            )


def probing_window(window: Window, dataset: Dataset) -> Window:
    """Return the smallest window whose read decodes all of every block that `window` touches.

    If the file's own blocks consist of whole 512-blocks, or span the file, reading a part of one
    decodes all of it, so nothing is added.
    """
    rows, columns = dataset.block_shapes[0]
    left, right = _probing_span(
        (window.column, window.column_stop), own=columns, total=dataset.width
    )
    top, bottom = _probing_span((window.row, window.row_stop), own=rows, total=dataset.height)
    return Window(left, top, right - left, bottom - top)


def _probing_span(span: tuple[int, int], *, own: int, total: int) -> tuple[int, int]:
    """Return `probing_window` along one axis."""
    start, stop = span
    if own % READ_BLOCK == 0 or own >= total:
        return span
    return start // READ_BLOCK * READ_BLOCK, min(-(-stop // READ_BLOCK) * READ_BLOCK, total)


def _read(
    dataset: Dataset, source: BandSource, window: Window, *, is_mask: bool
) -> NDArray[Any] | None:
    """Read a window once; None if GDAL fails for any reason."""
    area = rasterio.windows.Window(window.column, window.row, window.width, window.height)
    with contextlib.suppress(RasterioError):
        read = dataset.read_masks if is_mask else dataset.read
        pixels: NDArray[Any] = read(source.index, window=area)
        return pixels
    return None


def _read_block(
    source: BandSource, block: Window, access: SourceAccess, *, is_mask: bool
) -> NDArray[Any] | None:
    """Read one whole block, again if the network may have failed; None: the block is damaged.

    Raises:
        SourceUnavailableError: the block's bytes do not arrive.
    """
    pixels = _read(open_or_explain(source, access), source, block, is_mask=is_mask)
    if pixels is not None or not is_remote(source.href):
        return pixels
    _require_arrived(source, access)
    # Every byte arrived, so the block is damaged: in the archive, or in transit or in the cache,
    # which fetching it once more repairs.
    dataset = open_or_explain(source, access)
    dataset = with_bytes(source, dataset, windows=[block], access=access, refetch=True)
    pixels = _read(dataset, source, block, is_mask=is_mask)
    _require_arrived(source, access)
    return pixels


def _require_arrived(source: BandSource, access: SourceAccess) -> None:
    """Raise the reason why GDAL got too few bytes in a read, if it did, whatever it made of them.

    Raises:
        SourceUnavailableError: the archive did not answer.
        SceneError: the file is gone, or has changed.
    """
    cached_raster = cached_raster_of(source, access)
    if cached_raster is not None:
        cached_raster.raise_failure()


def _refetched_copy(source: BandSource, access: SourceAccess) -> Dataset:
    """Return the dataset of a file that is read as a whole, after it was downloaded again."""
    close_dataset(source, access)
    forget_copy(source, access)
    return open_or_explain(source, access)


def require_same(dataset: Dataset, facts: BandFacts, source: BandSource) -> None:
    """Refuse a file that is not the one that was inspected.

    Raises:
        SceneError: `changed_since_inspection`.
    """
    found = (dataset.width, dataset.height, dataset.dtypes[source.index - 1])
    expected = (facts.grid.width, facts.grid.height, facts.dtype)
    if found != expected:
        raise SceneError(
            f"{mask_secrets(source.href)} is {found}, but was {expected} when the scene was "
            "inspected; run again",
            reason=CHANGED_SINCE_INSPECTION,
        )


def block_spans(dataset: Dataset, source: BandSource, window: Window) -> Iterator[ByteSpan]:
    """Yield the byte spans of a TIFF that hold the blocks of a window; none for other files."""
    rows, columns = dataset.block_shapes[0]
    for y in range(window.row // rows, -(-window.row_stop // rows)):
        for x in range(window.column // columns, -(-window.column_stop // columns)):
            start = dataset.get_tag_item(f"BLOCK_OFFSET_{x}_{y}", "TIFF", bidx=source.index)
            size = dataset.get_tag_item(f"BLOCK_SIZE_{x}_{y}", "TIFF", bidx=source.index)
            if start and size and int(size) > 0:
                yield int(start), int(start) + int(size)


def with_bytes(
    source: BandSource,
    dataset: Dataset,
    *,
    windows: Sequence[Window],
    access: SourceAccess,
    refetch: bool = False,
) -> Dataset:
    """Fetch the bytes of `windows` in one go, and return the dataset to read them from.

    Call within `gdal_settings`. Nothing is fetched in advance of a JPEG 2000 file, whose blocks are
    not known, and of a file whose copy is on this machine.

    Args:
        source: whose dataset it is.
        dataset: open.
        windows: of the file's pixels.
        access: how the file is reached.
        refetch: fetch also what is here already, and open the file again.

    Raises:
        SourceUnavailableError: the archive did not answer.
        SceneError: the file is gone, or has changed.
    """
    cached_raster = cached_raster_of(source, access)
    if cached_raster is None:
        return _refetched_copy(source, access) if refetch else dataset
    if refetch and dataset.driver != TIFF_DRIVER:
        cached_raster.forget()  # it is not known which bytes hold a block
    spans = [span for window in windows for span in block_spans(dataset, source, window)]
    if not cached_raster.fetch_spans(spans, refetch=refetch) or refetch:
        close_dataset(source, access)
        return open_or_explain(source, access)
    return dataset
