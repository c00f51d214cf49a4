"""Inputs that [retention] released and that a run reads again, and the periods that it removes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property

from spatial_assets.catalog import Scene
from spatial_assets.cli.selection.inventory import Inventory
from spatial_assets.geo.periods import Periods
from spatial_assets.pipeline.freshness.stage_inputs import inputs_from_rows, stage_settings
from spatial_assets.pipeline.stages import RAW, REPROJECTED_RASTER, TILE_INDEX
from spatial_assets.pipeline.tile.retention import FirstKept, period_of
from spatial_assets.stores.objects.manifests import TileManifest

SAMPLED_INPUTS = 50
"""Tiles of which the settings are compared: a change of a setting concerns all of them."""

FIRST_DAY = date(1970, 1, 1)  # before any scene; labels of periods do not depend on it


@dataclass(frozen=True)
class ReleasedInputs:
    """Decides what a run over some tiles reads although it was read before."""

    inventory: Inventory
    now: datetime
    """Present moment, UTC."""

    @property
    def are_possible(self) -> bool:
        """True if [retention] releases the pixels that are read."""
        return self.inventory.project.retention.raw_tile is not None

    @cached_property
    def periods(self) -> Periods:
        """Calendar of the project's periods."""
        return Periods(FIRST_DAY, self.inventory.project.time.period, self.now.date())

    @cached_property
    def first_kept_day(self) -> date:
        """First day of the first period that the product keeps."""
        scenes, today = self.inventory.catalogue.as_of(self.now).scenes, self.now.date()
        newest = self.periods.index_of(max((scene.solar_day for scene in scenes), default=today))
        retention = self.inventory.project.retention
        first = FirstKept.of(retention, self.periods, newest=newest, today=today)
        return self.periods.first_day(first.periods)

    @cached_property
    def changed_stages(self) -> Collection[str]:
        """Stages whose settings or code changed since tiles were made, as a sample tells."""
        keys = sorted(self.inventory.keys_with_manifest)
        sample = keys[:: max(1, len(keys) // SAMPLED_INPUTS)]
        where = {"grid_id": self.inventory.project.grid_id, "tile": sample}
        rows = self.inventory.opened.database.rows_if_any("tile_inputs", where)
        now = stage_settings(self.inventory.project)
        return {
            stage
            for inputs in inputs_from_rows(rows).values()
            for stage, settings in now.items()
            if stage != TILE_INDEX and (stage not in inputs or inputs[stage].settings != settings)
        }

    def stored(self, manifest: TileManifest, listed: Collection[Scene]) -> frozenset[str]:
        """Return the scenes of a tile whose pixels are not read again.

        Args:
            manifest: the whole manifest of the tile.
            listed: scenes of the catalogue that may overlap the tile.
        """
        changed = self.changed_stages
        if RAW in changed:
            return frozenset()
        stored = manifest.scenes(RAW)
        composed = self._composed_again(manifest, listed)
        found = set()
        for name in stored:
            raw = manifest.units(RAW)[name]
            raster = manifest.entry(REPROJECTED_RASTER, name)
            is_needed = (
                REPROJECTED_RASTER in changed
                or raster is None
                or (raster.released and period_of(raw, self.periods) in composed)
            )
            if not (raw.released and is_needed):
                found.add(name)
        return frozenset(found)

    def _composed_again(self, manifest: TileManifest, listed: Collection[Scene]) -> set[int]:
        """Return the periods of a tile that a run composes again."""
        indices = self.inventory.project.indices.names
        stored: Mapping[str, str] = {
            name: scene.fingerprint for name, scene in manifest.scenes(RAW).items()
        }
        every = {
            period
            for name in stored
            if (period := period_of(manifest.units(RAW)[name], self.periods)) is not None
        }
        if not set(indices).isdisjoint(self.changed_stages):
            return every
        new = {
            self.periods.index_of(scene.solar_day)
            for scene in listed
            if stored.get(scene.id) != scene.fingerprint
        }
        gone = {
            period
            for name in stored.keys() & self.inventory.absent.dropped
            if (period := period_of(manifest.units(RAW)[name], self.periods)) is not None
        }
        lacking = {
            period
            for period in every
            if any(self.periods.label(period) not in manifest.units(index) for index in indices)
        }
        return new | gone | lacking


def expired_periods(inventory: Inventory, *, now: datetime) -> tuple[str, ...]:
    """Return the periods of the product that the next run of its tiles removes."""
    if inventory.project.retention.periods is None:
        return ()
    first = ReleasedInputs(inventory, now).first_kept_day
    where = {"grid_id": inventory.project.grid_id}
    rows = inventory.opened.database.rows_if_any(
        TILE_INDEX, where, columns=("period", "period_start")
    )
    old = {str(row["period"]) for row in rows if str(row["period_start"]) < first.isoformat()}
    return tuple(sorted(old))
