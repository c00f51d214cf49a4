"""Check the project file and everything that a run depends on."""

from __future__ import annotations

import os
from collections.abc import Iterator

import click

from spatial_assets.cli.app.console import console, table
from spatial_assets.cli.app.open_project import current_project
from spatial_assets.cli.diagnosis import connections, identity, inputs, libraries, machine, writing
from spatial_assets.cli.diagnosis.finding import Finding, failed, passed
from spatial_assets.errors import SettingsError
from spatial_assets.project import Project


@click.command("check")
def check() -> None:
    """Check the project file and everything that a run depends on.

    Prints a table of the checks and their results, with a remedy for each failure; exits with 1
    if a check failed.
    """
    findings = list(all_findings())
    rows = [
        (finding.subject, finding.result, finding.detail, finding.remedy) for finding in findings
    ]
    console().print(table(("check", "result", "detail", "remedy"), rows))
    failures = sum(not finding.passed for finding in findings)
    if failures:
        message = f"{failures} of {len(findings)} checks failed"
        raise click.ClickException(message)
    click.echo(f"All {len(findings)} checks passed.")


def all_findings() -> Iterator[Finding]:
    """Yield all findings; those about the environment even if the project file is invalid."""
    project, finding = _project()
    yield finding
    yield libraries.gdal()
    yield libraries.proj()
    if project is None:
        return
    places = [connections.storage(project), connections.database(project)]
    yield from places
    if all(place.passed for place in places):
        owned = identity.ownership(project)
        yield owned
        if owned.passed:
            yield identity.stored_product(project)
    if places[1].passed:
        yield writing.tables(project)
    yield writing.scene_cache(project)
    yield from writing.dagster_folders()
    if os.environ.get(identity.DAGSTER_HOME_VARIABLE):
        yield from identity.dagster_instance(project)
    if project.compute.dask:
        yield connections.cluster(project)
    yield inputs.catalogue(project)
    yield inputs.clear_sky(project)
    yield from inputs.boundaries(project)
    yield from inputs.regions(project)
    yield machine.memory(project)
    yield machine.disk(project)


def _project() -> tuple[Project | None, Finding]:
    """Return the project, None if it is invalid or has no tile, and the finding about it."""
    try:
        project = current_project()
        number = len(project.partitioning.keys)
    except SettingsError as error:
        remedy = "correct the file; checks that depend on it were skipped"
        return None, failed("project file", str(error), remedy=remedy)
    grid = project.grid
    scheme = f"{grid.partitions}, level {grid.level}"
    detail = f"{project.file}: grid {project.grid_id}, {number:,} partitions ({scheme})"
    return project, passed("project file", detail)
