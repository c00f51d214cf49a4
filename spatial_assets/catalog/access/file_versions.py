"""What a scene's files are now, and the hash of everything about the scene that reaches a pixel.

Hashed: id, hrefs without query, checksum or else etag and size (local: checksum, size and mtime, as
a damaged file is put right without its checksum changing), band numbers, resolved scale, offset and
nodata. Never `updated`, never a signature.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from spatial_assets.catalog.access.hrefs import is_remote
from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.scene import BandSource, RejectedScene, Scene, rejected
from spatial_assets.errors import SceneError, SourceUnavailableError

CONCURRENT_FILE_LOOKUPS = 16
MAX_HOST_FAILURES = 3
UNREACHABLE_VERSION = "away"
"""Version of a file whose server did not answer: like no other, so nothing counts as known."""

MISSING_VERSION = "missing"
"""Version of a file that is not there, so that a file that appears is a change."""


class UnreachableHosts:
    """Hosts that did not answer, so that thousands of files need not wait for them one by one."""

    def __init__(self) -> None:
        self._failures: Counter[str] = Counter()

    def add(self, href: str) -> None:
        """Note that a host did not answer for `href`, all retries included."""
        self._failures[urlsplit(href).netloc] += 1

    def __contains__(self, href: str) -> bool:
        """Whether the host of `href` has failed often enough not to be asked again."""
        return self._failures[urlsplit(href).netloc] >= MAX_HOST_FAILURES


def with_fingerprints(
    scenes: Iterable[Scene], access: SourceAccess
) -> Iterator[Scene | RejectedScene]:
    """The scenes with versions and fingerprints, in order; a missing file rejects its scene."""
    away = UnreachableHosts()

    def look_up(scene: Scene) -> Scene | RejectedScene:
        return with_fingerprint(scene, access, away)

    waiting = list(scenes)
    if not any(is_remote(source.href) for scene in waiting for source in scene.sources):
        yield from map(look_up, waiting)
        return
    with ThreadPoolExecutor(CONCURRENT_FILE_LOOKUPS) as pool:
        yield from pool.map(look_up, waiting)


def with_fingerprint(
    scene: Scene, access: SourceAccess, away: UnreachableHosts | None = None
) -> Scene | RejectedScene:
    """One scene with versions and fingerprint, or its rejection."""
    known_away = UnreachableHosts() if away is None else away
    refusals: list[SceneError] = []

    def versioned(source: BandSource) -> BandSource:
        try:
            return replace(source, version=_version_of(source, access, known_away))
        except SceneError as error:
            refusals.append(error)
            return replace(source, version=MISSING_VERSION)

    known = replace(
        scene,
        bands={name: versioned(source) for name, source in scene.bands.items()},
        class_band=versioned(scene.class_band) if scene.class_band else None,
    )
    known = replace(known, fingerprint=fingerprint_of(known))
    if refusals:
        return rejected(known, refusals[0].reason, str(refusals[0]), missing=len(refusals))
    return known


def version_of(source: BandSource, access: SourceAccess) -> str:
    """What tells this content from another under the same href.

    Raises:
        SceneError: `missing_object`, `forbidden`, `forbidden_host`, `forbidden_folder`: the file
            cannot be had.
        SourceUnavailableError: the archive did not answer.
    """
    access.allowed_places.require(source.href)
    if not is_remote(source.href):
        return local_version(Path(source.href))
    if source.checksum is not None:
        return source.checksum
    from spatial_assets.catalog.access.remote_objects import look_up

    return look_up(source, access).version


def _version_of(source: BandSource, access: SourceAccess, away: UnreachableHosts) -> str:
    """As `version_of`; the tiles of a scene that is away find out, the others do not fail with it.

    Raises:
        SceneError: the file cannot be had.
    """
    if source.href in away:
        return UNREACHABLE_VERSION
    try:
        return version_of(source, access)
    except SourceUnavailableError:
        away.add(source.href)
        return UNREACHABLE_VERSION


def local_version(path: Path) -> str:
    """Size and time of modification of a file.

    Raises:
        SceneError: `missing_object`.
    """
    try:
        facts = path.stat()
    except OSError as error:
        raise SceneError(
            f"{path} cannot be read: {error.strerror}", reason="missing_object"
        ) from error
    return f"{facts.st_mtime_ns}:{facts.st_size}"


def fingerprint_of(scene: Scene) -> str:
    """Hash of everything about a scene that reaches a pixel, in 64 hexadecimal digits."""
    record = {
        "id": scene.id,
        "bands": [source_record(source, source.version) for source in scene.sources],
    }
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def source_record(source: BandSource, version: object) -> list[object]:
    """What is hashed of one file; `version` tells its content from another under the same href."""
    calibration = source.calibration
    return [
        source.name,
        source.href,
        source.index,
        source.checksum,
        version,
        None if calibration is None else [calibration.scale, calibration.offset],
        None if source.nodata is None else repr(source.nodata),
    ]
