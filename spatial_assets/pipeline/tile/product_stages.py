"""The product stages of one tile: index, statistics by boundary, and the rows of `tile_index`.

The rows of `tile_index`: what the manifest of a tile says of its pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from spatial_assets.geo.grid.geobox import GeoBox
from spatial_assets.geo.pixels.evaluate_index import SpectralIndex
from spatial_assets.geo.radiometry import FILL
from spatial_assets.pipeline.failures import MissingInputError, TileQuarantinedError
from spatial_assets.pipeline.fingerprints import fingerprint
from spatial_assets.pipeline.stages import CODE_VERSIONS, FEATURES, TILE_INDEX, by_boundary
from spatial_assets.pipeline.tile.boundary_statistics import statistics_rows
from spatial_assets.pipeline.tile.manifest_builder import WHOLE, ManifestBuilder
from spatial_assets.pipeline.tile.reprojected_raster import SceneLayer
from spatial_assets.pipeline.tile.spectral_index import IndexRangeCheck, compose
from spatial_assets.pipeline.tile.task import IndexRow, StatisticsRows, TileTask
from spatial_assets.pipeline.tile.worker_context import WorkerContext
from spatial_assets.stores import layout
from spatial_assets.stores.cube.cube import read_window, write_tile
from spatial_assets.stores.objects.manifests import StageEntry, TileManifest

ROWS = "rows"
"""The unit of `tile_index`."""


class ProductStages:
    """Makes what the selected product stages say, period by period."""

    def __init__(self, task: TileTask, context: WorkerContext, builder: ManifestBuilder) -> None:
        self._task = task
        self._context = context
        self._builder = builder
        self._values: dict[str, NDArray[np.int16]] = {}
        self._ranges = IndexRangeCheck(
            context.project.checks, context.project.indices.names, builder
        )
        self._stopped: dict[str, TileQuarantinedError | MissingInputError] = {}
        self.newest: NDArray[np.int16] | None = None
        """Values of the first index in the newest period composed, for the preview."""

    @cached_property
    def box(self) -> GeoBox:
        """The tile's window on the earth."""
        return self._context.grid.geobox(self._task.tile.window)

    @cached_property
    def owned(self) -> NDArray[np.bool_]:
        """True where a pixel belongs to the tile."""
        return self._task.tile.owned(self._context.grid)

    def make_indices(self, period: int, layers: Sequence[SceneLayer]) -> None:
        """Bring the selected indices of one period up to date."""
        self._values.clear()
        for index in self._context.project.indices_in_use:
            if self._may_work_on(index.name):
                with self._stage(index.name):
                    self._make_index(index, period, layers=layers)

    def make_statistics(self, period: int) -> None:
        """Bring the selected statistics of one period up to date, from what is stored."""
        for index in self._context.project.indices.names:
            if self._may_work_on(by_boundary(index), index):
                with self._stage(by_boundary(index)):
                    self._make_statistics(index, period)

    def finish(self) -> None:
        """Close the product stages, and write down what `tile_index` says of the tile.

        Raises:
            TileQuarantinedError, MissingInputError: what stopped a stage, when the others are done.
        """
        names = self._context.project.indices.names
        for index in names:
            if self._may_work_on(index):
                with self._stage(index):
                    self._close_index(index)
            if self._may_work_on(by_boundary(index), index):
                with self._stage(by_boundary(index)):
                    self._close_statistics(index)
        if self._may_work_on(TILE_INDEX, *names):
            with self._stage(TILE_INDEX):
                self._make_tile_index()
        for stage, error in self._stopped.items():
            self._builder.at = stage
            raise error

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        """Work on a stage: what is wrong with it stops it and what stands on it, and no other."""
        self._builder.at = name
        try:
            yield
        except (TileQuarantinedError, MissingInputError) as error:
            self._stopped[name] = error

    def _may_work_on(self, stage: str, *upstream: str) -> bool:
        """Whether a stage is selected, and neither it nor what it stands on was stopped."""
        return stage in self._task.stages and not {stage, *upstream} & self._stopped.keys()

    def break_off(self) -> None:
        """Bring the rows of `tile_index` in line with the indices made before the walk broke off.

        The pixels are in the cube: rows that still told of the old ones would be wrong.
        """
        names = self._context.project.indices.names
        if TILE_INDEX in self._task.stages and any(self._builder.made(name) for name in names):
            self._builder.index_rows = index_rows(self._builder.manifest, names)
            self._builder.drop(TILE_INDEX, ROWS)

    def _make_index(
        self, index: SpectralIndex, period: int, *, layers: Sequence[SceneLayer]
    ) -> None:
        label = self._task.periods.label(period)
        wanted = fingerprint(
            "index",
            CODE_VERSIONS["index"],
            index.name,
            self._context.project.time.composite,
            sorted(layer.entry.fingerprint for layer in layers),
            self._task.tile.shards,
        )
        if self._builder.standing(index.name, label, wanted):
            return
        project = self._context.project
        most = project.checks.most_removed_share
        composed = compose(index, layers, box=self.box, method=project.time.composite, most=most)
        self._ranges.require_believable(index.name, label, composed.verdict.evidence)
        written = write_tile(
            self._context.store,
            index.name,
            period=period,
            tile=self._task.tile,
            values=composed.values,
            observations=composed.observations,
        )
        owned = int(np.count_nonzero(self.owned))
        seen = np.count_nonzero((composed.values != FILL) & self.owned)
        facts = {
            "period": period,
            "valid_fraction": float(seen / owned),
            "observations": float(composed.observations[self.owned].sum() / owned),
            "scenes": len(layers),
            "range": dict(composed.verdict.evidence),
        }
        self._builder.make(index.name, label, StageEntry(wanted, written, facts))
        self._values[index.name] = composed.values
        if index.name == self._context.project.indices.names[0] and seen:
            self.newest = composed.values

    def _make_statistics(self, index: str, period: int) -> None:
        stage, label = by_boundary(index), self._task.periods.label(period)
        self._builder.require_intact(index, for_stage=stage)
        entry = self._builder.manifest.entry(index, label)
        if entry is None:
            self._require_run(index, for_stage=stage)
            return
        for name in self._task.boundaries:
            layer = self._context.boundaries.layer(name)
            positions = layer.touching(self._task.tile)
            unit = f"{label}/{name}"
            wanted = fingerprint(
                "statistics",
                CODE_VERSIONS["statistics"],
                entry.fingerprint,
                layer.fingerprint_of(positions),
            )
            if self._builder.standing(stage, unit, wanted):
                continue
            rows = statistics_rows(
                self._stored(index, period),
                box=self.box,
                owned=self.owned,
                layer=layer,
                positions=positions,
            )
            self._builder.summarise(
                StatisticsRows(index=index, period=period, boundary_table=name, rows=rows)
            )
            facts = {"period": period, "rows": len(rows), "boundaries": len(positions)}
            self._builder.make(stage, unit, StageEntry(wanted, (), facts))

    def _close_statistics(self, index: str) -> None:
        """Drop the statistics of boundary sets that left the project, and close the stage."""
        self._require_run(index, for_stage=by_boundary(index))
        for unit, entry in self._builder.units(by_boundary(index)).items():
            name = unit.partition("/")[2]
            if name not in self._task.boundaries:
                period = int(str(entry.facts["period"]))
                self._builder.summarise(
                    StatisticsRows(index=index, period=period, boundary_table=name, rows=())
                )
                self._builder.drop(by_boundary(index), unit)
        units = self._builder.units(by_boundary(index)).values()
        rows = sum(int(str(entry.facts["rows"])) for entry in units)
        self._builder.report(by_boundary(index), rows=rows, **self._seen(index))
        features = self._context.boundaries.features(self._task.boundaries, self._task.tile)
        self._builder.close(by_boundary(index), **{FEATURES: features})

    def _stored(self, index: str, period: int) -> NDArray[np.int16]:
        """The stored values of a period: as just written, else from the cube."""
        if index not in self._values:
            values, _ = read_window(
                self._context.store, index, period=period, window=self._task.tile.window
            )
            self._values[index] = values
        return self._values[index]

    def _close_index(self, index: str) -> None:
        seen = self._seen(index)
        uri = self._context.store.uri(layout.cube(index))
        self._builder.report(index, uri=uri, periods=len(self._builder.units(index)), **seen)
        self._ranges.judge(index)
        if not seen["valid_fraction"]:
            self._builder.empty(index)
        self._builder.close(index)

    def _seen(self, *indices: str) -> Mapping[str, float]:
        """What every product tells of its pixels: scenes, and the best valid share of a period."""
        facts = [entry.facts for name in indices for entry in self._builder.units(name).values()]
        return {
            "scenes": sum(int(str(each["scenes"])) for each in facts),
            "valid_fraction": max(
                (float(str(each["valid_fraction"])) for each in facts), default=0
            ),
        }

    def _make_tile_index(self) -> None:
        names = self._context.project.indices.names
        for index in names:
            self._builder.require_intact(index, for_stage=TILE_INDEX)
            self._require_run(index, for_stage=TILE_INDEX)
        rows = index_rows(self._builder.manifest, names)
        wanted = fingerprint(
            TILE_INDEX, CODE_VERSIONS[TILE_INDEX], [row.fingerprint for row in rows]
        )
        self._builder.report(TILE_INDEX, rows=len(rows), **self._seen(*names))
        if not self._builder.standing(TILE_INDEX, ROWS, wanted):
            self._builder.index_rows = rows
            self._builder.make(TILE_INDEX, ROWS, StageEntry(wanted))
        self._builder.close(TILE_INDEX)

    def _require_run(self, index: str, *, for_stage: str) -> None:
        """Refuse to go on from an index that was never made for this tile.

        Raises:
            MissingInputError: naming the selection that makes it.
        """
        if not self._builder.has_run(index) and not self._builder.units(index):
            message = (
                f"{index} of tile {self._task.tile.key} is not in the store, and {for_stage} needs "
                f'it; materialize {index} first, or select it too (--select "{index}+")'
            )
            raise MissingInputError(message)


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
