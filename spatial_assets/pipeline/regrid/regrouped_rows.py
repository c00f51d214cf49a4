"""Rows of tiles of another level or scheme, in place of those of the former tiles."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from spatial_assets.catalog import Catalogue
from spatial_assets.geo.grid.partitioning import Partitioning
from spatial_assets.pipeline.freshness.stage_inputs import (
    SceneIndex,
    StageInputs,
    inputs_by_stage,
    inputs_from_rows,
    inputs_row,
    stage_settings,
)
from spatial_assets.pipeline.stages import RAW, REPROJECTED_RASTER, TILE_INDEX, by_boundary
from spatial_assets.project import Project
from spatial_assets.stores.objects.manifests import TileManifest
from spatial_assets.stores.rows import Replace, RowChange, RowLike, TileState, Upsert
from spatial_assets.stores.stage_facts import WHOLE_STAGE, IndexFacts, ReprojectedRasterFacts
from spatial_assets.stores.tables.database import Database

TILE_TABLES = (TILE_INDEX, "tile_state", "tile_inputs", "tile_wanted")


@dataclass(frozen=True, kw_only=True)
class RegroupedRows:
    """Changes of the database after the tiles were grouped anew."""

    project: Project
    database: Database
    former: str
    """Identity of the grid of the former tiles."""

    former_tiles: Partitioning
    """Tiles of the former level and scheme in the area of the project."""

    now: datetime
    indices: tuple[str, ...]
    """Indices that the new tiles have."""

    def changes(
        self, manifests: Sequence[TileManifest], catalogue: Callable[[], Catalogue | None]
    ) -> list[RowChange]:
        """Return the changes of all tables, for one transaction; harmless to repeat.

        Args:
            manifests: of the new tiles.
            catalogue: the scenes of the area now, if they are known.
        """
        former = {"grid_id": self.former}
        tables = [*(by_boundary(name) for name in self.project.indices.names), *TILE_TABLES]
        rows = self.database.rows("tile_inputs", former)
        written: dict[str, Sequence[RowLike]] = {
            "quarantine": list(self._quarantine()),
            "tile_state": list(self._states(manifests)),
        }
        if rows and (found := catalogue()) is not None:
            written["tile_inputs"] = list(self._inputs(rows, manifests, found))
        removed = [Replace(table, former, ()) for table in (*tables, "quarantine")]
        return [*removed, *(Upsert(table, rows) for table, rows in written.items() if rows)]

    def _quarantine(self) -> Iterator[RowLike]:
        """Yield the records of scenes and features; a bad tile is judged again."""
        for row in self.database.rows("quarantine", {"grid_id": self.former}):
            if row["kind"] != "tile":
                yield {**row, "grid_id": self.project.grid_id}

    def _states(self, manifests: Sequence[TileManifest]) -> Iterator[TileState]:
        for manifest in manifests:
            for stage in (RAW, REPROJECTED_RASTER, *self.indices):
                whole = manifest.entry(stage, WHOLE_STAGE)
                if whole is not None:
                    yield TileState(
                        grid_id=self.project.grid_id,
                        tile=manifest.tile,
                        stage=stage,
                        state="empty" if is_empty(manifest, stage) else "materialized",
                        since=self.now,
                        fingerprint=whole.fingerprint,
                    )

    def _inputs(
        self,
        rows: Sequence[Mapping[str, object]],
        manifests: Sequence[TileManifest],
        catalogue: Catalogue,
    ) -> Iterator[RowLike]:
        """Yield the inputs of new tiles, if those of all former tiles are the present ones.

        Otherwise nobody knows which of the scenes of now a new tile was made from: it is due.
        """
        known, settings = inputs_from_rows(rows), stage_settings(self.project)
        index = SceneIndex(catalogue.scene_versions)
        for tile, made_from in known.items():
            if not self._is_current(made_from, settings) or (
                made_from[RAW].scenes != self._scenes_of_former(tile, index)
            ):
                return
        looked_at = min(at for row in rows if isinstance(at := row["looked_at"], datetime))
        for manifest in manifests:
            footprint = self.project.partitioning.tile(manifest.tile).footprint(
                self.project.pixel_grid
            )
            inputs = inputs_by_stage(
                self.project,
                scenes=index.scenes_hash(footprint),
                boundaries={},
                selected=(RAW, REPROJECTED_RASTER, *self.indices),
            )
            yield inputs_row(
                inputs,
                grid_id=self.project.grid_id,
                tile=manifest.tile,
                looked_at=looked_at,
            )

    def _scenes_of_former(self, key: str, index: SceneIndex) -> str:
        """Hash the scenes over a former tile; empty if the area has it no longer."""
        tile = self.former_tiles.tiles.get(key)
        return "" if tile is None else index.scenes_hash(tile.footprint(self.project.pixel_grid))

    def _is_current(self, inputs: Mapping[str, StageInputs], settings: Mapping[str, str]) -> bool:
        return all(
            stage in inputs and inputs[stage].settings == settings[stage]
            for stage in (RAW, REPROJECTED_RASTER, *self.indices)
        )


def is_empty(manifest: TileManifest, stage: str) -> bool:
    """Return True if a stage has no valid pixel."""
    if stage == RAW:
        return not [unit for unit in manifest.units(RAW) if unit]
    if stage == REPROJECTED_RASTER:
        rasters = manifest.facts(stage, ReprojectedRasterFacts).values()
        return not any(facts.valid_fraction for facts in rasters)
    return not any(facts.valid_fraction for facts in manifest.facts(stage, IndexFacts).values())
