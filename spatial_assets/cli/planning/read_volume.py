"""Bytes that a run would read: the share of each scene's files that lies over the tiles.

File sizes come from the items, the file system, or the headers that an earlier run read; no file is
opened. The result is approximate, since a run reads whole blocks and halos.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import shapely

from spatial_assets.catalog import Scene
from spatial_assets.catalog.scene import BandSource
from spatial_assets.catalog.scene_facts import SceneFacts
from spatial_assets.cli.app.open_project import OpenProject
from spatial_assets.cli.selection.inventory import MANIFEST_READ_THREADS
from spatial_assets.geo.grid.pixel_grid import Tile
from spatial_assets.pipeline.engines.engine import InlineEngine
from spatial_assets.pipeline.run.memory_planning import SOURCE_RATIO
from spatial_assets.pipeline.run.scenes_of_run import RunScenes
from spatial_assets.pipeline.stages import RAW
from spatial_assets.project import Project
from spatial_assets.project.urls import is_url
from spatial_assets.stores import layout
from spatial_assets.stores.objects.manifests import read_manifest

COMPRESSION_RATIO = 2 / 3
"""Bytes of a file per byte of its pixels, used if its size is unknown: 0.66 in six Sentinel-2
scenes (DEFLATE; red, nir and classes)."""

ScenesRead = Mapping[str, frozenset[tuple[str, str]]]
"""Tile -> (scene id, its fingerprint) of the scenes that were read for it."""


@dataclass(frozen=True)
class ReadVolume:
    """Bytes that a run would read."""

    bytes: int
    scenes: int
    """Number of scenes that are read."""

    estimated: int
    """Number of scenes among them whose file size is unknown."""


def expected_read_volume(
    opened: OpenProject, scenes_by_tile: Mapping[Tile, Sequence[Scene]], *, stages: Collection[str]
) -> ReadVolume:
    """Estimate what these stages read; `scenes_by_tile` has at least one tile."""
    if RAW not in stages:
        return ReadVolume(bytes=0, scenes=0, estimated=0)
    project = opened.project
    scenes = {scene.id: scene for found in scenes_by_tile.values() for scene in found}
    facts: dict[str, SceneFacts | None] = {}
    stored: dict[str, frozenset[tuple[str, str]]] = {}
    if opened.has_store:
        run_scenes = RunScenes(project, opened.store, InlineEngine())
        manifests = {info.path for info in opened.store.list(layout.MANIFESTS_FOLDER)}
        keys = [tile.key for tile in scenes_by_tile if layout.manifest(tile.key) in manifests]
        with ThreadPoolExecutor(MANIFEST_READ_THREADS) as pool:
            facts = dict(
                zip(scenes, pool.map(run_scenes.cached_facts, scenes.values()), strict=True)
            )
            have = pool.map(partial(scenes_read, opened), keys)
            stored = dict(zip(keys, have, strict=True))
    density = _pixels_per_square_degree(project, scenes_by_tile)
    sizes = {
        name: scene_size(scene, facts=facts.get(name), bands=len(project.bands), density=density)
        for name, scene in scenes.items()
    }
    return sum_read_volume(project, scenes_by_tile, stored=stored, sizes=sizes)


def sum_read_volume(
    project: Project,
    scenes_by_tile: Mapping[Tile, Sequence[Scene]],
    *,
    stored: ScenesRead,
    sizes: Mapping[str, tuple[float, bool]],
) -> ReadVolume:
    """Add up the shares of the scenes. Pure.

    Args:
        project: gives the grid, and whether windows or whole files are read.
        scenes_by_tile: tile -> scenes that may overlap it.
        stored: scenes that need not be read again.
        sizes: scene id -> bytes of its files, and True if known rather than estimated.
    """
    read: dict[str, float] = {}
    for tile, found in scenes_by_tile.items():
        have = stored.get(tile.key, frozenset())
        scenes = [scene for scene in found if (scene.id, scene.fingerprint) not in have]
        footprint = tile.footprint(project.pixel_grid)
        outlines = np.array([scene.footprint for scene in scenes], dtype=object)
        shares = shapely.area(shapely.intersection(outlines, footprint)) / shapely.area(outlines)
        for scene, share in zip(scenes, shares, strict=True):
            if share > 0:
                read[scene.id] = read.get(scene.id, 0.0) + float(share)
    if project.scenes.access == "download":
        read = dict.fromkeys(read, 1.0)
    return ReadVolume(
        bytes=round(sum(sizes[name][0] * share for name, share in read.items())),
        scenes=len(read),
        estimated=sum(not sizes[name][1] for name in read),
    )


def scenes_read(opened: OpenProject, key: str) -> frozenset[tuple[str, str]]:
    """Return (scene id, fingerprint) of the scenes whose pixels the store holds for a tile."""
    manifest = read_manifest(opened.store, key)
    scenes = {} if manifest is None else manifest.scenes(RAW)
    return frozenset((scene.id, scene.fingerprint) for scene in scenes.values())


def scene_size(
    scene: Scene, *, facts: SceneFacts | None, bands: int, density: float
) -> tuple[float, bool]:
    """Return the bytes of a scene's files, and True if known rather than estimated.

    Args:
        scene: gives the sources and the footprint.
        facts: file headers that an earlier run read; None if there are none.
        bands: number of reflectance bands to read.
        density: pixels of the product per square degree.
    """
    sizes = [_file_size(source) for source in scene.sources]
    known = [size for size in sizes if size is not None]
    if len(known) == len(sizes):
        return float(sum(known)), True
    if facts is None:
        pixels = scene.footprint.area * density * SOURCE_RATIO
        return COMPRESSION_RATIO * pixels * (2 * bands + 1), False
    of_bands = (
        band.grid.width * band.grid.height * np.dtype(band.dtype).itemsize
        for band in facts.bands.values()
    )
    return COMPRESSION_RATIO * sum(of_bands), False


def _file_size(source: BandSource) -> int | None:
    """Return the size from the item, else from the file system; None if unknown."""
    if source.size is not None or is_url(source.href):
        return source.size
    path = Path(source.href)
    return path.stat().st_size if path.is_file() else None


def _pixels_per_square_degree(project: Project, tiles: Iterable[Tile]) -> float:
    pixels = degrees = 0.0
    for tile in tiles:
        pixels += tile.window.width * tile.window.height
        degrees += tile.footprint(project.pixel_grid).envelope.area
    return pixels / degrees
