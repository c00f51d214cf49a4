"""The stage `reprojected_raster`: clear-sky reflectance of each scene on the tile's pixels.

Stored as int16 reflectance x 10,000, with fill where any band is unknown or the sky is not clear.
A source pixel that does not count in all bands (see `geo.warp.scene_mask`) has no weight in any.
The next stage receives exactly what is stored, period by period.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from spatial_assets.errors import RasterError
from spatial_assets.geo.clear_sky import ClearSky
from spatial_assets.geo.grid.geobox import GeoBox
from spatial_assets.geo.grid.pixel_grid import PixelGrid
from spatial_assets.geo.pixels.placement import MAX_SHIFT_PIXELS, judge_alignment, judge_extent
from spatial_assets.geo.radiometry import ALREADY_REFLECTANCE, FILL, REFLECTANCE_SCALE, fill_mask
from spatial_assets.geo.verdict import Verdict
from spatial_assets.geo.warp.cloud_buffer import clear_outside_buffer
from spatial_assets.geo.warp.scene_mask import GridMask, counted_pixels
from spatial_assets.geo.warp.warp import CalibratedBand
from spatial_assets.pipeline.failures import MissingInputError
from spatial_assets.pipeline.fingerprints import buffer_of, fingerprint, rule_of
from spatial_assets.pipeline.outcome import CheckOutcome
from spatial_assets.pipeline.stages import CODE_VERSIONS, RAW, REPROJECTED_RASTER
from spatial_assets.pipeline.tile.raw_tile import RawScene, RawTileStage
from spatial_assets.pipeline.tile.retention import released_message
from spatial_assets.pipeline.tile.scene_record import SceneRecord
from spatial_assets.pipeline.tile.scene_sampling import SceneSampling
from spatial_assets.pipeline.tile.task import TileTask
from spatial_assets.pipeline.tile.worker_context import WorkerContext
from spatial_assets.stores import layout
from spatial_assets.stores.objects.geotiff import placement, read_geotiff, write_geotiff
from spatial_assets.stores.objects.manifests import StageEntry
from spatial_assets.stores.objects.stage_entries import StageSummary
from spatial_assets.stores.objects.store import ObjectStore
from spatial_assets.stores.stage_facts import IndexFacts, ReprojectedRasterFacts


@dataclass(eq=False)
class SceneLayer:
    """One reprojected scene of a tile; its pixels are read when they are needed."""

    record: SceneRecord
    entry: StageEntry
    _pixels: NDArray[np.int16] | None
    _context: WorkerContext

    @property
    def is_released(self) -> bool:
        """True if the raster is neither in the store nor in memory."""
        return self.entry.released and self._pixels is None

    def restore(self, pixels: NDArray[np.int16]) -> None:
        """Take the pixels of a released raster that was made again."""
        self._pixels = pixels

    def pixels(self) -> NDArray[np.int16]:
        """Return the quantised reflectance, shape (band, row, column)."""
        if self._pixels is None:
            self._pixels = load_reprojected(self._context.store, self.entry)
        return self._pixels


class ReprojectedRasterStage:
    """Reprojects the scenes of one tile, or finds them in the store."""

    def __init__(self, task: TileTask, context: WorkerContext, *, raw: RawTileStage) -> None:
        self._task = task
        self._context = context
        self._raw = raw
        self.builder = raw.builder
        self.incomplete: set[int] = set()
        """Periods of which a scene is lost that cannot be read again: they stay as they are."""

    @cached_property
    def records(self) -> Sequence[SceneRecord]:
        """The scenes that layers are made of, or were.

        Raises:
            MissingInputError: they are needed and not in the store.
        """
        if REPROJECTED_RASTER in self._task.stages:
            with self.builder.in_stage(REPROJECTED_RASTER):
                return self._raw.records
        indices = self._context.project.indices.names
        selected = next((name for name in indices if name in self._task.stages), None)
        if selected is None:
            return ()
        with self.builder.in_stage(selected):
            return self._raw.stored(REPROJECTED_RASTER)

    @cached_property
    def periods(self) -> tuple[int, ...]:
        """Periods to bring up to date: of the product, of the scenes, and those made before."""
        made = {
            facts.period
            for index in self._context.project.indices.names
            for facts in self.builder.facts(index, IndexFacts).values()
        }
        known = {*self._of_product(), *self._by_period, *made}
        return tuple(sorted(filter(self._task.concerns, known)))

    def of_period(self, period: int) -> list[SceneLayer]:
        """Return the reprojected scenes of a period, up to date if the stage is selected."""
        layers = []
        for record in self._by_period.get(period, ()):
            pixels = None
            if REPROJECTED_RASTER in self._task.stages:
                with self.builder.in_stage(REPROJECTED_RASTER):
                    pixels = self._bring_up_to_date(record)
            entry = self.builder.manifest.entry(REPROJECTED_RASTER, record.id)
            if entry is not None:
                layers.append(SceneLayer(record, entry, pixels, self._context))
            elif record.id in self._raw.kept or record.id in self._raw.lost:
                self.incomplete.add(period)
        return layers

    def restore(self, layers: Sequence[SceneLayer]) -> frozenset[str]:
        """Make the rasters among `layers` that were released again.

        Returns:
            The scenes that cannot be read again; `RawTileStage.lost` has the reasons.

        Raises:
            MissingInputError: the stages that make them are not selected.
        """
        released = [layer for layer in layers if layer.is_released]
        if not released:
            return frozenset()
        if REPROJECTED_RASTER not in self._task.stages:
            key, scene = self._task.tile.key, released[0].record.id
            raise MissingInputError(released_message(REPROJECTED_RASTER, key, scene))
        lost: set[str] = set()
        with (
            self.builder.in_stage(REPROJECTED_RASTER),
            self._raw.prefetching_released(layer.record for layer in released),
        ):
            for layer in released:
                raw = self._raw.take(layer.record)
                if raw is None:
                    lost.add(layer.record.id)
                    continue
                pixels = self._reproject(layer.record, raw)
                del raw
                layer.restore(pixels)
                if self._task.keeps(REPROJECTED_RASTER, layer.record):
                    self._store(layer.record, pixels, layer.entry.fingerprint)
        return frozenset(lost)

    def finish(self) -> None:
        """Close the stage."""
        self._raw.drop_withdrawn(REPROJECTED_RASTER, self.records)
        found = self.builder.manifest.summary(REPROJECTED_RASTER)
        self.builder.report(
            REPROJECTED_RASTER,
            uri=self._context.store.uri(layout.reprojected_folder(self._task.tile.key)),
            scenes=found.units,
            valid_fraction=found.valid,
        )
        self._check_alignment(found)
        if not found.valid:
            self.builder.mark_empty(REPROJECTED_RASTER)
        self.builder.close(REPROJECTED_RASTER)

    def _check_alignment(self, found: StageSummary) -> None:
        """Report the largest shift of the rasters; a misplaced raster is never written."""
        evidence: dict[str, float | int | str] = {
            "scenes": found.units,
            "largest_shift_found": found.shift,
            "places_looked_at": found.places,
        }
        passed = found.shift <= MAX_SHIFT_PIXELS
        self._check(Verdict(passed=passed, evidence=evidence), severe=False)

    def _check(self, verdict: Verdict, *, severe: bool) -> None:
        self.builder.check(
            CheckOutcome(
                check="pixel_alignment", stage=REPROJECTED_RASTER, verdict=verdict, severe=severe
            )
        )

    @cached_property
    def _by_period(self) -> dict[int, list[SceneRecord]]:
        found: dict[int, list[SceneRecord]] = defaultdict(list)
        for record in self.records:
            found[self._task.periods.index_of(record.solar_day)].append(record)
        return found

    def _of_product(self) -> Iterable[int]:
        """Periods of the product: from the catalogue, else as recorded when `raw_tile` ran."""
        if RAW in self._task.stages:
            return self._task.product_periods
        return self.builder.whole(RAW).periods or ()

    def _bring_up_to_date(self, record: SceneRecord) -> NDArray[np.int16] | None:
        """Make one scene's raster unless it is current; return its pixels if they were made."""
        sensor = self._context.project.sensor
        is_kept = record.id in self._raw.kept
        if is_kept and not (
            self._raw.is_current(record) and record.class_band == sensor.class_band
        ):
            return None  # it cannot be made again: its raster stays as it is
        raw_entry = self.builder.manifest.entry(RAW, record.id)
        if raw_entry is None:
            self.builder.drop(REPROJECTED_RASTER, record.id)
            return None
        expected, *others = [
            reprojected_fingerprint(
                record,
                raw_entry.fingerprint,
                grid=self._context.grid,
                clear=sensor.clear,
                code=code,
            )
            for code in self._task.code_versions(REPROJECTED_RASTER)
        ]
        raw = None
        if self.builder.is_current(REPROJECTED_RASTER, record.id, expected, *others):
            self.builder.describe(REPROJECTED_RASTER, record)
        else:
            raw = self._raw.take(record)
        if raw is None:
            return None
        pixels = self._reproject(record, raw)
        del raw  # before the next copies are made
        self._store(record, pixels, expected)
        return pixels

    def _reproject(self, record: SceneRecord, raw: RawScene) -> NDArray[np.int16]:
        clear = self._context.project.sensor.clear
        pixels = reproject(record, raw, box=self._raw.box, clear=clear)
        np.copyto(pixels, FILL, where=~self._raw.owned)
        return pixels

    def _store(self, record: SceneRecord, pixels: NDArray[np.int16], expected: str) -> None:
        """Store a raster with its fingerprint.

        Raises:
            MisplacedError: it does not lie on the tile's pixels.
        """
        try:
            entry = store_reprojected(
                self._context.store,
                self._task.tile.key,
                scene=record,
                pixels=pixels,
                box=self._raw.box,
                owned=self._raw.owned,
                fingerprint=expected,
            )
        except MisplacedError as error:
            verdict = Verdict(passed=False, evidence={"misplaced": error.scene, **error.evidence})
            self._check(verdict, severe=True)
            raise
        self.builder.add(REPROJECTED_RASTER, record.id, entry)


class MisplacedError(RasterError):
    """A raster about to be stored does not lie on the tile's pixels, or lies off its scene."""

    def __init__(self, scene: str, evidence: Mapping[str, float | int | str]) -> None:
        super().__init__(
            f"the pixels of scene {scene} would be stored where they do not belong: {evidence}; "
            "nothing was written; please report this, with the item",
            reason="misplaced_pixels",
        )
        self.scene = scene
        self.evidence = evidence


def reproject(
    scene: SceneRecord, raw: RawScene, *, box: GeoBox, clear: ClearSky | None
) -> NDArray[np.int16]:
    """Warp the clear-sky reflectance of `scene` to `box`.

    Returns:
        Quantised reflectance, shape (band, row, column) in the order of `scene.bands`; a pixel
        is `FILL` in all bands unless it is valid in all of them.
    """
    sampling = SceneSampling(scene, box)
    pixels = np.full((len(scene.bands), *sampling.shape), FILL, dtype=np.int16)
    passes = sampling.passes()
    if passes is None:
        return pixels
    known = np.ones(sampling.shape, dtype=np.bool_)
    masks = good_pixels(scene, raw, sampling, clear=clear)
    counted = counted_pixels(masks, [each.sampled for each in passes])
    for each, mask in zip(passes, counted, strict=True):
        each.sampling.store(
            each.kernel,
            [
                CalibratedBand(
                    raw.bands[name].pixels[mask.window.slices_in(raw.bands[name].window)],
                    scene.of_band(name).calibration or ALREADY_REFLECTANCE,
                )
                for name in each.names
            ],
            counted=mask.good,
            window=mask.window,
            stored=[pixels[scene.bands.index(name)] for name in each.names],
            known=known,
        )
    if len(passes) > 1:
        np.copyto(pixels, FILL, where=~known)
    return pixels


def good_pixels(
    scene: SceneRecord, raw: RawScene, sampling: SceneSampling, *, clear: ClearSky | None
) -> list[GridMask]:
    """Return the pixels observed in all bands of a grid, for each grid; and those of clear sky.

    A pixel under the mask of its file is stored as fill, and so is one that could not be read.
    """
    masks: list[GridMask] = []
    for name in scene.bands:
        band, grid = raw.bands[name], sampling.of_band(name).source
        observed = ~fill_mask(band.pixels, scene.of_band(name).nodata)
        same = next((mask for mask in masks if mask.grid is grid), None)
        if same is None:
            masks.append(GridMask(grid, band.window, observed))
        else:
            np.logical_and(same.good, observed, out=same.good)
    if clear is not None and scene.class_band is not None:
        band, grid = raw.bands[scene.class_band], sampling.of_band(scene.class_band).source
        clear_pixels = clear_outside_buffer(band.pixels, clear, grid)
        masks.append(GridMask(grid, band.window, clear_pixels))
    return masks


def reprojected_fingerprint(
    record: SceneRecord,
    raw: str,
    *,
    grid: PixelGrid,
    clear: ClearSky | None,
    code: str = CODE_VERSIONS[REPROJECTED_RASTER],
) -> str:
    """Hash of everything that decides the raster of a scene; `raw`: that of its raw windows."""
    return fingerprint(
        REPROJECTED_RASTER,
        code,
        raw,
        rule_of(clear),
        asdict(grid),
        record.bands,
        record.headers,
        record.solar_day.isoformat(),  # a tag of the file
        *buffer_of(clear),
    )


def store_reprojected(  # noqa: PLR0913 - the facts of a file, each by its name
    store: ObjectStore,
    key: str,
    *,
    scene: SceneRecord,
    pixels: NDArray[np.int16],
    box: GeoBox,
    owned: NDArray[np.bool_],
    fingerprint: str,
) -> StageEntry:
    """Write one GeoTIFF with all bands and return the entry; `owned` is True on the tile's pixels.

    Raises:
        MisplacedError: the pixels are misplaced; nothing was written.
    """
    data = write_geotiff(
        pixels,
        transform=box.transform,
        crs=box.crs,
        nodata=FILL,
        bands=scene.bands,
        scale=REFLECTANCE_SCALE,
        tags={"scene": scene.id, "solar_day": scene.solar_day.isoformat()},
    )
    transform, shape, crs = placement(data)
    alignment = judge_alignment(transform, shape, crs=crs, expected=box)
    valid = pixels[0] != FILL
    files = {name: scene.of_band(name).grid for name in scene.bands}
    extent = judge_extent(valid, owned=owned, box=box, files=files)
    if not (alignment.passed and extent.passed):
        raise MisplacedError(scene.id, {**alignment.evidence, **extent.evidence})
    written = store.put(layout.reprojected_raster(key, scene.id), data)
    facts = ReprojectedRasterFacts(
        scene=scene.to_stored(),
        alignment={**alignment.evidence, **extent.evidence},
        valid_fraction=float(np.count_nonzero(valid & owned) / np.count_nonzero(owned)),
    )
    return StageEntry(fingerprint, (written,), facts)


def load_reprojected(store: ObjectStore, entry: StageEntry) -> NDArray[np.int16]:
    """Read back the pixels that `store_reprojected` wrote."""
    pixels: NDArray[np.int16] = read_geotiff(store.get(entry.objects[0].path)).pixels
    return pixels
