"""Temporary files of a folder: an object is written as `path#1`, then renamed.

A writer that is killed leaves its own behind. Paths are the same in every run, so whoever writes
the object next finds it there.
"""

from __future__ import annotations

import glob
import re
import time
from pathlib import Path

from spatial_assets.stores.location import Location

STAGED = re.compile(r"#\d+$")  # obstore's names, which it never lists

ABANDONED_SECONDS = 30.0
"""Since it was last written to; an object is written from memory, and a tile has one writer."""


def sweep_staged(location: Location, path: str) -> None:
    """Remove what killed writers of an object left beside it; nothing on S3.

    Raises:
        OSError: it may not be removed.
    """
    if location.folder is None:
        return
    whole = location.folder / path
    if not _is_abandoned(whole.with_name(f"{whole.name}#1")):
        return  # one look is enough: names are taken from 1 up
    for staged in whole.parent.glob(f"{glob.escape(whole.name)}#*"):
        if STAGED.search(staged.name) and _is_abandoned(staged):
            staged.unlink(missing_ok=True)


def _is_abandoned(staged: Path) -> bool:
    try:
        return time.time() - staged.stat().st_mtime > ABANDONED_SECONDS
    except (FileNotFoundError, NotADirectoryError):
        return False
