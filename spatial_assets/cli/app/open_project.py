"""What a command stands on: a project with its store and its database.

The project that a command works on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from spatial_assets.project import Project, load_project
from spatial_assets.project.urls import is_url
from spatial_assets.stores.objects.store import ObjectStore, open_store
from spatial_assets.stores.tables.connect import open_database
from spatial_assets.stores.tables.database import Database


@dataclass(frozen=True, eq=False)
class OpenProject:
    """A project, and where its product lives."""

    project: Project
    store: ObjectStore
    database: Database

    @property
    def has_store(self) -> bool:
        """Whether there can be objects: reading from a folder that is not there would make it."""
        return is_url(self.store.url) or Path(self.store.url).exists()


@contextmanager
def open_project(project: Project) -> Iterator[OpenProject]:
    """The opened of a project: nothing is made by opening it; connections are let go at the end."""
    with open_database(project.database_url, pool_size=project.database.pool_size) as database:
        yield OpenProject(project, open_store(project.storage_url), database)


def project_option() -> Path | None:
    """What the option --project says; None: the environment decides."""
    folder = click.get_current_context().find_root().params.get("project")
    return folder if isinstance(folder, Path) else None


def current_project() -> Project:
    """The project of the option --project, else of the environment.

    Raises:
        SettingsError: there is none, or it says something impossible.
    """
    return load_project(project_option())
