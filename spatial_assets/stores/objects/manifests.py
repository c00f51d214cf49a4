"""Manifest of a tile: the fingerprint and the objects of each unit of each stage.

A tile is committed by its manifest, which is put last and names the versions of the software that
computed it. `pipeline` defines the contents of a fingerprint.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Iterable, Mapping
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
"""Fingerprint of a unit to be recomputed whatever its inputs are."""

LIBRARIES = ("zarr", "numpy", "rasterio", "shapely", "pyproj")
"""Libraries that decide the values of pixels and coordinates."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StageEntry:
    """Committed result of one unit of one stage."""

    fingerprint: str
    """Hash of all inputs of the unit."""

    objects: tuple[ObjectInfo, ...] = ()
    """Objects that the unit wrote."""

    facts: UnitFacts | None = None
    """Facts that later stages and reports need without reading the objects."""

    released: bool = False
    """True if [retention] keeps the objects no longer: the unit counts as stored, and is read or
    computed again where its pixels are needed."""

    def to_document(self) -> dict[str, object]:
        """Return the entry as JSON values; `released` is absent unless it is true."""
        return {
            "fingerprint": self.fingerprint,
            "objects": [asdict(info) for info in self.objects],
            "facts": {} if self.facts is None else self.facts.to_document(),
            **({"released": True} if self.released else {}),
        }

    def without_objects(self) -> StageEntry:
        """Return the entry after [retention] released its objects."""
        return replace(self, objects=(), released=True)

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
            released=document.get("released", False) is True,
        )


@dataclass(frozen=True, kw_only=True)
class TileManifest:
    """All committed results of one tile."""

    grid_id: str
    tile: str
    stages: Mapping[str, Mapping[str, StageEntry]] = field(default_factory=dict)
    """Stage -> unit -> entry. A unit is a scene id (`raw_tile`, `reprojected_raster`), a period
    label (an index), `<period>/<boundary table>` (statistics), or "" (the tile itself)."""

    versions: Mapping[str, str] = field(default_factory=dict)
    """Library -> version at the last commit; filled by `commit_manifest`."""

    def entry(self, stage: str, unit: str) -> StageEntry | None:
        """Return the entry of one unit, or None."""
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
        """Return the manifest with one unit added or replaced."""
        units = {**self.units(stage), unit: entry}
        return replace(self, stages={**self.stages, stage: units})

    def without(self, stage: str, unit: str | None = None) -> TileManifest:
        """Return the manifest without one unit of a stage, or without the stage, if present."""
        kept = {} if unit is None else {k: v for k, v in self.units(stage).items() if k != unit}
        stages = {**self.stages, stage: kept}
        return replace(self, stages={name: units for name, units in stages.items() if units})

    def without_books_of_others(self, stages: Collection[str]) -> TileManifest:
        """Return the manifest, in which only units with objects are left of all but `stages`.

        The pixels of an index that left the project stay until they are pruned; that it was
        completed, and the units that are rows, are forgotten.
        """
        found = {
            stage: units
            if stage in stages
            else {unit: entry for unit, entry in units.items() if entry.objects}
            for stage, units in self.stages.items()
        }
        return replace(self, stages={stage: units for stage, units in found.items() if units})

    def invalidated(self, stages: Iterable[str]) -> TileManifest:
        """Return the manifest with the units of some stages invalidated, to be recomputed.

        Their objects stay listed, so that those not recomputed are still deleted.
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
        """All objects that the manifest lists."""
        return tuple(info for entry in self.entries() for info in entry.objects)

    def to_bytes(self) -> bytes:
        """Encode as canonical JSON: equal manifests give equal bytes."""
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
    """Read the manifest of a tile; None if there is none, or if it is damaged (logged).

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
            "%s is damaged (%r); tile %s counts as missing and will be recomputed",
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
    """Put the manifest, which commits the new objects of the tile.

    Returns:
        The manifest as stored, stamped with the versions of this process.
    """
    stamped = replace(manifest, versions=software_versions())
    store.put(layout.manifest(manifest.tile), stamped.to_bytes())
    return stamped


@cache
def software_versions() -> dict[str, str]:
    """Versions of this package, of the libraries it computes with, and of those they wrap."""
    # Imported here: reading a manifest needs none of them.
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


def intact(store: ObjectStore, entries: Iterable[StageEntry]) -> bool:
    """Return True if every object of `entries` is still the one that was committed."""
    return all(holds(store, info) for entry in entries for info in entry.objects)


def holds(store: ObjectStore, info: ObjectInfo) -> bool:
    """Return True if the store holds exactly this object.

    A copied folder has new etags (derived from inode and time) for the same bytes: if only the etag
    differs, the hash of the bytes decides.
    """
    found = store.head(info.path)
    if found is None or found.size != info.size:
        return False
    if found.etag == info.etag and info.etag:
        return True
    data = store.find(info.path)
    return data is not None and hashlib.sha256(data).hexdigest() == info.sha256


def parsed(document: Mapping[str, object], *, key: str) -> TileManifest:
    """Parse the manifest of tile `key` from a JSON document of this schema.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it is not one.
    """
    if document["tile"] != key:
        message = f"it belongs to tile {document['tile']!r}"
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
    """Return `value`; raise TypeError unless it is a JSON object."""
    if not isinstance(value, dict):
        message = f"wanted a JSON object, got {value!r}"
        raise TypeError(message)
    return value
