"""Accept results of former code as they are, so that an upgrade does not recompute them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from spatial_assets.cli.app.console import format_count
from spatial_assets.cli.app.open_project import current_project
from spatial_assets.errors import SettingsError

if TYPE_CHECKING:
    from spatial_assets.cli.app.open_project import OpenProject
    from spatial_assets.project import Project


@click.command("accept")
@click.option(
    "--stage",
    "stages",
    multiple=True,
    metavar="STAGE",
    help="Stage whose results are accepted, such as ndvi; may be repeated.",
)
@click.option(
    "--tile", "tiles", multiple=True, metavar="KEY", help="Only this tile; may be repeated."
)
@click.option("--revoke", is_flag=True, help="Accept results of these stages no longer.")
@click.option("--yes", is_flag=True, help="Record it; without it, nothing is written.")
def accept(*, stages: tuple[str, ...], tiles: tuple[str, ...], revoke: bool, yes: bool) -> None:
    """Accept results of former code as they are; list them without --stage.

    After an upgrade that raised the code version of a stage, the next run recomputes it. If the
    other bytes do not matter to you, accept the stage: results that differ by its code version
    alone count as current. New scenes and changed settings are followed as ever. Who accepted
    what, and when, is recorded in the store and shown by `status`.
    """
    from spatial_assets.cli.app.open_project import open_project

    project = current_project()
    require_known(project, stages, tiles)
    with open_project(project) as opened:
        if revoke:
            _revoke(opened, stages, yes=yes)
        else:
            _accept(opened, stages, tiles, yes=yes)


def require_known(project: Project, stages: Sequence[str], tiles: Sequence[str]) -> None:
    """Refuse names that the project does not have.

    Raises:
        SettingsError: with the stages there are.
        GridError: a key is not a tile of this project.
    """
    from spatial_assets.pipeline.stages import chain_of

    known = chain_of(project).stages
    unknown = [stage for stage in stages if stage not in known]
    if unknown:
        message = f"no such stage: {', '.join(unknown)}; choose from {', '.join(known)}"
        raise SettingsError(message)
    for tile in tiles:
        project.partitioning.tile(tile)


def _accept(opened: OpenProject, stages: Sequence[str], tiles: Sequence[str], *, yes: bool) -> None:
    from spatial_assets.cli.app.clock import now
    from spatial_assets.cli.local_run.run_here import lease_owner
    from spatial_assets.pipeline import ownership
    from spatial_assets.pipeline.freshness.former_code import AcceptedCode, AcceptedVersion

    found = Counter(
        (stage, version)
        for tile, stage, version in former_results(opened)
        if (not stages or stage in stages) and (not tiles or tile in tiles)
    )
    for (stage, version), count in sorted(found.items()):
        click.echo(f"{stage}: code version {version} made {format_count(count, 'tile')}")
    if not found:
        click.echo("Nothing to accept: no such result was made by other code.")
    elif not stages or not yes:
        click.echo("Nothing was written; to accept: spatial-assets accept --stage STAGE --yes")
    else:
        ownership.claim(opened.project, opened.store)
        record = AcceptedCode.load(opened.store)
        for stage, version in sorted(found):
            at = now().isoformat(timespec="seconds")
            new = AcceptedVersion(
                stage=stage, version=version, tiles=tuple(tiles), by=lease_owner(), at=at
            )
            record = record.adding(new)
            click.echo(new.line)
        record.save(opened.store)


def former_results(opened: OpenProject) -> Iterator[tuple[str, str, str]]:
    """Yield (tile, stage, code version) of results that former code made, whatever else changed.

    Settings that changed too hide the code version: accepting would not help there.
    """
    from spatial_assets.cli.selection.inventory import Inventory
    from spatial_assets.pipeline.freshness.former_code import FormerCode
    from spatial_assets.pipeline.freshness.stage_inputs import inputs_from_rows
    from spatial_assets.pipeline.stages import code_of

    former = FormerCode(opened.project)
    for tile, made in inputs_from_rows(Inventory(opened).rows("tile_inputs")).items():
        for stage, inputs in made.items():
            version = (former.versions(stage, inputs) or {}).get(code_of(stage))
            if version is not None:
                yield tile, stage, version


def _revoke(opened: OpenProject, stages: Sequence[str], *, yes: bool) -> None:
    from spatial_assets.pipeline import ownership
    from spatial_assets.pipeline.freshness.former_code import AcceptedCode

    record = AcceptedCode.load(opened.store)
    chosen = {each.stage for each in record.versions if not stages or each.stage in stages}
    for each in record.versions:
        if each.stage in chosen:
            click.echo(each.line)
    if not chosen:
        click.echo("Nothing to revoke: nothing of this is accepted.")
    elif not yes:
        click.echo("Nothing was written; to revoke: spatial-assets accept --revoke --yes")
    else:
        ownership.claim(opened.project, opened.store)
        record.without(chosen).save(opened.store)
        click.echo("Revoked; `spatial-assets materialize` computes these results again.")
