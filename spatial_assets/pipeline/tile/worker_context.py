"""Objects that a worker process keeps between tiles: opened once, used for all."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from spatial_assets.catalog.access.source_access import SourceAccess, source_access
from spatial_assets.geo.grid.pixel_grid import PixelGrid
from spatial_assets.pipeline.tile.validated_boundaries import ValidatedBoundaries
from spatial_assets.project import Project
from spatial_assets.stores.objects.store import ObjectStore

_contexts: dict[tuple[str, str, str], WorkerContext] = {}


@dataclass(frozen=True, eq=False)
class WorkerContext:
    """The project, its store and what was read from it, in one process."""

    project: Project
    store: ObjectStore
    """The product's store."""

    @classmethod
    def of(cls, project: Project, store: ObjectStore) -> WorkerContext:
        """Return this process's context for the project."""
        same = (str(project.file), project.model_dump_json(), store.url)
        if same not in _contexts:
            _contexts.clear()  # a process works for one project at a time
            _contexts[same] = cls(project, store)
        return _contexts[same]

    @cached_property
    def access(self) -> SourceAccess:
        """Access to the files of scenes."""
        return source_access(self.project)

    @cached_property
    def boundaries(self) -> ValidatedBoundaries:
        """The validated boundaries."""
        return ValidatedBoundaries(self.store, self.grid)

    @property
    def grid(self) -> PixelGrid:
        """The pixel grid."""
        return self.project.pixel_grid
