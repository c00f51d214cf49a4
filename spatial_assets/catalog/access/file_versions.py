"""Versions of a scene's files, and the fingerprint of everything in a scene that reaches a pixel.

The hash covers: id, hrefs without query, checksum or else etag and size (of a local file: checksum,
size and mtime, as repairing a damaged file leaves its checksum the same), band numbers, and the
resolved scale, offset and nodata. It never covers `updated` or a signature.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from spatial_assets.catalog.access.hrefs import is_remote
from spatial_assets.catalog.access.remote_objects import REPLICA_ATTEMPTS, look_up
from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.scene import BandSource, RejectedScene, Scene, rejected
from spatial_assets.errors import SceneError, SourceUnavailableError

CONCURRENT_FILE_LOOKUPS = 16
MAX_HOST_FAILURES = 3
UNREACHABLE_VERSION = "away"
"""Version of a file whose server did not answer. It equals no other, so nothing is up to date."""

MISSING_VERSION = "missing"
"""Version of a file that does not exist, so that a file that appears is a change."""


MASK_SUFFIX = ".msk"
"""Suffix of the file beside a raster that masks it, GDAL's."""


class UnreachableHosts:
    """Hosts that did not answer, so that thousands of files do not wait for them one by one."""

    def __init__(self) -> None:
        self._failures: Counter[str] = Counter()

    def add(self, href: str) -> None:
        """Record that a host did not answer for `href` after all retries."""
        self._failures[urlsplit(href).netloc] += 1

    def __contains__(self, href: str) -> bool:
        """Return True if the host of `href` has failed too often to be asked again."""
        return self._failures[urlsplit(href).netloc] >= MAX_HOST_FAILURES


def with_fingerprints(
    scenes: Iterable[Scene], access: SourceAccess
) -> Iterator[Scene | RejectedScene]:
    """Yield the scenes with versions and fingerprints, in order; a missing file rejects a scene."""
    unreachable = UnreachableHosts()

    def fingerprinted(scene: Scene) -> Scene | RejectedScene:
        return with_fingerprint(scene, access, unreachable)

    pending = list(scenes)
    if not any(is_remote(source.href) for scene in pending for source in scene.sources):
        yield from map(fingerprinted, pending)
        return
    with ThreadPoolExecutor(CONCURRENT_FILE_LOOKUPS) as pool:
        yield from pool.map(fingerprinted, pending)


def with_fingerprint(
    scene: Scene, access: SourceAccess, unreachable: UnreachableHosts | None = None
) -> Scene | RejectedScene:
    """Return one scene with versions and fingerprint, or its rejection."""
    hosts = UnreachableHosts() if unreachable is None else unreachable
    refusals: list[SceneError] = []

    def versioned(source: BandSource) -> BandSource:
        try:
            return replace(source, version=_version_of(source, access, hosts))
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
    """Return the version of the content under the source's href.

    Raises:
        SceneError: `missing_object`, `forbidden`, `forbidden_host`, `forbidden_folder`: the file
            cannot be read.
        SourceUnavailableError: the archive did not answer.
    """
    access.allowed_places.require(source.href)
    if not is_remote(source.href):
        return local_version(Path(source.href))
    if source.checksum is not None:
        return source.checksum
    return look_up(source, access).version


def as_seen_before(scene: Scene, before: Mapping[str, str], access: SourceAccess) -> Scene:
    """Return a scene with the versions that its files had before, if these come back.

    Replicas behind one name may have ETags of their own, and the search may have met another one
    than the last: an ETag that comes back is no change.

    Args:
        scene: as the search found it.
        before: href -> version at an earlier run.
        access: how the source is reached.
    """

    def earlier(source: BandSource) -> BandSource:
        version = before.get(source.href)
        if version is None or not _differ_in_etag(version, source.version):
            return source
        if not _comes_back(version, source, access):
            raise LookupError
        return replace(source, version=version)

    try:
        known = replace(
            scene,
            bands={name: earlier(source) for name, source in scene.bands.items()},
            class_band=earlier(scene.class_band) if scene.class_band else None,
        )
    except (LookupError, SceneError, SourceUnavailableError):
        return scene
    return replace(known, fingerprint=fingerprint_of(known))


def _differ_in_etag(one: str, other: str | None) -> bool:
    """Return True if two versions of a remote file are of the same size, with two ETags."""
    etag, _, size = one.rpartition(":")
    other_etag, _, other_size = (other or "").rpartition(":")
    return size.isdigit() and size == other_size and "" != etag != other_etag != ""


def _comes_back(version: str, source: BandSource, access: SourceAccess) -> bool:
    """Return True if a file has a version at one of several requests."""
    return any(look_up(source, access).version == version for _ in range(REPLICA_ATTEMPTS))


def _version_of(source: BandSource, access: SourceAccess, unreachable: UnreachableHosts) -> str:
    """Return the version, or `UNREACHABLE_VERSION`: only the tiles of that scene then fail.

    Raises:
        SceneError: the file cannot be read.
    """
    if source.href in unreachable:
        return UNREACHABLE_VERSION
    try:
        return version_of(source, access)
    except SourceUnavailableError:
        unreachable.add(source.href)
        return UNREACHABLE_VERSION


def local_version(path: Path) -> str:
    """Return modification time and size of a file, and of a mask file beside it.

    Raises:
        SceneError: `missing_object`.
    """
    try:
        facts = path.stat()
    except OSError as error:
        raise SceneError(
            f"{path} cannot be read: {error.strerror}", reason="missing_object"
        ) from error
    version = f"{facts.st_mtime_ns}:{facts.st_size}"
    with contextlib.suppress(OSError):
        mask = path.with_name(f"{path.name}{MASK_SUFFIX}").stat()
        version = f"{mask.st_mtime_ns}:{mask.st_size}:{version}"
    return version


def fingerprint_of(scene: Scene) -> str:
    """Hash everything about a scene that reaches a pixel, as 64 hexadecimal digits."""
    record = {
        "id": scene.id,
        "bands": [source_record(source, source.version) for source in scene.sources],
    }
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def source_record(source: BandSource, version: object) -> list[object]:
    """Return the values of one file that are hashed; `version` is the version of its content."""
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
