"""The rows of `tile_index`: what the manifest of a tile says of its pixels."""

from __future__ import annotations

from collections.abc import Iterable

from spatial_assets.pipeline.ledger import WHOLE
from spatial_assets.pipeline.task import IndexRow
from spatial_assets.stores.manifests import StageEntry, TileManifest


def index_rows(manifest: TileManifest, indices: Iterable[str]) -> tuple[IndexRow, ...]:
    """One row for each index and period that was made for the tile."""
    return tuple(
        _row(index, entry)
        for index in indices
        for unit, entry in sorted(manifest.units(index).items())
        if unit != WHOLE
    )


def _row(index: str, entry: StageEntry) -> IndexRow:
    facts = entry.facts
    return IndexRow(
        index=index,
        period=int(str(facts["period"])),
        valid_fraction=float(str(facts["valid_fraction"])),
        observations=float(str(facts["observations"])),
        scenes=int(str(facts["scenes"])),
        fingerprint=entry.fingerprint,
    )
