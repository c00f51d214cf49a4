"""Estimate a run without starting it: tiles, scenes, bytes, memory, time and Dagster runs."""

from __future__ import annotations

import json
from collections import Counter

import click

from spatial_assets.cli.app.open_project import current_project
from spatial_assets.cli.app.options import select_option
from spatial_assets.cli.selection.tile_options import (
    NO_MATCHING_TILE,
    TileSelectors,
    tile_selection_options,
)


@click.command("plan")
@tile_selection_options
@select_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON, including the tile keys.")
def plan(*, selectors: TileSelectors, names: tuple[str, ...], as_json: bool) -> None:
    """Estimate a run over these tiles: scenes, bytes, memory, time and Dagster runs.

    Searches the catalogue, but opens no image and writes nothing. What only the image files can
    tell is left to the run.
    """
    from spatial_assets.cli.app.clock import now
    from spatial_assets.cli.app.open_project import open_project
    from spatial_assets.cli.planning import plan_text
    from spatial_assets.cli.planning.forecast import forecast
    from spatial_assets.cli.planning.read_volume import expected_read_volume
    from spatial_assets.cli.planning.released_inputs import expired_periods
    from spatial_assets.cli.selection.asset_options import select_assets
    from spatial_assets.cli.selection.inventory import Inventory
    from spatial_assets.cli.selection.run_rates import run_rate
    from spatial_assets.pipeline.regrid.needs import obstacles
    from spatial_assets.pipeline.stages import RAW

    project = current_project()
    stages = select_assets(project, names).stages
    with open_project(project) as opened, opened.database.keep_open():
        inventory = Inventory(opened)
        selected = inventory.select(selectors, stages, now=now())
        if not selected.keys:
            click.echo(plan_text.NO_TILES_JSON if as_json else NO_MATCHING_TILE)
            return
        catalogue = inventory.catalogue.as_of(now())
        found = forecast(project, selected.keys, catalogue, today=now().date())
        planned = plan_text.Plan(
            project=project,
            selected=selected,
            stages=stages,
            absent=inventory.absent,
            states=Counter(
                str(tile.status)
                for tile in inventory.tiles(stages, keys=selected.keys, pixels=False)
            ),
            forecast=found,
            read_volume=expected_read_volume(
                inventory,
                found.overlaps,
                stages=stages,
                now=now(),
                read_again={key for key, why in selected.changes.items() if f"code: {RAW}" in why},
            ),
            rate=run_rate(
                inventory.rows("run_log"),
                stages=stages,
                workers=None if project.compute.dask else project.compute.workers,
            ),
            expired=expired_periods(inventory, now=now()),
            obstacles=obstacles(project, opened.store, today=now().date())
            if opened.has_store
            else (),
        )
    if as_json:
        click.echo(json.dumps(plan_text.document(planned), indent=2))
        return
    for line in plan_text.plan_lines(planned):
        click.echo(line)
