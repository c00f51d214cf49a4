"""A usable scene as the chain needs to know it, also long after the catalogue is gone.

It travels to the workers, and it is kept in the manifest beside what was made from it, so
that a later stage can run from stored inputs alone.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from spatial_assets.catalog.scene import BandSource, Scene
from spatial_assets.catalog.scene_facts import BandFacts, SceneFacts


@dataclass(frozen=True, kw_only=True)
class SceneRecord:
    """What decides a scene's pixels and where they go."""

    id: str
    fingerprint: str
    """Of the scene: item, files and radiometry."""

    solar_day: dt.date
    platform: str
    granule: str
    facts: SceneFacts
    bands: tuple[str, ...]
    """Names of the reflectance bands, in the order in which they are stored."""

    class_band: str | None
    """Name of the band of classes, if the sensor has one."""

    sources: Mapping[str, BandSource] = field(default_factory=dict, repr=False)
    """Where to read each band; empty when the record comes from a manifest."""

    @classmethod
    def of(cls, scene: Scene, facts: SceneFacts) -> SceneRecord:
        """The record of a scene whose files were looked into."""
        return cls(
            id=scene.id,
            fingerprint=scene.fingerprint,
            solar_day=scene.solar_day,
            platform=scene.platform,
            granule=scene.granule,
            facts=facts,
            bands=tuple(scene.bands),
            class_band=scene.class_band.name if scene.class_band else None,
            sources={source.name: source for source in scene.sources},
        )

    def to_document(self) -> dict[str, object]:
        """JSON values, without the sources: hrefs belong to the catalogue."""
        return {
            "id": self.id,
            "fingerprint": self.fingerprint,
            "solar_day": self.solar_day.isoformat(),
            "platform": self.platform,
            "granule": self.granule,
            "facts": json.loads(self.facts.to_json()),
            "bands": list(self.bands),
            "class_band": self.class_band,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, object]) -> SceneRecord:
        """What `to_document` wrote."""
        bands, class_band = document["bands"], document["class_band"]
        return cls(
            id=str(document["id"]),
            fingerprint=str(document["fingerprint"]),
            solar_day=dt.date.fromisoformat(str(document["solar_day"])),
            platform=str(document["platform"]),
            granule=str(document["granule"]),
            facts=SceneFacts.from_json(json.dumps(document["facts"])),
            bands=tuple(bands) if isinstance(bands, list) else (),
            class_band=None if class_band is None else str(class_band),
        )

    def of_band(self, name: str) -> BandFacts:
        """Header facts of one band."""
        return self.facts.bands[name]

    @property
    def files(self) -> tuple[str, ...]:
        """All bands to read: reflectance, then classes."""
        return (*self.bands, *((self.class_band,) if self.class_band else ()))
