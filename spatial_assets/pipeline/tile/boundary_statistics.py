"""The stage `<index>_by_boundary`: the tile's part of each boundary, by index and period."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from spatial_assets.geo.grid.geobox import GeoBox
from spatial_assets.geo.radiometry import INDEX_SCALE, dequantise
from spatial_assets.geo.vectors.zonal_statistics import boundary_parts
from spatial_assets.pipeline.failures import MissingInputError
from spatial_assets.pipeline.fingerprints import fingerprint
from spatial_assets.pipeline.stages import by_boundary
from spatial_assets.pipeline.tile.manifest_builder import ManifestBuilder
from spatial_assets.pipeline.tile.spectral_index import SpectralIndexStage
from spatial_assets.pipeline.tile.task import StatisticsRows, TileTask
from spatial_assets.pipeline.tile.validated_boundaries import BoundaryLayer
from spatial_assets.pipeline.tile.worker_context import WorkerContext
from spatial_assets.stores.objects.manifests import StageEntry
from spatial_assets.stores.stage_facts import BY_BOUNDARY, StatisticsFacts, WholeStageFacts


class BoundaryStatisticsStage:
    """Makes the statistics of one tile, from the stored indices."""

    def __init__(
        self,
        task: TileTask,
        context: WorkerContext,
        builder: ManifestBuilder,
        *,
        indices: SpectralIndexStage,
    ) -> None:
        self._task = task
        self._context = context
        self._builder = builder
        self._indices = indices

    def make(self, index: str, period: int) -> None:
        """Bring the statistics of one index and period up to date.

        Raises:
            MissingInputError: a boundary set was never validated; those of the others are made.
        """
        label = self._task.periods.label(period)
        self._builder.require_intact(index)
        entry = self._builder.manifest.entry(index, label)
        if entry is None:
            self._indices.require_run(index)
            return
        missing: MissingInputError | None = None
        for name in self._task.boundaries:
            try:
                layer = self._context.boundaries.layer(name)
            except MissingInputError as error:
                missing = missing or error
                continue
            self._make_set(index, period, index_fingerprint=entry.fingerprint, layer=layer)
        if missing is not None:
            raise missing

    def _make_set(
        self, index: str, period: int, *, index_fingerprint: str, layer: BoundaryLayer
    ) -> None:
        stage, unit = by_boundary(index), f"{self._task.periods.label(period)}/{layer.table}"
        positions = layer.touching(self._task.tile)
        deciding = [index_fingerprint, layer.fingerprint_of(positions)]
        codes = self._task.code_versions(stage)
        expected, *others = [fingerprint("statistics", code, *deciding) for code in codes]
        if self._builder.is_current(stage, unit, expected, *others):
            return
        rows = statistics_rows(
            self._indices.stored(index, period),
            box=self._indices.box,
            owned=self._indices.owned,
            layer=layer,
            positions=positions,
        )
        self._builder.add_statistics(
            StatisticsRows(index=index, period=period, boundary_table=layer.table, rows=rows)
        )
        facts = StatisticsFacts(period=period, rows=len(rows), boundaries=len(positions))
        self._builder.add(stage, unit, StageEntry(expected, facts=facts))

    def drop(self, stage: str, unit: str) -> None:
        """Drop the statistics of one period and boundary set, with their rows."""
        facts = self._builder.facts(stage, StatisticsFacts)[unit]
        index, name = stage.removesuffix(BY_BOUNDARY), unit.partition("/")[2]
        self._builder.add_statistics(
            StatisticsRows(index=index, period=facts.period, boundary_table=name, rows=())
        )
        self._builder.drop(stage, unit)

    def close(self, index: str) -> None:
        """Drop the statistics of boundary sets that left the project, and close the stage."""
        stage = by_boundary(index)
        self._indices.require_run(index)
        for unit in self._builder.facts(stage, StatisticsFacts):
            if unit.partition("/")[2] not in self._task.boundaries:
                self.drop(stage, unit)
        rows = self._builder.manifest.summary(stage).rows
        self._builder.report(stage, rows=rows, **self._indices.coverage(index))
        boundaries, names = self._context.boundaries, self._task.boundaries
        versions = boundaries.versions(names)  # before the features: never newer than they are
        features = boundaries.features(names, self._task.tile)
        before = self._builder.whole(stage)
        if features == before.features and not self._builder.has_changed(stage):
            versions = dict(before.versions or {})  # nothing is written for them alone
        whole = WholeStageFacts(features=features, versions=versions or None)
        self._builder.close(stage, whole)


def statistics_rows(
    values: NDArray[np.int16],
    *,
    box: GeoBox,
    owned: NDArray[np.bool_],
    layer: BoundaryLayer,
    positions: tuple[int, ...],
) -> tuple[Mapping[str, object], ...]:
    """Return the tile's part of each boundary at `positions`, as columns of the statistics table.

    Args:
        values: the stored index, shape (row, column) of `box`.
        box: where the pixels lie.
        owned: True where a pixel belongs to the tile.
        layer: the boundaries.
        positions: which of them touch the tile.
    """
    real, valid = dequantise(values, INDEX_SCALE)
    parts = boundary_parts(
        real,
        valid,
        geobox=box,
        owned=owned,
        features=[(layer.keys[at], layer.geometries[at]) for at in positions],
    )
    rows = []
    for part in parts:
        columns = asdict(part)
        rows.append({"boundary_key": columns.pop("key"), **columns})
    return tuple(rows)
