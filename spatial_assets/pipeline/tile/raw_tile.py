"""The stage `raw_tile`: the pixels of each scene that a tile needs, as the archive has them.

Stored as GeoTIFF on the scene's own grid. Pixels that could not be read, or that a mask of the file
excludes, are stored as fill, and the next stage receives exactly what is stored. If `raw_tile` is
selected the scenes are those of the catalogue, otherwise the stored ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from spatial_assets.catalog.access.hrefs import is_remote
from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.rasters.masks import read_masked
from spatial_assets.catalog.rasters.prefetch import FileWindows, prefetching
from spatial_assets.errors import CHANGED_SINCE_INSPECTION, REASONS_OF_THE_MOMENT, SceneError
from spatial_assets.geo.clear_sky import ClearSky
from spatial_assets.geo.grid.geobox import GeoBox, Window
from spatial_assets.geo.grid.pixel_grid import Shard
from spatial_assets.geo.warp.cloud_buffer import with_halo
from spatial_assets.geo.warp.scene_mask import window_to_read
from spatial_assets.pipeline.failures import MissingInputError
from spatial_assets.pipeline.fingerprints import fingerprint, halo_of
from spatial_assets.pipeline.stages import CODE_VERSIONS, RAW, REPROJECTED_RASTER
from spatial_assets.pipeline.tile.manifest_builder import ManifestBuilder
from spatial_assets.pipeline.tile.retention import released_message
from spatial_assets.pipeline.tile.scene_record import SceneRecord
from spatial_assets.pipeline.tile.scene_sampling import SceneSampling
from spatial_assets.pipeline.tile.source_check import source_check
from spatial_assets.pipeline.tile.task import TileTask
from spatial_assets.pipeline.tile.worker_context import WorkerContext
from spatial_assets.stores import layout
from spatial_assets.stores.objects.geotiff import read_geotiff, write_geotiff
from spatial_assets.stores.objects.manifests import StageEntry, TileManifest
from spatial_assets.stores.objects.store import ObjectInfo, ObjectStore
from spatial_assets.stores.stage_facts import RawTileFacts, WholeStageFacts

HELD_BYTES = 64 << 20
"""Raw pixels kept between reading and reprojecting; the others are read back from the store,
which takes a few milliseconds a megapixel."""

UNREADABLE = "unreadable"


class RawTileStage:
    """Reads the scenes of one tile."""

    def __init__(self, task: TileTask, context: WorkerContext, builder: ManifestBuilder) -> None:
        self.builder = builder
        self._task = task
        self._context = context
        self._held: dict[str, RawScene] = {}
        self._held_bytes = 0
        self._bytes_read = 0
        self.unusable: dict[str, str] = {}
        """Scene id -> why none of its pixels could be read for this tile."""

        self.usable: set[str] = set()
        """Scenes of which at least one pixel was read."""

        self.lost: dict[str, str] = {}
        """Released scene whose pixels are needed again -> why they cannot be read again."""

    @cached_property
    def box(self) -> GeoBox:
        """The tile's window on the pixel grid."""
        return self._context.grid.geobox(self._task.tile.window)

    @cached_property
    def owned(self) -> NDArray[np.bool_]:
        """True where a pixel belongs to the tile."""
        return self._task.tile.owned(self._context.grid)

    @cached_property
    def records(self) -> Sequence[SceneRecord]:
        """The scenes of this walk, by id: from the catalogue, else from the store.

        Raises:
            MissingInputError: the store does not hold all that is needed to continue from.
        """
        if RAW not in self._task.stages:
            return self.stored(RAW)
        return sorted((*self._task.scenes, *self._task.kept), key=lambda record: record.id)

    @cached_property
    def kept(self) -> frozenset[str]:
        """Scenes that the catalogue does not list, and that cannot be read again."""
        return frozenset(record.id for record in self._task.kept)

    def stored(self, stage: str) -> list[SceneRecord]:
        """Return the scenes that the store has at `stage`, by id.

        Raises:
            MissingInputError: the stage has not run for this tile, or its objects are missing.
        """
        self.builder.require_intact(stage)
        if not self.builder.has_run(stage):
            message = (
                f"{stage} of tile {self._task.tile.key} is not in the store; "
                f'materialize it first, or select it too (--select "{stage}+")'
            )
            raise MissingInputError(message)
        scenes = self.builder.manifest.scenes(stage)
        return [SceneRecord.from_stored(scenes[scene]) for scene in sorted(scenes)]

    def read(self) -> None:
        """Bring `raw_tile` up to date.

        Scenes that are gone are dropped only if others are usable: a tile in quarantine keeps all.
        """
        clear = self._context.project.sensor.clear
        missing = scenes_to_read(self._task, self.builder.manifest, clear)
        with prefetching(remote_windows(missing, self.box, clear), self._context.access):
            for record in missing:
                self._read_scene(record, _fingerprint(self._task, record, clear))
        for record in self.records:
            self.builder.describe(RAW, record)
        stored = self.builder.facts(RAW, RawTileFacts)
        facts = {each.id: stored[each.id] for each in self.records if each.id in stored}
        for scene, each in facts.items():
            self._classify(scene, each)
        unread = self.builder.manifest.unread_summary(RAW)
        self.unusable |= dict.fromkeys(unread.unusable, UNREADABLE)
        shares = [each.readable_fraction for each in facts.values()]
        shares += [unread.readable] if unread.units else []
        self.builder.report(
            RAW,
            uri=self._context.store.uri(layout.raw_tile_folder(self._task.tile.key)),
            scenes=len(facts) + unread.units,
            scenes_kept=len(self._kept_names),
            bytes_read=self._bytes_read,
            valid_fraction=min(shares, default=0.0),
        )
        if not facts and not unread.units:
            self.builder.mark_empty(RAW)
        self._check_sources(facts)
        if self.has_usable or not (self.unusable or self._task.rejected):
            self.drop_withdrawn(RAW, self.records)
            self.builder.close(RAW, WholeStageFacts(periods=self._task.product_periods))

    @property
    def has_usable(self) -> bool:
        """Return True if at least one pixel of a scene is stored, of whatever month."""
        unread = self.builder.manifest.unread_summary(RAW)
        return bool(self.usable) or unread.units > len(unread.unusable)

    @property
    def _kept_names(self) -> list[str]:
        """Scenes that the catalogue does not list, of all months."""
        manifest = self.builder.manifest
        settled = (each for month, each in manifest.settled.items() if month in manifest.unread)
        return sorted({*self.kept, *(name for each in settled for name, _ in each.kept)})

    def is_current(self, record: SceneRecord) -> bool:
        """Return True if the raw pixels of a scene are stored as the present code reads them."""
        clear = self._context.project.sensor.clear
        return self.builder.is_current(RAW, record.id, *_fingerprints(self._task, record, clear))

    def take(self, record: SceneRecord) -> RawScene | None:
        """Return the raw pixels of a scene, as just read or from the store; None: it has none.

        Raises:
            MissingInputError: the stored windows are not those that are needed now.
        """
        held = self._held.pop(record.id, None)
        if held is not None:
            self._held_bytes -= held.nbytes
            return held
        entry = self.builder.manifest.entry(RAW, record.id)
        facts = self.builder.facts(RAW, RawTileFacts).get(record.id)
        if entry is None or facts is None:
            return None
        if not self.is_current(record):
            message = (
                f"{RAW} of tile {self._task.tile.key} was read with other settings or by another "
                f'version; materialize it again, or select it too (--select "{RAW}+")'
            )
            raise MissingInputError(message)
        if entry.released:
            return self._read_again(record, facts)
        return load_raw(self._context.store, entry.objects, facts)

    @contextmanager
    def prefetching_released(self, records: Iterable[SceneRecord]) -> Iterator[None]:
        """Prefetch those of some scenes that `take` reads from the archive, during this block."""
        clear = self._context.project.sensor.clear
        again = [record for record in records if record.sources and self._is_released(record)]
        with prefetching(remote_windows(again, self.box, clear), self._context.access):
            yield

    def _is_released(self, record: SceneRecord) -> bool:
        entry = self.builder.manifest.entry(RAW, record.id)
        return entry is not None and entry.released

    def _read_again(self, record: SceneRecord, facts: RawTileFacts) -> RawScene | None:
        """Read a released scene from the archive; None, with the reason in `lost`: it cannot be.

        It is stored again only if [retention] has kept its period since.

        Raises:
            MissingInputError: `raw_tile` is not selected.
            SceneError: a file changed during the run.
            SourceUnavailableError: the archive did not answer.
        """
        if RAW not in self._task.stages:
            raise MissingInputError(released_message(RAW, self._task.tile.key, record.id))
        if not record.sources:
            self.lost[record.id] = "not_listed"
            return None
        clear = self._context.project.sensor.clear
        try:
            raw = read_raw(record, self.box, access=self._context.access, clear=clear)
        except SceneError as error:
            if error.reason == CHANGED_SINCE_INSPECTION:
                raise
            self.lost[record.id] = error.reason
            return None
        if raw is None or any(
            lost > facts.unreadable.get(name, 0) for name, lost in raw.unreadable.items()
        ):
            self.lost[record.id] = UNREADABLE
            return None
        if self._task.keeps(RAW, record):
            key, expected = self._task.tile.key, _fingerprint(self._task, record, clear)
            entry = store_raw(self._context.store, key, scene=record, raw=raw, fingerprint=expected)
            self.builder.add(RAW, record.id, entry)
        self._bytes_read += raw.nbytes
        self.builder.report(RAW, bytes_read=self._bytes_read)
        return raw

    def drop_withdrawn(self, stage: str, records: Sequence[SceneRecord]) -> None:
        """Drop the units of `stage` that were made from scenes no longer present."""
        present = {record.id for record in records}
        for unit in set(self.builder.units(stage)) - present:
            self.builder.drop(stage, unit)

    def _read_scene(self, record: SceneRecord, expected: str) -> None:
        """Read and store one scene; a scene that cannot be read does not stop the others.

        Raises:
            SceneError: a file changed during the run, so that its inspection no longer holds.
            SourceUnavailableError: the archive did not answer.
        """
        clear = self._context.project.sensor.clear
        try:
            raw = read_raw(record, self.box, access=self._context.access, clear=clear)
        except SceneError as error:
            if error.reason == CHANGED_SINCE_INSPECTION:
                raise
            self.unusable[record.id] = error.reason
            if error.reason in REASONS_OF_THE_MOMENT:
                return  # it may be as it was: what was read of it before stays
            raw = None
        if raw is None:
            self.builder.drop(RAW, record.id)
            return
        entry = store_raw(
            self._context.store, self._task.tile.key, scene=record, raw=raw, fingerprint=expected
        )
        self.builder.add(RAW, record.id, entry)
        self._bytes_read += sum(info.size for info in entry.objects)
        self._hold(record.id, raw)

    def _hold(self, scene: str, raw: RawScene) -> None:
        """Keep raw pixels for the next stage within the limit of `HELD_BYTES`."""
        is_next = REPROJECTED_RASTER in self._task.stages
        if is_next and self._held_bytes + raw.nbytes <= HELD_BYTES:
            self._held[scene] = raw
            self._held_bytes += raw.nbytes

    def _classify(self, scene: str, facts: RawTileFacts) -> None:
        """Record whether a stored scene is usable."""
        if facts.readable_fraction == 0.0:
            self.unusable[scene] = UNREADABLE
        else:
            self.usable.add(scene)

    def _check_sources(self, facts: Mapping[str, RawTileFacts]) -> None:
        """Check that the blocks of every scene could be read, with the calibration's figures."""
        self.builder.check(
            source_check(
                facts,
                inspected={record.id: record.facts for record in self.records},
                refused={scene.id: scene.reason for scene in self._task.rejected} | self.unusable,
                kept=self._kept_names,
                unread=self.builder.manifest.unread_summary(RAW),
                least=self._context.project.checks.least_readable_share,
            )
        )


def scenes_to_read(
    task: TileTask, stored: TileManifest, clear: ClearSky | None
) -> list[SceneRecord]:
    """Return the scenes of a task whose raw windows are not in `stored`, by id."""
    return [record for record in task.scenes if not _is_read(task, record, stored, clear=clear)]


def _is_read(
    task: TileTask, record: SceneRecord, stored: TileManifest, *, clear: ClearSky | None
) -> bool:
    entry = stored.entry(RAW, record.id)
    return (
        entry is not None
        and entry.fingerprint in _fingerprints(task, record, clear)
        and isinstance(entry.facts, RawTileFacts)
        and record.has_files_of(entry.facts.scene)
    )


def _fingerprint(task: TileTask, record: SceneRecord, clear: ClearSky | None) -> str:
    """Hash of everything that decides the raw windows of a scene."""
    return _fingerprints(task, record, clear)[0]


def _fingerprints(task: TileTask, record: SceneRecord, clear: ClearSky | None) -> list[str]:
    """Hash the same for each code version that counts, the present one first."""
    codes, shards = task.code_versions(RAW), task.tile.shards
    return [raw_fingerprint(record, shards, clear, code=code) for code in codes]


def raw_fingerprint(
    record: SceneRecord,
    shards: Sequence[Shard],
    clear: ClearSky | None,
    *,
    code: str = CODE_VERSIONS[RAW],
) -> str:
    """Hash of everything that decides the raw windows of a scene, for a tile of these shards."""
    return fingerprint(RAW, code, record.fingerprint, record.files, shards, *halo_of(clear))


@dataclass(frozen=True, kw_only=True, eq=False)
class RawBand:
    """One band of one scene, read for one tile."""

    pixels: NDArray[Any]
    """Digital numbers or classes in the file's type, shape (rows, columns) of `window`."""

    window: Window
    """Absolute pixel indices of the band's file."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RawScene:
    """The bands of one scene, read for one tile."""

    bands: Mapping[str, RawBand]
    unreadable: Mapping[str, int]
    """Band -> number of pixels that could not be read; only bands that have some."""

    @property
    def nbytes(self) -> int:
        """Memory that the pixels take, in bytes."""
        return sum(band.pixels.nbytes for band in self.bands.values())

    @property
    def readable_fraction(self) -> float:
        """Share of the pixels that could be read, of the worst band: a pixel needs every band."""
        return min(
            1.0 - self.unreadable.get(name, 0) / band.pixels.size
            for name, band in self.bands.items()
        )


def read_raw(
    scene: SceneRecord, box: GeoBox, *, access: SourceAccess, clear: ClearSky | None
) -> RawScene | None:
    """Read every band of `scene` that `box` needs; None where the scene does not reach it.

    Raises:
        SourceUnavailableError: the archive did not answer.
        SceneError: a file has changed since the scene was inspected.
    """
    bands: dict[str, RawBand] = {}
    unreadable: dict[str, int] = {}
    windows = raw_windows(scene, box, clear)
    if windows is None:
        return None
    for name, window in windows.items():
        facts = scene.of_band(name)
        found = read_masked(scene.sources[name], facts, window, access=access)
        pixels = found.values
        if not found.observed.all():
            fill = _fill(scene, name, clear)
            pixels = np.where(found.observed, pixels, pixels.dtype.type(fill))
        lost = int(found.readable.size - np.count_nonzero(found.readable))
        if lost:
            unreadable[name] = lost
        bands[name] = RawBand(pixels=pixels, window=window)
    return RawScene(bands=bands, unreadable=unreadable)


def remote_windows(
    scenes: Iterable[SceneRecord], box: GeoBox, clear: ClearSky | None
) -> Iterator[FileWindows]:
    """Yield the windows of remote files that `read_raw` reads for `box`, in this order."""
    for scene in scenes:
        if any(is_remote(source.href) for source in scene.sources.values()):
            for name, window in (raw_windows(scene, box, clear) or {}).items():
                yield scene.sources[name], [window]


def raw_windows(
    scene: SceneRecord, box: GeoBox, clear: ClearSky | None
) -> dict[str, Window] | None:
    """Return the windows that `box` needs of the files of `scene`; None: no overlap.

    Windows are in absolute pixels, halo included. Every file reaches under every pixel that is
    sampled in another, since a pixel counts in all bands or in none; the class band also as far
    as a cloud takes pixels with it.
    """
    sampling = SceneSampling(scene, box)
    passes = sampling.passes()
    if passes is None:
        return None
    sampled = [each.sampled for each in passes]
    windows: dict[str, Window] = {}
    for name in scene.files:
        grid = sampling.of_band(name).source
        window = window_to_read(grid, sampled)
        if window is None:
            return None
        if name == scene.class_band and clear is not None:
            window = with_halo(window, clear, grid)
        windows[name] = window
    return windows


def raw_bytes(scene: SceneRecord, windows: Mapping[str, Window]) -> int:
    """Return the memory that the pixels of `windows` take, in bytes."""
    return sum(
        window.width * window.height * np.dtype(scene.of_band(name).dtype).itemsize
        for name, window in windows.items()
    )


def store_raw(
    store: ObjectStore, key: str, *, scene: SceneRecord, raw: RawScene, fingerprint: str
) -> StageEntry:
    """Write one GeoTIFF a band and return the entry."""
    objects = []
    windows: dict[str, tuple[int, ...]] = {}
    for name, band in raw.bands.items():
        header = scene.of_band(name)
        shift = Affine.translation(band.window.column, band.window.row)
        data = write_geotiff(
            band.pixels[np.newaxis],
            transform=header.grid.transform @ shift,
            crs=header.grid.crs,
            nodata=header.nodata,
            bands=(name,),
            tags={"scene": scene.id},
        )
        objects.append(store.put(layout.raw_tile(key, scene.id, name), data))
        w = band.window
        windows[name] = (w.column, w.row, w.width, w.height)
    facts = RawTileFacts(
        scene=scene.to_stored(),
        windows=windows,
        unreadable=dict(raw.unreadable),
        readable_fraction=raw.readable_fraction,
    )
    return StageEntry(fingerprint, tuple(objects), facts)


def load_raw(store: ObjectStore, objects: Iterable[ObjectInfo], facts: RawTileFacts) -> RawScene:
    """Read back what `store_raw` wrote."""
    by_name = {info.path.rsplit("/", 1)[-1].removesuffix(".tif"): info for info in objects}
    bands = {
        name: RawBand(
            pixels=read_geotiff(store.get(by_name[layout.segment(name)].path)).pixels[0],
            window=Window(*window),
        )
        for name, window in facts.windows.items()
    }
    return RawScene(bands=bands, unreadable=facts.unreadable)


def _fill(scene: SceneRecord, name: str, clear: ClearSky | None) -> float:
    """Return the value for an unobserved pixel: the fill value, or a class that is not clear."""
    facts = scene.of_band(name)
    if name == scene.class_band and clear is not None:
        return clear.unobserved
    if facts.nodata is not None:
        return facts.nodata
    return float("nan") if np.issubdtype(np.dtype(facts.dtype), np.floating) else 0
