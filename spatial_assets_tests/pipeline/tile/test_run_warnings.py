"""Doubts about scenes and indices are named at the end of a run, and in the checks of tiles."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from spatial_assets.pipeline.outcome import MAX_NAMED_WARNINGS, CheckOutcome, RunReport
from spatial_assets.project import Project
from spatial_assets_tests.fixtures.pipeline_runs import PIXELS, Outcomes, run_tiles
from spatial_assets_tests.fixtures.two_zone_project import (
    EAST,
    LATER,
    TWO_TILES,
    write_granule,
    write_project,
)


def check(outcomes: Outcomes, name: str) -> CheckOutcome:
    """The check of the eastern tile, which has the scenes."""
    found = [each for outcome in outcomes.values() for each in outcome.checks]
    return next(each for each in reversed(found) if each.check == name)


def report_of(outcomes: Outcomes) -> RunReport:
    report = RunReport()
    for outcome in outcomes.values():
        report.add(outcome)
    return report


def project_of_two_tiles(tmp_path: Path) -> Project:
    grid = {"pixel_zoom": 10, "chunk": 128, "shard": 256, "level": 10}
    return write_project(tmp_path / "p", tmp_path / "catalog", area={"bbox": TWO_TILES}, grid=grid)


def test_an_index_without_variance_is_a_warning(tmp_path: Path) -> None:
    pixels = EAST.pixels()
    pixels["nir"] = pixels["red"]
    write_granule(tmp_path / "catalog", EAST, pixels=pixels)
    write_granule(tmp_path / "catalog", replace(LATER, id="fine", day="2023-09-02"))

    outcomes = run_tiles(project_of_two_tiles(tmp_path), stages=PIXELS)

    found = check(outcomes, "index_range")
    assert not found.verdict.passed
    assert not found.severe
    assert found.verdict.evidence["without_variance"] == "{'ndvi': ['2023-08']}"
    (line,) = report_of(outcomes).warning_lines()
    assert line.startswith("ndvi has no variance over clear land in 2023-08:")
    assert not report_of(outcomes).bad


def test_an_index_of_fields_and_woods_varies(tmp_path: Path) -> None:
    write_granule(tmp_path / "catalog", EAST)

    outcomes = run_tiles(project_of_two_tiles(tmp_path), stages=PIXELS)

    found = check(outcomes, "index_range")
    assert found.verdict.passed
    assert found.verdict.evidence["without_variance"] == "none"
    assert report_of(outcomes).warning_lines() == []


def test_scenes_that_are_doubtful_or_not_used_are_named(tmp_path: Path) -> None:
    item = EAST.item(**{"proj:epsg": 32634})
    write_granule(tmp_path / "catalog", EAST, item=item)
    alien = replace(LATER, id="alien", platform="landsat-1")
    write_granule(tmp_path / "catalog", alien)

    outcomes = run_tiles(project_of_two_tiles(tmp_path), stages=PIXELS)

    evidence = check(outcomes, "source_intact").verdict.evidence
    assert json.loads(str(evidence["refused_scenes"]).replace("'", '"')) == {
        "alien": "unknown_platform"
    }
    lines = report_of(outcomes).warning_lines()
    assert [line.partition(" (")[0] for line in lines] == [
        "scene alien is not used: unknown_platform",
        "scene east_0810: its item states another CRS than its files, which count",
    ]


def test_the_same_warning_of_many_tiles_is_one_line() -> None:
    report = RunReport()
    report.warnings = {f"warning {number:02}": ["b", "a"] for number in range(30)}

    lines = report.warning_lines()

    assert lines[0] == "warning 00 (2 tiles, e.g. a)"
    assert len(lines) == MAX_NAMED_WARNINGS + 1
    assert lines[-1] == "and 10 more: see the checks of the tiles"
