"""What a round left behind, beside what a run without faults leaves."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from spatial_assets.pipeline.run.known_states import KnownStates
from spatial_assets.pipeline.stages import TILE_INDEX, by_boundary
from spatial_assets.pipeline.tile.manifest_builder import lost_units
from spatial_assets.project import Project
from spatial_assets.stores import layout
from spatial_assets.stores.objects.leases import parsed
from spatial_assets.stores.objects.manifests import read_manifest
from spatial_assets.stores.objects.store import ObjectStore, open_store
from spatial_assets.stores.tables.connect import open_database
from spatial_assets.stores.tables.database import Database

TABLES = ("boundaries", "ndvi_by_boundary", "tile_index", "tile_state", "quarantine")
PASSING = {"refreshed_at", "since", "first_seen", "last_seen"}
"""Columns that say when, not what."""

TABULAR = (TILE_INDEX, by_boundary("ndvi"))


@dataclass(frozen=True)
class Snapshot:
    """Everything there is of a product."""

    objects: Mapping[str, str]
    """Path -> digest of its bytes."""

    rows: Mapping[str, str]
    """Table and key -> the rest of the row."""


@dataclass
class Findings:
    """What is not as it should be, by what is wrong with it."""

    lost: list[str] = field(default_factory=list)
    """Should be there, and is not."""

    duplicated: list[str] = field(default_factory=list)
    """Is there, and should not be, or is there twice."""

    half_written: list[str] = field(default_factory=list)
    """Is said to be there and is not as it is said to be."""

    wrong: list[str] = field(default_factory=list)
    """Is there with another content."""

    left_over: list[str] = field(default_factory=list)
    """A lease, a process or a connection too many."""

    def __bool__(self) -> bool:
        return any(self.counts().values())

    def counts(self) -> dict[str, int]:
        """How many of each."""
        return {name: len(found) for name, found in self.__dict__.items()}

    def lines(self) -> list[str]:
        """Each in words."""
        return [f"{name}: {each}" for name, found in self.__dict__.items() for each in found]


def snapshot(project: Project, environment: Mapping[str, str]) -> Snapshot:
    """Read everything, directly."""
    store = open_store(project.storage_url, environment)
    with open_database(project.database_url) as database:
        database.ensure_schema(project.boundaries, project.indices.names)
        rows = {key: row for table in TABLES for key, row in _rows(database, table, store.url)}
    objects = {
        info.path: _digest(store, info.path)
        for info in store.list()
        if not info.path.startswith(f"{layout.LEASES_FOLDER}/")
    }
    return Snapshot(objects, rows)


def compare(found: Snapshot, wanted: Snapshot, findings: Findings) -> None:
    """Note what differs."""
    for mine, theirs in ((found.objects, wanted.objects), (found.rows, wanted.rows)):
        findings.lost += sorted(theirs.keys() - mine.keys())
        findings.duplicated += sorted(mine.keys() - theirs.keys())
        findings.wrong += sorted(
            f"{key}: {mine[key]} for {theirs[key]}"
            for key in mine.keys() & theirs.keys()
            if mine[key] != theirs[key]
        )


def half_written(project: Project, environment: Mapping[str, str], findings: Findings) -> None:
    """Note tiles whose manifest vouches for what is not there; true at any moment of any run."""
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
            f"{key} {stage}: rows" for stage in TABULAR if not standing.has_rows(stage, manifest)
        ]


def leases(
    project: Project, environment: Mapping[str, str], findings: Findings, *, ahead: timedelta
) -> None:
    """Note leases that are still held, and logs of more than their newest record."""
    store = open_store(project.storage_url, environment)
    newest: dict[str, str] = {}
    for info in store.list(layout.LEASES_FOLDER):
        name = info.path.rpartition("/")[0]
        newest[name] = info.path
    for name, path in sorted(newest.items()):
        record = parsed(store.get(path), path=path)
        if record.is_active(datetime.now(UTC) + ahead):
            findings.left_over.append(f"{name}, held by {record.owner}")


def stray_files(project: Project, findings: Findings) -> None:
    """Note files of a folder that are no objects."""
    root = Path(project.storage_url)
    known = {info.path for info in open_store(project.storage_url).list()}
    found = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    findings.left_over += sorted(found - known)


def _rows(database: Database, table: str, url: str) -> Iterable[tuple[str, str]]:
    keys = [column.name for column in database.tables.table(table).primary_key]
    for row in database.rows(table):
        told = {name: value for name, value in row.items() if name not in PASSING}
        key = " ".join(str(told.pop(name)) for name in keys)
        yield f"{table} {key}", str(sorted(told.items())).replace(url, "")


def _digest(store: ObjectStore, path: str) -> str:
    """Of the bytes, without where the store is and what it calls its versions."""
    data = store.get(path).replace(store.url.encode(), b"")
    if path.startswith(f"{layout.MANIFESTS_FOLDER}/"):
        data = re.sub(rb'"etag": *"(?:[^"\\]|\\.)*"', b"", data)
    return f"{len(data)} bytes {hashlib.sha256(data).hexdigest()[:16]}"
