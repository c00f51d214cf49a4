"""Checks that store, database and Dagster's events are this project's, and of the event log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from spatial_assets.cli.diagnosis.connections import LOCK_TIMEOUT_SECONDS
from spatial_assets.cli.diagnosis.finding import Finding, failed, passed, run_check, warned
from spatial_assets.project import Project
from spatial_assets.project.loading import PROJECT_VARIABLE

DAGSTER_HOME_VARIABLE = "DAGSTER_HOME"
DAGSTER_TIMEOUT_SECONDS = 120.0  # for the start of a Python that imports Dagster, on a busy machine


def ownership(project: Project) -> Finding:
    """Verify that store and database belong to the project, or to none yet."""
    from spatial_assets.pipeline import ownership
    from spatial_assets.stores.objects.store import open_store
    from spatial_assets.stores.tables.connect import open_database

    def check() -> str:
        url = project.database_url
        with open_database(url, pool_size=1, lock_timeout=LOCK_TIMEOUT_SECONDS) as connected:
            ownership.verify(project, open_store(project.storage_url), connected)
        source = "[project] name" if project.project.name else "the name of its folder"
        return f"{project.name!r}, {source}: store and database are its own, or nobody's yet"

    remedy = "use a store and a schema of its own, or see `spatial-assets claim`"
    return run_check("project name", check, remedy=remedy)


def stored_product(project: Project) -> Finding:
    """Verify that what is stored lies where the project has it, or can be moved there."""
    from spatial_assets.pipeline.regrid.needs import obstacles
    from spatial_assets.stores.objects.store import open_store

    subject = "stored product"
    found = obstacles(project, open_store(project.storage_url), today=datetime.now(UTC).date())
    if not found:
        return passed(subject, "it fits the area, the grid and the time axis, or there is none")
    *details, remedy = found if len(found) > 1 else (*found, "see the detail")
    return failed(subject, "; ".join(details), remedy=remedy)


def dagster_instance(project: Project) -> Iterator[Finding]:
    """Ask the instance of $DAGSTER_HOME for other projects with the same keys, and for its log.

    In a process of its own: the command line does not import Dagster.
    """
    subject = "Dagster events"
    program = [sys.executable, "-m", "spatial_assets.automation.own_events"]
    environment = {**os.environ, PROJECT_VARIABLE: str(project.file)}
    try:
        done = subprocess.run(  # noqa: S603 - our own command, no shell
            program,
            env=environment,
            capture_output=True,
            text=True,
            timeout=DAGSTER_TIMEOUT_SECONDS,
            check=True,
        )
        found = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        detail = (
            f"the instance in ${DAGSTER_HOME_VARIABLE} could not be read ({type(error).__name__})"
        )
        remedy = f"check ${DAGSTER_HOME_VARIABLE} and its dagster.yaml"
        yield warned(subject, detail, remedy=remedy)
        return
    yield _other_projects(project, found["projects"], subject)
    if found["advice"] is not None:
        remedy = "see Large backfills in docs/operations.md"
        yield warned("Dagster event log", found["advice"], remedy=remedy)


def _other_projects(project: Project, others: Sequence[str], subject: str) -> Finding:
    """Return the finding about other projects with the same asset keys."""
    keys = "/".join(project.asset_path("raw_tile"))
    if not others:
        return passed(subject, f"no other project has made {keys} in this instance")
    return warned(
        subject,
        f"{', '.join(others)} made {keys} in this instance too; automation ignores those events, "
        "Dagster's UI and backfills do not",
        remedy="set [project] asset_prefix in one of the projects",
    )
