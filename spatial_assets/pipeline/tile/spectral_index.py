"""The stage of a spectral index: the reprojected scenes of a period become one value a pixel.

The check `index_range` is one verdict a tile over all its indices and periods, with the worst of
them as evidence. What was removed is stored beside the pixels, and the thresholds are applied at
every walk, so that a new threshold needs no new pixels.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from spatial_assets.geo.grid.geobox import GeoBox
from spatial_assets.geo.grid.pixel_grid import Shard
from spatial_assets.geo.pixels.composite import CompositeMethod, compose_index
from spatial_assets.geo.pixels.evaluate_index import (
    SpectralIndex,
    index_spread,
    judge_range,
)
from spatial_assets.geo.pixels.mosaic import GranuleReflectance
from spatial_assets.geo.radiometry import FILL
from spatial_assets.geo.verdict import Verdict
from spatial_assets.pipeline.failures import MissingInputError, TileQuarantinedError
from spatial_assets.pipeline.fingerprints import fingerprint
from spatial_assets.pipeline.outcome import CheckOutcome, StageOutcome
from spatial_assets.pipeline.stages import CODE_VERSIONS, INDEX_RANGE, REPROJECTED_RASTER
from spatial_assets.pipeline.tile.manifest_builder import ManifestBuilder
from spatial_assets.pipeline.tile.reprojected_raster import ReprojectedRasterStage, SceneLayer
from spatial_assets.pipeline.tile.scene_record import SceneRecord
from spatial_assets.pipeline.tile.task import TileTask
from spatial_assets.pipeline.tile.worker_context import WorkerContext
from spatial_assets.project.sections.checks import ChecksSettings
from spatial_assets.stores import layout
from spatial_assets.stores.cube.cube import read_window, write_tile
from spatial_assets.stores.objects.manifests import StageEntry
from spatial_assets.stores.objects.stage_entries import total
from spatial_assets.stores.stage_facts import Figures, IndexFacts

OUT_OF_RANGE = "index_out_of_range"
"""Reason of the quarantine of an index of which most values were removed."""


class SpectralIndexStage:
    """Makes the indices of one tile, period by period."""

    def __init__(
        self, task: TileTask, context: WorkerContext, *, reprojected: ReprojectedRasterStage
    ) -> None:
        self.names = context.project.indices.names
        builder = reprojected.builder
        self._reprojected = reprojected
        self._task = task
        self._context = context
        self._builder = builder
        self._values: dict[str, NDArray[np.int16]] = {}
        self._range_check = IndexRangeCheck(context.project.checks, self.names, builder)
        self._range_check.recall(task.standing)
        self.newest: NDArray[np.int16] | None = None
        """Values of the first index in the newest period composed, for the preview."""

    @cached_property
    def box(self) -> GeoBox:
        """The tile's window on the pixel grid."""
        return self._context.grid.geobox(self._task.tile.window)

    @cached_property
    def owned(self) -> NDArray[np.bool_]:
        """True where a pixel belongs to the tile."""
        return self._task.tile.owned(self._context.grid)

    def require_bands(self, index: SpectralIndex, scenes: Sequence[SceneRecord]) -> None:
        """Refuse an index of which no scene of the tile has the bands; name those that lack some.

        Raises:
            TileQuarantinedError: there are scenes, and none has the bands.
        """
        unread = self._builder.manifest.unread_summary(REPROJECTED_RASTER)
        counts = Counter({tuple(names.split(",")): n for names, n in unread.bands.items()})
        counts.update(scene.bands for scene in scenes)
        lacking = {each for each in counts if not set(index.needs) <= set(each)}
        if not lacking:
            return
        number = sum(counts[each] for each in lacking)
        self._builder.report(index.name, scenes_without_its_bands=number)
        if len(lacking) < len(counts):
            return
        bands = sorted({band for each in lacking for band in set(index.needs) - set(each)})
        message = (
            f"none of the {number} scenes of the tile has {', '.join(bands)}, which "
            f"{index.name} needs; add the band to the items or to [scenes.sensor] bands, or take "
            f"{index.name} out of [indices] names"
        )
        raise TileQuarantinedError(message, reason="missing_band", evidence={"bands": bands})

    def begin_period(self) -> None:
        """Free the values of the period before."""
        self._values.clear()

    def make(self, index: SpectralIndex, period: int, layers: Sequence[SceneLayer]) -> None:
        """Bring one index and period up to date.

        Raises:
            TileQuarantinedError: too many of its values are out of range.
        """
        label = self._task.periods.label(period)
        project = self._context.project
        # A scene that the catalogue lists no longer may lack the bands of a later index.
        layers = [layer for layer in layers if set(index.needs) <= set(layer.record.bands)]
        scenes = [composed_as(layer.record, layer.entry.fingerprint) for layer in layers]
        expected, *others = [
            index_fingerprint(
                index.name,
                project.time.composite,
                scenes,
                shards=self._task.tile.shards,
                code=code,
            )
            for code in self._task.code_versions(index.name)
        ]
        if self._builder.is_current(index.name, label, expected, *others):
            return
        lost = self._reprojected.restore(layers)
        if lost:
            if not self.has(index.name, period):
                self.make(index, period, [each for each in layers if each.record.id not in lost])
            return
        most = project.checks.most_removed_share
        composed = compose(index, layers, box=self.box, method=project.time.composite, most=most)
        self._range_check.require_plausible(index.name, label, composed.verdict.evidence)
        written = write_tile(
            self._context.store,
            index.name,
            period=period,
            tile=self._task.tile,
            values=composed.values,
            observations=composed.observations,
        )
        facts = self._facts(period, composed, scenes=len(layers))
        self._builder.add(index.name, label, StageEntry(expected, written, facts))
        self._values[index.name] = composed.values
        if index.name == self.names[0] and facts.valid_fraction:
            self.newest = composed.values

    def _facts(self, period: int, composed: ComposedIndex, *, scenes: int) -> IndexFacts:
        owned = int(np.count_nonzero(self.owned))
        valid = np.count_nonzero((composed.values != FILL) & self.owned)
        return IndexFacts(
            period=period,
            valid_fraction=float(valid / owned),
            observations=float(composed.observations[self.owned].sum() / owned),
            scenes=scenes,
            range=dict(composed.verdict.evidence),
        )

    def has(self, index: str, period: int) -> bool:
        """Return True if a period of an index is stored."""
        label = self._task.periods.label(period)
        return self._builder.manifest.entry(index, label) is not None

    def close(self, index: str) -> None:
        """Judge an index that is complete for the tile, and close its stage.

        Raises:
            TileQuarantinedError: too many of its values are out of range.
        """
        coverage = self.coverage(index)
        uri = self._context.store.uri(layout.cube(index))
        periods = self._builder.manifest.summary(index).units
        self._builder.report(index, uri=uri, periods=periods, **coverage)
        self._range_check.judge(index)
        if not coverage["valid_fraction"]:
            self._builder.mark_empty(index)
        self._builder.close(index)

    def stored(self, index: str, period: int) -> NDArray[np.int16]:
        """Return the values of a period, as just written or from the cube."""
        if index not in self._values:
            values, _ = read_window(
                self._context.store, index, period=period, window=self._task.tile.window
            )
            self._values[index] = values
        return self._values[index]

    def coverage(self, *indices: str) -> Mapping[str, float]:
        """Return the number of scenes, and the largest valid share of a period."""
        found = total(self._builder.manifest.summary(name) for name in indices)
        return {"scenes": found.scenes, "valid_fraction": found.valid}

    def require_run(self, index: str) -> None:
        """Refuse to continue from an index that was never made for this tile.

        Raises:
            MissingInputError: with the selection that makes it.
        """
        if not self._builder.has_run(index) and not self._builder.manifest.summary(index).units:
            message = (
                f"{index} of tile {self._task.tile.key} is not in the store, and "
                f"{self._builder.stage} needs it; materialize {index} first, or select it too "
                f'(--select "{index}+")'
            )
            raise MissingInputError(message)


def composed_as(record: SceneRecord, reprojected: str) -> list[str]:
    """Return all that a composite takes from a scene: its pixels, and what `compose` groups by.

    `reprojected` is the fingerprint of its raster.
    """
    return [record.id, reprojected, record.solar_day.isoformat(), record.platform]


def index_fingerprint(
    name: str,
    composite: str,
    scenes: Iterable[list[str]],
    *,
    shards: Sequence[Shard],
    code: str = CODE_VERSIONS["index"],
) -> str:
    """Hash of everything that decides an index of one period; `scenes`: see `composed_as`."""
    return fingerprint("index", code, name, composite, sorted(scenes), shards)


@dataclass(frozen=True, eq=False)
class ComposedIndex:
    """An index over one period, with the verdict on its range."""

    values: NDArray[np.int16]
    observations: NDArray[np.uint16]
    verdict: Verdict


def compose(
    index: SpectralIndex,
    layers: Sequence[SceneLayer],
    *,
    box: GeoBox,
    method: CompositeMethod,
    most: float,
) -> ComposedIndex:
    """Mosaic the granules of each solar day and platform, then reduce the days to one value.

    Args:
        index: what to evaluate.
        layers: scenes of one period.
        box: the pixels.
        method: how days become one value.
        most: share of the values that may be out of range.
    """
    days: dict[tuple[date, str], list[GranuleReflectance]] = defaultdict(list)
    for layer in sorted(layers, key=lambda layer: layer.record.id):
        record = layer.record
        pixels = layer.pixels()
        bands = {name: pixels[at] for at, name in enumerate(record.bands)}
        crs = record.of_band(record.bands[0]).grid.crs
        days[(record.solar_day, record.platform)].append(GranuleReflectance(record.id, crs, bands))
    composite = compose_index(index, [days[day] for day in sorted(days)], target=box, method=method)
    verdict = judge_range(index, composite.computed, kept=composite.kept, most_removed_share=most)
    spread = index_spread(composite.values)
    if spread is not None:
        verdict = replace(verdict, evidence={**verdict.evidence, "spread": spread})
    return ComposedIndex(composite.values, composite.observations, verdict)


class IndexRangeCheck:
    """The check `index_range` of one tile."""

    def __init__(
        self, checks: ChecksSettings, indices: Sequence[str], builder: ManifestBuilder
    ) -> None:
        self._checks = checks
        self._indices = indices
        self._builder = builder
        self._worst: dict[str, Figures] = {}
        """Index -> the figures of its worst period."""

        self._valid: dict[str, float] = {}
        """Index -> valid share in its best period."""

        self._uniform: dict[str, list[str]] = {}
        """Index -> periods in which it has one value over all clear land."""

    def recall(self, standing: Mapping[str, StageOutcome]) -> None:
        """Take over the figures of the indices that stay in quarantine for them."""
        for index in self._indices:
            outcome = standing.get(index)
            if outcome is not None and outcome.reason == OUT_OF_RANGE:
                self._worst[index] = {
                    name: value
                    for name, value in outcome.evidence.items()
                    if isinstance(value, float | int | str)
                }
                self._report(severe=True)

    def require_plausible(self, index: str, label: str, evidence: Figures) -> None:
        """Refuse an index of which most values had to be removed.

        Raises:
            TileQuarantinedError: with the figures, which are those of the check.
        """
        most = self._checks.quarantine_removed_share
        if removed_fraction(evidence) <= most:
            return
        figures = {"period": label, **evidence}
        self._worst[index] = figures
        self._report(severe=True)
        message = (
            f"{removed_fraction(evidence):.0%} of the {index} values of {label} lie outside "
            f"{evidence['expected_range']}, more than {most:.0%} ([checks] "
            "quarantine_removed_share): a wrong band, scale or offset; see the calibration of the "
            "scenes in raw_tile"
        )
        raise TileQuarantinedError(message, reason=OUT_OF_RANGE, evidence={**figures})

    def judge(self, index: str) -> None:
        """Report the share out of range of an index that is complete for the tile.

        Raises:
            TileQuarantinedError: it exceeds a threshold that has changed since.
        """
        found = self._builder.manifest.summary(index)
        label, figures = found.worst
        if not label:
            return
        self.require_plausible(index, label, figures)
        self._worst[index] = {"period": label, **figures}
        self._valid[index] = found.valid
        if found.uniform:
            self._uniform[index] = list(found.uniform)
        self._report(severe=False)

    def _report(self, *, severe: bool) -> None:
        """Record one verdict for all indices so far, at the first index of the project."""
        most, least = self._checks.most_removed_share, self._checks.least_valid_share
        index = max(self._worst, key=lambda name: removed_fraction(self._worst[name]))
        valid = min(self._valid.values(), default=1.0)
        evidence = {
            **self._worst[index],
            "index": index,
            "largest_removed_fraction": most,
            "quarantine_removed_fraction": self._checks.quarantine_removed_share,
            "removed_by_index": ", ".join(
                f"{name} {removed_fraction(figures):.4f}" for name, figures in self._worst.items()
            ),
            "without_variance": str(self._uniform or "none"),
            "valid_share": valid,
            "least_valid_share": least,
        }
        is_in_range = removed_fraction(self._worst[index]) <= most
        passed = is_in_range and valid >= least and not self._uniform
        before = self._builder.last_check(INDEX_RANGE)
        self._builder.check(
            CheckOutcome(
                check=INDEX_RANGE,
                stage=self._indices[0],
                verdict=Verdict(passed, evidence),
                severe=severe or (before is not None and before.severe),
                warnings=tuple(
                    f"{name} has no variance over clear land in {', '.join(periods)}: two of its "
                    "bands are alike, or constant"
                    for name, periods in self._uniform.items()
                ),
            )
        )


def removed_fraction(evidence: Figures) -> float:
    """Return the share of values that were removed."""
    return float(evidence["removed_fraction"])
