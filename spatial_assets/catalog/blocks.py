"""The bytes of the blocks that a window touches: where they lie in a file, and having them here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from spatial_assets.catalog.access import SourceAccess
from spatial_assets.catalog.datasets import Dataset, close_dataset, mirror_of
from spatial_assets.catalog.opening import opened_or_reason
from spatial_assets.catalog.scene import BandSource
from spatial_assets.catalog.sparse import Span
from spatial_assets.geo.geobox import Window


def block_spans(dataset: Dataset, source: BandSource, window: Window) -> Iterator[Span]:
    """Where in a TIFF all that makes up a window lies; nothing for other files."""
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
    again: bool = False,
) -> Dataset:
    """The dataset to read `windows` from, after their bytes were brought here in one go.

    Call within `gdal_settings`. A file that GDAL reads where it lies is left to it.

    Args:
        source: whose dataset it is.
        dataset: open.
        windows: of the file's pixels.
        access: how the file is reached.
        again: fetch also what is here already, and open the file anew.

    Raises:
        SourceUnavailableError: the archive did not answer.
        SceneError: the file is gone, or not what it was.
    """
    mirror = mirror_of(source, access)
    if mirror is None:
        return dataset
    spans = [span for window in windows for span in block_spans(dataset, source, window)]
    if not mirror.bring(spans, again=again) or again:
        close_dataset(source, access)
        return opened_or_reason(source, access)
    return dataset
