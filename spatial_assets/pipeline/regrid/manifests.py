"""Manifests after a `regrid`: the same units, with other paths and positions on the time axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from spatial_assets.pipeline.stages import TILE_INDEX
from spatial_assets.pipeline.tile.manifest_builder import (
    fingerprint_of_stage,
    first_fingerprint_of_stage,
)
from spatial_assets.pipeline.tile.tile_index import (
    ROWS_UNIT,
    first_rows_fingerprint,
    rows_fingerprint,
)
from spatial_assets.stores.cube.regrid import CubeMove
from spatial_assets.stores.objects.manifests import StageEntry, TileManifest
from spatial_assets.stores.objects.store import ObjectInfo
from spatial_assets.stores.stage_facts import (
    WHOLE_STAGE,
    IndexFacts,
    SceneUnitFacts,
    StatisticsFacts,
    UnitFacts,
    WholeStageFacts,
)


@dataclass(frozen=True, kw_only=True)
class ManifestMove:
    """The change of all manifests in one `regrid`."""

    moves: Sequence[CubeMove]
    """Each stored cube before and after; at least one."""

    etags: Mapping[str, str]
    """New path -> etag, where it is another than before."""

    indices: Sequence[str]
    """Indices of the project, in its order."""

    def of(self, before: TileManifest) -> TileManifest:
        """Return the manifest of a tile after the move; units without a place left out."""
        stages: dict[str, dict[str, StageEntry]] = {}
        for stage, units in before.stages.items():
            for unit, entry in units.items():
                moved = self._entry(entry)
                if moved is not None:
                    stages.setdefault(stage, {})[unit] = moved
        # All parts are written; with another start each month is walked again, and unchanged.
        settled = before.settled if self.moves[0].shift == 0 else {}
        after = replace(before, stages=stages, settled=settled, parts={}, crs={})
        return _with_whole_stages(before, self._with_rows(before, after))

    def _with_rows(self, before: TileManifest, after: TileManifest) -> TileManifest:
        """Let the rows of `tile_index` count as written, if they did and periods were left out."""
        entry = after.entry(TILE_INDEX, ROWS_UNIT)
        for hash_of in (rows_fingerprint, first_rows_fingerprint):
            if entry is not None and entry.fingerprint == hash_of(before, self.indices):
                current = replace(entry, fingerprint=hash_of(after, self.indices))
                return after.with_entry(TILE_INDEX, ROWS_UNIT, current)
        return after

    def _entry(self, entry: StageEntry) -> StageEntry | None:
        """Return a unit after the move; None if it lies before the new start."""
        objects = []
        for info in entry.objects:
            moved = self._object(info)
            if moved is None:
                return None
            objects.append(moved)
        facts = entry.facts
        if facts is not None and self._is_before_start(facts):
            return None
        return replace(entry, objects=tuple(objects), facts=facts and self._facts(facts))

    def _object(self, info: ObjectInfo) -> ObjectInfo | None:
        for move in self.moves:
            path = move.path(info.path)
            if path is None:
                return None
            if path != info.path:
                return replace(info, path=path, etag=self.etags.get(path, info.etag))
        return info

    def _is_before_start(self, facts: UnitFacts) -> bool:
        axis = self.moves[0]
        if isinstance(facts, IndexFacts | StatisticsFacts):
            return axis.period(facts.period) is None
        if isinstance(facts, SceneUnitFacts):
            return date.fromisoformat(facts.scene.solar_day) < axis.new.periods.start
        return False

    def _facts(self, facts: UnitFacts) -> UnitFacts:
        """Return facts with positions on the new axis."""
        axis = self.moves[0]
        if isinstance(facts, IndexFacts | StatisticsFacts):
            return replace(facts, period=facts.period + axis.shift)
        if isinstance(facts, WholeStageFacts) and facts.periods is not None:
            moved = (axis.period(period) for period in facts.periods)
            return replace(facts, periods=tuple(each for each in moved if each is not None))
        return facts


def _with_whole_stages(before: TileManifest, after: TileManifest) -> TileManifest:
    """Let stages count as complete, if they did and units were left out."""
    for stage in before.stages:
        whole = after.entry(stage, WHOLE_STAGE)
        for hash_of in (fingerprint_of_stage, first_fingerprint_of_stage):
            if whole is not None and whole.fingerprint == hash_of(before, stage):
                current = replace(whole, fingerprint=hash_of(after, stage))
                after = after.with_entry(stage, WHOLE_STAGE, current)
    return after
