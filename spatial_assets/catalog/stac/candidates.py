"""Candidates: what is kept of an item to decide again, without reading it, whether it is used.

Of several items of one granule one is used. Another one may take its place when items come or go,
so the superseded ones are kept too.
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

WKT_DECIMALS = 4  # of a degree, some 10 m: further digits of a reprojected extent depend on PROJ


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One item that may be used, or that was rejected."""

    id: str
    href: str
    """Location of the item."""

    granule: str | None
    """Identity of the granule; None: the item was rejected."""

    baseline: str | None = None
    created: dt.datetime | None = None
    digest: str
    """Hash of the item's metadata, without the state of its files."""

    files: tuple[str, ...] = ()
    """Paths of the local files that it names."""

    footprint: BaseGeometry | None
    """Footprint, as in `SceneVersion`."""


def candidate_of(scene: Scene) -> Candidate:
    """Return what is kept of a scene."""
    described = [
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
        digest=_hash(described),
        files=tuple(source.href for source in scene.sources if not is_remote(source.href)),
        # Not the extent of the rasters: their corners hold no pixels, and a change would
        # recompute tiles there for nothing.
        footprint=scene.footprint,
    )


def rejected_candidate(record: RejectedScene) -> Candidate:
    """Return what is kept of an item that cannot be used."""
    return Candidate(
        id=record.id,
        href=record.href,
        granule=None,
        digest=_hash([record.fingerprint, record.reason]),
        footprint=record.footprint,
    )


def scene_versions_of(candidates: Iterable[Candidate]) -> tuple[SceneVersion, ...]:
    """Return the versions of all candidates, in the order of ids."""
    return tuple(map(scene_version_of, chosen(candidates)))


def chosen(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """Return one candidate of each id, in order: used ones, and rejected ones of other ids."""
    usable, rejected = list[Candidate](), list[Candidate]()
    for candidate in candidates:
        (rejected if candidate.granule is None else usable).append(candidate)
    kept, _ = best_of_each(usable, lambda one: str(one.granule))
    kept, _ = best_of_each(kept, lambda one: one.id)
    seen = first_of_each_id(rejected) | {one.id: one for one in kept}
    return tuple(seen[name] for name in sorted(seen))


def scene_version_of(candidate: Candidate) -> SceneVersion:
    """Return the version of a candidate, by the state of its local files but not their content."""
    files = [_file_record(path) for path in candidate.files]
    return SceneVersion(
        id=candidate.id,
        version=_hash([candidate.digest, files]) if files else candidate.digest,
        footprint=candidate.footprint,
    )


def _file_record(path: str) -> str:
    """Return the version of a local file."""
    try:
        return local_version(Path(path))
    except SceneError:
        return MISSING_VERSION


def _shape_record(shape: BaseGeometry | None) -> str | None:
    """Return a geometry as text."""
    return None if shape is None else str(shapely.to_wkt(shape, rounding_precision=WKT_DECIMALS))


def _hash(record: Sequence[object]) -> str:
    """Return a hash in 64 hexadecimal digits."""
    return hashlib.sha256(json.dumps(record).encode()).hexdigest()
