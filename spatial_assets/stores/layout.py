"""The one rule for where things live below the storage URL. No other module builds a path.

Names that come from outside (scene ids) are escaped here, so that any id is one path segment.
"""

from __future__ import annotations

from urllib.parse import quote

GRID = "grid.json"
"""Identity of the grid that everything in this store was cut from."""

RAW_TILES_FOLDER = "raw_tile"
REPROJECTED_FOLDER = "reprojected_raster"
MANIFESTS_FOLDER = "manifests"
LEASES_FOLDER = "leases"
SCENES_FOLDER = "scenes"
QUARANTINE_FOLDER = "quarantine"
PROBES_FOLDER = "probes"


def raw_tile(key: str, scene: str, band: str) -> str:
    """One band of one scene as read for a tile."""
    return f"{raw_tile_scene(key, scene)}/{segment(band)}.tif"


def raw_tile_scene(key: str, scene: str) -> str:
    """Folder of the bands of one scene as read for a tile."""
    return f"{raw_tile_folder(key)}/{segment(scene)}"


def raw_tile_folder(key: str) -> str:
    """Folder of all that was read for a tile."""
    return f"{RAW_TILES_FOLDER}/{segment(key)}"


def reprojected_raster(key: str, scene: str) -> str:
    """Reflectance of one scene on the tile's pixels."""
    return f"{reprojected_folder(key)}/{segment(scene)}.tif"


def reprojected_folder(key: str) -> str:
    """Folder of the reflectance of all scenes on a tile's pixels."""
    return f"{REPROJECTED_FOLDER}/{segment(key)}"


def cube(index: str) -> str:
    """Zarr group of one index."""
    return f"{segment(index)}.zarr"


def manifest(key: str) -> str:
    """What the store holds of one tile."""
    return f"{MANIFESTS_FOLDER}/{segment(key)}.json"


def lease(name: str) -> str:
    """Folder of the lease records of one name, such as `tile/0231` or `cube/ndvi`."""
    return "/".join([LEASES_FOLDER, *(segment(part) for part in name.split("/"))])


def scene_facts(scene: str) -> str:
    """What the headers of a scene's files said."""
    return f"{SCENES_FOLDER}/{segment(scene)}.json"


def catalogue_snapshot() -> str:
    """What the catalogue held when it was last looked at; no scene's facts end like that."""
    return f"{SCENES_FOLDER}/catalogue.seen"


def raw_boundaries(name: str, suffix: str) -> str:
    """A boundaries file as it came; `suffix` with its dot."""
    return f"raw_{segment(name)}{suffix}"


def validated_boundaries(name: str) -> str:
    """Boundaries that passed, as GeoParquet."""
    return f"validated_{segment(name)}.parquet"


def tile_asset(name: str, key: str, suffix: str) -> str:
    """What an asset of a user's own returned for a tile; `suffix` with its dot."""
    return f"tile_assets/{segment(name)}/{segment(key) if key else 'whole'}{suffix}"


def probe(name: str) -> str:
    """What a driver puts there for workers elsewhere to find."""
    return f"{PROBES_FOLDER}/{segment(name)}"


def quarantine(kind: str, name: str) -> str:
    """The record of something refused: kind `scene`, `tile` or a boundaries name."""
    return f"{QUARANTINE_FOLDER}/{segment(kind)}/{segment(name)}.json"


def segment(name: str) -> str:
    """`name` as one path segment; names that differ stay different."""
    escaped = quote(name, safe="-_.+=")
    return escaped.replace(".", "%2E") if not escaped.strip(".") else escaped
