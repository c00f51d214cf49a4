"""Manifests of tiles of another level or scheme, made of those of the tiles before.

The shards stay: they depend on no partition. Raw and reprojected rasters are cut by tile, so a new
tile has none: its units count as stored and released, and are made again from the archive where a
period is composed anew. Only what is up to date under the present settings is taken over; a tile of
which anything is not is left to the next run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from spatial_assets.geo.grid.pixel_grid import Shard, Tile
from spatial_assets.geo.grid.quadkeys import morton_codes
from spatial_assets.geo.radiometry import FILL
from spatial_assets.pipeline.stages import RAW, REPROJECTED_RASTER
from spatial_assets.pipeline.tile.manifest_builder import fingerprint_of_stage
from spatial_assets.pipeline.tile.raw_tile import raw_fingerprint, raw_windows
from spatial_assets.pipeline.tile.reprojected_raster import reprojected_fingerprint
from spatial_assets.pipeline.tile.scene_record import SceneRecord
from spatial_assets.pipeline.tile.spectral_index import composed_as, index_fingerprint
from spatial_assets.project import Project
from spatial_assets.stores.cube.cube import read_window, shard_of_path
from spatial_assets.stores.cube.metadata import CubeSpec
from spatial_assets.stores.cube.regrid import CubeMove
from spatial_assets.stores.objects.manifests import StageEntry, TileManifest
from spatial_assets.stores.objects.store import ObjectStore
from spatial_assets.stores.stage_facts import (
    WHOLE_STAGE,
    IndexFacts,
    RawTileFacts,
    ReprojectedRasterFacts,
)

Units = dict[str, StageEntry]


@dataclass(frozen=True, eq=False)
class Regrouping:
    """The tiles of the project, made of former tiles."""

    project: Project
    store: ObjectStore
    """Store whose cubes are read for the figures of a tile."""

    before: Mapping[str, CubeMove]
    """Index -> its cube before and after: until the move is complete, the one before is read."""

    cubes: Mapping[str, CubeSpec]
    """Index of the project -> its cube after the move, whose shards have been copied."""

    read: Callable[[str], TileManifest | None]
    """Read the manifest of a former tile, on the new axis and paths."""

    shards: Mapping[str, tuple[Shard, ...]]
    """Key of a former tile of which all is up to date -> its shards, in Morton order."""

    @cached_property
    def _owners(self) -> Mapping[Shard, str]:
        return {shard: key for key, shards in self.shards.items() for shard in shards}

    def parts_of(self, tile: Tile) -> tuple[str, ...]:
        """Return the former tiles that own the shards of a tile; none if a shard has no owner."""
        owners = {self._owners.get(shard, "") for shard in tile.shards}
        return () if "" in owners else tuple(sorted(owners))

    def manifest(self, tile: Tile) -> TileManifest | None:
        """Return the manifest of a tile up to its indices; None: it is left to the next run."""
        parts = [part for key in self.parts_of(tile) if (part := self.read(key)) is not None]
        if not parts:
            return None
        raw, reprojected = self._rasters(tile, parts)
        stages = {RAW: raw, REPROJECTED_RASTER: reprojected}
        for index in self.cubes:
            stages[index] = dict(self._index(index, tile, parts, reprojected))
        whole = parts[0].entry(RAW, WHOLE_STAGE)
        made = TileManifest(
            grid_id=self.project.grid_id,
            tile=tile.key,
            stages=stages,
            versions=parts[0].versions,
        )
        for stage in stages:
            facts = whole.facts if whole is not None and stage == RAW else None
            entry = StageEntry(fingerprint_of_stage(made, stage), facts=facts)
            made = made.with_entry(stage, WHOLE_STAGE, entry)
        return made

    def _rasters(self, tile: Tile, parts: Sequence[TileManifest]) -> tuple[Units, Units]:
        """Return the released units of both raster stages."""
        grid, clear = self.project.pixel_grid, self.project.sensor.clear
        box = grid.geobox(tile.window)
        found: defaultdict[str, list[tuple[RawTileFacts, float]]] = defaultdict(list)
        for part in parts:
            shares = part.facts(REPROJECTED_RASTER, ReprojectedRasterFacts)
            for scene, facts in part.facts(RAW, RawTileFacts).items():
                share = shares[scene].valid_fraction if scene in shares else 0.0
                found[scene].append((facts, share))
        raw: Units = {}
        reprojected: Units = {}
        for scene, each in sorted(found.items()):
            stored = each[0][0].scene
            record = SceneRecord.from_stored(stored)
            windows = raw_windows(record, box, clear)
            if windows is None:
                continue
            facts = RawTileFacts(
                scene=stored,
                windows={n: (w.column, w.row, w.width, w.height) for n, w in windows.items()},
                unreadable=max((facts.unreadable for facts, _ in each), key=len),
                readable_fraction=min(facts.readable_fraction for facts, _ in each),
            )
            of_raw = raw_fingerprint(record, tile.shards, clear)
            raw[scene] = StageEntry(of_raw, facts=facts, released=True)
            reprojected[scene] = StageEntry(
                reprojected_fingerprint(record, of_raw, grid=grid, clear=clear),
                facts=ReprojectedRasterFacts(
                    scene=stored,
                    alignment=None,
                    valid_fraction=sum(share for _, share in each) / len(parts),
                ),
                released=True,
            )
        return raw, reprojected

    def _index(
        self, index: str, tile: Tile, parts: Sequence[TileManifest], reprojected: Units
    ) -> Iterator[tuple[str, StageEntry]]:
        """Yield the periods of an index that all parts have."""
        labels = [set(part.facts(index, IndexFacts)) for part in parts]
        spec = self.cubes[index]
        for label in sorted(set.intersection(*labels)):
            period = parts[0].facts(index, IndexFacts)[label].period
            objects = tuple(
                info
                for part in parts
                for info in part.units(index)[label].objects
                if (found := shard_of_path(spec, info.path)) is not None
                and found[2] in set(tile.shards)
            )
            layers = layers_of(self.project, spec, label, reprojected)
            current = index_fingerprint(
                index, self.project.time.composite, layers, shards=tile.shards
            )
            facts = self._facts(index, tile, period, scenes=len(layers))
            yield label, StageEntry(current, objects, facts)

    def _facts(self, index: str, tile: Tile, period: int, *, scenes: int) -> IndexFacts:
        """Read the figures of a period from the cube as it was before."""
        former = period - self.before[index].shift
        owned = tile.owned(self.project.pixel_grid)
        values, observations = read_window(self.store, index, period=former, window=tile.window)
        count = int(np.count_nonzero(owned))
        return IndexFacts(
            period=period,
            valid_fraction=float(np.count_nonzero((values != FILL) & owned) / count),
            observations=float(observations[owned].sum() / count),
            scenes=scenes,
            range=None,
        )


def layers_of(
    project: Project, spec: CubeSpec, label: str, reprojected: Mapping[str, StageEntry]
) -> list[list[str]]:
    """Return what a composite takes from each scene of a period, see `composed_as`."""
    needs = next(set(each.needs) for each in project.indices_in_use if each.name == spec.index)
    found = []
    for entry in reprojected.values():
        if isinstance(entry.facts, ReprojectedRasterFacts):
            record = SceneRecord.from_stored(entry.facts.scene)
            period = spec.periods.label(spec.periods.index_of(record.solar_day))
            if period == label and needs <= set(record.bands):
                found.append(composed_as(record, entry.fingerprint))
    return found


def shards_if_current(
    project: Project, manifest: TileManifest, cubes: Mapping[str, CubeSpec]
) -> tuple[Shard, ...]:
    """Return the shards of a former tile, in Morton order; none if anything is not up to date."""
    paths = {
        index: {
            unit: [info.path for info in entry.objects] for unit, entry in units.items() if unit
        }
        for index in cubes
        if (units := manifest.units(index))
    }
    owned = {
        index: {
            unit: {found[2] for path in each if (found := shard_of_path(cubes[index], path))}
            for unit, each in units.items()
        }
        for index, units in paths.items()
    }
    every = {frozenset(shards) for units in owned.values() for shards in units.values()}
    has_run = all(manifest.entry(stage, WHOLE_STAGE) for stage in (RAW, REPROJECTED_RASTER, *cubes))
    if len(every) != 1 or not has_run:
        return ()
    shards = in_morton_order(next(iter(every)))
    return shards if all(_are_current(project, manifest, cubes, shards=shards)) else ()


def _are_current(
    project: Project,
    manifest: TileManifest,
    cubes: Mapping[str, CubeSpec],
    *,
    shards: tuple[Shard, ...],
) -> Iterator[bool]:
    """Yield for each unit whether it is what the present settings would make of these scenes."""
    clear, grid = project.sensor.clear, project.pixel_grid
    raw, reprojected = manifest.units(RAW), manifest.units(REPROJECTED_RASTER)
    for scene, facts in manifest.facts(RAW, RawTileFacts).items():
        record = SceneRecord.from_stored(facts.scene)
        yield raw[scene].fingerprint == raw_fingerprint(record, shards, clear)
        made = reprojected.get(scene)
        yield made is not None and made.fingerprint == reprojected_fingerprint(
            record, raw[scene].fingerprint, grid=grid, clear=clear
        )
    for index, spec in cubes.items():
        for label, entry in manifest.units(index).items():
            if label != WHOLE_STAGE:
                layers = layers_of(project, spec, label, reprojected)
                yield entry.fingerprint == index_fingerprint(
                    index, project.time.composite, layers, shards=shards
                )


def in_morton_order(shards: Iterable[Shard]) -> tuple[Shard, ...]:
    """Return shards in the order that tiles have them."""
    found = list(shards)
    columns, rows = (np.array([shard[axis] for shard in found], dtype=np.int64) for axis in (0, 1))
    return tuple(found[number] for number in np.argsort(morton_codes(columns, rows)))
