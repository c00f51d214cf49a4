"""The same granule twice: one is used, the others are listed."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Iterable

from spatial_assets.catalog.radiometry import parse_baseline
from spatial_assets.catalog.scene import RejectedScene, Scene, SupersededScene

_NEVER = dt.datetime.min.replace(tzinfo=dt.UTC)


def without_duplicates(
    scenes: Iterable[Scene],
) -> tuple[tuple[Scene, ...], tuple[SupersededScene, ...]]:
    """Of each granule the highest baseline, then the latest `created`; and what gave way to it.

    Ids are unique in the answer too: two granules under one id would share their files.
    """
    kept, superseded = _best_of(scenes, lambda scene: scene.granule)
    kept, namesakes = _best_of(kept, lambda scene: scene.id)
    return (
        tuple(sorted(kept, key=lambda scene: scene.id)),
        tuple(sorted((*superseded, *namesakes), key=lambda scene: (scene.id, scene.href))),
    )


def without_namesakes(
    rejected: Iterable[RejectedScene], scenes: Iterable[Scene]
) -> tuple[tuple[RejectedScene, ...], tuple[SupersededScene, ...]]:
    """Bad items whose id is that of a scene that can be used are not missed: it replaces them.

    A rejection is known by its id, so one that shares it with a good scene would condemn that.
    """
    good = {scene.id: scene for scene in scenes}
    by_id = {item.id: item for item in sorted(rejected, key=lambda item: item.href, reverse=True)}
    bad = tuple(by_id[name] for name in sorted(by_id) if name not in good)
    replaced = tuple(
        SupersededScene(id=name, href=by_id[name].href, by=name, granule=good[name].granule)
        for name in sorted(by_id)
        if name in good
    )
    return bad, replaced


def _best_of(
    scenes: Iterable[Scene], identity: Callable[[Scene], str]
) -> tuple[list[Scene], list[SupersededScene]]:
    """The best of each group, and the others."""
    groups: defaultdict[str, list[Scene]] = defaultdict(list)
    for scene in scenes:
        groups[identity(scene)].append(scene)
    kept, superseded = [], []
    for group in groups.values():
        best = max(group, key=_rank)
        kept.append(best)
        superseded += [
            SupersededScene(id=scene.id, href=scene.href, by=best.id, granule=scene.granule)
            for scene in group
            if scene is not best
        ]
    return kept, superseded


def _rank(scene: Scene) -> tuple[tuple[int, int], dt.datetime, str, str]:
    """Greater is better; id and href decide the rest, so that the same items give one answer."""
    return (
        parse_baseline(scene.baseline) or (-1, -1),
        scene.created or _NEVER,
        scene.id,
        scene.href,
    )
