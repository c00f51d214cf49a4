"""Tiles from scenes in S3 at 50 ms and 200 Mbit/s, made by the product and by other libraries.

Each contestant runs in a separate process and has made a tile of the same scenes before, from local
disk: libraries are loaded then, and no remote file is in any cache. Output is stored locally.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import rasterio

from benchmarks.contest import compare, tile_of
from benchmarks.contestants import odc_stac, odc_stac_remote, ours, warped_vrt, windows
from benchmarks.contestants.task import Contestant, Task
from benchmarks.projects import ONE_MONTH, write_project
from benchmarks.remote_scenes import BUCKET, serving_remote_scenes
from benchmarks.rows import Row, row
from benchmarks.runner import Runner
from benchmarks.scenes import BBOX
from benchmarks.slow_network import BYTES_A_SECOND, NetworkLink, Traffic
from spatial_assets.geo.grid.geobox import Window
from spatial_assets.pipeline.tile.raw_tile import raw_windows
from spatial_assets.project import load_project

MORE = """{month}
[scenes.source]
endpoint = "{endpoint}"
region = "us-east-1"
"""


@dataclass(frozen=True)
class RemoteCost:
    """Cost of one contestant."""

    seconds: float
    traffic: Traffic


CONTESTANTS: tuple[tuple[Contestant, Contestant], ...] = (
    (ours.CONTESTANT, ours.CONTESTANT),
    (warped_vrt.CONTESTANT, warped_vrt.CONTESTANT),
    (odc_stac.CONTESTANT, odc_stac_remote.CONTESTANT),
    (windows.OURS, windows.OURS),
    (windows.THEIRS, windows.THEIRS),
)
"""Contestants with local files, and the same with remote files."""


def rows(folder: Path, scenes: Path, *, zoom: int, tiles: int) -> list[Row]:
    """Time all contestants on the same tiles.

    Args:
        folder: working folder.
        scenes: folder of the granules.
        zoom: zoom of the pixels.
        tiles: number of tiles to make.
    """
    costs: dict[str, RemoteCost] = {}
    with serving_remote_scenes(scenes, folder / "far") as line:
        for number, (near, far) in enumerate(CONTESTANTS):
            at = folder / f"contestant{number}"
            warm = _task(at / "near", scenes, zoom=zoom, which=slice(tiles, tiles + 1))
            task = _task(at / "far", scenes, zoom=zoom, which=slice(tiles), line=line)
            costs[far.name] = _measure(near, far, warm=warm, task=task, line=line)
            if far in {warped_vrt.CONTESTANT, odc_stac_remote.CONTESTANT}:
                compare(far, task, replace(task, project=folder / "contestant0" / "far"))
        needed = needed_bytes(task, scenes)
    return _rows(costs, needed, tiles=tiles, days=len(task.scenes))


def _rows(costs: dict[str, RemoteCost], needed: int, *, tiles: int, days: int) -> list[Row]:
    mine, theirs, odc = (
        costs[each.name]
        for each in (ours.CONTESTANT, warped_vrt.CONTESTANT, odc_stac_remote.CONTESTANT)
    )
    reading, their_reading = (costs[each.name] for each in (windows.OURS, windows.THEIRS))
    carried, could = mine.traffic.bytes, mine.seconds * BYTES_A_SECOND
    requests, their_requests = mine.traffic.requests / tiles, theirs.traffic.requests / tiles
    wall, share = "seconds, wall, one process", "bytes, of those the line could have carried"
    found: list[tuple[str, float, float, float | None, str]] = [
        ("WarpedVRT over /vsis3 with its defaults", mine.seconds, theirs.seconds, 1 / 3, wall),
        (odc_stac_remote.CONTESTANT.name, mine.seconds, odc.seconds, None, wall),
        ("rasterio, windows only", reading.seconds, their_reading.seconds, None, wall),
        ("WarpedVRT over /vsis3", requests, their_requests, None, "requests a tile"),
        ("the blocks it needs, each once", carried / tiles, needed / tiles, None, "bytes a tile"),
        ("the line", carried, could, None, share),
    ]
    far = f"{tiles} tiles of {days} scenes in S3, 50 ms and 200 Mbit/s away, against"
    return [
        row(f"{far} {what}", one, other, most=most, unit=unit)
        for what, one, other, most, unit in found
    ]


def _measure(
    near: Contestant, far: Contestant, *, warm: Task, task: Task, line: NetworkLink
) -> RemoteCost:
    """Measure a contestant after it has made another tile from local files."""
    runner = Runner(near)
    try:
        runner.make(near.work, warm)
        line.traffic()
        cost = runner.make(far.work, task)
    finally:
        runner.end()
    found = RemoteCost(cost.wall, line.traffic())
    print(
        f"  {far.name}: {found.seconds:.1f} s, {cost.cpu:.1f} CPU s, {found.traffic.requests} "
        f"requests, {found.traffic.bytes / 1e6:.0f} MB, "
        f"{found.traffic.utilisation(found.seconds):.0%} of the line",
        flush=True,
    )
    return found


def _task(
    folder: Path, scenes: Path, *, zoom: int, which: slice, line: NetworkLink | None = None
) -> Task:
    """Build a task with a project of its own; with a link, it reads the remote scenes."""
    folder.mkdir(parents=True)
    catalog, more = scenes, ONE_MONTH
    names = sorted(each.name for each in scenes.iterdir() if each.is_dir())
    if line is not None:
        catalog = folder / "items"
        shutil.copytree(line.items, catalog)
        more = MORE.format(month=ONE_MONTH, endpoint=line.endpoint)
    project = write_project(folder, bbox=BBOX, scenes=catalog, zoom=zoom, more=more)
    home = scenes if line is None else Path("/vsis3") / BUCKET
    return Task(
        scenes=tuple(home / name for name in names),
        tiles=tuple(tile_of(project, key) for key in project.partitioning.keys[which]),
        project=folder,
        folder=folder,
    )


def needed_bytes(task: Task, scenes: Path) -> int:
    """Size of all blocks below the tiles in bytes, each counted once."""
    project = load_project(task.project, env={})
    boxes = [
        project.pixel_grid.geobox(project.partitioning.tile(tile.key).window) for tile in task.tiles
    ]
    total = 0
    for record in windows.records(project):
        under = [raw_windows(record, box, project.sensor.clear) or {} for box in boxes]
        for name in record.files:
            wanted = [each[name] for each in under if name in each]
            total += block_bytes(scenes / record.id / f"{name}.tif", wanted)
    return total


def block_bytes(path: Path, wanted: Sequence[Window]) -> int:
    """Size in bytes of the blocks of a file below any of the windows."""
    with rasterio.open(path) as file:
        rows, columns = file.block_shapes[0]
        blocks = {
            (x, y)
            for window in wanted
            for y in range(window.row // rows, -(-window.row_stop // rows))
            for x in range(window.column // columns, -(-window.column_stop // columns))
        }
        sizes = (file.get_tag_item(f"BLOCK_SIZE_{x}_{y}", "TIFF", bidx=1) for x, y in blocks)
        return sum(int(size or 0) for size in sizes)
