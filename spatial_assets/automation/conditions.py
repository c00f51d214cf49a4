"""The tile chain keeps itself fresh: the condition of each stage, and the sensor that asks."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from functools import partial
from typing import Any

import dagster as dg

from spatial_assets.automation.records import Recorded, Records
from spatial_assets.automation.tile_due import Clock, Pause, TileDue, never_stale
from spatial_assets.automation.tile_quarantined import TileQuarantined
from spatial_assets.pipeline.due import RequestLimits
from spatial_assets.pipeline.stages import RAW, chain_of
from spatial_assets.project import Project
from spatial_assets.project.sections.pauses import paused_until
from spatial_assets.resources import now


class ProjectRecords:
    """What a project's database says; asked once by all conditions of a tick.

    Raises:
        DatabaseError: the database does not answer. It is then not known which tiles are in
            quarantine, so nothing may be asked for.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._known: tuple[dt.datetime, Recorded] | None = None

    def __call__(self, moment: dt.datetime) -> Recorded:
        """What is recorded now, or was when the same tick asked before."""
        from spatial_assets.automation.read_records import read_records

        if self._known is None or self._known[0] != moment:
            self._known = (moment, read_records(self._project))
        return self._known[1]


def tile_refresh(
    project: Project, records: Records, *, clock: Clock = now
) -> dg.AutomationCondition:
    """When a `raw_tile` is asked for: changed or past its window, free, and not in quarantine.

    Args:
        project: with a window for raw_tile, or a catalogue that is watched.
        records: what the project's database says.
        clock: the present moment; a test may freeze it.
    """
    window = project.freshness.tiles
    return TileDue(
        window=project.tile_window if window else never_stale,
        records=records,
        changes_of=RAW,
        retries_failed=True,
        but_not=(being_made(), TileQuarantined(records)),
        pace=RequestLimits(
            limit=project.compute.max_tiles_per_run,
            never_made=window.never_made if window else "leave",
        ),
        paused=pauses_of(project),
        clock=clock,
    )


def statistics_refresh(
    project: Project, stage: str, records: Records, *, clock: Clock = now
) -> dg.AutomationCondition:
    """When the statistics of an index are asked for: with their `raw_tile`, or by themselves.

    By themselves where a boundary that touches the tile changed: the pixels are as they were.
    """
    alone = TileDue(
        window=never_stale,
        records=records,
        changes_of=stage,
        but_not=(being_made(),),
        pace=RequestLimits(limit=project.compute.max_tiles_per_run, never_made="leave"),
        paused=pauses_of(project),
        clock=clock,
    )
    return follows_raw_tile() | alone


def pauses_of(project: Project) -> Pause:
    """Until when nothing is asked for, by [[freshness.paused]]."""
    return partial(paused_until, project.freshness.paused)


def being_made() -> dg.AutomationCondition[Any]:
    """True for tiles that a run has in hand."""
    return dg.AutomationCondition.in_progress().with_label("left alone: being made")


def follows_raw_tile() -> dg.AutomationCondition:
    """When any other stage is asked for: together with the `raw_tile` of its tile, in its run.

    Nothing else counts: a renewal is not followed in a run of its own, and an updated
    `validated_<name>`, which has no tiles, would ask for all of them.
    """
    asked_for = dg.AutomationCondition.asset_matches(
        RAW, dg.AutomationCondition.will_be_requested()
    )
    return asked_for.with_label("its raw_tile is asked for at this tick")


def chain_conditions(
    project: Project, *, clock: Clock = now
) -> Mapping[str, dg.AutomationCondition]:
    """Stage -> its condition; nothing for a project that only people ask for tiles."""
    if not project.freshness.is_automatic:
        return {}
    chain, records = chain_of(project), ProjectRecords(project)
    statistics = {
        stage: statistics_refresh(project, stage, records, clock=clock)
        for stage in chain.statistics
    }
    following = {stage: follows_raw_tile() for stage in chain.stages}
    return {**following, **statistics, RAW: tile_refresh(project, records, clock=clock)}


def with_conditions(
    assets: dg.AssetsDefinition, conditions: Mapping[str, dg.AutomationCondition]
) -> dg.AssetsDefinition:
    """The same assets, each with its condition."""
    if not conditions:
        return assets
    return assets.map_asset_specs(
        lambda spec: spec.replace_attributes(
            automation_condition=conditions.get(spec.key.to_user_string())
        )
    )
