"""Scenes as a catalogue describes them, and the records of items that cannot be used.

Everything here can be pickled and holds no secret: hrefs are unsigned.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain

from shapely.geometry.base import BaseGeometry

from spatial_assets.catalog.item_notes import ItemNotes
from spatial_assets.geo.radiometry import Calibration

IN_THE_FUTURE = "in_the_future"
"""Reason of a rejected scene that is not acquired yet, by our clock."""

FUTURE_MARGIN = dt.timedelta(days=1)
"""Longest time by which a scene may be later than our clock: dates without a time, wrong zones."""


@dataclass(frozen=True, kw_only=True)
class SceneVersion:
    """State of one scene in its catalogue, known without opening or requesting its files."""

    id: str
    """Id of the item, or the generated one of an item that was rejected."""

    version: str
    """Hash, 64 hexadecimal digits, of all in the item and its local files that may reach a pixel.

    It does not depend on `updated`, `links` or a signature.
    """

    footprint: BaseGeometry | None
    """Footprint of the item in lon/lat, without a margin; None: unknown, which counts as nowhere.
    """


@dataclass(frozen=True, kw_only=True)
class BandSource:
    """One band of one scene: the location of its file and what the item states about it."""

    name: str
    """Our name of the band, e.g. "red", or of the class band, e.g. "scl"."""

    href: str
    """Absolute path, or s3/http/https URL without its query."""

    query: str = field(default="", repr=False)
    """Query of the href. It may hold a signature, so it is never shown or hashed."""

    index: int = 1
    """Number of the band within the file, from 1."""

    is_numbered: bool = True
    """True if item or project file say which band of the file it is; False: its only one."""

    calibration: Calibration | None
    """Digital number to reflectance; None for classes and for float reflectance."""

    stated_scale: float | None = None
    """Scale that the item itself states; None: `calibration` has the sensor's."""

    stated_offsets: tuple[float, ...] = ()
    """Offset that the item itself states, and another that its file may state for the same pixels;
    empty: `calibration` has the sensor's."""

    uncalibrated: str = ""
    """Reason why neither item nor sensor gives a calibration: the file may state one."""

    nodata: float | None
    """Fill value that the item declares, else the sensor's; None: the file decides."""

    checksum: str | None
    """Multihash `file:checksum` of the asset, in hexadecimal."""

    size: int | None
    """`file:size` of the asset in bytes."""

    version: str | None = None
    """Version of the content under the href: etag, or mtime, and size."""

    collection: str | None = None
    """Collection of the item: some archives sign by collection."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One granule of one acquisition, as its item describes it."""

    id: str
    """Id of the item; safe as one component of a path."""

    collection: str | None
    acquired: dt.datetime
    """Time of acquisition, UTC."""

    platform: str
    """Platform in lower case with hyphens, e.g. "sentinel-2a", "landsat-8"."""

    footprint: BaseGeometry
    """Footprint in lon/lat, split at the antimeridian if it crosses it."""

    solar_day: dt.date
    """Date in mean solar time at the footprint's centroid."""

    cloud_cover: float | None
    """Cloud cover in per cent; None: unknown."""

    bands: Mapping[str, BandSource]
    """Our name of a band -> its source, for the bands that the indices need."""

    class_band: BandSource | None
    """Source of the class band; None: every pixel counts as clear sky."""

    granule: str
    """Identity shared by every processing of one acquisition of one place."""

    baseline: str | None
    """Processing baseline, e.g. "05.09"."""

    created: dt.datetime | None
    """Creation time of the item's product, UTC."""

    extent: BaseGeometry | None = None
    """Extent of the whole raster in lon/lat, if the item states it; the file decides."""

    crs: str | None = None
    """CRS that the item states, e.g. "EPSG:32633"; the file decides."""

    href: str
    """Location of the item."""

    fingerprint: str = ""
    """Hash of everything about the item that reaches a pixel."""

    doubts: tuple[str, ...] = ()
    """Reasons, of `item_notes.DOUBTFUL`, to doubt the item though it is used."""

    def serves(self, needs: Iterable[str]) -> bool:
        """Return True if the item has all bands of an index."""
        return self.bands.keys() >= set(needs)

    @property
    def sources(self) -> tuple[BandSource, ...]:
        """Every file to read: the bands, then the class band."""
        return (*self.bands.values(), *((self.class_band,) if self.class_band else ()))


@dataclass(frozen=True, kw_only=True)
class RejectedScene:
    """A scene that cannot be used, for a reason that a retry cannot change."""

    id: str
    """Id of the item, or a generated one if the item has none that is safe as a path component."""

    href: str
    """Location of the item."""

    reason: str
    """Reason code in snake_case."""

    message: str
    """Message that says what was found, what was expected and what to do."""

    evidence: Mapping[str, object] = field(default_factory=dict)
    """Figures and names behind the reason; JSON values."""

    footprint: BaseGeometry | None = None
    """Footprint in lon/lat; None: unknown, which is not nowhere."""

    fingerprint: str
    """Hash that changes exactly when the input changes."""

    unread: bool = False
    """True if its document could not be read, so that it is unknown which scenes it holds."""


@dataclass(frozen=True, kw_only=True)
class SupersededScene:
    """A scene left out because another one of the same granule is better."""

    id: str
    href: str
    by: str
    """Id of the scene that is used instead."""

    granule: str


@dataclass(frozen=True)
class Catalogue:
    """Everything found in a catalogue, in the order of ids."""

    scenes: tuple[Scene, ...]
    rejected: tuple[RejectedScene, ...]
    superseded: tuple[SupersededScene, ...] = ()
    scene_versions: tuple[SceneVersion, ...] = ()
    """Versions of every scene that is used or was rejected, from the catalogue alone."""

    notes: ItemNotes = field(default_factory=ItemNotes)
    """Items that are not used, or are used with a doubt."""

    unread: tuple[str, ...] = ()
    """Places of the documents that could not be read: a scene that is not found may be there."""

    @property
    def listed(self) -> frozenset[str]:
        """Ids of all scenes found: used, rejected and superseded."""
        usable, refused = (one.id for one in self.scenes), (one.id for one in self.rejected)
        return frozenset(chain(usable, refused, (one.id for one in self.superseded)))

    def as_of(self, now: dt.datetime) -> Catalogue:
        """Return the catalogue with the scenes rejected that are not acquired yet.

        Args:
            now: UTC; a scene may be up to `FUTURE_MARGIN` later.
        """
        latest = now + FUTURE_MARGIN
        future = [scene for scene in self.scenes if scene.acquired > latest]
        if not future:
            return self
        refused = (
            rejected(
                scene,
                IN_THE_FUTURE,
                f"scene {scene.id} is of {scene.acquired:%Y-%m-%d %H:%M} UTC, more than a day "
                "after the present; correct the datetime of its item, or the clock of this machine",
            )
            for scene in future
        )
        return replace(
            self,
            scenes=tuple(scene for scene in self.scenes if scene.acquired <= latest),
            rejected=tuple(sorted((*self.rejected, *refused), key=lambda scene: scene.id)),
        )

    @property
    def whole(self) -> bool:
        """True if every document of the catalogue could be read."""
        return not self.unread


def rejected(scene: Scene, reason: str, message: str, **evidence: object) -> RejectedScene:
    """Return the record of a scene that was rejected after its item had been parsed."""
    return RejectedScene(
        id=scene.id,
        href=scene.href,
        reason=reason,
        message=message,
        evidence=evidence,
        footprint=scene.footprint,
        fingerprint=scene.fingerprint,
    )
