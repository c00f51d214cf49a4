"""Notes on items of the catalogue in the store: the last run's, which `status` shows.

They hold no time and no state of a tile, so that runs with the same catalogue write the same bytes.
"""

from __future__ import annotations

from dataclasses import asdict

from spatial_assets.catalog.item_notes import ItemNotes
from spatial_assets.stores import layout
from spatial_assets.stores.objects.json import from_json, to_json
from spatial_assets.stores.objects.store import ObjectStore


def store_notes(store: ObjectStore, notes: ItemNotes) -> None:
    """Store the notes of a run, unless the same are there."""
    data = to_json(asdict(notes))
    if store.find(layout.item_notes()) != data:
        store.put(layout.item_notes(), data)


def stored_notes(store: ObjectStore) -> ItemNotes:
    """Return the notes of the last run; empty if there are none, or they are damaged."""
    data = store.find(layout.item_notes())
    if data is None:
        return ItemNotes()
    try:
        document = from_json(data)
        counts = {str(reason): int(count) for reason, count in document["counts"].items()}  # type: ignore[attr-defined]
        named = {str(reason): tuple(ids) for reason, ids in document["named"].items()}  # type: ignore[attr-defined]
    except (ValueError, KeyError, TypeError, AttributeError):
        return ItemNotes()
    return ItemNotes(counts, named)
