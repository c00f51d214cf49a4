"""Files brought here ahead of their turn, while what was read before is worked on."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import Self

from spatial_assets.catalog.access.hrefs import is_remote
from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.rasters.gdal_datasets import gdal_environment, open_cached
from spatial_assets.catalog.rasters.windows import probing_window, with_bytes
from spatial_assets.catalog.scene import BandSource
from spatial_assets.geo.grid.geobox import Window

CONCURRENT_FILES = 2  # one is asked for while another arrives

FileWindows = tuple[BandSource, Sequence[Window]]
"""Windows of one file."""


class Prefetch:
    """Files that are asked for ahead; a context: what was not begun at its end is not wanted."""

    def __init__(self, access: SourceAccess) -> None:
        self._access = access
        self._under_way: list[Future[None]] = []

    def request(self, wanted: Iterable[FileWindows]) -> None:
        """Bring remote files here, in this order, after those that were wanted before.

        Trouble is left to the reader, who meets it again.
        """
        if self._access.mode == "download":
            return
        pool = _pool(os.getpid())
        self._under_way = [each for each in self._under_way if not each.done()]
        self._under_way += [
            pool.submit(_bring, source, windows, self._access)
            for source, windows in wanted
            if is_remote(source.href)
        ]

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of what was not begun."""
        for each in self._under_way:
            each.cancel()


@contextlib.contextmanager
def prefetching(wanted: Iterable[FileWindows], access: SourceAccess) -> Iterator[None]:
    """Within the block, bring remote files here in the order in which they will be read."""
    with Prefetch(access) as ahead:
        ahead.request(wanted)
        yield


def _bring(source: BandSource, windows: Sequence[Window], access: SourceAccess) -> None:
    """What the windows of one file need; raises what it likes, nobody asks."""
    with gdal_environment(access):
        dataset = open_cached(source, access)
        if dataset is None:
            return  # to be read where it lies
        probes = [probing_window(window, dataset) for window in windows]
        with_bytes(source, dataset, windows=probes, access=access)


@lru_cache(maxsize=1)
def _pool(pid: int) -> ThreadPoolExecutor:
    """Threads of this process; a forked child must not wait for its parent's."""
    return ThreadPoolExecutor(CONCURRENT_FILES, thread_name_prefix=f"ahead-{pid}")
