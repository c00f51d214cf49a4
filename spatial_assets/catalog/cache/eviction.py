"""The bounded cache folder: whole copies and sparse ones, the least recently used go first."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from pathlib import Path

from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.cache.sparse_file import SUFFIX as SPARSE
from spatial_assets.catalog.cache.sparse_file import disk_bytes

COPY = ".raster"
PARTIAL = ".part"
ABANDONED = 24 * 3600.0  # seconds: a partial file that old belongs to nobody
LOOKS = 64  # at the folder, while a process fills the cache once: a look costs a call a file
RESERVED = 8  # processes that may fill their share between two looks

_grown: Counter[Path] = Counter()
"""Folder -> bytes that this process has put into sparse files since it last looked."""


def make_room(folder: Path, access: SourceAccess, *, incoming: int) -> None:
    """Remove what was abandoned, then the least recently used files, until `incoming` fits."""
    used = []
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another process makes room too
            facts = path.stat()
            if path.suffix == PARTIAL and time.time() - facts.st_mtime > ABANDONED:
                path.unlink()
            elif path.suffix in {COPY, SPARSE}:
                size = disk_bytes(facts) if path.suffix == SPARSE else facts.st_size
                used.append((facts.st_mtime, path.name, size))
    total = sum(size for _, _, size in used)
    for _, name, size in sorted(used):
        if total + incoming <= access.cache_bytes:
            return
        (folder / name).unlink(missing_ok=True)
        total -= size


def room_to_grow(folder: Path, access: SourceAccess, *, incoming: int) -> None:
    """As `make_room`, for sparse files, which grow little by little: mostly without looking."""
    share = access.cache_bytes // LOOKS
    if folder not in _grown or _grown[folder] + incoming > share:
        make_room(folder, access, incoming=incoming + share * RESERVED)
        _grown[folder] = 0
    _grown[folder] += incoming
