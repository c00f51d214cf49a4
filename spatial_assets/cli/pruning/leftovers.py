"""Leftovers: what the project keeps no longer, and objects that no manifest names.

Removal goes tile by tile under the lease of each tile, so that no run is disturbed. Of a tile
outside the area rows go first, then manifest and objects. From a tile of the area units are taken
by its manifest first, then their rows and objects go: a manifest never names what is gone. A prune
that is killed in between leaves objects that no manifest names, or rows of periods that none names,
and the next prune finds them.
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
from spatial_assets.cli.pruning.former_products import (
    FormerProduct,
    former_products,
    remove_product,
)
from spatial_assets.cli.pruning.kept_units import KeptUnits, OutdatedUnits
from spatial_assets.cli.selection.inventory import MANIFEST_READ_THREADS, Inventory
from spatial_assets.errors import LeaseHeldError
from spatial_assets.pipeline.freshness.scene_register import change_register
from spatial_assets.pipeline.quarantine_subjects import subjects_by_tile
from spatial_assets.pipeline.stages import TILE_INDEX, by_boundary, chain_of
from spatial_assets.stores import layout
from spatial_assets.stores.cube.cube import shard_of_path, stored_cube
from spatial_assets.stores.objects.leases import Lease, lease
from spatial_assets.stores.objects.manifests import TileManifest, commit_manifest, read_manifest
from spatial_assets.stores.objects.store import ObjectInfo
from spatial_assets.stores.rows import Remove, Replace

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

    outdated: Mapping[str, OutdatedUnits]
    """Tile of the area -> what of it is kept no longer."""

    products: Sequence[FormerProduct]
    """Indices and boundary sets that left the project file."""

    old_rows: Mapping[str, Sequence[str]]
    """Table -> periods kept no longer that no manifest names, and that have rows."""

    def __bool__(self) -> bool:
        """Return True if there are leftovers."""
        return bool(
            self.gone
            or self.rows
            or self.orphans
            or self.outdated
            or self.products
            or self.old_rows
        )


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
    kept = kept_units(opened)
    reviews = review_manifests(opened, stored, kept)
    named = {key: None if each is None else each.named for key, each in reviews.items()}
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
    reviewed = {key: each for key in stored & keys if (each := reviews[key]) is not None}
    return Leftovers(
        gone=dict(gone),
        rows={tile: count for tile, count in rows.items() if tile not in keys},
        orphans=dict(orphans),
        outdated={
            key: each.outdated
            for key, each in sorted(reviewed.items())
            if each.outdated is not None
        },
        products=former_products(opened, objects),
        old_rows=old_rows(opened, kept, reviewed.values()),
    )


def kept_units(opened: OpenProject) -> KeptUnits:
    """Return the settings that decide which units of a manifest are kept."""
    specs = (stored_cube(opened.store, index) for index in opened.project.indices.names)
    periods = next((spec.periods for spec in specs if spec is not None), None)
    return KeptUnits.of(opened.project, periods, today=now().date())


@dataclass(frozen=True, kw_only=True)
class ManifestReview:
    """Facts of one manifest for `prune`."""

    named: frozenset[str]
    """Paths that it names, parts included."""

    periods: frozenset[str]
    """Labels of the periods that it names and that are kept."""

    outdated: OutdatedUnits | None
    """Figures of what is kept no longer; None: all of it is kept."""

    first_kept: str
    """ISO date of the first day that [retention] periods keeps; empty: all are kept."""


def review_manifests(
    opened: OpenProject, keys: Iterable[str], kept: KeptUnits
) -> dict[str, ManifestReview | None]:
    """Review the manifest of each tile; None: it is damaged or gone."""
    ordered = sorted(keys)

    def review(key: str) -> ManifestReview | None:
        manifest = read_manifest(opened.store, key)
        if manifest is None:
            return None
        pruned = kept.pruned(manifest)
        labels = {
            unit.partition("/")[0]
            for stage in chain_of(opened.project).stages
            for unit in pruned.manifest.units(stage)
        }
        return ManifestReview(
            named=frozenset(named_paths(manifest)),
            periods=frozenset(labels),
            outdated=None
            if pruned.manifest.stages == manifest.stages
            else OutdatedUnits.of(pruned),
            first_kept=kept.first_day(manifest),
        )

    with ThreadPoolExecutor(MANIFEST_READ_THREADS) as pool:
        return dict(zip(ordered, pool.map(review, ordered), strict=True))


def named_paths(manifest: TileManifest) -> set[str]:
    """Return the paths that a manifest names, parts included."""
    return {*(info.path for info in manifest.objects()), *manifest.part_paths()}


def old_rows(
    opened: OpenProject, kept: KeptUnits, reviews: Iterable[ManifestReview]
) -> dict[str, list[str]]:
    """Return table -> periods with rows that are kept for no tile and that no manifest names.

    A prune that was killed before it removed them leaves such rows.
    """
    named: set[str] = set()
    first_days = set()
    for review in reviews:
        named |= review.periods
        first_days.add(review.first_kept)
    if kept.periods is None or not first_days:
        return {}
    found: dict[str, list[str]] = {}
    for table in tile_tables(opened):
        if table == "tile_state":
            continue
        where = {"grid_id": opened.project.grid_id}
        rows = opened.database.rows_if_any(table, where, columns=("period", "period_start"))
        labels = [
            str(row["period"])
            for row in rows
            if str(row["period"]) not in named
            and kept.is_old(str(row["period_start"]), first_day=min(first_days))
        ]
        if labels:
            found[table] = labels
    return found


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
    removed, skipped = 0, False
    for key in sorted({*left.gone, *left.rows, *left.orphans, *left.outdated} - {NO_TILE}):
        try:
            with lease(
                opened.store, f"tile/{key}", owner=lease_owner(), ttl=PRUNE_LEASE_TTL, clock=clock
            ) as held:
                if key in left.orphans:
                    removed += _remove_orphans(opened, key, left.orphans[key], held)
                if key in left.outdated:
                    removed += _remove_outdated(opened, key, held)
                if key in left.gone or key in left.rows:
                    removed += _remove_tile(opened, key, left.gone.get(key, ()), held)
        except LeaseHeldError as error:
            say(f"tile {key} is skipped: {error}")
            skipped = True
    removed += _delete(opened, left.orphans.get(NO_TILE, ()), None)
    grid = {"grid_id": opened.project.grid_id}
    opened.database.commit(
        [Remove(table, {**grid, "period": labels}) for table, labels in left.old_rows.items()]
    )
    outside = {scene for each in left.outdated.values() for scene in each.scenes_outside}
    if outside:  # nothing asks for them, and nothing is left of them
        change_register(
            opened.store,
            lambda register: register.releasing(outside),
            owner=lease_owner(),
            clock=clock,
        )
    for product in left.products:
        if skipped:
            say(f"{product.kind} {product.name} is kept until no tile is skipped")
        else:
            removed += remove_product(opened, product, say=say)
    return removed


def _remove_outdated(opened: OpenProject, key: str, held: Lease) -> int:
    """Remove what is kept no longer of a tile of the area; return the number of objects."""
    manifest = read_manifest(opened.store, key)  # a run may have changed it since it was listed
    if manifest is None:
        return 0
    pruned = kept_units(opened).pruned(manifest)
    if pruned.manifest.stages == manifest.stages:
        return 0
    commit_manifest(opened.store, pruned.manifest)
    if pruned.periods:
        where = {
            "grid_id": opened.project.grid_id,
            "tile": key,
            "period": sorted(pruned.periods),
        }
        tables = (table for table in tile_tables(opened) if table != "tile_state")
        opened.database.commit([Remove(table, where) for table in tables])
    objects = [info for found in pruned.objects.values() for info in found]
    return _delete(opened, objects, held)


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
    manifest = read_manifest(opened.store, key)
    named = set() if manifest is None else named_paths(manifest)
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
