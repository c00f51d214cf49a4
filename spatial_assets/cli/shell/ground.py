"""What a command stands on: a project with its store and its database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from spatial_assets.project import Project
from spatial_assets.project.places import is_url
from spatial_assets.stores.database import Database, open_database
from spatial_assets.stores.objects import ObjectStore, open_store


@dataclass(frozen=True, eq=False)
class Ground:
    """A project, and where its product lives."""

    project: Project
    store: ObjectStore
    database: Database

    @property
    def has_store(self) -> bool:
        """Whether there can be objects: reading from a folder that is not there would make it."""
        return is_url(self.store.url) or Path(self.store.url).exists()


@contextmanager
def open_ground(project: Project) -> Iterator[Ground]:
    """The ground of a project: nothing is made by opening it; connections are let go at the end."""
    with open_database(project.database_url, pool_size=project.database.pool_size) as database:
        yield Ground(project, open_store(project.storage_url), database)
