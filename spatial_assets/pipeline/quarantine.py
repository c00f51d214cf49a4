"""Quarantine of scenes, tiles and features: records, and their release.

A record ends when the input changes, when the code that judges it changes, or when a user releases
it. During a run `commit` writes the records of scenes and tiles, `boundaries` those of features.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import shapely
from shapely.geometry.base import BaseGeometry

from spatial_assets import __version__
from spatial_assets.catalog.scene import RejectedScene
from spatial_assets.pipeline.outcome import StageOutcome
from spatial_assets.pipeline.quarantine_subjects import (
    stage_of_subject,
    tile_of_subject,
    tile_subject,
)
from spatial_assets.project.secrets import mask_secrets
from spatial_assets.stores import layout
from spatial_assets.stores.objects.json import to_json
from spatial_assets.stores.objects.store import ObjectStore
from spatial_assets.stores.rows import QuarantineRecord, Row
from spatial_assets.stores.tables.database import Database

SEEN_INTERVAL = timedelta(hours=1)
"""Largest lag of `last_seen`, so that frequent runs do not write each bad scene each time."""

FOOTPRINT = "footprint"
"""Key in the evidence of a scene: its footprint as WKT, lon/lat."""

MAX_OUTLINE_CORNERS = 64  # of a footprint in the evidence; a larger one becomes its envelope


def record_of_scene(grid_id: str, scene: RejectedScene, *, now: datetime) -> QuarantineRecord:
    """Return the record of a scene that cannot be used."""
    footprint = {} if scene.footprint is None else {FOOTPRINT: _outline(scene.footprint)}
    return QuarantineRecord(
        grid_id=grid_id,
        kind="scene",
        subject=scene.id,
        reason=scene.reason,
        message=mask_secrets(scene.message),
        evidence={**scene.evidence, **footprint},
        href=mask_secrets(scene.href),
        checksum=scene.fingerprint,
        code_version=__version__,
        first_seen=now,
        last_seen=now,
    )


def record_of_tile(
    grid_id: str, tile: str, bad_stage: StageOutcome, *, now: datetime
) -> QuarantineRecord:
    """Return the record of a tile, or of one stage of it, whose input is bad."""
    return QuarantineRecord(
        grid_id=grid_id,
        kind="tile",
        subject=tile_subject(tile, bad_stage.stage),
        tile=tile,
        reason=bad_stage.reason,
        message=bad_stage.message,
        evidence=bad_stage.evidence,
        checksum=bad_stage.fingerprint,
        code_version=__version__,
        first_seen=now,
        last_seen=now,
    )


def records_of_features(
    grid_id: str, name: str, document: Row, *, now: datetime
) -> list[QuarantineRecord]:
    """Return the records of the quarantined features of boundary set `name`.

    Args:
        grid_id: identity of the grid.
        name: the boundary set.
        document: as `stores.validated` wrote it.
        now: when they were found.
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


def repaired_features(
    database: Database, grid_id: str, name: str, *, bad: Iterable[QuarantineRecord]
) -> list[str]:
    """Return the quarantined features of boundary set `name` that are no longer bad."""
    where = {"grid_id": grid_id, "kind": "feature", "released_at": None}
    in_force = {str(row["subject"]) for row in database.rows("quarantine", where=where)}
    of_set = {subject for subject in in_force if subject.startswith(f"{name}/")}
    return sorted(of_set - {record.subject for record in bad})


def quarantine_document(record: QuarantineRecord, *, since: datetime) -> bytes:
    """Return a quarantine record as JSON, for users and for stores without a database.

    Args:
        record: the row of the table.
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
    """Return rows of `quarantine` updated after their subjects were seen again."""
    return [
        {**row, "last_seen": now}
        for row in records
        if not isinstance(seen := row["last_seen"], datetime) or now - seen >= SEEN_INTERVAL
    ]


@dataclass(frozen=True, kw_only=True)
class Quarantine:
    """The quarantine of one project."""

    grid_id: str
    store: ObjectStore
    database: Database
    stages: Collection[str] = ()
    """Stages of the project; those that left it are in quarantine no longer. Empty: any stage."""

    def rows(
        self,
        *,
        kinds: Sequence[str] = (),
        reasons: Sequence[str] = (),
        subjects: Sequence[str] = (),
    ) -> list[dict[str, object]]:
        """Return the records that are not released, filtered by kind, reason and subject.

        A tile as a subject stands for all records of its stages.
        """
        if not self.database.has_table("quarantine"):
            return []
        filters = {"kind": kinds, "reason": reasons}
        where: dict[str, object] = {"grid_id": self.grid_id, "released_at": None}
        where |= {name: list(values) for name, values in filters.items() if values}
        found = self.database.rows("quarantine", where=where)
        chosen = set(subjects)
        return [
            row
            for row in found
            if self._is_known(row)
            and (
                not chosen
                or row["subject"] in chosen
                or (row["kind"] == "tile" and tile_of_subject(str(row["subject"])) in chosen)
            )
        ]

    def _is_known(self, row: Row) -> bool:
        """Return False for a stage that left the project."""
        if row["kind"] != "tile" or not self.stages:
            return True
        return stage_of_subject(str(row["subject"])) in {"", *self.stages}

    def document(self, row: Row) -> bytes | None:
        """Return the record in the store."""
        return self.store.find(_path(row))

    def release(self, rows: Iterable[Row], *, now: datetime) -> list[Row]:
        """Release records, and with a tile the scenes that it was quarantined for.

        The next run makes the tile, inspects the scene or validates the boundary set again, even
        if its input is the same. A subject that is still bad gets a new record.

        Returns:
            The released records.

        Raises:
            DatabaseError, StoreError: not all of them were released.
        """
        chosen = {_name(row): row for row in rows}
        scenes = {name for row in chosen.values() for name in _scenes_of(row)}
        if scenes:
            found = self.rows(kinds=["scene"], subjects=sorted(scenes))
            chosen |= {_name(row): row for row in found}
        for kind in sorted({kind for kind, _ in chosen}):
            subjects = [subject for of_kind, subject in chosen if of_kind == kind]
            where = {"grid_id": self.grid_id, "kind": kind, "subject": subjects}
            # The store first: after a crash in between the record can be released again.
            for row in (chosen[kind, subject] for subject in subjects):
                for path in _paths_of(row):
                    self.store.delete(path)
            self.database.release(where, now=now)
        return list(chosen.values())


def _name(row: Row) -> tuple[str, str]:
    return str(row["kind"]), str(row["subject"])


def _scenes_of(row: Row) -> Iterator[str]:
    """Yield the scenes for which a tile was quarantined."""
    evidence = row["evidence"]
    scenes = evidence.get("scenes") if isinstance(evidence, Mapping) else None
    if row["kind"] == "tile" and isinstance(scenes, Mapping):
        yield from map(str, scenes)


def _path(row: Row) -> str:
    """Return the path of a record in the store; the features of a set share one."""
    kind, subject = _name(row)
    if kind == "feature":
        return layout.quarantine("boundaries", subject.partition("/")[0])
    return layout.quarantine(kind, subject)


def _paths_of(row: Row) -> Iterator[str]:
    """Yield the paths to delete with a record, so that its subject is judged again."""
    yield _path(row)
    kind, subject = _name(row)
    if kind == "scene":
        yield layout.scene_facts(subject)


def _outline(footprint: BaseGeometry) -> str:
    many = shapely.get_num_coordinates(footprint) > MAX_OUTLINE_CORNERS
    shown = shapely.envelope(footprint) if many else footprint
    return str(shapely.to_wkt(shown, rounding_precision=5))
