"""Remote scenes of the tiles whose turn comes next, brought here while others are worked on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from spatial_assets.catalog.access import source_access
from spatial_assets.catalog.ahead import Ahead
from spatial_assets.pipeline.inputs import scenes_to_read
from spatial_assets.pipeline.raw import remote_windows
from spatial_assets.pipeline.stages import RAW
from spatial_assets.pipeline.task import TileTask
from spatial_assets.project import Project


def with_scenes_ahead(tasks: Iterable[TileTask], project: Project) -> Iterator[TileTask]:
    """The tasks; one that reads remote scenes when those of the next are asked for too.

    For workers of this machine: what is brought here is in their cache.
    """
    waiting: TileTask | None = None
    with Ahead(source_access(project)) as ahead:
        for task in tasks:
            box = project.pixel_grid.geobox(task.tile.window)
            missing = scenes_to_read(task, task.manifest) if RAW in task.stages else []
            wanted = list(remote_windows(missing, box))
            ahead.want(wanted)
            if waiting is not None:
                yield waiting
            waiting = task
            if not wanted:
                yield task
                waiting = None
        if waiting is not None:
            yield waiting
