"""What the store holds of one tile: per stage and unit a fingerprint and the objects it made.

A tile is committed by its manifest, put last. What a fingerprint hashes belongs to `pipeline`.

The versions that decide what pixels and geometries come out, as kept in manifests.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from importlib.metadata import version
from typing import Any

from spatial_assets import __version__
from spatial_assets.errors import StoreError
from spatial_assets.stores import layout
from spatial_assets.stores.objects.json import from_json, to_json
from spatial_assets.stores.objects.store import ObjectInfo, ObjectStore
from spatial_assets.stores.stage_facts import (
    FactsT,
    SceneUnitFacts,
    StoredScene,
    UnitFacts,
    facts_from,
)

MANIFEST_SCHEMA = 1
INVALIDATED = ""
"""Fingerprint of a unit that is to be made again whatever its inputs are."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StageEntry:
    """One unit of one stage, as committed."""

    fingerprint: str
    """Hash of everything the unit was made from."""

    objects: tuple[ObjectInfo, ...] = ()
    """What it wrote."""

    facts: UnitFacts | None = None
    """Facts that later stages and reports need without reading the objects."""

    def to_document(self) -> dict[str, object]:
        """Return the entry as JSON values."""
        return {
            "fingerprint": self.fingerprint,
            "objects": [asdict(info) for info in self.objects],
            "facts": {} if self.facts is None else self.facts.to_document(),
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any], *, stage: str, unit: str) -> StageEntry:
        """Read what `to_document` wrote; raises as `parsed` does."""
        objects = document["objects"]
        if not isinstance(objects, list):
            message = f"wanted a list of objects, got {objects!r}"
            raise TypeError(message)
        return cls(
            fingerprint=str(document["fingerprint"]),
            objects=tuple(ObjectInfo(**fields) for fields in objects),
            facts=facts_from(document["facts"], stage=stage, unit=unit),
        )


@dataclass(frozen=True, kw_only=True)
class TileManifest:
    """Everything committed of one tile."""

    grid_id: str
    tile: str
    stages: Mapping[str, Mapping[str, StageEntry]] = field(default_factory=dict)
    """Stage -> unit -> entry. A unit is a scene id (`raw_tile`, `reprojected_raster`), a period
    label (an index), `<period>/<boundary table>` (statistics), or "" (the tile itself)."""

    versions: Mapping[str, str] = field(default_factory=dict)
    """Library -> version that committed last; filled by `commit_manifest`."""

    def entry(self, stage: str, unit: str) -> StageEntry | None:
        """The entry of one unit, or None."""
        return self.stages.get(stage, {}).get(unit)

    def units(self, stage: str) -> Mapping[str, StageEntry]:
        """All entries of a stage."""
        return self.stages.get(stage, {})

    def facts(self, stage: str, kind: type[FactsT]) -> dict[str, FactsT]:
        """Map the units of a stage that have facts of this class to them."""
        found = {unit: entry.facts for unit, entry in self.units(stage).items()}
        return {unit: facts for unit, facts in found.items() if isinstance(facts, kind)}

    def scenes(self, stage: str) -> dict[str, StoredScene]:
        """Map the scenes of `raw_tile` or `reprojected_raster` by id."""
        facts = (entry.facts for entry in self.units(stage).values())
        scenes = [each.scene for each in facts if isinstance(each, SceneUnitFacts)]
        return {scene.id: scene for scene in scenes}

    def with_entry(self, stage: str, unit: str, entry: StageEntry) -> TileManifest:
        """The manifest with one unit added or replaced."""
        units = {**self.units(stage), unit: entry}
        return replace(self, stages={**self.stages, stage: units})

    def without(self, stage: str, unit: str | None = None) -> TileManifest:
        """The manifest without one unit of a stage, or without the stage; absent is no error."""
        kept = {} if unit is None else {k: v for k, v in self.units(stage).items() if k != unit}
        stages = {**self.stages, stage: kept}
        return replace(self, stages={name: units for name, units in stages.items() if units})

    def invalidated(self, stages: Iterable[str]) -> TileManifest:
        """The manifest with the units of some stages made of nothing known, so that none stands.

        What they wrote stays named, so that what is not made again is still deleted.
        """
        again = {
            stage: {
                unit: replace(entry, fingerprint=INVALIDATED) if unit else entry
                for unit, entry in self.units(stage).items()
            }
            for stage in stages
            if stage in self.stages
        }
        return replace(self, stages={**self.stages, **again})

    def entries(self) -> tuple[StageEntry, ...]:
        """All entries."""
        return tuple(entry for units in self.stages.values() for entry in units.values())

    def objects(self) -> tuple[ObjectInfo, ...]:
        """All objects the manifest vouches for."""
        return tuple(info for entry in self.entries() for info in entry.objects)

    def to_bytes(self) -> bytes:
        """Canonical JSON: equal manifests are equal bytes."""
        stages = {
            stage: {unit: entry.to_document() for unit, entry in units.items()}
            for stage, units in self.stages.items()
        }
        return to_json(
            {
                "schema": MANIFEST_SCHEMA,
                "grid_id": self.grid_id,
                "tile": self.tile,
                "stages": stages,
                "versions": dict(self.versions),
            }
        )


def read_manifest(store: ObjectStore, key: str) -> TileManifest | None:
    """The tile's manifest; None where there is none, or a damaged one (which is logged).

    Raises:
        StoreError: it was written by a newer version.
    """
    path = layout.manifest(key)
    data = store.find(path)
    if data is None:
        return None
    try:
        document = from_json(data)
        if document.get("schema") == MANIFEST_SCHEMA:
            return parsed(document, key=key)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        logger.warning(
            "%s is damaged (%r); tile %s counts as missing and is made again",
            store.uri(path),
            error,
            key,
        )
        return None
    raise StoreError(
        f"{store.uri(path)} has schema {document.get('schema')!r}, "
        f"this version reads {MANIFEST_SCHEMA}; "
        "use the version of spatial_assets that wrote it, or a newer one"
    )


def commit_manifest(store: ObjectStore, manifest: TileManifest) -> TileManifest:
    """Put the manifest: the moment from which the tile's new objects count.

    Returns:
        The manifest as stored, stamped with the versions of this process.
    """
    stamped = replace(manifest, versions=software_versions())
    store.put(layout.manifest(manifest.tile), stamped.to_bytes())
    return stamped


def intact(store: ObjectStore, entries: Iterable[StageEntry]) -> bool:
    """Whether every object of `entries` is still the one that was committed."""
    return all(holds(store, info) for entry in entries for info in entry.objects)


def holds(store: ObjectStore, info: ObjectInfo) -> bool:
    """Whether the store holds this very object.

    A copied folder has new etags (they follow inode and time) over the same bytes: where only
    the etag differs the bytes decide.
    """
    found = store.head(info.path)
    if found is None or found.size != info.size:
        return False
    if found.etag == info.etag and info.etag:
        return True
    data = store.find(info.path)
    return data is not None and hashlib.sha256(data).hexdigest() == info.sha256


def parsed(document: Mapping[str, object], *, key: str) -> TileManifest:
    """The manifest of tile `key` in a JSON document of this schema.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it is not one.
    """
    if document["tile"] != key:
        message = f"it is of tile {document['tile']!r}"
        raise ValueError(message)
    stages: dict[str, dict[str, StageEntry]] = {
        stage: {
            unit: StageEntry.from_document(entry, stage=stage, unit=unit)
            for unit, entry in units.items()
        }
        for stage, units in mapping(document["stages"]).items()
    }
    versions = {str(k): str(v) for k, v in mapping(document["versions"]).items()}
    return TileManifest(
        grid_id=str(document["grid_id"]), tile=key, stages=stages, versions=versions
    )


def mapping(value: object) -> dict[str, Any]:
    """`value`, refused with TypeError unless it is a JSON object."""
    if not isinstance(value, dict):
        message = f"wanted a JSON object, got {value!r}"
        raise TypeError(message)
    return value


LIBRARIES = ("zarr", "numpy", "rasterio", "shapely", "pyproj")


@cache
def software_versions() -> dict[str, str]:
    """Name -> version of our code, the libraries it computes with, and what they wrap."""
    import pyproj
    import rasterio
    import shapely

    wrapped = {
        "spatial-assets": __version__,
        "gdal": rasterio.__gdal_version__,
        "proj": pyproj.proj_version_str,
        "geos": ".".join(str(part) for part in shapely.geos_version),
    }
    return {name: version(name) for name in LIBRARIES} | wrapped
