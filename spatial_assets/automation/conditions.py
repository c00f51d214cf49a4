"""Conditions: when each stage of the tile chain is requested.

The conditions that Dagster does not have are in `tile_due` and `tile_quarantined`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from functools import partial
from typing import Any

import dagster as dg

from spatial_assets.assets.asset_keys import asset_key
from spatial_assets.automation.own_events import OwnEvents
from spatial_assets.automation.records import Recorded, Records
from spatial_assets.automation.tile_due import PausedUntil, TileDue, never_stale
from spatial_assets.automation.tile_quarantined import TileQuarantined
from spatial_assets.automation.tiles_in_progress import TileInRegionRun
from spatial_assets.pipeline.due import RequestLimits
from spatial_assets.pipeline.stages import RAW, chain_of
from spatial_assets.project import Project
from spatial_assets.project.sections.pauses import paused_until
from spatial_assets.resources import UtcClock, now


def with_conditions(
    assets: dg.AssetsDefinition, conditions: Mapping[str, dg.AutomationCondition]
) -> dg.AssetsDefinition:
    """Return the assets of the chain, each with the condition of its stage."""
    if not conditions:
        return assets
    return assets.map_asset_specs(
        lambda spec: spec.replace_attributes(automation_condition=conditions.get(spec.key.path[-1]))
    )


def chain_conditions(
    project: Project, *, clock: UtcClock = now
) -> Mapping[str, dg.AutomationCondition]:
    """Return stage -> condition; empty for a project whose tiles are requested only by hand."""
    if not project.freshness.is_automatic:
        return {}
    chain, records = chain_of(project), ProjectRecords(project)
    statistics = {
        stage: statistics_refresh(project, stage, records, clock=clock)
        for stage in chain.statistics
    }
    following = {stage: follows_raw_tile(project) for stage in chain.stages}
    return {**following, **statistics, RAW: tile_refresh(project, records, clock=clock)}


def tile_refresh(
    project: Project, records: Records, *, clock: UtcClock = now
) -> dg.AutomationCondition:
    """Return the condition of `raw_tile`: changed or stale, not in progress, not in quarantine.

    Args:
        project: has a freshness window for raw_tile, or watches its catalogue.
        records: what the project's database records.
        clock: the current time; a test may freeze it.
    """
    window = project.freshness.tiles
    return TileDue(
        max_age=project.tile_window if window else never_stale,
        latest=OwnEvents(project),
        records=records,
        changes_of=RAW,
        retries_failed=True,
        unless=(*in_progress(project), TileQuarantined(records)),
        limits=RequestLimits(
            limit=project.compute.max_tiles_per_run,
            never_made=window.never_made if window else "leave",
        ),
        paused_until=pauses_of(project),
        clock=clock,
    )


def statistics_refresh(
    project: Project, stage: str, records: Records, *, clock: UtcClock = now
) -> dg.AutomationCondition:
    """Return the condition of an index's statistics: with their `raw_tile`, or alone.

    Alone if a boundary that touches the tile changed: the pixels stay as they are.
    """
    alone = TileDue(
        max_age=never_stale,
        latest=OwnEvents(project),
        records=records,
        changes_of=stage,
        unless=in_progress(project),
        limits=RequestLimits(limit=project.compute.max_tiles_per_run, never_made="leave"),
        paused_until=pauses_of(project),
        clock=clock,
    )
    return follows_raw_tile(project) | alone


def follows_raw_tile(project: Project) -> dg.AutomationCondition:
    """Return the condition of all other stages: in the same run as the tile's `raw_tile`.

    Nothing else counts. A renewed input is not followed in a run of its own, and an updated
    `validated_<name>`, which is not partitioned, would request all tiles.
    """
    requested = dg.AutomationCondition.asset_matches(
        asset_key(project, RAW), dg.AutomationCondition.will_be_requested()
    )
    return requested.with_label("its raw_tile is requested at this tick")


def in_progress(project: Project) -> tuple[dg.AutomationCondition[Any], ...]:
    """Return the conditions of which one is true for tiles of an unfinished run."""
    of_assets = dg.AutomationCondition.in_progress().with_label("excluded: in progress")
    return (of_assets, TileInRegionRun(project)) if project.regions else (of_assets,)


def pauses_of(project: Project) -> PausedUntil:
    """Return the pauses of [[freshness.paused]]."""
    return partial(paused_until, project.freshness.paused)


class ProjectRecords:
    """Records in the database of a project; all conditions of a tick share one reading.

    Raises:
        DatabaseError: the database does not answer. It is then unknown which tiles are in
            quarantine, so nothing may be requested.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._latest: tuple[dt.datetime, Recorded] | None = None

    def __call__(self, moment: dt.datetime) -> Recorded:
        """Return the records as of a tick, read at its first call."""
        from spatial_assets.automation.read_records import read_records

        if self._latest is None or self._latest[0] != moment:
            self._latest = (moment, read_records(self._project))
        return self._latest[1]
