"""The project that a command works on, opened with its object store and its database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from spatial_assets.pipeline import ownership
from spatial_assets.project import Project, load_project
from spatial_assets.project.urls import is_url
from spatial_assets.stores.objects.store import ObjectStore, open_store
from spatial_assets.stores.tables.connect import open_database
from spatial_assets.stores.tables.database import Database


@dataclass(frozen=True, eq=False)
class OpenProject:
    """A project with the store and the database of its product."""

    project: Project
    store: ObjectStore
    database: Database

    @property
    def has_store(self) -> bool:
        """True if the store can hold objects; reading from a missing folder would create it."""
        return is_url(self.store.url) or Path(self.store.url).exists()


@contextmanager
def open_project(project: Project) -> Iterator[OpenProject]:
    """Open a project without creating anything; close its connections at the end.

    Raises:
        ForeignProjectError: the store or the database belongs to another project.
    """
    with unverified_project(project) as opened:
        ownership.verify(project, opened.store if opened.has_store else None, opened.database)
        yield opened


@contextmanager
def unverified_project(project: Project) -> Iterator[OpenProject]:
    """Open a project whose store and database may belong to another one."""
    with open_database(project.database_url, pool_size=project.database.pool_size) as database:
        yield OpenProject(project, open_store(project.storage_url), database)


def project_option() -> Path | None:
    """Value of the option --project; None if it was not given."""
    folder = click.get_current_context().find_root().params.get("project")
    return folder if isinstance(folder, Path) else None


def current_project() -> Project:
    """Load the project of the option --project, else of the environment.

    Raises:
        SettingsError: there is no project, or its settings are invalid.
    """
    return load_project(project_option())
