"""Manifest of a tile: the fingerprint and the objects of each unit of each stage.

A tile is committed by the head of its manifest, which is put last. It names the parts, one for each
month, by the hash of their bytes, and the versions of the software that computed the tile. A run
reads and writes the parts of the months that it concerns; `read_manifest` reads all. `pipeline`
defines the contents of a fingerprint.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import version

from spatial_assets import __version__
from spatial_assets.errors import StoreError
from spatial_assets.stores import layout
from spatial_assets.stores.objects.json import from_json, to_json
from spatial_assets.stores.objects.manifest_documents import (
    FIRST_SCHEMA,
    Crs,
    ManifestPart,
    Settled,
    decoded,
    decoded_part,
    encoded,
    encoded_part,
    first_schema_units,
    mapping,
    part_digest,
)
from spatial_assets.stores.objects.stage_entries import (
    NO_MONTH,
    StageEntry,
    StageSummary,
    StageUnits,
    by_month,
    digest_of,
    month_of,
    summary_of,
    total,
)
from spatial_assets.stores.objects.store import ObjectInfo, ObjectStore
from spatial_assets.stores.stage_facts import WHOLE_STAGE, FactsT, SceneUnitFacts, StoredScene

__all__ = [
    "INVALIDATED",
    "MANIFEST_SCHEMA",
    "Settled",
    "StageEntry",
    "TileManifest",
    "commit_manifest",
    "head_from",
    "holds",
    "intact",
    "read_head",
    "read_manifest",
    "software_versions",
    "with_months",
]

MANIFEST_SCHEMA = 2
INVALIDATED = ""
"""Fingerprint of a unit to be recomputed whatever its inputs are."""

LIBRARIES = ("zarr", "numpy", "rasterio", "shapely", "pyproj")
"""Libraries that decide the values of pixels and coordinates."""

MAX_CONCURRENT_PARTS = 8
"""Number of parts of one manifest that are read at the same time from a remote store."""

logger = logging.getLogger(__name__)


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

    settled: Mapping[str, Settled] = field(default_factory=dict)
    """Month -> the inputs that its units are up to date with; absent if that is not known."""

    parts: Mapping[str, ManifestPart] = field(default_factory=dict, compare=False)
    """Month -> the part that the store had of it when the manifest was read or committed."""

    unread: frozenset[str] = frozenset()
    """Months whose units are in the store and not in `stages`."""

    crs: Crs = field(default_factory=dict, compare=False)
    """CRS that the parts refer to."""

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
        """Return the manifest with one unit added or replaced; its month is not settled then."""
        units = {**self.units(stage), unit: entry}
        months = {month_of(stage, unit, each) for each in (entry, self.entry(stage, unit)) if each}
        return replace(
            self, stages={**self.stages, stage: units}, settled=self._settled_without(months)
        )

    def without(self, stage: str, unit: str | None = None) -> TileManifest:
        """Return the manifest without one unit of a stage, or without the stage, if present.

        A stage is only taken from the months that were read: read all before.
        """
        before = self.units(stage)
        kept = {} if unit is None else {k: v for k, v in before.items() if k != unit}
        months = {month_of(stage, k, v) for k, v in before.items() if k not in kept}
        stages = {**self.stages, stage: kept}
        return replace(
            self,
            stages={name: units for name, units in stages.items() if units},
            settled=self._settled_without(months),
        )

    def _settled_without(self, months: Collection[str]) -> Mapping[str, Settled]:
        if self.settled.keys().isdisjoint(months):
            return self.settled
        return {month: each for month, each in self.settled.items() if month not in months}

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
        return replace(self, stages={**self.stages, **again}, settled={})

    def months(self) -> frozenset[str]:
        """Months of the units that were read."""
        return frozenset(by_month(self.stages)) - {NO_MONTH}

    def unread_summary(self, stage: str) -> StageSummary:
        """Return the figures of the units of a stage that were not read."""
        found = (self.parts[month].stages.get(stage) for month in self.unread)
        return total(each for each in found if each is not None)

    def summary(self, stage: str) -> StageSummary:
        """Return the figures of all units of a stage."""
        return self.unread_summary(stage) + summary_of(self.units(stage))

    def hashes(self, stage: str) -> list[tuple[str, str]]:
        """Return (month, hash of its fingerprints) of all units of a stage, by month."""
        units_alone = {k: v for k, v in self.units(stage).items() if k != WHOLE_STAGE}
        read = by_month({stage: units_alone})
        found = {month: digest_of(units[stage]) for month, units in read.items()}
        for month in self.unread:
            if stage in self.parts[month].units:
                found[month] = self.parts[month].units[stage]
        return sorted(found.items())

    def entries(self) -> tuple[StageEntry, ...]:
        """All entries."""
        return tuple(entry for units in self.stages.values() for entry in units.values())

    def objects(self) -> tuple[ObjectInfo, ...]:
        """All objects that the manifest lists."""
        return tuple(info for entry in self.entries() for info in entry.objects)

    def part_paths(self) -> tuple[str, ...]:
        """Paths of the stored parts."""
        return tuple(
            layout.manifest_part(self.tile, month, part.digest)
            for month, part in self.parts.items()
        )


def read_manifest(store: ObjectStore, key: str) -> TileManifest | None:
    """Read the whole manifest of a tile; None if there is none, or if it is damaged (logged).

    Raises:
        StoreError: it was written by a newer version.
    """
    before: TileManifest | None = None
    while True:
        head = read_head(store, key)
        if head is None:
            return None
        whole = with_months(store, head, head.unread)
        if whole.parts == head.parts:
            return whole
        if before is not None and before.parts == head.parts:
            return None
        before = head  # a commit between two requests replaces parts: its head names others


def read_head(store: ObjectStore, key: str) -> TileManifest | None:
    """Read the manifest of a tile without the units of its months, in one request.

    A manifest of the first schema has no parts and is read whole.

    Returns:
        None if there is none, or if it is damaged (logged).

    Raises:
        StoreError: it was written by a newer version.
    """
    path = layout.manifest(key)
    data = store.find(path)
    if data is None:
        return None
    try:
        document = from_json(data)
        if document.get("schema") in {FIRST_SCHEMA, MANIFEST_SCHEMA}:
            return head_from(document, key=key)
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
        f"this version reads {FIRST_SCHEMA} to {MANIFEST_SCHEMA}; "
        "use the version of spatial_assets that wrote it, or a newer one"
    )


def with_months(store: ObjectStore, head: TileManifest, months: Iterable[str]) -> TileManifest:
    """Return a manifest with the units of some months read too.

    A part that is missing or damaged is reported, and its units count as not made.
    """
    wanted = sorted(head.unread.intersection(months))
    if not wanted:
        return head
    if store.is_remote and len(wanted) > 1:
        with ThreadPoolExecutor(MAX_CONCURRENT_PARTS) as pool:
            read = list(pool.map(lambda month: _read_part(store, head, month), wanted))
    else:
        read = [_read_part(store, head, month) for month in wanted]
    found = dict(zip(wanted, read, strict=True))
    lost = {month for month, units in found.items() if units is None}
    stages = {stage: dict(units) for stage, units in head.stages.items()}
    for units_of_month in found.values():
        for stage, units in (units_of_month or {}).items():
            stages[stage] = {**units, **stages.get(stage, {})}
    return replace(
        head,
        stages=stages,
        unread=head.unread.difference(wanted),
        parts={month: part for month, part in head.parts.items() if month not in lost},
        settled={month: each for month, each in head.settled.items() if month not in lost},
    )


def _read_part(store: ObjectStore, head: TileManifest, month: str) -> StageUnits | None:
    """Read the units of one month; None if the part is missing or damaged."""
    digest = head.parts[month].digest
    path = layout.manifest_part(head.tile, month, digest)
    data = store.find(path)
    try:
        if data is not None and part_digest(data) == digest:
            return decoded_part(from_json(data), tile=head.tile, crs=head.crs)
        problem = "it is missing" if data is None else "its bytes are not those that were stored"
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        problem = repr(error)
    logger.warning(
        "%s is damaged (%s); %s of tile %s counts as missing and will be recomputed",
        store.uri(path),
        problem,
        month,
        head.tile,
    )
    return None


def commit_manifest(
    store: ObjectStore,
    manifest: TileManifest,
    *,
    before: TileManifest | None = None,
    versions: Mapping[str, str] | None = None,
) -> TileManifest:
    """Put the parts that changed, then the head, which commits the new objects of the tile.

    A kill in between leaves the old head with its parts. Parts that no head names are removed
    when their month is next written, or by `prune`.

    Args:
        store: holds the objects.
        manifest: of the tile.
        before: the manifest as it was read; months that are equal in it are not encoded again.
        versions: library -> version that computed it; default: those of this process.

    Returns:
        The manifest as stored, stamped with the versions.
    """
    months = by_month(manifest.stages)
    manifest = with_months(store, manifest, months)  # never replace units that were not read
    months = by_month(manifest.stages)
    head_units = months.pop(NO_MONTH, {})
    parts = {month: manifest.parts[month] for month in manifest.unread}
    body, used = encoded(head_units)
    crs, changed = {**manifest.crs, **used}, manifest.parts.keys() - parts.keys() - months.keys()
    same = {} if before is None else by_month(before.stages)
    for month, units in sorted(months.items()):
        if month in manifest.parts and units == same.get(month):
            parts[month] = manifest.parts[month]
            continue
        data, part, used = encoded_part(units, tile=manifest.tile, month=month)
        crs.update(used)
        stored = manifest.parts.get(month)
        if stored is None or stored.digest != part.digest:
            store.put(layout.manifest_part(manifest.tile, month, part.digest), data)
            changed.add(month)
        parts[month] = part
    committed = replace(
        manifest,
        versions=software_versions() if versions is None else versions,
        parts=dict(sorted(parts.items())),
        settled={month: each for month, each in manifest.settled.items() if month in parts},
        crs=crs,
    )
    store.put(layout.manifest(manifest.tile), _head_bytes(committed, body))
    for month in sorted(changed):
        _remove_other_parts(store, committed, month)
    return committed


def _head_bytes(manifest: TileManifest, body: Mapping[str, object]) -> bytes:
    settled = manifest.settled
    parts = {m: part.to_document(settled.get(m)) for m, part in manifest.parts.items()}
    return to_json(
        {
            **body,
            "schema": MANIFEST_SCHEMA,
            "grid_id": manifest.grid_id,
            "tile": manifest.tile,
            "versions": dict(manifest.versions),
            "crs": dict(manifest.crs),
            "parts": parts,
        }
    )


def _remove_other_parts(store: ObjectStore, manifest: TileManifest, month: str) -> None:
    """Remove the parts of a month that the head does not name."""
    named = manifest.parts.get(month)
    kept = None if named is None else layout.manifest_part(manifest.tile, month, named.digest)
    for info in store.list(layout.manifest_part_folder(manifest.tile, month)):
        if info.path != kept:
            store.delete(info.path)


def head_from(document: Mapping[str, object], *, key: str) -> TileManifest:
    """Read the manifest of tile `key` from the JSON of its head, or of the first schema.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it is not one.
    """
    if document["tile"] != key:
        message = f"it belongs to tile {document['tile']!r}"
        raise ValueError(message)
    manifest = TileManifest(
        grid_id=str(document["grid_id"]),
        tile=key,
        versions={str(k): str(v) for k, v in mapping(document["versions"]).items()},
    )
    if document["schema"] == FIRST_SCHEMA:
        return replace(manifest, stages=first_schema_units(document))
    crs = {str(k): str(v) for k, v in mapping(document["crs"]).items()}
    parts, settled = dict[str, ManifestPart](), dict[str, Settled]()
    for month, described in mapping(document["parts"]).items():
        parts[month], inputs = ManifestPart.from_document(described)
        if inputs is not None:
            settled[month] = inputs
    return replace(
        manifest,
        stages=decoded(document, crs),
        settled=settled,
        parts=parts,
        unread=frozenset(parts),
        crs=crs,
    )


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
