"""Identity of a store's pixel grid: written at the first use, compared at every later one."""

from __future__ import annotations

from collections.abc import Mapping

from spatial_assets.errors import GridError, StoreError
from spatial_assets.stores import layout
from spatial_assets.stores.objects.json import from_json, to_json
from spatial_assets.stores.objects.leases import refuse_if_replaced
from spatial_assets.stores.objects.store import ObjectStore

GRID_SCHEMA = 1


def claim_grid(store: ObjectStore, grid_id: str, *, grid: Mapping[str, object]) -> None:
    """Claim the store for this grid, or verify that it belongs to it.

    `grid` is the [grid] table that `grid_id` is the hash of, kept to explain a later mismatch.

    Raises:
        GridError: the store holds pixels of another grid.
        StoreError: the store cannot keep two writers apart.
    """
    found = stored_grid(store)
    if found is None:
        document = identity_document(grid_id, grid)
        store.create(layout.GRID, document)
        try:
            # The same document in other bytes: a run that dies here leaves a valid one.
            refuse_if_replaced(store, layout.GRID, document + b"\n")
        except StoreError:
            store.delete(layout.GRID)  # so that the next run is refused as well
            raise
        found = stored_grid(store)  # ours, or that of the first writer
    if found is None:
        raise StoreError(f"{store.uri(layout.GRID)} vanished while it was written; run again")
    if found["grid_id"] != grid_id:
        raise GridError(refusal(store, found, grid_id=grid_id, grid=grid))


def stored_grid(store: ObjectStore) -> dict[str, object] | None:
    """Read the identity in the store ({"grid_id", "grid", "schema"}); None in a new store.

    Raises:
        StoreError: `grid.json` is damaged, or written by a newer version.
    """
    data = store.find(layout.GRID)
    if data is None:
        return None
    where = store.uri(layout.GRID)
    try:
        document = from_json(data)
    except ValueError as error:
        raise StoreError(
            f"{where} is damaged ({error}); delete it once you know which grid the "
            "pixels belong to: the next run writes it again"
        ) from error
    if document.get("schema") != GRID_SCHEMA or "grid_id" not in document:
        raise StoreError(
            f"{where} has schema {document.get('schema')!r}, this version reads {GRID_SCHEMA}; "
            "use the version of spatial_assets that wrote it, or a newer one"
        )
    return document


def put_grid(store: ObjectStore, grid_id: str, grid: Mapping[str, object]) -> None:
    """Replace the identity of the store: its tiles are those of another level or scheme."""
    store.put(layout.GRID, identity_document(grid_id, grid))


def identity_document(grid_id: str, grid: Mapping[str, object]) -> bytes:
    """Return the bytes of `grid.json`."""
    return to_json({"schema": GRID_SCHEMA, "grid_id": grid_id, "grid": dict(grid)})


def refusal(
    store: ObjectStore, found: Mapping[str, object], *, grid_id: str, grid: Mapping[str, object]
) -> str:
    """Message with the grid of the store, the differing settings, and both remedies."""
    theirs = found.get("grid")
    theirs = theirs if isinstance(theirs, dict) else {}
    differing = "; ".join(
        f"{key}: {theirs.get(key)!r} in the store, {grid.get(key)!r} in the project"
        for key in sorted({*theirs, *grid})
        if theirs.get(key) != grid.get(key)
    )
    return (
        f"the store {store.url} belongs to grid {found['grid_id']}, the project's grid is "
        f"{grid_id} ({differing or 'no setting differs'}); restore [grid], or give "
        "[storage] url a new prefix (another level or scheme alone: spatial-assets regrid)"
    )
