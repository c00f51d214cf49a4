"""Which member of a zip archive is the boundaries file: archives also hold licences and readmes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

_FILES = (".gpkg", ".shp", ".fgb", ".gml", ".geojson", ".tab", ".kml", ".sqlite", ".geojsonl")
_LAST_RESORT = (".json", ".xml")  # more often metadata than features


def vector_member(paths: Iterable[str]) -> str | None:
    """The only vector file among `paths`, else the only folder that holds all; None: GDAL's guess.

    Args:
        paths: of the members within the archive, folders with or without a slash at the end.
    """
    members = [path.rstrip("/") for path in paths]
    bases = sorted({base for path in members for base in _geodatabase(path)})
    if bases:
        return bases[0] if len(bases) == 1 else None
    for suffixes in (_FILES, _LAST_RESORT):
        found = [path for path in members if path.lower().endswith(suffixes)]
        found = [path for path in found if not _is_litter(path)]
        if len(found) == 1:
            return found[0]
        if found:
            folders = {str(PurePosixPath(path).parent) for path in found}
            same_kind = len({PurePosixPath(path).suffix.lower() for path in found}) == 1
            folder = folders.pop() if len(folders) == 1 and same_kind else "."
            return None if folder == "." else folder
    return None


def _geodatabase(path: str) -> list[str]:
    """The .gdb folder that `path` is, or lies in."""
    chain = [PurePosixPath(path), *PurePosixPath(path).parents]
    return [str(part) for part in chain if part.suffix.lower() == ".gdb"]


def _is_litter(path: str) -> bool:
    """What macOS puts into archives."""
    parts = PurePosixPath(path).parts
    return "__MACOSX" in parts or parts[-1].startswith("._")
