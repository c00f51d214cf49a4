"""Tiles of NDVI made by the product, by the limit and by other libraries.

Each contestant runs in a separate process. All take turns, so that other load on the machine
affects all alike. Each has made one unmeasured tile before, which loads libraries and compiles
loops, and whose values are compared with ours. Figures are medians of the repeats.
"""

from __future__ import annotations

import importlib
import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.contestants import ours
from benchmarks.contestants.task import FILL, AbsentError, Contestant, Task, Tile
from benchmarks.projects import write_project
from benchmarks.rows import Row, row
from benchmarks.runner import Cost, Runner
from benchmarks.scenes import BBOX, Granules
from spatial_assets.project import Project

LEAST_AGREEING = 0.99  # share of pixels; along the edges of clouds and holes GDAL's rules differ
LARGEST_DIFFERENCE = 100  # stored steps for 99 % of the pixels: 0.01 NDVI
OTHER_CONTESTANTS = (
    "limit",
    "odc_stac",
    "mapchete_tiles",
    "gdal_tools",
    "warped_vrt",
    "rioxarray_reproject",
    "odc_stats",
)
"""Module names in benchmarks.contestants."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """Amount of work in the contest."""

    granules: Granules
    zoom: int
    tiles: int
    repeats: int
    pixels: int = 2048


def other_contestants(names: Sequence[str] = OTHER_CONTESTANTS) -> list[Contestant]:
    """Load contestants by the names of their modules."""
    modules = [importlib.import_module(f"benchmarks.contestants.{name}") for name in names]
    return [module.CONTESTANT for module in modules]


def rows(
    size: Size, *, scenes: Path, folder: Path, names: Sequence[str] = OTHER_CONTESTANTS
) -> list[Row]:
    """Time all contestants on the same tiles.

    Args:
        size: amount of work.
        scenes: folder of the granules.
        folder: working folder.
        names: contestants besides the product, as in OTHER_CONTESTANTS.
    """
    others = [each for each in other_contestants(names) if is_available(each)]
    runners = [Runner(each) for each in (ours.CONTESTANT, *others)]
    costs: dict[str, list[Cost]] = {}
    task = partial(task_of, size, scenes=scenes)
    try:
        warm_up(runners, task(folder / "warm", which=slice(size.tiles, size.tiles + 1)))
        for repeat in range(size.repeats):
            print(f"  round {repeat + 1} of {size.repeats}", flush=True)
            one_round(runners, task(folder / f"run{repeat}", which=slice(size.tiles)), costs)
    finally:
        for runner in runners:
            runner.end()
    return rows_of(costs, size, others)


def is_available(contestant: Contestant) -> bool:
    """Return True if a contestant can run; print the reason if it cannot."""
    if contestant.program is None:
        return True
    try:
        print(f"  {contestant.program()}", flush=True)
    except AbsentError as error:
        print(f"  SKIPPED: {contestant.name}: {error}", flush=True)
        return False
    return True


def task_of(size: Size, folder: Path, *, scenes: Path, which: slice) -> Task:
    """Build a task with a project of its own."""
    project = write_project(folder, bbox=BBOX, scenes=scenes, zoom=size.zoom, pixels=size.pixels)
    keys = project.partitioning.keys[which]
    return Task(
        scenes=tuple(sorted(each for each in scenes.iterdir() if each.is_dir())),
        tiles=tuple(tile_of(project, key) for key in keys),
        project=folder,
        folder=folder,
    )


def tile_of(project: Project, key: str) -> Tile:
    """Describe a tile without types of the product."""
    box = project.pixel_grid.geobox(project.partitioning.tile(key).window)
    return Tile(
        key=key,
        left=box.transform.c,
        top=box.transform.f,
        pixel=box.transform.a,
        size=box.window.width,
    )


def warm_up(runners: Sequence[Runner], task: Task) -> None:
    """Make one tile with each contestant, and stop if its values differ from ours.

    This tile is not timed, so no contestant finds the files of timed ones in a cache.
    """
    tasks = [own(task, number) for number in range(len(runners))]
    with ThreadPoolExecutor(2) as pool:
        works = [each.contestant.work for each in runners]
        list(pool.map(Runner.make, runners, works, tasks))
    for runner, theirs in zip(runners, tasks, strict=True):
        compare(runner.contestant, theirs, task)


def own(task: Task, number: int) -> Task:
    """Copy the task with a separate folder for the contestant."""
    return replace(task, folder=task.folder / f"contestant{number}")


def compare(contestant: Contestant, theirs: Task, task: Task) -> None:
    """Compare the values of a contestant with ours.

    Raises:
        RuntimeError: they differ too much.
    """
    for tile in task.tiles:
        mine, other = ours.ndvi(task, tile), contestant.ndvi(theirs, tile)
        seen = (mine != FILL) & (other != FILL)
        agreeing = float(((mine != FILL) == (other != FILL)).mean())
        apart = np.abs(mine[seen].astype(int) - other[seen])
        off = float(np.quantile(apart, 0.99)) if seen.any() else float("inf")
        agreement = (
            f"{contestant.name}: {agreeing:.2%} of the pixels agree on validity, "
            f"99 % of them within {off * 1e-4:.4f}"
        )
        print(f"  {agreement}", flush=True)
        if agreeing < LEAST_AGREEING or off > LARGEST_DIFFERENCE:
            raise RuntimeError(f"the values differ too much to compare costs: {agreement}")


def one_round(runners: Sequence[Runner], task: Task, costs: dict[str, list[Cost]]) -> None:
    """Measure each contestant once, and ours again with unchanged inputs."""
    for number, runner in enumerate(runners):
        cost = runner.make(runner.contestant.work, own(task, number))
        costs.setdefault(runner.contestant.name, []).append(cost)
        if runner.contestant is ours.CONTESTANT:
            again = runner.make(ours.rerun, own(task, number))
            costs.setdefault(ours.UNCHANGED.name, []).append(again)


def rows_of(costs: dict[str, list[Cost]], size: Size, others: Sequence[Contestant]) -> list[Row]:
    """Rows that compare our CPU time, wall time and memory with each other contestant."""
    mine = costs[ours.CONTESTANT.name]
    first, again = (
        statistics.median(each.cpu for each in group) / size.tiles
        for group in (mine, costs[ours.UNCHANGED.name])
    )
    unchanged = row(
        f"unchanged re-run, against the first run: {size.tiles} tiles in one process",
        again,
        first,
        most=0.1,
        unit="CPU seconds a tile",
    )
    return [unchanged, *(line for other in others for line in compared(mine, costs, other, size))]


def compared(
    mine: Sequence[Cost], costs: dict[str, list[Cost]], other: Contestant, size: Size
) -> list[Row]:
    """Rows of one contestant for the three measures; the target concerns CPU seconds."""
    measures: tuple[tuple[str, str, Callable[[Cost], float]], ...] = (
        ("cpu", "CPU seconds a tile", lambda each: each.cpu / size.tiles),
        ("wall", "seconds a tile, wall, one process", lambda each: each.wall / size.tiles),
        ("memory", "MB, peak of the largest process", lambda each: each.peak_mb),
    )
    found = []
    for measure, unit, figure in measures:
        measured = row(
            f"our pipeline, against {other.name}",
            statistics.median(map(figure, mine)),
            statistics.median(map(figure, costs[other.name])),
            most=other.most if measure == "cpu" else None,
            unit=unit,
        )
        found.append({**measured, "contestant": other.name, "measure": measure})
    return found
