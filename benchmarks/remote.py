"""Tiles from scenes in S3, 50 ms and 200 Mbit/s away, beside other ways to the same tiles.

A real S3 server behind `slow_line.py`; the product is stored on this machine. Each contestant has
a process of its own, so that nobody finds in a cache what another has read.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import boto3

from benchmarks import remote_contestants as c
from benchmarks.pixels import PROJECT
from benchmarks.rows import Row, row
from benchmarks.scenes import BBOX, Granules
from benchmarks.slow_line import BYTES_A_SECOND, Line, Passed, slow_line
from spatial_assets.project import Project, load_project
from spatial_assets_tests.servers.s3 import S3Server, serve

GRANULES = Granules(days=2, band_metres=10)
ZOOM = 14
TILES = 6
BUCKET = "scenes"
SOURCE = """
[scenes.source]
endpoint = "{endpoint}"
region = "us-east-1"
"""

Work = Callable[[Project, Sequence[str], Path], None]


@dataclass(frozen=True)
class Cost:
    """What one contestant took."""

    seconds: float
    passed: Passed


def rows() -> list[Row]:
    """Time all contestants on the same tiles."""
    with tempfile.TemporaryDirectory(prefix="spatial-assets-bench-") as scratch:
        folder = Path(scratch)
        with _far_scenes(folder) as line:
            found = {
                work.__name__: _cost(work, _project(folder, work.__name__, line), line)
                for work in (c.ours, c.warped_vrt, c.odc_stac, c.our_windows, c.their_windows)
            }
            project = _project(folder, "needed", line)
            needed = c.needed_bytes(project, _tiles(project), folder / "local")
    return _rows(found, needed)


def _rows(found: dict[str, Cost], needed: int) -> list[Row]:
    unit = f"seconds, {TILES} tiles of 2,048 pixels, {GRANULES.days} scenes, 50 ms, 200 Mbit/s"
    ours = found["ours"]
    most_bytes = ours.seconds * BYTES_A_SECOND
    return [
        row(
            "S3 far away: against WarpedVRT + DEFLATE over /vsis3 as it is by default",
            ours.seconds,
            found["warped_vrt"].seconds,
            most=1 / 3,
            unit=unit,
        ),
        row(
            "S3 far away: against odc.stac.load + zarr",
            ours.seconds,
            found["odc_stac"].seconds,
            most=None,
            unit=unit,
        ),
        row(
            "S3 far away: our reader against rasterio's, the same windows",
            found["our_windows"].seconds,
            found["their_windows"].seconds,
            most=None,
            unit=unit,
        ),
        row(
            "S3 far away: requests, against WarpedVRT over /vsis3",
            ours.passed.requests / TILES,
            found["warped_vrt"].passed.requests / TILES,
            most=None,
            unit="requests a tile",
        ),
        row(
            "S3 far away: bytes, against those of the blocks that are needed, each once",
            ours.passed.bytes / TILES,
            needed / TILES,
            most=None,
            unit="bytes a tile",
        ),
        row(
            "S3 far away: use of the line",
            ours.passed.bytes,
            most_bytes,
            most=None,
            unit="bytes carried of those that could have been",
        ),
    ]


def _cost(work: Work, project: Project, line: Line) -> Cost:
    """What a contestant takes in a fresh process."""
    line.passed()
    folder = project.file.parent / "out"
    folder.mkdir()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        seconds = pool.submit(_timed, work, project, folder).result()
    cost = Cost(seconds, line.passed())
    print(
        f"  {work.__name__}: {seconds:.1f} s, {cost.passed.requests} requests, "
        f"{cost.passed.bytes / 1e6:.0f} MB, line used {cost.passed.utilisation(seconds):.0%}",
        flush=True,
    )
    return cost


def _timed(work: Work, project: Project, folder: Path) -> float:
    started = time.perf_counter()
    work(project, _tiles(project), folder)
    return time.perf_counter() - started


def _tiles(project: Project) -> Sequence[str]:
    return project.partitioning.keys[:TILES]


@contextlib.contextmanager
def _far_scenes(folder: Path) -> Iterator[Line]:
    """Scenes in a bucket at the other end of a slow line; their items stay here."""
    print(f"making {GRANULES.days} scenes ...", flush=True)
    GRANULES.make(folder / "plain")
    weed = Path(sys.executable).with_name("weed")
    for server in serve(weed, folder):
        _upload(folder, server)
        with slow_line(int(urlsplit(server.endpoint).port or 0)) as line, _keys_of(server, line):
            yield line


def _upload(folder: Path, server: S3Server) -> None:
    """Copy the files to the bucket as COGs, and the items to `items` with their new hrefs."""
    server.make_bucket(BUCKET)
    client = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name=server.region,
    )
    (folder / "items").mkdir()
    for path in sorted((folder / "plain").glob("*/*.tif")):
        cog = folder / "local" / path.parent.name / path.name
        cog.parent.mkdir(parents=True, exist_ok=True)
        c.as_cog(path, cog)
        path.unlink()
        client.upload_file(str(cog), BUCKET, f"{path.parent.name}/{path.name}")
    for path in (folder / "plain").glob("*/*.json"):
        item = json.loads(path.read_text())
        for asset in item["assets"].values():
            asset["href"] = f"s3://{BUCKET}/{path.stem}/{asset['href']}"
        (folder / "items" / path.name).write_text(json.dumps(item))
    client.close()
    shutil.rmtree(folder / "plain")


@contextlib.contextmanager
def _keys_of(server: S3Server, line: Line) -> Iterator[None]:
    """The variables with which everyone finds the server, for the time of the block."""
    before = dict(os.environ)
    os.environ |= {
        "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": server.secret_key,
        "AWS_REGION": server.region,
        "AWS_S3_ENDPOINT": line.endpoint.removeprefix("http://"),
        "AWS_HTTPS": "NO",
        "AWS_VIRTUAL_HOSTING": "FALSE",
        "SPATIAL_ASSETS_SOURCE_ACCESS_KEY_ID": server.access_key,
        "SPATIAL_ASSETS_SOURCE_SECRET_ACCESS_KEY": server.secret_key,
    }
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _project(scratch: Path, name: str, line: Line) -> Project:
    folder = scratch / name
    folder.mkdir()
    text = PROJECT.format(bbox=list(BBOX), zoom=ZOOM, level=ZOOM - 3, scenes=scratch / "items")
    (folder / "project.toml").write_text(text + SOURCE.format(endpoint=line.endpoint))
    return load_project(folder, env={})


if __name__ == "__main__":
    rows()
