"""Say what a run would meet, without doing any of it: tiles, scenes, bytes, memory, time, runs."""

from __future__ import annotations

import json
from collections import Counter

import click

from spatial_assets.cli.app.open_project import current_project
from spatial_assets.cli.app.options import select_option
from spatial_assets.cli.selection.tile_options import TileSelectors, tile_selection_options


@click.command("plan")
@tile_selection_options
@select_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the keys of the tiles.")
def plan(*, selectors: TileSelectors, names: tuple[str, ...], as_json: bool) -> None:
    """Say what a run over these tiles would meet; nothing is made, fetched or written.

    Asks the catalogue, but opens no image: what only the files know, a run finds out.
    """
    from spatial_assets.cli.app.open_project import open_project
    from spatial_assets.cli.local_run.run_here import now
    from spatial_assets.cli.planning import plan_text
    from spatial_assets.cli.planning.forecast import forecast
    from spatial_assets.cli.planning.read_volume import expected_read_volume
    from spatial_assets.cli.selection.asset_options import select_assets
    from spatial_assets.cli.selection.inventory import Inventory
    from spatial_assets.cli.selection.run_rates import run_rate

    project = current_project()
    stages = select_assets(project, names).stages
    with open_project(project) as opened:
        inventory = Inventory(opened)
        choice = inventory.chosen(selectors, stages, now=now())
        if not choice.keys:
            click.echo(plan_text.NO_TILES_JSON if as_json else plan_text.NO_TILES)
            return
        found = forecast(project, choice.keys, inventory.catalogue, today=now().date())
        made = plan_text.Plan(
            project=project,
            choice=choice,
            stages=stages,
            states=Counter(
                str(tile.standing) for tile in inventory.tiles(stages, keys=choice.keys)
            ),
            forecast=found,
            read_volume=expected_read_volume(opened, found.near, stages=stages),
            rate=run_rate(
                inventory.rows("run_log"),
                stages=stages,
                workers=None if project.compute.dask else project.compute.workers,
            ),
        )
    if as_json:
        click.echo(json.dumps(plan_text.document(made), indent=2))
        return
    for line in plan_text.plan_lines(made):
        click.echo(line)
