"""Which units of a manifest the store no longer holds as they were committed.

Asked before every walk, so in few requests: a folder that is the tile's own is listed once.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from spatial_assets.pipeline.stages import RAW, REPROJECTED
from spatial_assets.stores.manifests import StageEntry, TileManifest, holds
from spatial_assets.stores.objects import ObjectInfo, ObjectStore

LISTED_FROM = 3
"""Objects of a stage from which one listing is cheaper than asking for each."""

LOOK_UPS_AT_ONCE = 8


def lost_units(store: ObjectStore, manifest: TileManifest) -> tuple[tuple[str, str], ...]:
    """(stage, unit) of what is gone, or not what was committed, in the order of the manifest."""
    asked: list[tuple[str, str, ObjectInfo]] = []
    for stage, units in manifest.stages.items():
        listed = _listed(store, stage, units)
        asked += [
            (stage, unit, info)
            for unit, entry in units.items()
            for info in entry.objects
            if not _same(listed.get(info.path), info)
        ]
    return tuple(dict.fromkeys(_not_held(store, asked)))


def _listed(
    store: ObjectStore, stage: str, units: Mapping[str, StageEntry]
) -> dict[str, ObjectInfo]:
    """What lies in the stage's folder of the tile; nothing where each object is asked for."""
    paths = [info.path for entry in units.values() for info in entry.objects]
    if stage not in {RAW, REPROJECTED} or len(paths) < LISTED_FROM:
        return {}  # the shards of a cube lie among those of other tiles
    folder = posixpath.commonpath([posixpath.dirname(path) for path in paths])
    return {info.path: info for info in store.list(folder)}


def _same(found: ObjectInfo | None, info: ObjectInfo) -> bool:
    return found is not None and found.size == info.size and found.etag == info.etag != ""


def _not_held(
    store: ObjectStore, asked: list[tuple[str, str, ObjectInfo]]
) -> Iterator[tuple[str, str]]:
    """Those of `asked` that the store does not hold; where only the etag differs, bytes decide."""
    if len(asked) < LISTED_FROM:
        answers = [holds(store, info) for _, _, info in asked]
    else:
        answers = list(_askers().map(lambda each: holds(store, each[2]), asked))
    for (stage, unit, _), held in zip(asked, answers, strict=True):
        if not held:
            yield stage, unit


@cache
def _askers() -> ThreadPoolExecutor:
    """Those who ask; starting them for each tile would cost more than most answers."""
    return ThreadPoolExecutor(LOOK_UPS_AT_ONCE, thread_name_prefix="intact")
