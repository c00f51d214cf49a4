"""An update of one period of tiles with years of history, against one with weeks."""

from __future__ import annotations

import datetime as dt
import json
import os
from pathlib import Path
from statistics import median

from benchmarks.direct_run import run_directly
from benchmarks.projects import SQUARE_ZOOM, square, write_project
from benchmarks.rows import Row, bound, row
from benchmarks.tile_costs import cpu
from benchmarks.tiny_tiles import write_scene
from spatial_assets.project import Project

NEWEST = dt.date(2023, 7, 21)
DAYS_BETWEEN = 2.5
"""Days between two scenes of one place: 730 are five years."""

FEW, MANY, TILES = 10, 730, 16
MOST = 1.2
LEAST = 0.5
"""A smaller ratio is noise, and says that the tiles are too few."""
UPDATES = 4
"""Updates that are measured, the first of them to warm up: four scenes of one dekad."""


def rows(folder: Path, *, few: int = FEW, many: int = MANY, tiles: int = TILES) -> list[Row]:
    """CPU of one more scene in the newest dekad, of each tile and of each scene of the run."""
    young, old = (made(folder / str(scenes), scenes, tiles=tiles) for scenes in (few, many))
    costs = {project.file.parent.name: updated(project) for project in (young, old)}
    (_, of_few), (fixed, of_many) = costs[str(few)], costs[str(many)]
    return [
        row(
            f"update of one period of a tile: {many} scenes of history against {few}",
            of_many * 1000,
            of_few * 1000,
            most=MOST,
            least=LEAST,
            unit="ms CPU",
        ),
        bound(
            "a run, beside its tiles, for a scene of the catalogue",
            fixed * 1000 / many,
            most=None,
            unit="ms CPU",
        ),
    ]


def made(folder: Path, scenes: int, *, tiles: int) -> Project:
    """Return a project of tiny tiles that are made of all scenes but the newest."""
    template = write_template(folder / "template")
    for number in range(1, scenes + 1):
        write_copy(template, folder / "scenes", NEWEST - dt.timedelta(DAYS_BETWEEN * number))
    project = write_project(
        folder,
        bbox=square(tiles),
        scenes="scenes",
        zoom=SQUARE_ZOOM,
        pixels=256,
        more='period = "dekad"',
        start="2018-07-01",
    )
    run_directly(project, project.partitioning.keys)
    return project


def updated(project: Project) -> tuple[float, float]:
    """Return the CPU seconds of a run without its tiles, and of each tile, for the newest scene.

    The first update only warms the process up; of the others the medians count.
    """
    first, *others = project.partitioning.keys
    ones, mores = [], []
    for number in range(UPDATES):
        template = next(each for each in (project.root / "template").iterdir() if each.is_dir())
        write_copy(template, project.root / "scenes", NEWEST + dt.timedelta(number))
        ones.append(cpu(lambda: run_directly(project, [first])))
        mores.append(cpu(lambda: run_directly(project, others)))
    one, more = median(ones[1:]), median(mores[1:])
    tile = (more - one) / (len(others) - 1)
    return one - tile, tile


def write_template(folder: Path) -> Path:
    """Write one scene and return its folder."""
    write_scene(folder)
    return next(each for each in folder.iterdir() if each.is_dir())


def write_copy(template: Path, catalog: Path, day: dt.date) -> None:
    """Write an item of another day over the same files."""
    name = f"S2B_33TXL_{day:%Y%m%d}_0_L2A"
    folder = catalog / name
    folder.mkdir(parents=True)
    for file in template.glob("*.tif"):
        os.link(file, folder / file.name)
    (document,) = template.glob("*.json")
    item = json.loads(document.read_text())
    item["id"] = name
    item["properties"]["datetime"] = f"{day}T10:08:08Z"
    (folder / f"{name}.json").write_text(json.dumps(item))
