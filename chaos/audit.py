"""Comparison of the product after a round with the product of a run without faults."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from spatial_assets.pipeline.run.known_states import KnownStates
from spatial_assets.pipeline.stages import TILE_INDEX, by_boundary
from spatial_assets.pipeline.tile.manifest_builder import lost_units
from spatial_assets.project import Project
from spatial_assets.stores import layout
from spatial_assets.stores.objects.json import from_json, to_json
from spatial_assets.stores.objects.leases import parsed
from spatial_assets.stores.objects.manifests import read_manifest
from spatial_assets.stores.objects.store import ObjectStore, open_store
from spatial_assets.stores.objects.store_claim import stored_claim
from spatial_assets.stores.tables.connect import open_database
from spatial_assets.stores.tables.database import Database

TABLES = ("boundaries", "ndvi_by_boundary", "tile_index", "tile_state", "quarantine")
TIMESTAMP_COLUMNS = {"refreshed_at", "since", "first_seen", "last_seen"}
"""Columns that hold times, which differ between runs."""

TABLE_STAGES = (TILE_INDEX, by_boundary("ndvi"))


@dataclass(frozen=True)
class Snapshot:
    """All objects and rows of a product."""

    objects: Mapping[str, str]
    """Path -> digest of the object's bytes."""

    rows: Mapping[str, str]
    """Table and key -> the other values of the row."""


@dataclass
class Findings:
    """Defects found in a product, by type."""

    lost: list[str] = field(default_factory=list)
    """Missing objects, rows or tiles."""

    duplicated: list[str] = field(default_factory=list)
    """Objects or rows that should not exist, or that exist twice."""

    half_written: list[str] = field(default_factory=list)
    """Objects or rows that a manifest lists and that are missing or differ from it."""

    wrong: list[str] = field(default_factory=list)
    """Objects or rows with unexpected content."""

    left_over: list[str] = field(default_factory=list)
    """Leases, processes or connections that should be gone."""

    def __bool__(self) -> bool:
        return any(self.counts().values())

    def counts(self) -> dict[str, int]:
        """Number of findings of each type."""
        return {name: len(found) for name, found in self.__dict__.items()}

    def lines(self) -> list[str]:
        """One line of text for each finding."""
        return [f"{name}: {each}" for name, found in self.__dict__.items() for each in found]


def snapshot(project: Project, environment: Mapping[str, str]) -> Snapshot:
    """Read all objects and rows, without the relays."""
    store = open_store(project.storage_url, environment)
    with open_database(project.database_url) as database:
        database.ensure_schema(project.boundaries, project.indices.names)
        rows = {key: row for table in TABLES for key, row in _rows(database, table, store.url)}
    objects: dict[str, str] = {}
    for info in store.list():
        if not info.path.startswith(f"{layout.LEASES_FOLDER}/"):
            objects[_name(info.path, objects)] = _digest(store, info.path)
    return Snapshot(objects, rows)


def compare(found: Snapshot, wanted: Snapshot, findings: Findings) -> None:
    """Record the differences."""
    for mine, theirs in ((found.objects, wanted.objects), (found.rows, wanted.rows)):
        findings.lost += sorted(theirs.keys() - mine.keys())
        findings.duplicated += sorted(mine.keys() - theirs.keys())
        findings.wrong += sorted(
            f"{key}: {mine[key]} for {theirs[key]}"
            for key in mine.keys() & theirs.keys()
            if mine[key] != theirs[key]
        )


def find_half_written(project: Project, environment: Mapping[str, str], findings: Findings) -> None:
    """Record tiles whose manifest lists something missing; at no time may there be one."""
    store = open_store(project.storage_url, environment)
    with open_database(project.database_url) as database:
        database.ensure_schema(project.boundaries, project.indices.names)
        standing = KnownStates.load(database, project.grid_id, project.partitioning.keys)
    for key in project.partitioning.keys:
        manifest = read_manifest(store, key)
        if manifest is None:
            if store.head(layout.manifest(key)) is not None:
                findings.half_written.append(f"the manifest of {key}")
            continue
        findings.half_written += [
            f"{key} {stage} {unit}" for stage, unit in lost_units(store, manifest)
        ]
        findings.half_written += [
            f"{key} {stage}: rows"
            for stage in TABLE_STAGES
            if not standing.has_rows(stage, manifest)
        ]


def find_held_leases(
    project: Project, environment: Mapping[str, str], findings: Findings, *, clock_offset: timedelta
) -> None:
    """Record leases that are still held."""
    store = open_store(project.storage_url, environment)
    newest: dict[str, str] = {}
    for info in store.list(layout.LEASES_FOLDER):
        name = info.path.rpartition("/")[0]
        newest[name] = info.path
    for name, path in sorted(newest.items()):
        record = parsed(store.get(path), path=path)
        if record.is_active(datetime.now(UTC) + clock_offset):
            findings.left_over.append(f"{name}, held by {record.owner}")


def find_stray_files(project: Project, findings: Findings) -> None:
    """Record files in the storage folder that are not objects."""
    root = Path(project.storage_url)
    known = {info.path for info in open_store(project.storage_url).list()}
    found = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    findings.left_over += sorted(found - known)


def _rows(database: Database, table: str, url: str) -> Iterable[tuple[str, str]]:
    keys = [column.name for column in database.tables.table(table).primary_key]
    for row in database.rows(table):
        values = {name: value for name, value in row.items() if name not in TIMESTAMP_COLUMNS}
        key = " ".join(str(values.pop(name)) for name in keys)
        yield f"{table} {key}", str(sorted(values.items())).replace(url, "")


def _name(path: str, others: Mapping[str, str]) -> str:
    """Path of an object; of a part of a manifest without its hash, which depends on ETags.

    A second part of the same month, which no head names, keeps its hash.
    """
    folder = path.rpartition("/")[0]
    is_part = path.startswith(f"{layout.MANIFEST_PARTS_FOLDER}/")
    return folder if is_part and folder not in others else path


def _digest(store: ObjectStore, path: str) -> str:
    """Digest of an object, without the URL of the store, its ETags and its identity."""
    if path == layout.PROJECT:
        return str(stored_claim(store) is not None)  # its id and folder differ between rounds
    data = store.get(path).replace(store.url.encode(), b"")
    if path.startswith((f"{layout.MANIFESTS_FOLDER}/", f"{layout.MANIFEST_PARTS_FOLDER}/")):
        data = to_json(_without_etags(from_json(data)))
    return f"{len(data)} bytes {hashlib.sha256(data).hexdigest()[:16]}"


def _without_etags(document: dict[str, Any]) -> dict[str, Any]:
    """JSON of a manifest's head or part without ETags, and without what depends on them."""
    for units in document["stages"].values():
        for unit in units.values():
            unit["objects"] = [[*each[:2], *each[3:]] for each in unit["objects"]]
            unit["facts"].pop("versions", None)  # ETags of the boundaries that were read
    for part in document.get("parts", {}).values():
        del part["digest"]
    return document
