"""The stage `tile_index`: one row for each index and period of a tile, from its manifest."""

from __future__ import annotations

from collections.abc import Container, Iterable

from spatial_assets.pipeline.fingerprints import fingerprint
from spatial_assets.pipeline.stages import CODE_VERSIONS, TILE_INDEX
from spatial_assets.pipeline.tile.manifest_builder import ManifestBuilder
from spatial_assets.pipeline.tile.spectral_index import SpectralIndexStage
from spatial_assets.pipeline.tile.task import IndexRow
from spatial_assets.stores.objects.manifests import StageEntry, TileManifest
from spatial_assets.stores.stage_facts import IndexFacts

ROWS_UNIT = "rows"
"""The only unit of the stage."""


class TileIndexStage:
    """Makes the rows of one tile."""

    def __init__(self, builder: ManifestBuilder, *, indices: SpectralIndexStage) -> None:
        self._builder = builder
        self._indices = indices

    def make(self, *, without: Container[str]) -> None:
        """Bring the rows up to date, and close the stage.

        Args:
            without: stages that could not be made; of an index among them, the rows are about
                what is stored, and there need be nothing.
        """
        for index in (name for name in self._indices.names if name not in without):
            self._builder.require_intact(index)
            self._indices.require_run(index)
        manifest = self._builder.manifest
        expected = rows_fingerprint(manifest, self._indices.names)
        self._builder.report(
            TILE_INDEX,
            rows=sum(manifest.summary(index).units for index in self._indices.names),
            **self._indices.coverage(*self._indices.names),
        )
        if not self._builder.is_current(TILE_INDEX, ROWS_UNIT, expected):
            entry = StageEntry(expected)
            if self._are_current_of_old():
                self._builder.restate(TILE_INDEX, ROWS_UNIT, entry)
            else:
                self._set_rows()
                self._builder.add(TILE_INDEX, ROWS_UNIT, entry)
        self._builder.close(TILE_INDEX)

    def _are_current_of_old(self) -> bool:
        """Return True if the rows are as a manifest that was one document describes them."""
        manifest = self._builder.manifest
        expected = first_rows_fingerprint(manifest, self._indices.names)
        return not manifest.unread and self._builder.is_current(TILE_INDEX, ROWS_UNIT, expected)

    def _set_rows(self) -> None:
        """Take all rows if all are known, else those of the units that changed."""
        rows = index_rows(self._builder.manifest, self._indices.names)
        if self._builder.manifest.unread:
            changed = {name: self._builder.changed_units(name) for name in self._indices.names}
            rows = tuple(row for row in rows if row.unit in changed[row.index])
        self._builder.index_rows = rows

    def break_off(self) -> None:
        """Update the rows to the indices made before the walk failed.

        Their pixels are in the cube already: rows about the old pixels would be wrong.
        """
        if any(self._builder.has_changed(name) for name in self._indices.names):
            self._set_rows()
            self._builder.drop(TILE_INDEX, ROWS_UNIT)


def rows_fingerprint(manifest: TileManifest, indices: Iterable[str]) -> str:
    """Hash all rows of a tile."""
    made = [(index, manifest.hashes(index)) for index in indices]
    return fingerprint(TILE_INDEX, CODE_VERSIONS[TILE_INDEX], made)


def first_rows_fingerprint(manifest: TileManifest, indices: Iterable[str]) -> str:
    """Hash all rows of a tile as for manifests that were one document; all must be read."""
    prints = [row.fingerprint for row in index_rows(manifest, indices)]
    return fingerprint(TILE_INDEX, CODE_VERSIONS[TILE_INDEX], prints)


def index_rows(manifest: TileManifest, indices: Iterable[str]) -> tuple[IndexRow, ...]:
    """Return one row for each index and period that was made for the tile."""
    return tuple(
        IndexRow(
            index=index,
            unit=unit,
            period=facts.period,
            valid_fraction=facts.valid_fraction,
            observations=facts.observations,
            scenes=facts.scenes,
            fingerprint=manifest.units(index)[unit].fingerprint,
        )
        for index in indices
        for unit, facts in sorted(manifest.facts(index, IndexFacts).items())
    )
