"""How much a run would read: the share of each scene's files that lies over the tiles.

Sizes come from the items, from the file system, or from headers that an earlier run has read; no
file is opened. Whole blocks are read, and halos: the truth is a little more, or less. "About".
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
"""Of the bytes of its pixels, what a file takes: 0.66 in six Sentinel-2 scenes (DEFLATE, red, nir
and classes), where nobody says how large it is."""

LOOK_UPS_AT_ONCE = 16

ScenesRead = Mapping[str, frozenset[tuple[str, str]]]
"""Tile -> (scene, its fingerprint) of what has been read for it."""


@dataclass(frozen=True)
class ReadVolume:
    """What a run would read of scenes."""

    bytes: int
    scenes: int
    """Of which anything is read."""

    guessed: int
    """Scenes among them of which nobody knows how large their files are."""


def expected_read_volume(
    opened: OpenProject, near: Mapping[Tile, Sequence[Scene]], *, stages: Collection[str]
) -> ReadVolume:
    """What these stages read for tiles, each with the scenes that may reach it; at least one."""
    if RAW not in stages:
        return ReadVolume(bytes=0, scenes=0, guessed=0)
    project = opened.project
    scenes = {scene.id: scene for found in near.values() for scene in found}
    facts: dict[str, SceneFacts | None] = {}
    stored: dict[str, frozenset[tuple[str, str]]] = {}
    if opened.has_store:
        supply = RunScenes(project, opened.store, InlineEngine())
        there = {info.path for info in opened.store.list(layout.MANIFESTS_FOLDER)}
        keys = [tile.key for tile in near if layout.manifest(tile.key) in there]
        with ThreadPoolExecutor(LOOK_UPS_AT_ONCE) as pool:
            facts = dict(zip(scenes, pool.map(supply.cached_facts, scenes.values()), strict=True))
            have = pool.map(partial(scenes_read, opened), keys)
            stored = dict(zip(keys, have, strict=True))
    density = _pixels_per_square_degree(project, near)
    sizes = {
        name: scene_size(scene, facts=facts.get(name), bands=len(project.bands), density=density)
        for name, scene in scenes.items()
    }
    return sum_read_volume(project, near, stored=stored, sizes=sizes)


def sum_read_volume(
    project: Project,
    near: Mapping[Tile, Sequence[Scene]],
    *,
    stored: ScenesRead,
    sizes: Mapping[str, tuple[float, bool]],
) -> ReadVolume:
    """Add up the shares. Pure.

    Args:
        project: its grid, and whether it reads windows or downloads whole files.
        near: tile -> scenes that may reach it.
        stored: what need not be read again.
        sizes: scene -> bytes of its files, and whether that was told rather than guessed.
    """
    read: dict[str, float] = {}
    for tile, found in near.items():
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
        guessed=sum(not sizes[name][1] for name in read),
    )


def scenes_read(opened: OpenProject, key: str) -> frozenset[tuple[str, str]]:
    """(scene, fingerprint) of what the store holds of a tile's scenes."""
    manifest = read_manifest(opened.store, key)
    scenes = {} if manifest is None else manifest.scenes(RAW)
    return frozenset((scene.id, scene.fingerprint) for scene in scenes.values())


def scene_size(
    scene: Scene, *, facts: SceneFacts | None, bands: int, density: float
) -> tuple[float, bool]:
    """Bytes of the files of a scene, and whether that was told rather than guessed.

    Args:
        scene: its sources and its footprint.
        facts: what an earlier run found in the files' headers; None: nothing is known of them.
        bands: reflectance bands to be read.
        density: pixels of the product to a square degree.
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
    """As the item says, else the file system; None: nobody does."""
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
