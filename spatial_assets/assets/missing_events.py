"""Events that Dagster's log lacks of what exists: after the log was lost, or the command line ran.

They are reported without a run. The database and the store tell what exists; a stage of a tile
whose newest event already has its data version gets none, so that repeating adds nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import dagster as dg

from spatial_assets.assets.asset_keys import asset_key, asset_name, project_tags
from spatial_assets.assets.asset_metadata import STATE, as_metadata
from spatial_assets.assets.events import LoggedMaterialization, logged_versions, version_tags
from spatial_assets.instance.dagster_internals import DATA_VERSION_TAG, CheckTarget
from spatial_assets.pipeline.stages import chain_of
from spatial_assets.project import Project

NO_RUN = ""
"""Id of the run of an event that belongs to none."""


class Made(Protocol):
    """A stage of a tile, or an asset of a boundary set, that exists."""

    @property
    def data_version(self) -> str:
        """Data version of its event."""

    @property
    def state(self) -> str:
        """State in which it ended."""


@dataclass(frozen=True, kw_only=True)
class MissingEvents:
    """Assets that exist and have no event."""

    sets: Mapping[str, Made]
    """Asset of a boundary set -> what was made, upstream first."""

    tiles: Mapping[str, Mapping[str, Made]]
    """Stage -> tile -> what was made, in the order in which they are to be reported."""

    def __len__(self) -> int:
        """Number of events."""
        return len(self.sets) + sum(map(len, self.tiles.values()))


def missing_events(
    instance: dg.DagsterInstance,
    project: Project,
    *,
    sets: Mapping[str, Made],
    tiles: Mapping[str, Mapping[str, Made]],
) -> MissingEvents:
    """Return what exists and has no event with its data version; see `MissingEvents`."""
    versions = {
        name: instance.get_latest_materialization_event(asset_key(project, name)) for name in sets
    }
    without = {
        name: found
        for name, found in sets.items()
        if found.data_version != _version_of(versions[name])
    }
    unreported = {}
    for stage, by_tile in tiles.items():
        logged = logged_versions(instance, asset_key(project, stage), list(by_tile))
        unreported[stage] = {
            tile: found for tile, found in by_tile.items() if logged.get(tile) != found.data_version
        }
    return MissingEvents(sets=without, tiles=unreported)


def report_missing_events(
    instance: dg.DagsterInstance,
    project: Project,
    missing: MissingEvents,
    *,
    specs: Collection[dg.AssetSpec],
    step: Callable[[str], None],
) -> None:
    """Report what `missing_events` found, upstream first; `step` is called after each event."""
    by_name = {asset_name(project, spec.key): spec for spec in specs}
    for name, made in missing.sets.items():
        spec = by_name[name]
        inputs = {
            dep.asset_key: _used(instance, dep.asset_key, None).get(None) for dep in spec.deps
        }
        _report(instance, project, spec, made, tile=None, inputs=inputs)
        step(name)
    stages = chain_of(project).stages
    for stage in stages:
        tiles = missing.tiles.get(stage, {})
        if not tiles:
            continue
        spec = by_name[stage]
        upstream = {
            dep.asset_key: _used(
                instance,
                dep.asset_key,
                list(tiles) if asset_name(project, dep.asset_key) in stages else None,
            )
            for dep in spec.deps
        }
        for tile, made in tiles.items():
            inputs = {key: used.get(tile, used.get(None)) for key, used in upstream.items()}
            _report(instance, project, spec, made, tile=tile, inputs=inputs)
            step(f"{stage} {tile}")


def _report(
    instance: dg.DagsterInstance,
    project: Project,
    spec: dg.AssetSpec,
    made: Made,
    *,
    tile: str | None,
    inputs: Mapping[dg.AssetKey, LoggedMaterialization | None],
) -> None:
    tags = version_tags(spec.code_version, made.data_version, inputs=inputs)
    event = dg.AssetMaterialization(
        spec.key,
        partition=tile,
        description="Made before; reported by `spatial-assets rebuild --events`.",
        metadata=as_metadata({STATE: made.state}),
        tags={**tags, **project_tags(project)},
    )
    instance.report_runless_asset_event(event)


def _used(
    instance: dg.DagsterInstance, key: dg.AssetKey, tiles: Sequence[str] | None
) -> Mapping[str | None, LoggedMaterialization]:
    """Return the newest materialization of each tile of an asset, by tile; None: unpartitioned."""
    if tiles is None:
        newest = instance.fetch_materializations(dg.AssetRecordsFilter(key), limit=1).records
        used = [_logged(record.storage_id, _version_of_record(record)) for record in newest]
        return dict.fromkeys([None], used[0]) if used else {}
    versions = logged_versions(instance, key, tiles)
    ids = instance.get_latest_storage_id_by_partition(
        key, dg.DagsterEventType.ASSET_MATERIALIZATION
    )
    return {tile: _logged(ids[tile], version) for tile, version in versions.items()}


def _logged(storage_id: int, version: str) -> LoggedMaterialization:
    target = CheckTarget(storage_id=storage_id, run_id=NO_RUN, timestamp=0.0)
    return LoggedMaterialization(target=target, data_version=version, metadata={})


def _version_of_record(record: dg.EventLogRecord) -> str:
    return _version_of(record.event_log_entry)


def _version_of(entry: dg.EventLogEntry | None) -> str:
    """Return the data version of a materialization; empty if there is none."""
    event = entry.asset_materialization if entry else None
    return ((event.tags if event else None) or {}).get(DATA_VERSION_TAG, "")
