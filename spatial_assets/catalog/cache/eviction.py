"""The bounded cache folder: the least recently used copies, whole or sparse, are evicted first."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from pathlib import Path

from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.cache.sparse_file import PARTIAL_SUFFIX, SPARSE_SUFFIX, disk_bytes

COPY_SUFFIX = ".raster"
ABANDONED_AGE_SECONDS = 24 * 3600.0  # age from which no process still writes a partial file
SCANS_PER_FILL = 64  # while one process fills the cache once: a scan costs a call a file
RESERVED_SHARES = 8  # processes that may fill their share between two scans

_grown: Counter[Path] = Counter()
"""Folder -> bytes that this process wrote to sparse files since it last scanned the folder."""


def evict(folder: Path, access: SourceAccess, *, incoming: int) -> None:
    """Remove abandoned partial files, then the least recently used files, until `incoming` fits."""
    used = []
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another process evicts too
            facts = path.stat()
            if (
                path.suffix == PARTIAL_SUFFIX
                and time.time() - facts.st_mtime > ABANDONED_AGE_SECONDS
            ):
                path.unlink()
            elif path.suffix in {COPY_SUFFIX, SPARSE_SUFFIX}:
                size = disk_bytes(facts) if path.suffix == SPARSE_SUFFIX else facts.st_size
                used.append((facts.st_mtime, path.name, size))
    total = sum(size for _, _, size in used)
    for _, name, size in sorted(used):
        if total + incoming <= access.cache_bytes:
            return
        (folder / name).unlink(missing_ok=True)
        total -= size


def evict_for_growth(folder: Path, access: SourceAccess, *, incoming: int) -> None:
    """Evict for sparse files, which grow in small steps: most calls do not scan the folder."""
    share = access.cache_bytes // SCANS_PER_FILL
    if folder not in _grown or _grown[folder] + incoming > share:
        evict(folder, access, incoming=incoming + share * RESERVED_SHARES)
        _grown[folder] = 0
    _grown[folder] += incoming
