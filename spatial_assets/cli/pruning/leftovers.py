"""What is left over: tiles that the area no longer has, and objects that no manifest names.

Removing what is left over, tile by tile and under each tile's lease, so that no run is hurt.

In the reverse order of a commit: rows, manifest, objects. Whoever is killed in between leaves
objects that no manifest names, which the next prune finds.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from spatial_assets.cli.app.open_project import OpenProject
from spatial_assets.cli.local_run.run_here import lease_owner, now
from spatial_assets.cli.selection.inventory import MANIFEST_READ_THREADS, Inventory
from spatial_assets.errors import LeaseHeldError
from spatial_assets.geo.grid.pixel_grid import Shard
from spatial_assets.pipeline.stages import TILE_INDEX, by_boundary
from spatial_assets.stores import layout
from spatial_assets.stores.cube.cube import stored_cube
from spatial_assets.stores.cube.metadata import OBSERVATIONS
from spatial_assets.stores.objects.leases import Lease, lease
from spatial_assets.stores.objects.manifests import read_manifest
from spatial_assets.stores.objects.store import ObjectInfo
from spatial_assets.stores.rows import Replace

NO_TILE = ""
"""In the place of a tile, for pixels outside of every tile."""


@dataclass(frozen=True, kw_only=True)
class Leftovers:
    """What may be removed."""

    gone: Mapping[str, Sequence[ObjectInfo]]
    """Tile that the area no longer has -> its objects, manifest included."""

    rows: Mapping[str, int]
    """Tile that the area no longer has -> its rows, over all tables."""

    orphans: Mapping[str, Sequence[ObjectInfo]]
    """Tile of the area, or NO_TILE -> objects in its place that no manifest names."""

    @property
    def objects(self) -> list[ObjectInfo]:
        """All objects."""
        found = (*self.gone.values(), *self.orphans.values())
        return [info for objects in found for info in objects]

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.gone or self.rows or self.orphans)


def tile_tables(opened: OpenProject) -> tuple[str, ...]:
    """The tables that have a column `tile`, as far as rows follow from tiles."""
    statistics = [by_boundary(index) for index in opened.project.indices.names]
    return (*statistics, TILE_INDEX, "tile_state")


def find_leftovers(opened: OpenProject) -> Leftovers:
    """Compare store and database with the area; nothing is changed."""
    keys = set(opened.project.partitioning.keys)
    objects = opened.store.list()
    owners = ObjectOwners(opened)
    stored = {key for info in objects if (key := manifest_tile(info.path)) is not None}
    named = named_objects(opened, stored)
    rows = rows_by_tile(opened)
    claimed = {path for key in stored & keys for path in named[key]}
    of_gone = {path: key for key in sorted(stored - keys) for path in named[key]}
    gone: defaultdict[str, list[ObjectInfo]] = defaultdict(list)
    orphans: defaultdict[str, list[ObjectInfo]] = defaultdict(list)
    for info in objects:
        lease_owner = of_gone.get(info.path) or owners.of(info.path)
        if lease_owner is None or info.path in claimed:
            continue
        if lease_owner in keys or lease_owner == NO_TILE:
            if manifest_tile(info.path) is None:
                orphans[lease_owner].append(info)
        else:
            gone[lease_owner].append(info)
    left = {tile: count for tile, count in rows.items() if tile not in keys}
    return Leftovers(gone=dict(gone), rows=left, orphans=dict(orphans))


def named_objects(opened: OpenProject, keys: Iterable[str]) -> dict[str, frozenset[str]]:
    """Tile -> paths that its manifest vouches for."""
    asked = sorted(keys)

    def paths(key: str) -> frozenset[str]:
        manifest = read_manifest(opened.store, key)
        return frozenset(info.path for info in manifest.objects()) if manifest else frozenset()

    with ThreadPoolExecutor(MANIFEST_READ_THREADS) as pool:
        return dict(zip(asked, pool.map(paths, asked), strict=True))


def rows_by_tile(opened: OpenProject) -> dict[str, int]:
    """Tile -> its rows over all tables."""
    inventory = Inventory(opened)
    counts: defaultdict[str, int] = defaultdict(int)
    for table in tile_tables(opened):
        for row in inventory.rows(table):
            counts[str(row["tile"])] += 1
    return dict(counts)


def manifest_tile(path: str) -> str | None:
    """The tile whose manifest lies at a path; None for anything else."""
    found = re.fullmatch(rf"{layout.MANIFESTS_FOLDER}/(.+)\.json", path)
    return found[1] if found else None


class ObjectOwners:
    """Whose an object is, by where it lies."""

    def __init__(self, opened: OpenProject) -> None:
        self._shards = {
            shard: key
            for key, tile in opened.project.partitioning.tiles.items()
            for shard in tile.shards
        }
        self._cubes = dict(self._read_cubes(opened))

    def of(self, path: str) -> str | None:
        """Key of the tile, NO_TILE for pixels outside of all; None: it is of no tile's kind."""
        top, _, rest = path.partition("/")
        if top in {layout.RAW_TILES_FOLDER, layout.REPROJECTED_FOLDER}:
            return rest.partition("/")[0]
        return manifest_tile(path) or self._of_shard(path)

    def _read_cubes(self, opened: OpenProject) -> Iterator[tuple[str, Shard]]:
        """Folder of the chunks of each array -> the shard in its corner."""
        for index in opened.project.indices.names:
            spec = stored_cube(opened.store, index)
            if spec is not None:
                size = spec.grid.shard
                corner = Shard(spec.extent.column // size, spec.extent.row // size)
                for array in (index, OBSERVATIONS):
                    yield f"{layout.cube(index)}/{array}/c", corner

    def _of_shard(self, path: str) -> str | None:
        folder, *place = path.rsplit("/", 3)
        corner = self._cubes.get(folder)
        if corner is None or len(place) != 3 or not all(part.isdigit() for part in place):  # noqa: PLR2004 - period, row, column
            return None
        _, row, column = (int(part) for part in place)
        return self._shards.get(Shard(corner.column + column, corner.row + row), NO_TILE)


PRUNE_LEASE_TTL = timedelta(
    minutes=2
)  # renewed while objects are deleted; so soon a killed prune is over


def remove_leftovers(
    opened: OpenProject,
    left: Leftovers,
    *,
    say: Callable[[str], None],
    clock: Callable[[], datetime] = now,
) -> int:
    """Remove it; tiles that a run works on are left alone, and told. Returns objects removed."""
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
            say(f"tile {key} is left as it is: {error}")
    return removed + _delete(opened, left.orphans.get(NO_TILE, ()), None)


def _remove_tile(opened: OpenProject, key: str, objects: Sequence[ObjectInfo], held: Lease) -> int:
    """Remove a tile that the area no longer has."""
    keys = {"grid_id": opened.project.grid_id, "tile": key}
    opened.database.commit([Replace(table, keys, []) for table in tile_tables(opened)])
    subject = {"grid_id": opened.project.grid_id, "kind": "tile", "subject": key}
    if opened.database.release(subject, now=now()):
        opened.store.delete(layout.quarantine("tile", key))
    manifest_first = sorted(objects, key=lambda info: manifest_tile(info.path) is None)
    return _delete(opened, manifest_first, held)


def _remove_orphans(
    opened: OpenProject, key: str, objects: Iterable[ObjectInfo], held: Lease
) -> int:
    """Remove what the manifest of a tile, as it is now, does not name."""
    named = named_objects(opened, [key])[key]
    return _delete(opened, [info for info in objects if info.path not in named], held)


def _delete(opened: OpenProject, objects: Iterable[ObjectInfo], held: Lease | None) -> int:
    """Delete objects under a lease."""
    count = 0
    for info in objects:
        if held is not None:
            held.keep_alive()
        opened.store.delete(info.path)
        count += 1
    return count
