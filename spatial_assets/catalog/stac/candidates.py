"""What is kept of an item to tell, without reading it again, which items are used and seen.

Of a granule that is there twice one item counts. Which one may change when another comes or goes,
so what gave way is remembered too.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import shapely
from shapely.geometry.base import BaseGeometry

from spatial_assets.catalog.access.file_versions import (
    MISSING_VERSION,
    local_version,
    source_record,
)
from spatial_assets.catalog.access.hrefs import is_remote
from spatial_assets.catalog.scene import RejectedScene, Scene, SceneVersion
from spatial_assets.catalog.stac.duplicates import best_of_each, first_of_each_id
from spatial_assets.errors import SceneError

WKT_DECIMALS = 4  # of a degree, some 10 m: the last digits of a reprojected extent depend on PROJ


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One item that may be used, or that cannot be."""

    id: str
    href: str
    """Where the item was found."""

    granule: str | None
    """None: the item was refused."""

    baseline: str | None = None
    created: dt.datetime | None = None
    digest: str
    """Hash of what the item says; nothing of what its files are now."""

    files: tuple[str, ...] = ()
    """Paths of the local files that it names."""

    footprint: BaseGeometry | None
    """As of a `SceneVersion`."""


def candidate_of(scene: Scene) -> Candidate:
    """What is kept of a scene."""
    told = [
        scene.id,
        scene.acquired.isoformat(),
        scene.solar_day.isoformat(),
        scene.platform,
        scene.granule,
        scene.baseline,
        scene.created and scene.created.isoformat(),
        scene.crs,
        _shape_record(scene.footprint),
        _shape_record(scene.extent),
        [source_record(source, source.size) for source in scene.sources],
    ]
    return Candidate(
        id=scene.id,
        href=scene.href,
        granule=scene.granule,
        baseline=scene.baseline,
        created=scene.created,
        digest=_hash(told),
        files=tuple(source.href for source in scene.sources if not is_remote(source.href)),
        # Not the extent of the rasters: their corners hold no pixels, and a change would make
        # tiles there again for nothing.
        footprint=scene.footprint,
    )


def refused_candidate(record: RejectedScene) -> Candidate:
    """What is kept of an item that cannot be used."""
    return Candidate(
        id=record.id,
        href=record.href,
        granule=None,
        digest=_hash([record.fingerprint, record.reason]),
        footprint=record.footprint,
    )


def scene_versions_of(candidates: Iterable[Candidate]) -> tuple[SceneVersion, ...]:
    """The sightings of all candidates, in the order of ids."""
    return tuple(map(scene_version_of, chosen(candidates)))


def chosen(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """One of each id, in the order of ids: what is used, and what is refused under no used id."""
    usable, refused = list[Candidate](), list[Candidate]()
    for candidate in candidates:
        (refused if candidate.granule is None else usable).append(candidate)
    kept, _ = best_of_each(usable, lambda one: str(one.granule))
    kept, _ = best_of_each(kept, lambda one: one.id)
    seen = first_of_each_id(refused) | {one.id: one for one in kept}
    return tuple(seen[name] for name in sorted(seen))


def scene_version_of(candidate: Candidate) -> SceneVersion:
    """A candidate with what its local files are now; their contents are not read."""
    files = [_file_record(path) for path in candidate.files]
    return SceneVersion(
        id=candidate.id,
        version=_hash([candidate.digest, files]) if files else candidate.digest,
        footprint=candidate.footprint,
    )


def _file_record(path: str) -> str:
    """What tells a local file from what was there before."""
    try:
        return local_version(Path(path))
    except SceneError:
        return MISSING_VERSION


def _shape_record(shape: BaseGeometry | None) -> str | None:
    """A geometry as text."""
    return None if shape is None else str(shapely.to_wkt(shape, rounding_precision=WKT_DECIMALS))


def _hash(record: Sequence[object]) -> str:
    """64 hexadecimal digits."""
    return hashlib.sha256(json.dumps(record).encode()).hexdigest()
