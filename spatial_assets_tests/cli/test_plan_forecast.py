"""Bytes and time forecast by `plan` match those of the run."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result

from spatial_assets.catalog import Scene, find_scenes
from spatial_assets.cli.app.console import format_size
from spatial_assets.cli.planning.plan_text import format_read_volume as told_of
from spatial_assets.cli.planning.read_volume import (
    COMPRESSION_RATIO,
    ReadVolume,
    scene_shares,
    scene_size,
    sum_read_volume,
)
from spatial_assets.cli.planning.scene_overlaps import scene_overlaps
from spatial_assets.cli.selection.run_rates import recent_throughput, run_rate
from spatial_assets.pipeline.engines.engine import InlineEngine
from spatial_assets.pipeline.run.scenes_of_run import RunScenes
from spatial_assets.project import Project, load_project
from spatial_assets.stores.tables.connect import open_database
from spatial_assets_tests.fixtures.pipeline_runs import store_of
from spatial_assets_tests.fixtures.two_zone_project import write_project

Run = Callable[..., Result]

NOON = dt.datetime(2023, 9, 15, 12, tzinfo=dt.UTC)
HERE = ("--workers", "0")
SLOVENIA = [15.0, 45.06, 16.44, 46.95]
TOLERANCE = 0.2
"""Blocks, halos and another compression than the archive's."""


def planned(run: Run, folder: Path, *options: str) -> dict[str, Any]:
    result = run("--project", folder, "plan", "--json", *options)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def noted(folder: Path) -> list[dict[str, Any]]:
    """The rows of the runs, oldest first."""
    project = load_project(folder, {})
    with open_database(project.database_url) as database:
        database.ensure_schema(project.boundaries, project.indices.names)
        return sorted(database.rows("run_log"), key=lambda row: str(row["started_at"]))


def test_the_predicted_bytes_are_those_that_a_run_reads(run: Run, four_tile_project: Path) -> None:
    foretold = planned(run, four_tile_project)

    run("--project", four_tile_project, "materialize", *HERE)

    (row,) = noted(four_tile_project)  # noise packs a quarter better with the store's predictor
    assert foretold["bytes_to_read"] == pytest.approx(row["bytes_read"], rel=2 * TOLERANCE)
    assert (foretold["scenes_to_read"], foretold["scenes_of_guessed_size"]) == (2, 0)


@pytest.mark.samples
def test_the_bytes_of_real_scenes_are_predicted(run: Run, tmp_path: Path, samples: Path) -> None:
    project = write_project(
        tmp_path / "real",
        samples / "scenes" / "sentinel-2-l2a",
        area={"bbox": SLOVENIA},
        grid={"pixel_zoom": 10, "chunk": 512, "shard": 1024, "level": 8},
        time={"start": "2023-08-01", "end": "2023-08-31"},
    )
    half = ",".join(project.partitioning.keys[:3])
    rest = ",".join(project.partitioning.keys[3:])
    foretold = []
    for tiles in (half, rest):
        foretold.append(planned(run, project.root, "--tiles", tiles)["bytes_to_read"])
        select = ("--select", "raw_tile")
        run("--project", project.root, "materialize", *HERE, *select, "--tiles", tiles)

    read = [row["bytes_read"] for row in noted(project.root)]
    assert min(read) > 1e6
    assert foretold == pytest.approx(read, rel=TOLERANCE)


def test_what_is_in_the_store_is_not_read_again(run: Run, four_tile_project: Path) -> None:
    keys = load_project(four_tile_project, {}).partitioning.keys
    everything = planned(run, four_tile_project)["bytes_to_read"]

    run("--project", four_tile_project, "materialize", "--tiles", keys[0], *HERE)

    rest = planned(run, four_tile_project)["bytes_to_read"]
    alone = planned(run, four_tile_project, "--tiles", ",".join(keys[1:]))["bytes_to_read"]
    assert planned(run, four_tile_project, "--tiles", keys[0])["bytes_to_read"] == 0
    assert (
        "nothing to read" in run("--project", four_tile_project, "plan", "--tiles", keys[0]).stdout
    )
    assert 0 < rest == alone < everything


def test_a_scene_that_changed_is_read_again(run: Run, four_tile_project: Path) -> None:
    run("--project", four_tile_project, "materialize", *HERE)
    (item,) = (four_tile_project / "scenes").glob("west*/*.json")
    document = json.loads(item.read_text())
    document["properties"]["s2:processing_baseline"] = "05.10"
    document["assets"]["red"]["raster:bands"][0]["nodata"] = 1
    item.write_text(json.dumps(document))

    assert planned(run, four_tile_project)["scenes_to_read"] == 1


def test_stages_behind_the_first_read_no_scene(run: Run, four_tile_project: Path) -> None:
    found = planned(run, four_tile_project, "--select", "ndvi,tile_index")

    assert found["stages"] == ["ndvi", "tile_index"]
    assert found["bytes_to_read"] == 0
    assert planned(run, four_tile_project, "--select", "raw_tile")["bytes_to_read"] > 0


def test_the_plan_for_programs_names_the_tiles_and_the_runs(
    run: Run, four_tile_project: Path
) -> None:
    keys = load_project(four_tile_project, {}).partitioning.keys

    found = planned(run, four_tile_project, "--tiles", f"{keys[0]},{keys[2]},{keys[3]}")

    assert found["keys"] == [keys[0], keys[2], keys[3]]
    assert found["states"] == {"missing": 3}
    assert found["runs"] == [
        {"first": keys[0], "last": keys[0], "tiles": 1},
        {"first": keys[2], "last": keys[3], "tiles": 2},
    ]
    assert found["memory"]["total_mb"] <= found["memory"]["allowed_mb"] == 2048
    assert planned(run, four_tile_project, "--quarantined") == {"tiles": 0, "keys": [], "runs": []}


def test_no_time_is_made_up_before_a_run(run: Run, four_tile_project: Path) -> None:
    assert planned(run, four_tile_project)["seconds"] is None
    assert (
        "no run has computed these stages this way yet"
        in run("--project", four_tile_project, "plan").stdout
    )


def test_time_follows_from_the_last_runs_of_these_stages(run: Run, four_tile_project: Path) -> None:
    run("--project", four_tile_project, "materialize", "--workers", "2")
    run(
        "--project", four_tile_project, "materialize", "--workers", "2"
    )  # nothing to compute: no rate of it

    found = planned(run, four_tile_project)

    (row, _) = noted(four_tile_project)
    each = row["seconds"] / 4
    assert found["seconds_a_tile"] == pytest.approx(each, abs=1e-3)
    assert found["seconds"] == pytest.approx(4 * each / 2, abs=0.06)
    assert "s per tile in the last 1 run)" in run("--project", four_tile_project, "plan").stdout
    assert planned(run, four_tile_project, "--select", "raw_tile")["seconds"] is None


def row(number: int, **changes: object) -> Mapping[str, object]:
    began = NOON + dt.timedelta(days=number)
    return {
        "started_at": began,
        "written_at": began,
        "ended_at": began + dt.timedelta(hours=1),
        "stages": ["raw_tile", "ndvi"],
        "workers": 2,
        "computed": 10,
        "seconds": 20.0,
        **changes,
    }


def test_a_rate_is_the_median_of_runs_alike() -> None:
    rows = [
        row(0),
        row(1, seconds=40.0),
        row(2, seconds=3000.0),
        row(3, seconds=1.0, stages=["raw_tile"]),
        row(4, seconds=1.0, workers=8),
        row(5, seconds=0.0, computed=0),
    ]

    rate = run_rate(rows, stages=("raw_tile", "ndvi"), workers=2)

    assert rate is not None
    assert (rate.seconds, rate.runs, rate.duration(100)) == (4.0, 3, 200.0)
    assert rate.duration(1) == 4.0  # one tile is the work of one worker
    assert run_rate(rows, stages=("ndvi",), workers=2) is None


def test_only_the_last_runs_count() -> None:
    rows = [row(0, seconds=1000.0), *(row(number) for number in range(1, 20))]

    rate = run_rate(rows, stages=("raw_tile", "ndvi"), workers=2)

    assert rate is not None
    assert (rate.seconds, rate.runs) == (2.0, 10)


def test_throughput_counts_what_was_computed_and_how_long_runs_lasted() -> None:
    hour = dt.timedelta(hours=1)
    killed = row(2, ended_at=None, written_at=NOON + dt.timedelta(days=2) + 2 * hour)

    throughput = recent_throughput([row(0), row(1, computed=30), killed, row(3, computed=0)])

    assert throughput is not None
    assert (throughput.tiles_per_hour, throughput.runs) == (50 / 4, 3)
    assert recent_throughput([row(0, computed=0)]) is None


@pytest.fixture
def project(four_tile_project: Path) -> Project:
    return load_project(four_tile_project, {})


@pytest.fixture
def scene(project: Project) -> Scene:
    return find_scenes(project).scenes[0]


def remote(scene: Scene, **changes: Any) -> Scene:  # noqa: ANN401 - fields of a source
    """The scene with its bands at a location without file sizes."""
    bands = {
        name: replace(source, href=f"https://example.org/{name}.tif", **changes)
        for name, source in scene.bands.items()
    }
    return replace(scene, bands=bands, class_band=None)


def test_the_size_of_a_scene_is_that_of_its_item(scene: Scene) -> None:
    told = remote(scene, size=1_000_000)

    assert scene_size(told, facts=None, bands=2, density=1.0) == (2_000_000.0, True)


def test_without_sizes_the_headers_of_an_earlier_run_count(project: Project, scene: Scene) -> None:
    supply = RunScenes(project, store_of(project), InlineEngine())
    tiles = [project.partitioning.tile(key) for key in project.partitioning.keys]
    supply.gather(tiles, now=dt.datetime(2023, 9, 1, tzinfo=dt.UTC))
    pixels = 600 * 600

    facts = supply.cached_facts(scene)
    size, is_told = scene_size(remote(scene), facts=facts, bands=2, density=1.0)

    assert size == pytest.approx(COMPRESSION_RATIO * pixels * (2 + 2 + 1))
    assert not is_told


def test_without_anything_pixels_are_counted(scene: Scene) -> None:
    small, _ = scene_size(remote(scene), facts=None, bands=2, density=1e5)
    large, is_told = scene_size(remote(scene), facts=None, bands=2, density=2e5)

    assert 0 < small == pytest.approx(large / 2)
    assert not is_told
    assert "the size of 1 of them is unknown" in told_of(ReadVolume(10, 2, 1))


def test_who_downloads_reads_whole_files_once(project: Project, scene: Scene) -> None:
    overlaps = scene_overlaps(project, project.partitioning.keys, [scene])
    shares = scene_shares(overlaps, np.ones(len(overlaps.tile_numbers)))
    sizes = {scene.id: (1000.0, True)}
    scenes = project.scenes.model_copy(update={"access": "download"})
    downloading = project.model_copy(update={"scenes": scenes})

    windows = sum_read_volume(project, shares, sizes=sizes)
    whole = sum_read_volume(downloading, shares, sizes=sizes)

    assert 0 < windows.bytes < 1000
    assert whole.bytes == 1000


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, "0 kB"), (640_000, "640 kB"), (17.9e6, "17.9 MB"), (1.25e12, "1.2 TB")],
)
def test_amounts_of_data_are_formatted_for_reading(number: float, expected: str) -> None:
    assert format_size(number) == expected
