"""Quarantine as a state: what a record says, who meets it again, and how it is let go.

A record ends when the input changes, when the code that judges it does, or when a person releases
it. Who writes records during a run is in `commit` (scenes, tiles) and `boundaries` (features).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import shapely
from shapely.geometry.base import BaseGeometry

from spatial_assets import __version__
from spatial_assets.catalog.scene import RejectedScene
from spatial_assets.pipeline.outcome import StageOutcome
from spatial_assets.project.secrets import mask_secrets
from spatial_assets.stores import layout
from spatial_assets.stores.objects.json import to_json
from spatial_assets.stores.objects.store import ObjectStore
from spatial_assets.stores.rows import QuarantineRecord, Row
from spatial_assets.stores.tables.database import Database

SEEN_INTERVAL = timedelta(hours=1)
"""How far `last_seen` may lag: a run a minute need not write each bad scene each time."""

FOOTPRINT = "footprint"
"""Where the evidence of a scene says where it lies: WKT, lon/lat."""

MAX_OUTLINE_CORNERS = 64  # of a footprint within an evidence; beyond that its hull is told


def record_of_scene(grid_id: str, scene: RejectedScene, *, now: datetime) -> QuarantineRecord:
    """The record of a scene that cannot be used."""
    place = {} if scene.footprint is None else {FOOTPRINT: _outline(scene.footprint)}
    return QuarantineRecord(
        grid_id=grid_id,
        kind="scene",
        subject=scene.id,
        reason=scene.reason,
        message=mask_secrets(scene.message),
        evidence={**scene.evidence, **place},
        href=mask_secrets(scene.href),
        checksum=scene.fingerprint,
        code_version=__version__,
        first_seen=now,
        last_seen=now,
    )


def record_of_tile(
    grid_id: str, tile: str, trouble: StageOutcome, *, now: datetime
) -> QuarantineRecord:
    """The record of a tile whose input is bad."""
    return QuarantineRecord(
        grid_id=grid_id,
        kind="tile",
        subject=tile,
        tile=tile,
        reason=trouble.reason,
        message=trouble.message,
        evidence=trouble.evidence,
        checksum=trouble.fingerprint,
        code_version=__version__,
        first_seen=now,
        last_seen=now,
    )


def records_of_features(
    grid_id: str, name: str, document: Row, *, now: datetime
) -> list[QuarantineRecord]:
    """The records of the features of boundary set `name` that were set aside.

    Args:
        grid_id: identity of the grid.
        name: of the set.
        document: as `stores.validated` wrote it.
        now: when they were met.
    """
    features = document["features"]
    return [
        QuarantineRecord(
            grid_id=grid_id,
            kind="feature",
            subject=f"{name}/{feature['key'] or feature['index']}",
            reason=str(feature["reason"]),
            message=mask_secrets(str(feature["message"])),
            evidence={"index": feature["index"], **feature["evidence"]},
            href=mask_secrets(str(document.get("source", ""))),
            checksum=str(document.get("sha256", "")) or None,
            code_version=__version__,
            first_seen=now,
            last_seen=now,
        )
        for feature in (features if isinstance(features, list) else [])
    ]


def mended_features(
    database: Database, grid_id: str, name: str, *, bad: Iterable[QuarantineRecord]
) -> list[str]:
    """Features of boundary set `name` in quarantine that are not among the bad ones any more."""
    where = {"grid_id": grid_id, "kind": "feature", "released_at": None}
    in_force = {str(row["subject"]) for row in database.rows("quarantine", where=where)}
    of_set = {subject for subject in in_force if subject.startswith(f"{name}/")}
    return sorted(of_set - {record.subject for record in bad})


def quarantine_document(record: QuarantineRecord, *, since: datetime) -> bytes:
    """A quarantine record as JSON, for people and for stores without a database.

    Args:
        record: as the table has it.
        since: when it was first seen; the record may be a renewal.
    """
    times = {"first_seen": since.isoformat(), "last_seen": record.last_seen.isoformat()}
    return to_json(
        {
            "kind": record.kind,
            "subject": record.subject,
            "reason": record.reason,
            "message": record.message,
            "evidence": dict(record.evidence),
            "href": record.href,
            "checksum": record.checksum,
            "code_version": record.code_version,
            **times,
        }
    )


def renewed(records: Iterable[Row], *, now: datetime) -> list[Row]:
    """Rows of `quarantine` as they are to be after what they tell of was met again."""
    return [
        {**row, "last_seen": now}
        for row in records
        if not isinstance(seen := row["last_seen"], datetime) or now - seen >= SEEN_INTERVAL
    ]


@dataclass(frozen=True, kw_only=True)
class Quarantine:
    """What is in quarantine in one project."""

    grid_id: str
    store: ObjectStore
    database: Database

    def rows(
        self,
        *,
        kinds: Sequence[str] = (),
        reasons: Sequence[str] = (),
        subjects: Sequence[str] = (),
    ) -> list[dict[str, object]]:
        """Records in force by kind and subject; no filter: all."""
        if not self.database.has_table("quarantine"):
            return []
        wanted = {"kind": kinds, "reason": reasons, "subject": subjects}
        where: dict[str, object] = {"grid_id": self.grid_id, "released_at": None}
        where |= {name: list(values) for name, values in wanted.items() if values}
        return self.database.rows("quarantine", where=where)

    def document(self, row: Row) -> bytes | None:
        """The record as the store has it."""
        return self.store.find(_path(row))

    def release(self, rows: Iterable[Row], *, now: datetime) -> list[Row]:
        """Let records go, and with a tile the scenes that it was refused for.

        The next run makes the tile, looks into the scene or validates the boundary set again,
        even if its input is the same. What is bad still comes back, first seen then.

        Returns:
            What was let go.

        Raises:
            DatabaseError, StoreError: not all of it was.
        """
        chosen = {_name(row): row for row in rows}
        scenes = {name for row in chosen.values() for name in _scenes_of(row)}
        if scenes:
            found = self.rows(kinds=["scene"], subjects=sorted(scenes))
            chosen |= {_name(row): row for row in found}
        for kind in sorted({kind for kind, _ in chosen}):
            subjects = [subject for of_kind, subject in chosen if of_kind == kind]
            where = {"grid_id": self.grid_id, "kind": kind, "subject": subjects}
            # The store first: whoever dies in between leaves a record that can be released again.
            for row in (chosen[kind, subject] for subject in subjects):
                for path in _let_go(row):
                    self.store.delete(path)
            self.database.release(where, now=now)
        return list(chosen.values())


def _name(row: Row) -> tuple[str, str]:
    return str(row["kind"]), str(row["subject"])


def _scenes_of(row: Row) -> Iterator[str]:
    """The scenes for which a tile was refused."""
    evidence = row["evidence"]
    scenes = evidence.get("scenes") if isinstance(evidence, Mapping) else None
    if row["kind"] == "tile" and isinstance(scenes, Mapping):
        yield from map(str, scenes)


def _path(row: Row) -> str:
    """Where the store has a record; those of features are together in one of their set."""
    kind, subject = _name(row)
    if kind == "feature":
        return layout.quarantine("boundaries", subject.partition("/")[0])
    return layout.quarantine(kind, subject)


def _let_go(row: Row) -> Iterator[str]:
    """What is removed from the store with a record, so that its subject is judged again."""
    yield _path(row)
    kind, subject = _name(row)
    if kind == "scene":
        yield layout.scene_facts(subject)


def _outline(footprint: BaseGeometry) -> str:
    many = shapely.get_num_coordinates(footprint) > MAX_OUTLINE_CORNERS
    shown = shapely.envelope(footprint) if many else footprint
    return str(shapely.to_wkt(shown, rounding_precision=5))
