"""Commands at many tiles: few calls a tile, no statement and no object a tile. Counted."""

from __future__ import annotations

import cProfile
import json
import pstats
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from benchmarks.commands import DATABASE_URL, made_project, make_all
from spatial_assets.cli.planning import read_volume
from spatial_assets.project import Project

Run = Callable[..., Result]

TILES = 400
MAX_CALLS_OF_A_TILE = 60
"""Python calls that a tile may cost a command; a footprint alone once cost a hundred."""

MAX_STATEMENTS = 20


@pytest.fixture(params=["DuckDB", "PostGIS"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    """A project of many tiles, all made."""
    url = request.getfixturevalue("postgis_url") if request.param == "PostGIS" else ""
    made = made_project(tmp_path / "project", TILES, database=url)
    make_all(made)
    return made


def profiled(run: Run, project: Project, *command: str) -> tuple[str, pstats.Stats]:
    url = project.database_url
    env = {DATABASE_URL: url} if url.startswith("postgresql") else {}
    with cProfile.Profile() as profile:
        result = run("--project", project.root, *command, **env)
    assert result.exit_code == 0, result.output
    return result.stdout, pstats.Stats(profile)


def calls_of(stats: pstats.Stats, *names: str) -> int:
    """Number of calls of the functions with these names."""
    counted: dict[tuple[str, int, str], tuple[int, int]] = stats.stats  # type: ignore[attr-defined]
    return sum(numbers[1] for (_, _, name), numbers in counted.items() if name in names)


def total(stats: pstats.Stats) -> int:
    calls: int = stats.total_calls  # type: ignore[attr-defined]
    return calls


def test_plan_and_status_make_few_calls_a_tile(run: Run, project: Project) -> None:
    key, tiles = project.partitioning.keys[0], len(project.partitioning.keys)
    for command in ("plan", "status"):
        profiled(run, project, command)  # the first use imports

        text, all_tiles = profiled(run, project, command)
        _, one_tile = profiled(run, project, "plan", "--tiles", key)

        assert f"{tiles:,} tiles" in text
        assert "materialized" in text
        assert (total(all_tiles) - total(one_tile)) / tiles <= MAX_CALLS_OF_A_TILE
        assert 0 < calls_of(all_tiles, "in_transaction") <= MAX_STATEMENTS
        assert calls_of(all_tiles, "footprint", "submit") == 0  # other threads read manifests


def test_of_many_changed_tiles_a_sample_of_manifests_is_read(
    run: Run, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_volume, "MAX_SAMPLED_MANIFESTS", 50)
    for path in (project.root / "scenes").glob("*/*.tif"):
        path.write_bytes(bytes(1_000))  # other files than the tiles were made from

    text, stats = profiled(run, project, "plan")

    tiles = len(project.partitioning.keys)
    assert calls_of(stats, "submit") == 50  # other threads read them
    assert f"of {tiles} tiles with other scenes than before, 50 were looked at" in text
    planned: dict[str, Any] = json.loads(profiled(run, project, "plan", "--json")[0])
    monkeypatch.setattr(read_volume, "MAX_SAMPLED_MANIFESTS", tiles)
    exact: dict[str, Any] = json.loads(profiled(run, project, "plan", "--json")[0])
    assert exact["scenes_to_read"] == planned["scenes_to_read"] == exact["scenes"]
    assert planned["bytes_to_read"] == pytest.approx(exact["bytes_to_read"], rel=0.1)
    assert exact["bytes_to_read"] > 0
