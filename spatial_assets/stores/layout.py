"""Paths of all objects below the storage URL; no other module builds one.

External names (scene ids) are escaped, so that any id is one path segment.
"""

from __future__ import annotations

from urllib.parse import quote

GRID = "grid.json"
"""Identity of the pixel grid of everything in the store."""

PROJECT = "project.json"
"""Claim of the project that the store belongs to."""

REGRID = "regrid.json"
"""Journal of a `regrid` under way; every other command refuses while it exists."""

REGRID_FOLDER = "regrid"
"""Manifests as they will be after the `regrid` under way, in a layout of their own."""

RAW_TILES_FOLDER = "raw_tile"
REPROJECTED_FOLDER = "reprojected_raster"
MANIFESTS_FOLDER = "manifests"
MANIFEST_PARTS_FOLDER = "manifest_parts"
LEASES_FOLDER = "leases"
SCENES_FOLDER = "scenes"
QUARANTINE_FOLDER = "quarantine"
PROBES_FOLDER = "probes"


def raw_tile(key: str, scene: str, band: str) -> str:
    """Path of one band of one scene, as read for a tile."""
    return f"{raw_tile_scene(key, scene)}/{segment(band)}.tif"


def raw_tile_scene(key: str, scene: str) -> str:
    """Folder of the bands of one scene, as read for a tile."""
    return f"{raw_tile_folder(key)}/{segment(scene)}"


def raw_tile_folder(key: str) -> str:
    """Folder of all pixels read for a tile."""
    return f"{RAW_TILES_FOLDER}/{segment(key)}"


def reprojected_raster(key: str, scene: str) -> str:
    """Path of the reflectance of one scene on the tile's pixels."""
    return f"{reprojected_folder(key)}/{segment(scene)}.tif"


def reprojected_folder(key: str) -> str:
    """Folder of the reflectance of all scenes on a tile's pixels."""
    return f"{REPROJECTED_FOLDER}/{segment(key)}"


def cube(index: str) -> str:
    """Zarr group of one index."""
    return f"{segment(index)}.zarr"


def manifest(key: str) -> str:
    """Path of the manifest of one tile: of its head, if it has parts."""
    return f"{MANIFESTS_FOLDER}/{segment(key)}.json"


def manifest_part(key: str, month: str, digest: str) -> str:
    """Path of the part of a manifest with the units of one month.

    Its folder is another one, so that the tiles of a store are found by listing the heads alone.
    """
    return f"{manifest_part_folder(key, month)}/{segment(digest)}.json"


def manifest_part_folder(key: str, month: str) -> str:
    """Folder of the parts of one month of a manifest."""
    return f"{MANIFEST_PARTS_FOLDER}/{segment(key)}/{segment(month)}"


def accepted_code() -> str:
    """Path of the record of the code versions that a user accepted."""
    return "accepted_code.json"


def lease(name: str) -> str:
    """Folder of the lease records of one name, such as `tile/0231` or `cube/ndvi`."""
    return "/".join([LEASES_FOLDER, *(segment(part) for part in name.split("/"))])


def scene_facts(scene: str) -> str:
    """Path of the facts read from the headers of a scene's files."""
    return f"{SCENES_FOLDER}/{segment(scene)}.json"


def catalogue_snapshot() -> str:
    """Path of the catalogue as last polled; its ending differs from that of all scene facts."""
    return f"{SCENES_FOLDER}/catalogue.seen"


def item_notes() -> str:
    """Path of the notes on the items that the last run did not use."""
    return f"{SCENES_FOLDER}/items.notes"


def scene_register() -> str:
    """Path of the register of the scenes that tiles were made from."""
    return f"{SCENES_FOLDER}/scenes.register"


def raw_boundaries(name: str, suffix: str) -> str:
    """Path of the unmodified copy of a boundaries file; `suffix` with its dot."""
    return f"raw_{segment(name)}{suffix}"


def validated_boundaries(name: str) -> str:
    """Path of the validated boundaries, as GeoParquet."""
    return f"validated_{segment(name)}.parquet"


def tile_asset(name: str, key: str, suffix: str) -> str:
    """Path of the value that a user-defined asset returned for a tile; `suffix` with its dot."""
    return f"tile_assets/{segment(name)}/{segment(key) if key else 'whole'}{suffix}"


def probe(name: str) -> str:
    """Path of an object by which a driver tests whether workers see the same store."""
    return f"{PROBES_FOLDER}/{segment(name)}"


def quarantine(kind: str, name: str) -> str:
    """Path of the quarantine record of a subject; kind: `scene`, `tile` or a boundaries name."""
    return f"{QUARANTINE_FOLDER}/{segment(kind)}/{segment(name)}.json"


def segment(name: str) -> str:
    """Escape `name` as one path segment; different names stay different."""
    if name.isascii() and name.isalnum():
        return name  # as most keys of tiles, of which there are many
    escaped = quote(name, safe="-_.+=")
    return escaped.replace(".", "%2E") if not escaped.strip(".") else escaped
