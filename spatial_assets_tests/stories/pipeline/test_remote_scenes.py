"""Scenes on a server: the same product as from disk, and no byte of a file requested twice."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from spatial_assets.pipeline.engines.engine import Engine, InlineEngine, ProcessEngine
from spatial_assets.pipeline.outcome import State
from spatial_assets_tests.fixtures.pipeline_runs import PIXELS, read_cube, run_tiles
from spatial_assets_tests.fixtures.two_zone_project import FILES, write_project
from spatial_assets_tests.fixtures.web_server import WebServer, serving

GRID = {"pixel_zoom": 10, "chunk": 128, "shard": 256, "level": 10}


def far_country(web: WebServer, items: Path) -> Path:
    """Items of the shared catalogue, with hrefs that lead to the server."""
    shutil.copytree(web.folder, items, ignore=shutil.ignore_patterns("*.tif"))
    for path in items.rglob("*.json"):
        document = json.loads(path.read_text())
        for band, name in FILES.items():
            document["assets"][band]["href"] = f"{web.url}/{path.parent.name}/{name}"
        path.write_text(json.dumps(document))
    return items


@pytest.mark.parametrize(
    "engine",
    [
        pytest.param(InlineEngine(), id="here"),
        pytest.param(ProcessEngine(workers=2, gdal_cache_mb=64), id="two-workers"),
    ],
)
def test_far_scenes_give_the_product_of_near_ones_and_cross_the_line_once(
    damaged_catalog: Path, tmp_path: Path, engine: Engine
) -> None:
    near = write_project(tmp_path / "near", damaged_catalog, grid=GRID)
    run_tiles(near, stages=PIXELS)
    with serving(damaged_catalog) as web:
        far = write_project(tmp_path / "far", far_country(web, tmp_path / "items"), grid=GRID)

        outcomes = run_tiles(far, stages=PIXELS, engine=engine)
        asked = list(web.requests)
        again = run_tiles(far, stages=PIXELS, engine=engine)
        asked_again = web.requests[len(asked) :]

    for one, other in zip(read_cube(near), read_cube(far), strict=True):
        assert np.array_equal(one, other)
    assert {outcome.state for outcome in outcomes.values()} <= {State.MATERIALIZED, State.EMPTY}
    assert {outcome.state for outcome in again.values()} == {State.UNCHANGED}
    assert {request.method for request in asked_again} == {"HEAD"}
    for path in {request.path for request in asked}:
        found = sorted(
            tuple(map(int, request.headers["range"].removeprefix("bytes=").split("-")))
            for request in asked
            if request.path == path and request.method == "GET"
        )
        # a damaged block is asked for once more by each tile that meets it
        twice = [b for a, b in pairwise(found) if b[0] <= a[1]]
        assert not twice or "east_0810" in path, (path, found)
