"""The second stage of one tile: its scenes as layers on the tile's own pixels, period by period."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from spatial_assets.geo.alignment import MAX_SHIFT_PIXELS
from spatial_assets.geo.radiometry import FILL
from spatial_assets.geo.verdict import Verdict
from spatial_assets.pipeline.bench import Bench
from spatial_assets.pipeline.fingerprints import fingerprint, rule_of
from spatial_assets.pipeline.inputs import RawStage
from spatial_assets.pipeline.outcome import CheckOutcome
from spatial_assets.pipeline.record import SceneRecord
from spatial_assets.pipeline.reproject import (
    MisplacedError,
    load_reprojected,
    reproject,
    store_reprojected,
)
from spatial_assets.pipeline.stages import CODE_VERSIONS, RAW, REPROJECTED
from spatial_assets.pipeline.task import TileTask
from spatial_assets.stores import layout
from spatial_assets.stores.manifests import StageEntry


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


class LayerStage:
    """Reprojects the scenes of one tile, or finds them in the store."""

    def __init__(self, task: TileTask, bench: Bench, *, raw: RawStage) -> None:
        self._task = task
        self._bench = bench
        self._raw = raw
        self._ledger = raw.ledger

    @cached_property
    def records(self) -> Sequence[SceneRecord]:
        """The scenes that layers are made of, or were.

        Raises:
            MissingInputError: they are needed and not in the store.
        """
        if REPROJECTED in self._task.stages:
            self._ledger.at = REPROJECTED
            return self._raw.records
        wanted = [name for name in self._bench.project.indices.names if name in self._task.stages]
        if not wanted:
            return ()
        self._ledger.at = wanted[0]
        return self._raw.stored(REPROJECTED)

    @cached_property
    def periods(self) -> tuple[int, ...]:
        """All periods to look at: those of the product, of the scenes, and those made before."""
        made = {
            int(str(entry.facts["period"]))
            for index in self._bench.project.indices.names
            for entry in self._ledger.units(index).values()
        }
        return tuple(sorted({*self._of_product(), *self._by_period, *made}))

    def of_period(self, period: int) -> list[Layer]:
        """The reprojected scenes of a period, brought up to date if the stage is selected."""
        layers = []
        for record in self._by_period.get(period, ()):
            pixels = None
            if REPROJECTED in self._task.stages:
                self._ledger.at = REPROJECTED
                pixels = self._bring_up_to_date(record)
            entry = self._ledger.manifest.entry(REPROJECTED, record.id)
            if entry is not None:
                layers.append(Layer(record, entry, pixels, self._bench))
        return layers

    def finish(self) -> None:
        """Close `reprojected_raster`, if it is selected."""
        if REPROJECTED not in self._task.stages:
            return
        self._ledger.at = REPROJECTED
        self._raw.forget_withdrawn(REPROJECTED, self.records)
        units = self._ledger.units(REPROJECTED)
        shares = [float(str(entry.facts["valid_fraction"])) for entry in units.values()]
        self._ledger.report(
            REPROJECTED,
            uri=self._bench.store.uri(layout.reprojected_folder(self._task.tile.key)),
            scenes=len(units),
            valid_fraction=max(shares, default=0.0),
        )
        self._say_aligned(units)
        if not any(shares):
            self._ledger.empty(REPROJECTED)
        self._ledger.close(REPROJECTED)

    def _say_aligned(self, units: Mapping[str, StageEntry]) -> None:
        """Say how well the rasters lie on the tile's pixels; a misplaced one is never written."""
        found = [entry.facts["alignment"] for entry in units.values()]
        figures = [each for each in found if isinstance(each, Mapping)]
        shifts = [float(str(each["shift_pixels"])) for each in figures]
        looked_at = [int(str(each.get("places_looked_at", 0))) for each in figures]
        evidence: dict[str, float | int | str] = {
            "scenes": len(units),
            "largest_shift_found": max(shifts, default=0.0),
            "places_looked_at": sum(looked_at),
        }
        passed = max(shifts, default=0.0) <= MAX_SHIFT_PIXELS
        self._check(Verdict(passed=passed, evidence=evidence), severe=False)

    def _check(self, verdict: Verdict, *, severe: bool) -> None:
        self._ledger.check(
            CheckOutcome(check="pixel_alignment", stage=REPROJECTED, verdict=verdict, severe=severe)
        )

    @cached_property
    def _by_period(self) -> dict[int, list[SceneRecord]]:
        found: dict[int, list[SceneRecord]] = defaultdict(list)
        for record in self.records:
            found[self._task.periods.index_of(record.solar_day)].append(record)
        return found

    def _of_product(self) -> Iterable[int]:
        """The periods of the product: as the catalogue has them, else as when it was last asked."""
        if RAW in self._task.stages:
            return self._task.product_periods
        noted = self._ledger.whole(RAW).get("periods", ())
        return noted if isinstance(noted, list) else ()

    def _bring_up_to_date(self, record: SceneRecord) -> NDArray[np.int16] | None:
        """Make one scene's raster if it is not there; its pixels if they were made now."""
        raw_entry = self._ledger.manifest.entry(RAW, record.id)
        if raw_entry is None:
            self._ledger.drop(REPROJECTED, record.id)
            return None
        sensor = self._bench.project.sensor
        wanted = fingerprint(
            REPROJECTED,
            CODE_VERSIONS[REPROJECTED],
            raw_entry.fingerprint,
            rule_of(sensor.clear),
            asdict(self._bench.grid),
            record.bands,
        )
        raw = None
        if not self._ledger.standing(REPROJECTED, record.id, wanted):
            raw = self._raw.take(record)
        if raw is None:
            return None
        pixels = reproject(record, raw, box=self._raw.box, clear=sensor.clear)
        del raw  # before the next copies are made
        np.copyto(pixels, FILL, where=~self._raw.owned)
        try:
            entry = store_reprojected(
                self._bench.store,
                self._task.tile.key,
                scene=record,
                pixels=pixels,
                box=self._raw.box,
                owned=self._raw.owned,
                fingerprint=wanted,
            )
        except MisplacedError as error:
            verdict = Verdict(passed=False, evidence={"misplaced": error.scene, **error.evidence})
            self._check(verdict, severe=True)
            raise
        self._ledger.make(REPROJECTED, record.id, entry)
        return pixels
