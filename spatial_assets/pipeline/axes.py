"""The time axis of a run: decided, and made real in the cubes, before any worker starts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime

from spatial_assets.geo.periods import Periods
from spatial_assets.pipeline.supply import SceneSupply
from spatial_assets.project import Project
from spatial_assets.stores.cube import ensure_cube, stored_cube
from spatial_assets.stores.cube_documents import CubeSpec
from spatial_assets.stores.objects import ObjectStore


def ensure_axes(
    project: Project,
    store: ObjectStore,
    supply: SceneSupply,
    *,
    owner: str,
    clock: Callable[[], datetime],
) -> Periods:
    """Create the cubes, or extend them to hold every scene and `[time] end`.

    Returns:
        The time axis of the project.

    Raises:
        SettingsError: no start is known.
        GridError: a stored cube starts elsewhere in space or time.
    """
    today = clock().date()
    periods = project.periods(today, earliest=_earliest(project, store, supply))
    supply.refuse_before(periods)
    latest = max((scene.solar_day for scene in supply.catalogue.scenes), default=periods.end)
    periods = periods.extended_to(max(latest, periods.end))
    for index in project.indices_in_use:
        spec = CubeSpec(
            index=index.name,
            grid=project.pixel_grid,
            grid_id=project.grid_id,
            extent=project.partitioning.extent,
            periods=periods,
            long_name=index.description,
        )
        ensure_cube(store, spec, owner=owner, clock=clock)
    return periods


def _earliest(project: Project, store: ObjectStore, supply: SceneSupply) -> date | None:
    """Where the axis starts if the project does not say: where it did, else the earliest scene."""
    stored = stored_cube(store, project.indices.names[0])
    if stored is not None:
        return stored.periods.start
    return min((scene.solar_day for scene in supply.catalogue.scenes), default=None)
