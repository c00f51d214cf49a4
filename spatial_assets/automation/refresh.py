"""The tile chain keeps itself fresh: the condition of each stage, and the sensor that asks."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import dagster as dg

from spatial_assets.assets.accepted import accepted_warnings
from spatial_assets.assets.specs import GROUP
from spatial_assets.automation.freshness import Clock, TileDue
from spatial_assets.automation.quarantine import (
    TileQuarantined,
    Tiles,
    failed_tiles,
    quarantined_tiles,
)
from spatial_assets.pipeline.due import Pace
from spatial_assets.pipeline.stages import RAW, chain_of
from spatial_assets.project import Project
from spatial_assets.resources import now

SENSOR = "tile_automation"
EVERY_SECONDS = 30  # as Dagster's own automation


def tile_refresh(
    project: Project,
    *,
    clock: Clock = now,
    quarantined: Tiles | None = None,
    failed: Tiles | None = None,
) -> dg.AutomationCondition:
    """When a `raw_tile` is asked for: past its window, not being made and not in quarantine.

    Args:
        project: with a window for raw_tile.
        clock: the present moment; a test may freeze it.
        quarantined: tiles to leave alone; default: what the project's database says.
        failed: tiles to try again; likewise.
    """
    never_made = project.freshness.windows[RAW].never_made
    being_made = dg.AutomationCondition.in_progress()
    held = TileQuarantined(quarantined or partial(quarantined_tiles, project))
    due = TileDue(
        window=project.tile_window,
        failed=failed or partial(failed_tiles, project),
        pace=Pace(limit=project.compute.max_tiles_per_run, never_made=never_made),
        clock=clock,
    )
    # The window comes last: only what may be asked for takes a place within the limit.
    free = (~being_made).with_label("not being made")
    good = (~held).with_label("not in quarantine")
    return (free & good & due).with_label("due, and free to be made")


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
    """Stage -> its condition; nothing for a project without a window for raw_tile."""
    if project.freshness.tiles is None:
        return {}
    chain = chain_of(project)
    following = {stage: follows_raw_tile() for stage in chain.stages}
    return {**following, RAW: tile_refresh(project, clock=clock)}


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


@accepted_warnings()
def tile_automation(project: Project) -> list[dg.AutomationConditionSensorDefinition]:
    """The sensor that asks for tiles; none for a project without a window for raw_tile.

    It runs from the start: who writes a window into the project file asks for its tiles to be
    kept within it. It can be stopped in the UI, and Dagster remembers that.
    """
    if project.freshness.tiles is None:
        return []
    return [
        dg.AutomationConditionSensorDefinition(
            SENSOR,
            target=dg.AssetSelection.groups(GROUP),
            description="Asks for the tiles past [freshness] raw_tile warn, in runs of neighbours.",
            use_user_code_server=True,  # the only place where conditions of one's own are evaluated
            default_status=dg.DefaultSensorStatus.RUNNING,
            minimum_interval_seconds=EVERY_SECONDS,
        )
    ]
