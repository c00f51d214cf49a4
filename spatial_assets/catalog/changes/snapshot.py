"""Snapshots of a catalogue: its documents and the scene versions that follow from them.

A snapshot is stored as a hash and a Parquet table with a row for each item, and for each document
without items. It only saves time, so a snapshot that is damaged, or was written by another version
of the software, is ignored.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyproj
import shapely

from spatial_assets import __version__
from spatial_assets.catalog.scene import SceneVersion
from spatial_assets.catalog.stac.candidates import Candidate, chosen, scene_version_of


@dataclass(frozen=True, kw_only=True)
class PolledDocument:
    """One document of a catalogue, or one item of an API, as it was read."""

    place: str
    """Absolute path, URL, or identity of an item of an API."""

    state: str | None
    """State of the document: while it is the same, the document need not be read; None: unknown."""

    candidates: tuple[Candidate, ...]
    """Candidates of the items in it that match the project; often one, or none."""


@dataclass(frozen=True, kw_only=True)
class SceneChange:
    """Change of one scene between two polls; one of both versions may be None."""

    id: str
    before: SceneVersion | None
    """Version before; None: the scene is new."""

    after: SceneVersion | None
    """Version after; None: the scene was withdrawn."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Content of a catalogue at the time of a poll."""

    settings_hash: str
    """Hash of all settings that decide what is found; a snapshot under other settings is of no use.
    """

    polled_at: dt.datetime
    """Time of the poll, UTC."""

    fully_polled_at: dt.datetime
    """Time of the last poll that requested everything, UTC."""

    documents: tuple[PolledDocument, ...]
    scene_versions: tuple[SceneVersion, ...]
    """Versions as in `Catalogue`: the same catalogue gives the same versions, however it is polled.
    """

    def changes_since(self, before: Snapshot | None) -> tuple[SceneChange, ...]:
        """Return new, changed and withdrawn scenes, in the order of ids; all are new after None."""
        old = {one.id: one for one in before.scene_versions} if before else {}
        new = {one.id: one for one in self.scene_versions}
        return tuple(
            SceneChange(id=name, before=old.get(name), after=new.get(name))
            for name in sorted(old.keys() | new.keys())
            if old.get(name) != new.get(name)
        )

    def to_bytes(self) -> bytes:
        """Return the snapshot as it is stored."""
        return encoded(self)

    @staticmethod
    def from_bytes(data: bytes | None) -> Snapshot | None:
        """Read a stored snapshot; None: there is none that this version can use."""
        return decoded(data) if data is not None else None


def snapshot_of(
    documents: tuple[PolledDocument, ...],
    *,
    settings_hash: str,
    polled_at: dt.datetime,
    fully_polled_at: dt.datetime,
) -> Snapshot:
    """Return the snapshot of documents; the local files that their items name are examined now."""
    candidates = [one for document in documents for one in document.candidates]
    return Snapshot(
        settings_hash=settings_hash,
        polled_at=polled_at,
        fully_polled_at=fully_polled_at,
        documents=documents,
        scene_versions=tuple(map(scene_version_of, chosen(candidates))),
    )


SNAPSHOT_FORMAT = 2
MADE_BY = [SNAPSHOT_FORMAT, __version__, shapely.geos_version_string, pyproj.proj_version_str]
"""Versions that decide the content beside the settings: a footprint's last digits depend on GEOS.
"""

HASH_BYTES = 32
METADATA_KEY = b"spatial_assets"

_HASH = pa.binary(HASH_BYTES)
_SCHEMA = pa.schema(
    [
        ("document", pa.int32()),
        ("place", pa.string()),
        ("state", pa.string()),
        ("id", pa.string()),
        ("href", pa.string()),
        ("granule", pa.string()),
        ("baseline", pa.string()),
        ("created", pa.timestamp("us", tz="UTC")),
        ("digest", _HASH),
        ("files", pa.list_(pa.string())),
        ("reach", pa.binary()),
        ("version", _HASH),  # of the scene; null: the item is not used
    ]
)


def encoded(snapshot: Snapshot) -> bytes:
    """Return a snapshot as bytes: a hash, then the table."""
    header = {
        "made_by": MADE_BY,
        "question": snapshot.settings_hash,
        "looked": snapshot.polled_at.isoformat(),
        "searched": snapshot.fully_polled_at.isoformat(),
    }
    table = pa.Table.from_pylist(list(_rows(snapshot)), schema=_SCHEMA)
    table = table.replace_schema_metadata({METADATA_KEY: json.dumps(header).encode()})
    stream = io.BytesIO()
    pq.write_table(table, stream, compression="zstd")
    content = stream.getvalue()
    return hashlib.sha256(content).digest() + content


def decoded(data: bytes) -> Snapshot | None:
    """Read a snapshot; None if the bytes are damaged or were written by another version."""
    content = data[HASH_BYTES:]
    if hashlib.sha256(content).digest() != data[:HASH_BYTES]:
        return None
    table = pq.read_table(io.BytesIO(content))
    header = json.loads(table.schema.metadata[METADATA_KEY])
    if header["made_by"] != MADE_BY:
        return None
    rows = table.to_pylist()
    for row, footprint in zip(rows, shapely.from_wkb(table["reach"].to_numpy()), strict=True):
        row["reach"] = footprint
    return Snapshot(
        settings_hash=header["question"],
        polled_at=dt.datetime.fromisoformat(header["looked"]),
        fully_polled_at=dt.datetime.fromisoformat(header["searched"]),
        documents=tuple(_documents(rows)),
        scene_versions=_scene_versions(rows),
    )


def _rows(snapshot: Snapshot) -> Iterator[dict[str, Any]]:
    """Yield a row for each candidate, and for each document that has none."""
    candidates = [one for document in snapshot.documents for one in document.candidates]
    seen = zip(chosen(candidates), snapshot.scene_versions, strict=True)
    versions = {candidate: scene_version.version for candidate, scene_version in seen}
    for number, document in enumerate(snapshot.documents):
        row = {"document": number, "place": document.place, "state": document.state}
        if not document.candidates:
            yield row
        for candidate in document.candidates:
            yield row | _row(candidate, versions.get(candidate))


def _row(candidate: Candidate, version: str | None) -> dict[str, Any]:
    """Return what is stored of a candidate, and of its version."""
    return {
        "id": candidate.id,
        "href": candidate.href,
        "granule": candidate.granule,
        "baseline": candidate.baseline,
        "created": candidate.created,
        "digest": bytes.fromhex(candidate.digest),
        "files": candidate.files,
        "reach": None if candidate.footprint is None else shapely.to_wkb(candidate.footprint),
        "version": None if version is None else bytes.fromhex(version),
    }


def _documents(rows: list[dict[str, Any]]) -> Iterator[PolledDocument]:
    """Yield the documents of consecutive rows."""
    for _, group in groupby(rows, key=lambda row: row["document"]):
        members = list(group)
        yield PolledDocument(
            place=members[0]["place"],
            state=members[0]["state"],
            candidates=tuple(_candidate(row) for row in members if row["id"] is not None),
        )


def _candidate(row: Mapping[str, Any]) -> Candidate:
    """Return the candidate of a row."""
    created = row["created"]
    return Candidate(
        id=row["id"],
        href=row["href"],
        granule=row["granule"],
        baseline=row["baseline"],
        created=created and created.astimezone(dt.UTC),
        digest=row["digest"].hex(),
        files=tuple(row["files"]),
        footprint=row["reach"],
    )


def _scene_versions(rows: list[dict[str, Any]]) -> tuple[SceneVersion, ...]:
    """Return the scene versions among the rows, in the order of ids."""
    found = {
        row["id"]: SceneVersion(id=row["id"], version=row["version"].hex(), footprint=row["reach"])
        for row in rows
        if row["version"] is not None
    }
    return tuple(found[name] for name in sorted(found))
