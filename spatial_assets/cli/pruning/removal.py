"""Removing what is left over, tile by tile and under each tile's lease, so that no run is hurt.

In the reverse order of a commit: rows, manifest, objects. Whoever is killed in between leaves
objects that no manifest names, which the next prune finds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from spatial_assets.cli.pruning.leftovers import (
    NOBODY,
    Leftovers,
    key_of_manifest,
    named_objects,
    tables_of_tiles,
)
from spatial_assets.cli.running.clock import now, owner
from spatial_assets.cli.shell.ground import Ground
from spatial_assets.errors import LeaseHeldError
from spatial_assets.stores import layout
from spatial_assets.stores.leases import Lease, lease
from spatial_assets.stores.objects import ObjectInfo
from spatial_assets.stores.records import Replace

TTL = timedelta(minutes=2)  # renewed while objects are deleted; so soon a killed prune is over


def remove(
    ground: Ground,
    left: Leftovers,
    *,
    say: Callable[[str], None],
    clock: Callable[[], datetime] = now,
) -> int:
    """Remove it; tiles that a run works on are left alone, and told. Returns objects removed."""
    removed = 0
    for key in sorted({*left.gone, *left.rows, *left.orphans} - {NOBODY}):
        try:
            with lease(ground.store, f"tile/{key}", owner=owner(), ttl=TTL, clock=clock) as held:
                if key in left.orphans:
                    removed += _remove_orphans(ground, key, left.orphans[key], held)
                else:
                    removed += _remove_tile(ground, key, left.gone.get(key, ()), held)
        except LeaseHeldError as error:
            say(f"tile {key} is left as it is: {error}")
    return removed + _delete(ground, left.orphans.get(NOBODY, ()), None)


def _remove_tile(ground: Ground, key: str, objects: Sequence[ObjectInfo], held: Lease) -> int:
    """Remove a tile that the area no longer has."""
    keys = {"grid_id": ground.project.grid_id, "tile": key}
    ground.database.commit([Replace(table, keys, []) for table in tables_of_tiles(ground)])
    subject = {"grid_id": ground.project.grid_id, "kind": "tile", "subject": key}
    if ground.database.release(subject, now=now()):
        ground.store.delete(layout.quarantine("tile", key))
    manifest_first = sorted(objects, key=lambda info: key_of_manifest(info.path) is None)
    return _delete(ground, manifest_first, held)


def _remove_orphans(ground: Ground, key: str, objects: Iterable[ObjectInfo], held: Lease) -> int:
    """Remove what the manifest of a tile, as it is now, does not name."""
    named = named_objects(ground, [key])[key]
    return _delete(ground, [info for info in objects if info.path not in named], held)


def _delete(ground: Ground, objects: Iterable[ObjectInfo], held: Lease | None) -> int:
    """Delete objects under a lease."""
    count = 0
    for info in objects:
        if held is not None:
            held.keep_alive()
        ground.store.delete(info.path)
        count += 1
    return count
