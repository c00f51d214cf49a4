"""A usable scene as the chain needs it, independent of the catalogue.

It travels to the workers, and the manifest keeps it with what was made from it, so that a later
stage can run from stored inputs alone.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from spatial_assets.catalog.scene import BandSource, Scene
from spatial_assets.catalog.scene_facts import BandFacts, SceneFacts
from spatial_assets.stores.stage_facts import StoredScene


@dataclass(frozen=True, kw_only=True)
class SceneRecord:
    """Properties of a scene that decide its pixels and where they lie."""

    id: str
    fingerprint: str
    """Hash of the scene: item, files and radiometry."""

    solar_day: dt.date
    platform: str
    granule: str
    facts: SceneFacts
    bands: tuple[str, ...]
    """Names of the reflectance bands, in the order in which they are stored."""

    class_band: str | None
    """Name of the band of classes, if the sensor has one."""

    sources: Mapping[str, BandSource] = field(default_factory=dict, repr=False)
    """Source of each band; empty when the record comes from a manifest."""

    @classmethod
    def of(cls, scene: Scene, facts: SceneFacts) -> SceneRecord:
        """Return the record of a scene whose files were inspected."""
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

    @classmethod
    def from_stored(cls, scene: StoredScene) -> SceneRecord:
        """Return the record of a scene in a manifest."""
        return cls(
            id=scene.id,
            fingerprint=scene.fingerprint,
            solar_day=dt.date.fromisoformat(scene.solar_day),
            platform=scene.platform,
            granule=scene.granule,
            facts=SceneFacts.from_json(json.dumps(scene.facts)),
            bands=scene.bands,
            class_band=scene.class_band,
        )

    def to_stored(self) -> StoredScene:
        """Return the scene for a manifest, without the sources: hrefs belong to the catalogue."""
        return StoredScene(
            id=self.id,
            fingerprint=self.fingerprint,
            solar_day=self.solar_day.isoformat(),
            platform=self.platform,
            granule=self.granule,
            facts=json.loads(self.facts.to_json()),
            bands=self.bands,
            class_band=self.class_band,
        )

    def is_described_by(self, stored: StoredScene) -> bool:
        """Return True if a manifest says the same of the scene, the facts of its files aside.

        A catalogue may correct any of it while the files stay as they are.
        """
        return (
            self.solar_day.isoformat() == stored.solar_day
            and self.platform == stored.platform
            and self.granule == stored.granule
        )

    def has_files_of(self, stored: StoredScene) -> bool:
        """Return True if the headers of the files are as a manifest has them.

        The scene's fingerprint covers the bytes; what is read from them may change with the code.
        """
        bands = stored.facts.get("bands")
        known = bands if isinstance(bands, Mapping) else {}
        return all(
            name in known and self.of_band(name).has_layout_of(known[name]) for name in self.files
        )

    @property
    def headers(self) -> list[object]:
        """Values from the headers of the files that decide the reprojected pixels, as JSON."""
        return [self.of_band(name).deciding for name in self.files]

    def of_band(self, name: str) -> BandFacts:
        """Return the header facts of one band."""
        return self.facts.bands[name]

    @property
    def files(self) -> tuple[str, ...]:
        """All bands to read: reflectance, then classes."""
        return (*self.bands, *((self.class_band,) if self.class_band else ()))
