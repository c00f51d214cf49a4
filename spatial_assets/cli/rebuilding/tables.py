"""The database, made again from the store: boundary sets, quarantine, and the rows of the tiles.

The rows of a tile are made by a run over it. That run finds the pixels of every stage unchanged by
their manifest, which is not read from the database, and computes the statistics again from the
cube, as they are stored nowhere else. No image is opened, unless its scene is new or changed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import datetime

from spatial_assets.cli.app.clock import now
from spatial_assets.cli.app.open_project import OpenProject
from spatial_assets.cli.local_run.progress import ProgressDisplay
from spatial_assets.cli.local_run.run_here import engine_for, never_valid, run_tiles
from spatial_assets.cli.selection.inventory import Inventory
from spatial_assets.pipeline import ownership
from spatial_assets.pipeline.boundaries import BoundaryPipeline
from spatial_assets.pipeline.outcome import RunReport
from spatial_assets.pipeline.quarantine_subjects import tile_of_subject
from spatial_assets.pipeline.stages import chain_of
from spatial_assets.project import Project
from spatial_assets.stores import layout
from spatial_assets.stores.objects.json import from_json
from spatial_assets.stores.rows import QuarantineRecord, Upsert

logger = logging.getLogger(__name__)


def tiles_to_rebuild(opened: OpenProject) -> tuple[str, ...]:
    """Return the tiles that have a manifest, and are not complete in the database."""
    inventory, stages = Inventory(opened), chain_of(opened.project).stages
    states = opened.database.state_overviews(opened.project.grid_id, stages)
    whole = (1 << len(stages)) - 1
    return tuple(
        key
        for key in opened.project.partitioning.keys
        if key in inventory.keys_with_manifest
        and (key not in inventory.inputs or key not in states or states[key].good != whole)
        and not (key in states and states[key].bad)
    )


def rebuild_tables(
    opened: OpenProject, keys: Sequence[str], *, workers: int | None, progress: ProgressDisplay
) -> RunReport:
    """Make the tables again; repeating it, or going on after an interrupt, is harmless.

    Args:
        opened: the project.
        keys: see `tiles_to_rebuild`.
        workers: None for the setting of the project, 0 for this process.
        progress: shows the progress.

    Raises:
        ForeignProjectError: the store or the database belongs to another project.
    """
    project, store, database = opened.project, opened.store, opened.database
    ownership.claim(project, store, database)
    absent = never_valid(opened, (each.name for each in project.boundaries))
    for settings in project.boundaries:
        if settings.name in absent:
            continue
        pipeline = BoundaryPipeline(project=project, settings=settings, store=store, clock=now)
        pipeline.record_quarantine(database)
        progress.say(f"{settings.name}: {pipeline.load(database).facts['rows']} rows")
    records = list(stored_quarantine(opened))
    known = {
        (row["kind"], row["subject"])
        for row in database.rows("quarantine", {"grid_id": project.grid_id})
    }
    new = [each for each in records if (each.kind, each.subject) not in known]
    database.commit([Upsert("quarantine", new)] if new else [])
    progress.say(f"quarantine: {len(new)} rows")
    if not keys:
        return RunReport()
    return run_tiles(
        opened,
        keys,
        stages=chain_of(project).stages,
        engine=engine_for(opened, workers),
        progress=progress,
        without_boundaries=absent,
    )


def stored_quarantine(opened: OpenProject) -> Iterator[QuarantineRecord]:
    """Yield the quarantine records of scenes and tiles that the store holds."""
    for kind in ("scene", "tile"):
        for path in sorted(opened.store.paths(f"{layout.QUARANTINE_FOLDER}/{kind}")):
            data = opened.store.find(path)
            if data is None:
                continue
            try:
                yield _record(opened.project, from_json(data))
            except (ValueError, KeyError, TypeError) as error:
                logger.warning("%s is damaged (%r) and is left out", path, error)


def _record(project: Project, document: dict[str, object]) -> QuarantineRecord:
    kind, subject = str(document["kind"]), str(document["subject"])
    evidence, checksum, href = document["evidence"], document["checksum"], document["href"]
    if kind not in {"scene", "tile"} or not isinstance(evidence, dict):
        message = f"not a record of a scene or tile: {kind!r}"
        raise ValueError(message)
    return QuarantineRecord(
        grid_id=project.grid_id,
        kind="scene" if kind == "scene" else "tile",
        subject=subject,
        tile=tile_of_subject(subject) if kind == "tile" else "",
        reason=str(document["reason"]),
        message=str(document["message"]),
        evidence=evidence,
        href=None if href is None else str(href),
        checksum=None if checksum is None else str(checksum),
        code_version=str(document["code_version"]),
        first_seen=datetime.fromisoformat(str(document["first_seen"])),
        last_seen=datetime.fromisoformat(str(document["last_seen"])),
    )
