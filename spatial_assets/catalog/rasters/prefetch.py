"""Prefetch of remote files, while the ones read before are processed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import Self

from spatial_assets.catalog.access.hrefs import is_remote
from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.rasters.gdal_datasets import gdal_environment, open_dataset
from spatial_assets.catalog.rasters.windows import probing_window, with_bytes
from spatial_assets.catalog.scene import BandSource
from spatial_assets.geo.grid.geobox import Window

CONCURRENT_FILES = 2  # one is requested while another arrives

FileWindows = tuple[BandSource, Sequence[Window]]
"""A file and the windows of it that will be read."""


class Prefetch:
    """Remote files that are fetched in advance; at the end of the context, pending ones are not."""

    def __init__(self, access: SourceAccess) -> None:
        self._access = access
        self._futures: list[Future[None]] = []

    def request(self, requests: Iterable[FileWindows]) -> None:
        """Fetch remote files, in this order, after those requested before.

        Errors are ignored: the reader meets them again.
        """
        if self._access.mode == "download":
            return
        pool = _pool(os.getpid())
        self._futures = [each for each in self._futures if not each.done()]
        self._futures += [
            pool.submit(_fetch, source, windows, self._access)
            for source, windows in requests
            if is_remote(source.href)
        ]

    def __enter__(self) -> Self:
        """Return the prefetch itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Cancel what has not begun."""
        for each in self._futures:
            each.cancel()


@contextlib.contextmanager
def prefetching(requests: Iterable[FileWindows], access: SourceAccess) -> Iterator[None]:
    """Prefetch remote files during the block, in the order in which they will be read."""
    with Prefetch(access) as prefetch:
        prefetch.request(requests)
        yield


def _fetch(source: BandSource, windows: Sequence[Window], access: SourceAccess) -> None:
    """Fetch what the windows of one file need; errors are not reported."""
    with gdal_environment(access):
        dataset = open_dataset(source, access)
        probes = [probing_window(window, dataset) for window in windows]
        with_bytes(source, dataset, windows=probes, access=access)


@lru_cache(maxsize=1)
def _pool(pid: int) -> ThreadPoolExecutor:
    """Return the threads of this process; a forked child must not wait for its parent's."""
    return ThreadPoolExecutor(CONCURRENT_FILES, thread_name_prefix=f"prefetch-{pid}")
