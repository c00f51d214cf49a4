"""Files brought here ahead of their turn, while what was read before is worked on."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

from spatial_assets.catalog.access import SourceAccess
from spatial_assets.catalog.blocks import with_bytes
from spatial_assets.catalog.datasets import gdal_environment, open_dataset
from spatial_assets.catalog.hrefs import is_remote
from spatial_assets.catalog.reader import probing_window
from spatial_assets.catalog.scene import BandSource
from spatial_assets.geo.geobox import Window

FILES_AT_ONCE = 2  # one is asked for while another arrives

Wanted = tuple[BandSource, Sequence[Window]]
"""Windows of one file."""


@contextlib.contextmanager
def reading_ahead(wanted: Iterable[Wanted], access: SourceAccess) -> Iterator[None]:
    """Within the block, bring remote files here in the order in which they will be read.

    Trouble is left to the reader, who meets it again; what was not begun at the end is not wanted
    any more.
    """
    if access.mode == "download":
        yield
        return
    under_way = [
        _pool(os.getpid()).submit(_bring, source, windows, access)
        for source, windows in wanted
        if is_remote(source.href)
    ]
    try:
        yield
    finally:
        for each in under_way:
            each.cancel()


def _bring(source: BandSource, windows: Sequence[Window], access: SourceAccess) -> None:
    """What the windows of one file need; raises what it likes, nobody asks."""
    with gdal_environment(access):
        dataset = open_dataset(source, access)
        probes = [probing_window(window, dataset) for window in windows]
        with_bytes(source, dataset, windows=probes, access=access)


@lru_cache(maxsize=1)
def _pool(pid: int) -> ThreadPoolExecutor:
    """Threads of this process; a forked child must not wait for its parent's."""
    return ThreadPoolExecutor(FILES_AT_ONCE, thread_name_prefix=f"ahead-{pid}")
