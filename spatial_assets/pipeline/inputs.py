"""The input stages of one tile: raw windows and reprojected rasters, scene by scene.

With `raw_tile` selected the scenes are those of the catalogue; else they are the ones stored.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from spatial_assets.geo.clearsky import ClearClasses, ClearSky
from spatial_assets.geo.geobox import GeoBox
from spatial_assets.geo.radiometry import FILL
from spatial_assets.geo.verdict import Verdict
from spatial_assets.pipeline.bench import Bench
from spatial_assets.pipeline.failures import MissingInputError
from spatial_assets.pipeline.fingerprints import fingerprint
from spatial_assets.pipeline.ledger import Ledger
from spatial_assets.pipeline.outcome import CheckOutcome
from spatial_assets.pipeline.raw import RawScene, load_raw, read_raw, store_raw
from spatial_assets.pipeline.record import SceneRecord
from spatial_assets.pipeline.reproject import load_reprojected, reproject, store_reprojected
from spatial_assets.pipeline.stages import CODE_VERSIONS, RAW, REPROJECTED
from spatial_assets.pipeline.task import TileTask
from spatial_assets.stores.manifests import StageEntry

HELD_SHARE = 4
"""Raw pixels may fill a quarter of a worker's memory between reading and reprojecting; what
does not fit is read back from the store."""


@dataclass(eq=False)
class Layer:
    """One reprojected scene of a tile; its pixels are read when they are asked for."""

    record: SceneRecord
    entry: StageEntry
    _pixels: NDArray[np.int16] | None
    _bench: Bench

    def pixels(self) -> NDArray[np.int16]:
        """Quantised reflectance, shape (band, row, column)."""
        if self._pixels is None:
            self._pixels = load_reprojected(self._bench.store, self.entry)
        return self._pixels


class InputStages:
    """Reads and reprojects the scenes of one tile."""

    def __init__(self, task: TileTask, bench: Bench, ledger: Ledger) -> None:
        self._task = task
        self._bench = bench
        self._ledger = ledger
        self._held: dict[str, RawScene] = {}
        self._held_bytes = 0
        self.unreadable: set[str] = set()
        """Scenes of which no pixel of this tile could be read."""

    @cached_property
    def box(self) -> GeoBox:
        """The tile's window on the earth."""
        return self._bench.grid.geobox(self._task.tile.window)

    @cached_property
    def owned(self) -> NDArray[np.bool_]:
        """True where a pixel belongs to the tile."""
        return self._task.tile.owned(self._bench.grid)

    @cached_property
    def records(self) -> Sequence[SceneRecord]:
        """The scenes of this walk, by id: of the catalogue, else those stored.

        Raises:
            MissingInputError: nothing is stored to go on from.
        """
        selected = set(self._task.stages)
        if RAW in selected:
            return self._task.scenes
        if not selected & {REPROJECTED, *self._bench.project.indices.names}:
            return ()
        stored = RAW if REPROJECTED in selected else REPROJECTED
        if not self._ledger.has_run(stored):
            message = (
                f"{stored} of tile {self._task.tile.key} is not in the store; "
                f'materialize it first, or select it too (--select "{stored}+")'
            )
            raise MissingInputError(message)
        entries = self._ledger.units(stored)
        documents = (entries[unit].facts["scene"] for unit in sorted(entries))
        return [SceneRecord.from_document(document) for document in documents]  # type: ignore[arg-type]

    @cached_property
    def periods(self) -> tuple[int, ...]:
        """All periods to look at: those of the product, of the scenes, and those made before."""
        made = {
            int(str(entry.facts["period"]))
            for index in self._bench.project.indices.names
            for entry in self._ledger.units(index).values()
        }
        return tuple(sorted({*self._task.product_periods, *self._by_period, *made}))

    @cached_property
    def _by_period(self) -> dict[int, list[SceneRecord]]:
        found: dict[int, list[SceneRecord]] = defaultdict(list)
        for record in self.records:
            found[self._task.periods.index_of(record.solar_day)].append(record)
        return found

    def read(self) -> None:
        """Bring `raw_tile` up to date, if it is selected."""
        if RAW not in self._task.stages:
            return
        self._ledger.at = RAW
        self._forget_withdrawn(RAW)
        for record in self.records:
            wanted = self._raw_fingerprint(record)
            if not self._ledger.standing(RAW, record.id, wanted):
                self._read_scene(record, wanted)
            self._note_unreadable(record)
        self._ledger.report(RAW, scenes=len(self._ledger.units(RAW)))
        if not self._ledger.units(RAW):
            self._ledger.empty(RAW)
        self._judge_sources()
        self._ledger.close(RAW)

    def layers(self, period: int) -> list[Layer]:
        """The reprojected scenes of a period, brought up to date if the stage is selected."""
        layers = []
        for record in self._by_period.get(period, ()):
            pixels = None
            if REPROJECTED in self._task.stages:
                self._ledger.at = REPROJECTED
                pixels = self._reproject(record)
            entry = self._ledger.manifest.entry(REPROJECTED, record.id)
            if entry is not None:
                layers.append(Layer(record, entry, pixels, self._bench))
        return layers

    def finish(self) -> None:
        """Close `reprojected_raster`, if it is selected."""
        if REPROJECTED not in self._task.stages:
            return
        self._ledger.at = REPROJECTED
        self._forget_withdrawn(REPROJECTED)
        units = self._ledger.units(REPROJECTED)
        shares = [float(str(entry.facts["valid_fraction"])) for entry in units.values()]
        self._ledger.report(REPROJECTED, scenes=len(units), valid_fraction=max(shares, default=0.0))
        if not any(shares):
            self._ledger.empty(REPROJECTED)
        self._ledger.close(REPROJECTED)

    def _forget_withdrawn(self, stage: str) -> None:
        """Drop what was made from scenes that are no longer there."""
        present = {record.id for record in self.records}
        for unit in set(self._ledger.units(stage)) - present:
            self._ledger.drop(stage, unit)

    def _raw_fingerprint(self, record: SceneRecord) -> str:
        return fingerprint(
            RAW, CODE_VERSIONS[RAW], record.fingerprint, record.files, self._task.tile.shards
        )

    def _read_scene(self, record: SceneRecord, wanted: str) -> None:
        raw = read_raw(
            record, self.box, access=self._bench.access, clear=self._bench.project.sensor.clear
        )
        if raw is None:
            self._ledger.drop(RAW, record.id)
            return
        entry = store_raw(
            self._bench.store, self._task.tile.key, scene=record, raw=raw, fingerprint=wanted
        )
        self._ledger.make(RAW, record.id, entry)
        self._hold(record.id, raw)

    def _hold(self, scene: str, raw: RawScene) -> None:
        """Keep raw pixels for the next stage while there is room for them."""
        size = sum(band.pixels.nbytes for band in raw.bands.values())
        limit = self._bench.project.compute.for_tile(self._task.tile.key).memory_mb << 20
        if self._held_bytes + size <= limit // HELD_SHARE:
            self._held[scene] = raw
            self._held_bytes += size

    def _note_unreadable(self, record: SceneRecord) -> None:
        entry = self._ledger.manifest.entry(RAW, record.id)
        if entry is None or entry.facts["readable_fraction"] == 0.0:
            self.unreadable.add(record.id)

    def _judge_sources(self) -> None:
        """Whether every block of every scene could be read."""
        lost = {
            unit: entry.facts["unreadable"]
            for unit, entry in self._ledger.units(RAW).items()
            if entry.facts["unreadable"]
        }
        refused = {scene.id: scene.reason for scene in self._task.rejected}
        evidence: dict[str, float | int | str] = {
            "scenes": len(self._ledger.units(RAW)),
            "unreadable_pixels": str(lost or "none"),
            "refused_scenes": str(refused or "none"),
        }
        verdict = Verdict(passed=not lost and not refused, evidence=evidence)
        self._ledger.checks.append(CheckOutcome(check="source_intact", stage=RAW, verdict=verdict))

    def _reproject(self, record: SceneRecord) -> NDArray[np.int16] | None:
        """Bring one scene's raster up to date; its pixels if they were made now."""
        raw_entry = self._ledger.manifest.entry(RAW, record.id)
        if raw_entry is None:
            return None
        sensor = self._bench.project.sensor
        wanted = fingerprint(
            REPROJECTED,
            CODE_VERSIONS[REPROJECTED],
            raw_entry.fingerprint,
            _rule(sensor.clear),
            asdict(self._bench.grid),
            record.bands,
        )
        if self._ledger.standing(REPROJECTED, record.id, wanted):
            return None
        raw = self._held.pop(record.id, None) or load_raw(self._bench.store, raw_entry)
        pixels = reproject(record, raw, box=self.box, clear=sensor.clear)
        pixels[:, ~self.owned] = FILL
        entry = store_reprojected(
            self._bench.store,
            self._task.tile.key,
            scene=record,
            pixels=pixels,
            box=self.box,
            fingerprint=wanted,
        )
        self._ledger.make(REPROJECTED, record.id, entry)
        return pixels


def _rule(clear: ClearSky | None) -> object:
    """A clear-sky rule as JSON values, the same for equal rules."""
    if clear is None:
        return None
    if isinstance(clear, ClearClasses):
        return ["keep", sorted(clear.keep)]
    return ["drop", sorted(clear.drop)]
