"""What the catalogue hands on: scenes, what was found in their files, and what was refused.

Everything here is picklable and holds no secret: hrefs are unsigned.

A scene as its catalogue has it now: what a tile was made from is compared with it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from shapely.geometry.base import BaseGeometry

from spatial_assets.geo.radiometry import Calibration

CHANGED_SINCE_INSPECTION = "changed_since_inspection"
"""Reason code of a file that is not the one that was inspected; a new run may succeed."""


@dataclass(frozen=True, kw_only=True)
class SceneVersion:
    """One scene as its catalogue has it: no image was opened, no server asked for its files."""

    id: str
    """The item's id, or the made-up one of an item that was refused."""

    version: str
    """Changes when the item, or a local file of it, changes in a way that may reach a pixel.

    Never with `updated`, `links` or a signature; 64 hexadecimal digits.
    """

    footprint: BaseGeometry | None
    """Lon/lat: the footprint that the item tells, without any margin.

    None: unknown, which counts as nowhere.
    """


@dataclass(frozen=True, kw_only=True)
class BandSource:
    """One band of one scene: where its file lies and what the item says of its numbers."""

    name: str
    """Our name of the band, e.g. "red", or of the class band, e.g. "scl"."""

    href: str
    """Absolute path, or s3/http/https URL, without its query."""

    query: str = field(default="", repr=False)
    """What followed the "?" of the href: may hold a signature, so it is never shown or hashed."""

    index: int = 1
    """Number of the band within the file, from 1."""

    calibration: Calibration | None
    """From digital number to reflectance; None for classes and for float reflectance."""

    nodata: float | None
    """The fill value that the item declares, else the sensor's; None: the file decides."""

    checksum: str | None
    """The multihash `file:checksum` of the asset, in hexadecimal."""

    size: int | None
    """The `file:size` of the asset, in bytes."""

    version: str | None = None
    """What tells this content from another under the same href: etag, or mtime, and size."""

    collection: str | None = None
    """Collection of the item: some archives sign by collection."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One granule of one acquisition, as its item describes it."""

    id: str
    """The item's id; safe as one component of a path."""

    collection: str | None
    acquired: dt.datetime
    """Moment of acquisition, UTC."""

    platform: str
    """In lower case with hyphens, e.g. "sentinel-2a", "landsat-8"."""

    footprint: BaseGeometry
    """Lon/lat, cut at the antimeridian where it crosses."""

    solar_day: dt.date
    """Date at the mean solar time of the footprint's centroid."""

    cloud_cover: float | None
    """Per cent; None: unknown."""

    bands: Mapping[str, BandSource]
    """Our name of a band -> its source; the bands that the indices need."""

    class_band: BandSource | None
    """None: every pixel counts as clear sky."""

    granule: str
    """The same for every processing of one acquisition of one place."""

    baseline: str | None
    """Processing baseline, e.g. "05.09"."""

    created: dt.datetime | None
    """When the item's product was made, UTC."""

    extent: BaseGeometry | None = None
    """Lon/lat of the whole raster, as far as the item tells; the file decides."""

    crs: str | None = None
    """What the item says the CRS is, e.g. "EPSG:32633"; the file decides."""

    href: str
    """Where the item was found."""

    fingerprint: str = ""
    """Hash of everything about the item that reaches a pixel."""

    @property
    def sources(self) -> tuple[BandSource, ...]:
        """Every file to read: the bands, then the class band."""
        return (*self.bands.values(), *((self.class_band,) if self.class_band else ()))


@dataclass(frozen=True, kw_only=True)
class RejectedScene:
    """A scene that cannot be used, in a way that a retry cannot change."""

    id: str
    """The item's id, or a made-up one where it has none that is safe as a path component."""

    href: str
    """Where the item was found."""

    reason: str
    """Reason code in snake_case."""

    message: str
    """What we got, what was wanted, what to do."""

    evidence: Mapping[str, object] = field(default_factory=dict)
    """Figures and names behind the reason; JSON values."""

    footprint: BaseGeometry | None = None
    """Lon/lat; None: unknown, which is not nowhere."""

    fingerprint: str
    """Changes when the input does, and only then."""


@dataclass(frozen=True, kw_only=True)
class SupersededScene:
    """A scene left out because another of the same granule is better."""

    id: str
    href: str
    by: str
    """Id of the scene that is used instead."""

    granule: str


@dataclass(frozen=True)
class Catalogue:
    """Everything the catalogue answered, in the order of ids."""

    scenes: tuple[Scene, ...]
    rejected: tuple[RejectedScene, ...]
    superseded: tuple[SupersededScene, ...] = ()
    scene_versions: tuple[SceneVersion, ...] = ()
    """Of every scene that is used or was refused, as the catalogue alone has it."""


def rejected(scene: Scene, reason: str, message: str, **evidence: object) -> RejectedScene:
    """The record of a scene refused after its item had been understood."""
    return RejectedScene(
        id=scene.id,
        href=scene.href,
        reason=reason,
        message=message,
        evidence=evidence,
        footprint=scene.footprint,
        fingerprint=scene.fingerprint,
    )
