"""Check the project file and everything that a run would stand on."""

from __future__ import annotations

from collections.abc import Iterator

import click

from spatial_assets.cli.app.console import console, table
from spatial_assets.cli.app.open_project import current_project
from spatial_assets.cli.diagnosis import connections, inputs, libraries, machine
from spatial_assets.cli.diagnosis.finding import Finding, failed, passed
from spatial_assets.errors import SettingsError
from spatial_assets.project import Project


@click.command("check")
def check() -> None:
    """Check the project file and everything that a run would stand on.

    Prints a table of what was asked and found, with the remedy where something failed; exits
    with 1 if anything did.
    """
    findings = list(all_findings())
    rows = [
        (finding.what, "ok" if finding.passed else "FAILED", finding.detail, finding.remedy)
        for finding in findings
    ]
    console().print(table(("what", "state", "detail", "remedy"), rows))
    bad = sum(not finding.passed for finding in findings)
    if bad:
        message = f"{bad} of {len(findings)} checks failed"
        raise click.ClickException(message)
    click.echo(f"All {len(findings)} checks passed.")


def all_findings() -> Iterator[Finding]:
    """Every finding: those about the environment come even where the project file is wrong."""
    project, finding = _project()
    yield finding
    yield libraries.gdal()
    yield libraries.proj()
    if project is None:
        return
    yield connections.storage(project)
    yield connections.database(project)
    if project.compute.dask:
        yield connections.cluster(project)
    yield inputs.catalogue(project)
    yield from inputs.boundaries(project)
    yield from inputs.regions(project)
    yield machine.memory(project)
    yield machine.disk(project)


def _project() -> tuple[Project | None, Finding]:
    """The project, if there is one that can be cut into tiles, and what is to be said of it."""
    try:
        project = current_project()
        number = len(project.partitioning.keys)
    except SettingsError as error:
        remedy = "correct the file; everything that depends on it was left out"
        return None, failed("project file", str(error), remedy=remedy)
    grid = project.grid
    detail = f"{project.file}: grid {project.grid_id}, {number:,} {grid.partitions} {grid.level}"
    return project, passed("project file", detail)
