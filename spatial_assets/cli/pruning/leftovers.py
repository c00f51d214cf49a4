"""Leftovers: tiles outside the area and objects that no manifest names; found and removed.

Removal goes tile by tile under the lease of each tile, so that no run is disturbed, in the reverse
order of a commit: rows, manifest, objects. A prune that is killed in between leaves objects that no
manifest names, which the next prune finds.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from spatial_assets.cli.app.clock import now
from spatial_assets.cli.app.open_project import OpenProject
from spatial_assets.cli.local_run.run_here import lease_owner
from spatial_assets.cli.selection.inventory import MANIFEST_READ_THREADS, Inventory
from spatial_assets.errors import LeaseHeldError
from spatial_assets.pipeline.quarantine_subjects import subjects_by_tile
from spatial_assets.pipeline.stages import TILE_INDEX, by_boundary
from spatial_assets.stores import layout
from spatial_assets.stores.cube.cube import shard_of_path, stored_cube
from spatial_assets.stores.objects.leases import Lease, lease
from spatial_assets.stores.objects.manifests import read_manifest
from spatial_assets.stores.objects.store import ObjectInfo
from spatial_assets.stores.rows import Replace

OF_ONE_TILE = frozenset(
    {layout.RAW_TILES_FOLDER, layout.REPROJECTED_FOLDER, layout.MANIFEST_PARTS_FOLDER}
)
"""Folders with a folder for each tile."""

NO_TILE = ""
"""Used instead of a tile key for pixels outside all tiles."""


@dataclass(frozen=True, kw_only=True)
class Leftovers:
    """Objects and rows that may be removed."""

    gone: Mapping[str, Sequence[ObjectInfo]]
    """Tile outside the area -> its objects, including the manifest."""

    rows: Mapping[str, int]
    """Tile outside the area -> number of its rows in all tables."""

    orphans: Mapping[str, Sequence[ObjectInfo]]
    """Tile of the area, or NO_TILE -> its objects that no manifest names."""

    @property
    def objects(self) -> list[ObjectInfo]:
        """All objects of the leftovers."""
        found = (*self.gone.values(), *self.orphans.values())
        return [info for objects in found for info in objects]

    def __bool__(self) -> bool:
        """Return True if there are leftovers."""
        return bool(self.gone or self.rows or self.orphans)


def tile_tables(opened: OpenProject) -> tuple[str, ...]:
    """Return the tables with rows that are derived from a tile."""
    statistics = [by_boundary(index) for index in opened.project.indices.names]
    return (*statistics, TILE_INDEX, "tile_state")


def find_leftovers(opened: OpenProject) -> Leftovers:
    """Compare store and database with the area, without changing them."""
    keys = set(opened.project.partitioning.keys)
    objects = opened.store.list()
    owners = ObjectOwners(opened)
    stored = {key for info in objects if (key := manifest_tile(info.path)) is not None}
    named = named_objects(opened, stored)
    rows = rows_by_tile(opened)
    claimed = {path for key in stored & keys for path in named[key] or ()}
    gone_paths = {path: key for key in sorted(stored - keys) for path in named[key] or ()}
    # Nobody knows what a damaged manifest names: the next run of its tile decides.
    doubtful = {key for key, paths in named.items() if paths is None}
    gone: defaultdict[str, list[ObjectInfo]] = defaultdict(list)
    orphans: defaultdict[str, list[ObjectInfo]] = defaultdict(list)
    for info in objects:
        lease_owner = gone_paths.get(info.path) or owners.of(info.path)
        if lease_owner is None or info.path in claimed or lease_owner in doubtful & keys:
            continue
        if lease_owner in keys or lease_owner == NO_TILE:
            if manifest_tile(info.path) is None:
                orphans[lease_owner].append(info)
        else:
            gone[lease_owner].append(info)
    left = {tile: count for tile, count in rows.items() if tile not in keys}
    return Leftovers(gone=dict(gone), rows=left, orphans=dict(orphans))


def named_objects(opened: OpenProject, keys: Iterable[str]) -> dict[str, frozenset[str] | None]:
    """Return tile -> paths that its manifest names, parts included; None: damaged or gone."""
    ordered = sorted(keys)

    def paths(key: str) -> frozenset[str] | None:
        manifest = read_manifest(opened.store, key)
        if manifest is None:
            return None
        return frozenset((*(info.path for info in manifest.objects()), *manifest.part_paths()))

    with ThreadPoolExecutor(MANIFEST_READ_THREADS) as pool:
        return dict(zip(ordered, pool.map(paths, ordered), strict=True))


def rows_by_tile(opened: OpenProject) -> dict[str, int]:
    """Return tile -> number of its rows in all tables."""
    inventory = Inventory(opened)
    counts: defaultdict[str, int] = defaultdict(int)
    for table in tile_tables(opened):
        for row in inventory.rows(table):
            counts[str(row["tile"])] += 1
    return dict(counts)


def manifest_tile(path: str) -> str | None:
    """Return the tile whose manifest is at a path; None if the path is no manifest."""
    found = re.fullmatch(rf"{layout.MANIFESTS_FOLDER}/(.+)\.json", path)
    return found[1] if found else None


class ObjectOwners:
    """Tiles that objects belong to, by their paths."""

    def __init__(self, opened: OpenProject) -> None:
        self._shards = {
            shard: key
            for key, tile in opened.project.partitioning.tiles.items()
            for shard in tile.shards
        }
        stored = {name: stored_cube(opened.store, name) for name in opened.project.indices.names}
        self._cubes = {layout.cube(name): spec for name, spec in stored.items() if spec is not None}

    def of(self, path: str) -> str | None:
        """Return the key of the tile, NO_TILE for pixels outside all, None for other objects."""
        top, _, rest = path.partition("/")
        if top in OF_ONE_TILE:
            return rest.partition("/")[0]
        return manifest_tile(path) or self._of_shard(path)

    def _of_shard(self, path: str) -> str | None:
        spec = self._cubes.get(path.partition("/")[0])
        found = None if spec is None else shard_of_path(spec, path)
        return None if found is None else self._shards.get(found[2], NO_TILE)


PRUNE_LEASE_TTL = timedelta(
    minutes=2
)  # renewed while objects are deleted; expires soon after a killed prune


def remove_leftovers(
    opened: OpenProject,
    left: Leftovers,
    *,
    say: Callable[[str], None],
    clock: Callable[[], datetime] = now,
) -> int:
    """Remove leftovers, report tiles skipped because a run works on them, and count the objects."""
    removed = 0
    for key in sorted({*left.gone, *left.rows, *left.orphans} - {NO_TILE}):
        try:
            with lease(
                opened.store, f"tile/{key}", owner=lease_owner(), ttl=PRUNE_LEASE_TTL, clock=clock
            ) as held:
                if key in left.orphans:
                    removed += _remove_orphans(opened, key, left.orphans[key], held)
                else:
                    removed += _remove_tile(opened, key, left.gone.get(key, ()), held)
        except LeaseHeldError as error:
            say(f"tile {key} is skipped: {error}")
    return removed + _delete(opened, left.orphans.get(NO_TILE, ()), None)


def _remove_tile(opened: OpenProject, key: str, objects: Sequence[ObjectInfo], held: Lease) -> int:
    """Remove a tile outside the area; return the number of objects."""
    keys = {"grid_id": opened.project.grid_id, "tile": key}
    opened.database.commit([Replace(table, keys, []) for table in tile_tables(opened)])
    of_tiles = {"grid_id": opened.project.grid_id, "kind": "tile"}
    records = opened.database.rows("quarantine", {**of_tiles, "released_at": None})
    subjects = sorted(subjects_by_tile(records).get(key, ()))
    if subjects:
        opened.database.release({**of_tiles, "subject": subjects}, now=now())
    for subject in subjects:
        opened.store.delete(layout.quarantine("tile", subject))
    manifest_first = sorted(objects, key=lambda info: manifest_tile(info.path) is None)
    return _delete(opened, manifest_first, held)


def _remove_orphans(
    opened: OpenProject, key: str, objects: Iterable[ObjectInfo], held: Lease
) -> int:
    """Remove the objects that the current manifest of a tile does not name."""
    named = named_objects(opened, [key])[key] or ()
    return _delete(opened, [info for info in objects if info.path not in named], held)


def _delete(opened: OpenProject, objects: Iterable[ObjectInfo], held: Lease | None) -> int:
    """Delete objects under a lease; return their number."""
    count = 0
    for info in objects:
        if held is not None:
            held.keep_alive()
        opened.store.delete(info.path)
        count += 1
    return count
