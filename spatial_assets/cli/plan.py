"""Say what a run would meet, without doing any of it: tiles, scenes, bytes, memory, time, runs."""

from __future__ import annotations

import json
from collections import Counter

import click

from spatial_assets.cli.selection.selectors import Selectors, selecting_tiles
from spatial_assets.cli.shell.context import current_project
from spatial_assets.cli.shell.selectors import select_option


@click.command("plan")
@selecting_tiles
@select_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the keys of the tiles.")
def plan(*, selectors: Selectors, names: tuple[str, ...], as_json: bool) -> None:
    """Say what a run over these tiles would meet; nothing is made, fetched or written.

    Asks the catalogue, but opens no image: what only the files know, a run finds out.
    """
    from spatial_assets.cli.running import planned  # noqa: PLC0415 - pixels
    from spatial_assets.cli.running.clock import now  # noqa: PLC0415
    from spatial_assets.cli.running.forecast import forecast  # noqa: PLC0415 - pixels
    from spatial_assets.cli.running.rates import rate_of  # noqa: PLC0415
    from spatial_assets.cli.running.reading import expected_reading  # noqa: PLC0415 - pixels
    from spatial_assets.cli.running.selection import selection_of  # noqa: PLC0415 - the database
    from spatial_assets.cli.selection.inventory import Inventory  # noqa: PLC0415 - the database
    from spatial_assets.cli.shell.ground import open_ground  # noqa: PLC0415 - the store

    project = current_project()
    stages = selection_of(project, names).stages
    with open_ground(project) as ground:
        inventory = Inventory(ground)
        choice = inventory.chosen(selectors, stages, now=now())
        if not choice.keys:
            click.echo(planned.NOTHING_AS_JSON if as_json else planned.NOTHING)
            return
        found = forecast(project, choice.keys, inventory.catalogue, today=now().date())
        made = planned.Planned(
            project=project,
            choice=choice,
            stages=stages,
            states=Counter(
                str(tile.standing) for tile in inventory.tiles(stages, keys=choice.keys)
            ),
            forecast=found,
            reading=expected_reading(ground, found.near, stages=stages),
            rate=rate_of(
                inventory.rows("run_log"),
                stages=stages,
                workers=None if project.compute.dask else project.compute.workers,
            ),
        )
    if as_json:
        click.echo(json.dumps(planned.document(made), indent=2))
        return
    for line in planned.lines(made):
        click.echo(line)
