"""Scenes to NDVI, all stages stored, beside the limit and beside other ways to the same tiles.

CPU seconds of this process, median of the repeats, contestants in turn, after each has made one
tile unmeasured: libraries are loaded then, and its answer is compared with ours.
"""

from __future__ import annotations

import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import contestants as c
from benchmarks.limit import limit, limit_ndvi
from benchmarks.rows import Row, row
from benchmarks.scenes import BBOX, Granules
from spatial_assets.pipeline.outcome import State
from spatial_assets.project import Project, load_project

LEAST_AGREEING = 0.99  # of the pixels: along the edges of clouds and holes GDAL's rules differ
LARGEST_DIFFERENCE = 100  # stored steps, of 99 % of the pixels: 0.01 NDVI

PROJECT = """
[area]
bbox = {bbox}
[grid]
pixel_zoom = {zoom}
chunk = 512
shard = 2048
level = {level}
[scenes]
catalog = "{scenes}"
sensor = "sentinel-2-l2a"
[time]
start = 2023-08-01
end = 2023-08-31
"""

Work = Callable[[Project, Sequence[str], Path], None]


@dataclass(frozen=True)
class Size:
    """How much work a benchmark is."""

    granules: Granules
    zoom: int
    tiles: int
    repeats: int


SIZES = {
    "quick": Size(Granules(days=3, band_metres=20), zoom=13, tiles=6, repeats=3),
    "full": Size(Granules(days=3, band_metres=10), zoom=14, tiles=16, repeats=5),
}


@dataclass(frozen=True)
class Rival:
    """Another way to the same tiles."""

    what: str
    work: Work
    most: float | None
    """That our cost may be as a multiple of theirs, if something is promised."""

    read: Callable[[Path, str], NDArray[np.int16]] = c.their_ndvi
    needs: str = "rasterio"
    """A library that may not be installed."""

    def is_here(self) -> bool:
        """Whether its library is installed."""
        return importlib.util.find_spec(self.needs) is not None


LIMIT = Rival("against the limit", limit, 1.5, limit_ndvi, "numba")
RIVALS = (
    Rival("against the WarpedVRT + DEFLATE idiom, all stages stored", c.warped_vrt, 1 / 5),
    Rival("against odc.stac.load + zarr", c.odc_stac, 1 / 3, needs="odc.stac"),
    Rival("against rioxarray reproject + DEFLATE", c.rioxarray_reproject, None),
)


def rows(size: Size) -> list[Row]:
    """Time all contestants on the same tiles."""
    wanted = [each for each in (LIMIT, *RIVALS) if each.most or size is SIZES["full"]]
    rivals = [each for each in wanted if _installed(each)]
    with tempfile.TemporaryDirectory(prefix="spatial-assets-bench-") as scratch:
        folder = Path(scratch)
        print(f"making {size.granules.days} scenes ...", flush=True)
        size.granules.make(folder / "scenes")
        compare_answers(_project(folder, "warm", size), rivals, size)
        figures: dict[str, list[float]] = {}
        for repeat in range(size.repeats):
            for what, seconds in round_of(_project(folder, f"run{repeat}", size), rivals, size):
                figures.setdefault(what, []).append(seconds)
            print(f"round {repeat + 1} of {size.repeats} done", flush=True)
    seconds = {what: statistics.median(each) for what, each in figures.items()}
    unit = f"CPU seconds, {size.tiles} tiles of 2,048 pixels, {size.granules.days} scenes"
    again = row(
        "unchanged re-run, against the first",
        seconds["unchanged"],
        seconds["ours"],
        most=0.1,
        unit=unit,
    )
    beside = [
        row(rival.what, seconds["ours"], seconds[rival.what], most=rival.most, unit=unit)
        for rival in rivals
    ]
    return [again, *beside]


def compare_answers(project: Project, rivals: Sequence[Rival], size: Size) -> None:
    """Make one tile of each, and refuse to time what does not give our answer.

    It is a tile that is not timed, so that nobody finds its files in a cache.
    """
    key = project.partitioning.keys[size.tiles]
    c.ours(project, [key])
    ours = c.our_ndvi(project, key)
    for rival in rivals:
        folder = _folder(project, rival)
        rival.work(project, [key], folder)
        theirs = rival.read(folder, key)
        seen = (ours != c.FILL) & (theirs != c.FILL)
        agreeing = float(((ours != c.FILL) == (theirs != c.FILL)).mean())
        off = float(np.quantile(np.abs(ours[seen].astype(int) - theirs[seen]), 0.99))
        print(f"  {rival.work.__name__}: {agreeing:.2%} of the pixels agree on being known, "
              f"99 % of them within {off * 1e-4:.4f}", flush=True)  # fmt: skip
        if agreeing < LEAST_AGREEING or off > LARGEST_DIFFERENCE or not seen.any():
            message = f"{rival.work.__name__} gives another answer than ours: nothing to compare"
            raise RuntimeError(message)


def round_of(project: Project, rivals: Sequence[Rival], size: Size) -> list[tuple[str, float]]:
    """CPU seconds of each contestant, once."""
    tiles = project.partitioning.keys[: size.tiles]
    figures = [
        ("ours", cpu(lambda: c.ours(project, tiles))),
        ("unchanged", cpu(lambda: c.ours(project, tiles, State.UNCHANGED))),
    ]
    for rival in rivals:
        folder = _folder(project, rival)
        figures.append((rival.what, cpu(lambda: rival.work(project, tiles, folder))))  # noqa: B023
    return figures


def cpu(work: Callable[[], None]) -> float:
    """CPU seconds that `work` takes in this process."""
    started = time.process_time()
    work()
    return time.process_time() - started


def _installed(rival: Rival) -> bool:
    try:
        here = rival.is_here()
    except ModuleNotFoundError:
        here = False
    if not here:
        print(f"left out, as {rival.needs} is not installed: {rival.what}")
    return here


def _project(scratch: Path, name: str, size: Size) -> Project:
    folder = scratch / name
    folder.mkdir()
    text = PROJECT.format(
        bbox=list(BBOX), zoom=size.zoom, level=size.zoom - 3, scenes=scratch / "scenes"
    )
    (folder / "project.toml").write_text(text)
    return load_project(folder, env={})


def _folder(project: Project, rival: Rival) -> Path:
    folder = project.file.parent / rival.work.__name__
    folder.mkdir(exist_ok=True)
    return folder
