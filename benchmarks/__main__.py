"""`make bench`: ratios between contestants in one run, the cost of a tick, the results as JSON.

CPU seconds of this process, median of the repeats, contestants in turn: absolute figures are
this machine's, ratios hold elsewhere.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import contestants, imports, orchestration, tables, ticks
from benchmarks.scenes import BBOX, make_scenes
from spatial_assets.pipeline.outcome import State
from spatial_assets.project import load_project

REPEATS = 3
DAYS = 3
TILES = 4
RESULTS = Path(__file__).parent / "results"

PROJECT = f"""
[area]
bbox = {list(BBOX)}
[grid]
pixel_zoom = 13
chunk = 512
shard = 2048
level = 10
[scenes]
catalog = "{{scenes}}"
sensor = "sentinel-2-l2a"
[time]
start = 2023-08-01
end = 2023-08-31
"""


def main() -> None:
    """Time all contestants on the same tiles."""
    with tempfile.TemporaryDirectory(prefix="spatial-assets-bench-") as scratch:
        folder = Path(scratch)
        print(f"making {DAYS} scenes ...", flush=True)
        make_scenes(folder / "scenes", DAYS)
        seconds: dict[str, list[float]] = {"ours": [], "unchanged": [], "warped_vrt": []}
        for repeat in range(REPEATS):
            run = folder / f"run{repeat}"
            run.mkdir()
            (run / "project.toml").write_text(PROJECT.format(scenes=folder / "scenes"))
            for name, figure in round_of(run).items():
                seconds[name].append(figure)
            print(f"round {repeat + 1} of {REPEATS} done", flush=True)
    report({name: statistics.median(figures) for name, figures in seconds.items()})
    write("ticks.json", ticks.rows())
    write("orchestration.json", [*imports.rows(), *orchestration.rows(), *tables.rows()])


def round_of(folder: Path) -> dict[str, float]:
    """CPU seconds of each contestant, once."""
    project = load_project(folder, env={})
    tiles = project.partitioning.keys[:TILES]
    return {
        "ours": cpu(lambda: contestants.ours(project, tiles, expected=State.MATERIALIZED)),
        "unchanged": cpu(lambda: contestants.ours(project, tiles, expected=State.UNCHANGED)),
        "warped_vrt": cpu(lambda: contestants.warped_vrt(project, tiles, folder / "idiom")),
    }


def cpu(work: Callable[[], None]) -> float:
    """CPU seconds that `work` takes in this process."""
    started = time.process_time()
    work()
    return time.process_time() - started


def report(seconds: dict[str, float]) -> None:
    """Print the table, and write it as JSON."""
    rows = [
        _row(
            "chain, all stages stored, against WarpedVRT + DEFLATE", "ours", "warped_vrt", seconds
        ),
        _row("nothing to do, against the first run", "unchanged", "ours", seconds),
    ]
    for row in rows:
        print(
            f"{row['what']}: {row['ours']:.2f} s against {row['theirs']:.2f} s, "
            f"{row['ratio']:.2f} times as fast"
        )
    write("quick.json", rows)


def write(name: str, rows: list[dict[str, object]]) -> None:
    """Keep rows as JSON."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / name).write_text(json.dumps(rows, indent=1) + "\n")


def _row(what: str, ours: str, theirs: str, seconds: dict[str, float]) -> dict[str, object]:
    """One comparison: CPU seconds of {TILES} tiles, and how many times as fast ours is."""
    return {
        "what": what,
        "ours": seconds[ours],
        "theirs": seconds[theirs],
        "ratio": seconds[theirs] / seconds[ours],
        "unit": f"CPU seconds for {TILES} tiles of 2,048 pixels, {DAYS} scenes",
    }


if __name__ == "__main__":
    main()
