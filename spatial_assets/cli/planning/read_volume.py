"""Bytes that a run would read: the share of each scene's files that lies over the tiles.

File sizes come from the items, the file system, or the headers that an earlier run read; no file is
opened. The result is approximate, since a run reads whole blocks and halos.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from spatial_assets.catalog import Scene
from spatial_assets.catalog.scene import BandSource
from spatial_assets.catalog.scene_facts import SceneFacts
from spatial_assets.cli.planning.released_inputs import ReleasedInputs
from spatial_assets.cli.planning.scene_overlaps import SceneOverlaps
from spatial_assets.cli.selection.inventory import MANIFEST_READ_THREADS, Inventory
from spatial_assets.pipeline.engines.engine import InlineEngine
from spatial_assets.pipeline.freshness.stage_inputs import SceneIndex
from spatial_assets.pipeline.run.memory_planning import SOURCE_RATIO
from spatial_assets.pipeline.run.scenes_of_run import RunScenes
from spatial_assets.pipeline.stages import RAW
from spatial_assets.project import Project
from spatial_assets.project.urls import is_url
from spatial_assets.stores.objects.manifests import read_manifest

COMPRESSION_RATIO = 2 / 3
"""Bytes of a file per byte of its pixels, used if its size is unknown: 0.66 in six Sentinel-2
scenes (DEFLATE; red, nir and classes)."""

MAX_SAMPLED_MANIFESTS = 2000
"""Manifests that are read at most, of tiles whose scenes changed: a second on a local disk."""


@dataclass(frozen=True)
class ReadVolume:
    """Bytes that a run would read."""

    bytes: int
    scenes: int
    """Number of scenes that are read."""

    estimated: int
    """Number of scenes among them whose file size is unknown."""

    changed_tiles: int = 0
    """Number of tiles that were made, and have other scenes now."""

    sampled_tiles: int = 0
    """Number of tiles among them whose manifest was read; the others count as they do."""


def expected_read_volume(
    inventory: Inventory,
    overlaps: SceneOverlaps,
    *,
    stages: Collection[str],
    now: datetime,
    read_again: Collection[str] = (),
) -> ReadVolume:
    """Estimate what these stages read; there is at least one tile.

    Args:
        inventory: the project with its database and store.
        overlaps: tiles and the scenes over them.
        stages: the selected stages.
        now: present moment, UTC.
        read_again: tiles of which all scenes are read, as other code reads them.
    """
    if RAW not in stages:
        return ReadVolume(bytes=0, scenes=0, estimated=0)
    opened, project = inventory.opened, inventory.project
    released = ReleasedInputs(inventory, now)
    changed = changed_tiles(inventory, overlaps, released)
    pairs = unread_pairs(inventory, overlaps, changed, released=released)
    every = np.array([tile.key in read_again for tile in overlaps.tiles], dtype=np.bool_)
    pairs.weights[every[overlaps.tile_numbers]] = 1.0
    shares = scene_shares(overlaps, pairs.weights)
    facts: dict[str, SceneFacts | None] = {}
    unknown = [overlaps.found[name] for name in shares if stated_size(overlaps.found[name]) is None]
    if opened.has_store and unknown:
        run_scenes = RunScenes(project, opened.store, InlineEngine())
        with ThreadPoolExecutor(MANIFEST_READ_THREADS) as pool:
            known = pool.map(run_scenes.cached_facts, unknown)
            facts = dict(zip((scene.id for scene in unknown), known, strict=True))
    density = _pixels_per_square_degree(overlaps)
    sizes = {
        name: scene_size(
            overlaps.found[name], facts=facts.get(name), bands=len(project.bands), density=density
        )
        for name in shares
    }
    whole = sum_read_volume(project, shares, sizes=sizes)
    return replace(whole, changed_tiles=len(changed), sampled_tiles=pairs.sampled)


def sum_read_volume(
    project: Project, shares: Mapping[str, float], *, sizes: Mapping[str, tuple[float, bool]]
) -> ReadVolume:
    """Add up what is read of the scenes. Pure.

    Args:
        project: tells whether windows or whole files are read.
        shares: scene id -> share of its footprint to read.
        sizes: scene id -> bytes of its files, and True if known rather than estimated.
    """
    read = dict.fromkeys(shares, 1.0) if project.scenes.access == "download" else shares
    return ReadVolume(
        bytes=round(sum(sizes[name][0] * share for name, share in read.items())),
        scenes=len(read),
        estimated=sum(not sizes[name][1] for name in read),
    )


def changed_tiles(
    inventory: Inventory, overlaps: SceneOverlaps, released: ReleasedInputs
) -> NDArray[np.int64]:
    """Return the numbers of the tiles that have a manifest, and other scenes than it was made from.

    The recorded hash of the scenes decides: the store holds the pixels of a tile whose is the same.
    If [retention] may have released them, all tiles count whose settings changed.
    """
    scene_index = SceneIndex(inventory.catalogue.scene_versions)
    inputs, made = inventory.inputs, inventory.keys_with_manifest
    if made.isdisjoint(tile.key for tile in overlaps.tiles):
        return np.empty(0, dtype=np.int64)
    if released.are_possible and released.changed_stages:
        numbers = [at for at, tile in enumerate(overlaps.tiles) if tile.key in made]
        return np.array(numbers, dtype=np.int64)
    now = scene_index.scenes_hashes(overlaps.footprints)
    return np.array(
        [
            number
            for number, (tile, scenes) in enumerate(zip(overlaps.tiles, now, strict=True))
            if tile.key in made and (tile.key not in inputs or inputs[tile.key].scenes != scenes)
        ],
        dtype=np.int64,
    )


@dataclass(frozen=True, eq=False)
class UnreadPairs:
    """Pairs of a tile and a scene whose pixels are not in the store."""

    weights: NDArray[np.float64]
    """Number of such pairs that each pair of the overlaps stands for, 0 if it is in the store."""

    sampled: int
    """Number of manifests that were read."""


def unread_pairs(
    inventory: Inventory,
    overlaps: SceneOverlaps,
    changed: NDArray[np.int64],
    *,
    released: ReleasedInputs,
) -> UnreadPairs:
    """Return the pairs to read: of tiles without a manifest all, of changed ones those not in it.

    Of many changed tiles the manifests of a sample are read, at even distances.
    """
    made = inventory.keys_with_manifest
    never_made = np.array([tile.key not in made for tile in overlaps.tiles], dtype=np.float64)
    weights = never_made[overlaps.tile_numbers]
    steps = np.linspace(0, len(changed) - 1, min(len(changed), MAX_SAMPLED_MANIFESTS))
    sample = changed[np.unique(steps.astype(np.int64))] if len(changed) else changed
    keys = [overlaps.tiles[number].key for number in sample.tolist()]
    ranges = [np.searchsorted(overlaps.tile_numbers, [at, at + 1]) for at in sample.tolist()]
    listed = [
        [overlaps.scenes[at] for at in overlaps.scene_numbers[first:last].tolist()]
        for first, last in ranges
    ]
    if released.are_possible and keys:
        _ = released.changed_stages, inventory.absent  # not in a thread each
    with ThreadPoolExecutor(MANIFEST_READ_THREADS) as pool:
        stored = list(pool.map(partial(scenes_read, released), keys, listed))
    for (first, last), scenes, have in zip(ranges, listed, stored, strict=True):
        absent = [(scene.id, scene.fingerprint) not in have for scene in scenes]
        weights[first:last] = np.array(absent) * (len(changed) / len(sample))
    if inventory.project.retention.periods is not None:
        days = np.array([scene.solar_day for scene in overlaps.scenes], dtype="datetime64[D]")
        kept = days >= np.datetime64(released.first_kept_day)
        weights *= kept[overlaps.scene_numbers]
    return UnreadPairs(weights, len(sample))


def scene_shares(overlaps: SceneOverlaps, weights: NDArray[np.float64]) -> dict[str, float]:
    """Add up the share of each scene's footprint that lies over the tiles, by scene. Pure.

    Args:
        overlaps: pairs of tiles and scenes.
        weights: number of times that each pair counts.
    """
    shares: dict[str, float] = {}
    areas = shapely.area(overlaps.footprints)
    order = np.argsort(overlaps.scene_numbers, kind="stable")
    order = order[weights[order] > 0]
    numbers, starts = np.unique(overlaps.scene_numbers[order], return_index=True)
    groups = np.split(order, starts[1:]) if len(order) else []
    for number, pairs in zip(numbers.tolist(), groups, strict=True):
        scene, tiles = overlaps.scenes[number], overlaps.tile_numbers[pairs]
        outline = scene.footprint
        shapely.prepare(outline)
        inside = shapely.contains(outline, overlaps.footprints[tiles])
        cut = shapely.intersection(outline, overlaps.footprints[tiles[~inside]])
        share = float(
            (areas[tiles[inside]] @ weights[pairs[inside]])
            + (shapely.area(cut) @ weights[pairs[~inside]])
        ) / shapely.area(outline)
        if share > 0:
            shares[scene.id] = share
    return shares


def scenes_read(
    released: ReleasedInputs, key: str, listed: Sequence[Scene]
) -> frozenset[tuple[str, str]]:
    """Return (scene id, fingerprint) of the scenes of a tile that are not read again."""
    manifest = read_manifest(released.inventory.opened.store, key)
    if manifest is None:
        return frozenset()
    scenes = manifest.scenes(RAW)
    names = released.stored(manifest, listed) if released.are_possible else scenes.keys()
    return frozenset((name, scenes[name].fingerprint) for name in names)


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
    stated = stated_size(scene)
    if stated is not None:
        return float(stated), True
    if facts is None:
        pixels = scene.footprint.area * density * SOURCE_RATIO
        return COMPRESSION_RATIO * pixels * (2 * bands + 1), False
    of_bands = (
        band.grid.width * band.grid.height * np.dtype(band.dtype).itemsize
        for band in facts.bands.values()
    )
    return COMPRESSION_RATIO * sum(of_bands), False


def stated_size(scene: Scene) -> int | None:
    """Return the bytes of a scene's files, if the item or the file system has all of them."""
    sizes = [_file_size(source) for source in scene.sources]
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None


def _file_size(source: BandSource) -> int | None:
    """Return the size from the item, else from the file system; None if unknown."""
    if source.size is not None or is_url(source.href):
        return source.size
    path = Path(source.href)
    return path.stat().st_size if path.is_file() else None


def _pixels_per_square_degree(overlaps: SceneOverlaps) -> float:
    pixels = sum(tile.window.width * tile.window.height for tile in overlaps.tiles)
    return pixels / float(shapely.area(shapely.envelope(overlaps.footprints)).sum())
