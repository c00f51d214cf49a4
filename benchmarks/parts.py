"""Parts that `make bench` and `make bench-quick` measure, in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import (
    boundaries,
    commands,
    contest,
    events,
    history,
    imports,
    orchestration,
    regrid,
    remote,
    scale_out,
    tables,
    ticks,
)
from benchmarks.rows import Row
from benchmarks.scenes import Granules, compressed_size

Measure = Callable[[Path, Path], list[Row]]
"""Function of a working folder and of the folder of the scenes, which the part `scenes` writes."""


@dataclass(frozen=True)
class Part:
    """Rows that are measured together in a separate process."""

    name: str
    minutes: float
    """Expected time on two idle cores, for the estimate of the end."""

    measure: Measure


REAL = Granules(days=3, band_metres=10)
COARSE = Granules(days=3, band_metres=20)
QUICK_CONTESTANTS = ("limit", "odc_stac", "mapchete_tiles", "gdal_tools", "warped_vrt")


def full() -> tuple[Part, ...]:
    """All parts at full size."""
    size = contest.Size(granules=REAL, zoom=14, tiles=12, repeats=3)
    return (
        Part("scenes", 1, lambda _, of: made(REAL, of)),
        Part("contest", 13, lambda at, of: contest.rows(size, scenes=of, folder=at)),
        Part("far away", 3, lambda at, of: remote.rows(at, of, zoom=14, tiles=9)),
        Part("big tiles", 6, lambda at, of: orchestration.big_tiles(at, of, count=200, zoom=15)),
        Part("small tiles", 3, lambda at, _: orchestration.small_tiles(at, 1000)),
        Part("many keys", 3, lambda at, _: orchestration.many_keys(at, 1000)),
        Part("usual shape", 1, lambda at, _: orchestration.one_run_a_partition(at, 50, 3)),
        Part("prefect", 1, lambda at, _: orchestration.prefect_map(at, 400)),
        Part("imports", 1, lambda *_: imports.rows()),
        Part("tables", 2, lambda *_: tables.rows()),
        Part("events", 3, lambda *_: events.rows()),
        Part("boundaries", 2, lambda *_: boundaries.rows()),
        Part("scale out", 6, lambda at, of: scale_out.rows(at, of, tiles=12, simulated=100_000)),
        Part("ticks", 4, lambda *_: ticks.rows()),
        Part("history", 4, lambda at, _: history.rows(at)),
        Part("regrid", 4, lambda at, _: regrid.rows(at, shards=1000)),
        Part("commands", 8, lambda *_: commands.rows()),
    )


def quick() -> tuple[Part, ...]:
    """The same on fewer tiles, in under three minutes."""
    size, some = contest.Size(granules=COARSE, zoom=14, tiles=3, repeats=1), QUICK_CONTESTANTS
    return (
        Part("scenes", 0.2, lambda _, of: made(COARSE, of)),
        Part("contest", 1.2, lambda at, of: contest.rows(size, scenes=of, folder=at, names=some)),
        Part("big tiles", 0.4, lambda at, of: orchestration.big_tiles(at, of, count=6, zoom=14)),
        Part("usual shape", 0.4, lambda at, _: orchestration.one_run_a_partition(at, 50, 1)),
        Part("prefect", 0.3, lambda at, _: orchestration.prefect_map(at, 400)),
        Part("imports", 0.3, lambda *_: imports.rows(tries=2)),
        Part("tables", 0.2, lambda *_: tables.rows(polygons=20_000, tiles=50)),
    )


def trial() -> tuple[Part, ...]:
    """All parts at minimal size, to check that they run."""
    size = contest.Size(granules=COARSE, zoom=14, tiles=1, repeats=1, pixels=512)
    return (
        Part("scenes", 0.2, lambda _, of: made(COARSE, of)),
        Part("contest", 0.5, lambda at, of: contest.rows(size, scenes=of, folder=at)),
        Part("far away", 0.5, lambda at, of: remote.rows(at, of, zoom=14, tiles=1)),
        Part("big tiles", 0.3, lambda at, of: orchestration.big_tiles(at, of, count=2, zoom=14)),
        Part("small tiles", 0.2, lambda at, _: orchestration.small_tiles(at, 16)),
        Part("many keys", 0.4, lambda at, _: orchestration.many_keys(at, 16)),
        Part("usual shape", 0.4, lambda at, _: orchestration.one_run_a_partition(at, 4, 1)),
        Part("prefect", 0.3, lambda at, _: orchestration.prefect_map(at, 20)),
        Part("imports", 0.1, lambda *_: imports.rows(tries=1)),
        Part("tables", 0.2, lambda *_: tables.rows(polygons=1_000, tiles=5)),
        Part("events", 0.3, lambda *_: events.rows(tiles=10, rounds=1)),
        Part("boundaries", 0.2, lambda *_: boundaries.rows(side=20)),
        Part("scale out", 1, lambda at, of: scale_out.rows(at, of, tiles=2, simulated=500)),
        Part("ticks", 0.3, lambda *_: ticks.rows(sizes=(100, 1_000))),
        Part("commands", 0.5, lambda *_: commands.rows(tiles=100)),
        Part("history", 0.3, lambda at, _: history.rows(at, few=2, many=4, tiles=4)),
    )


PARTS_BY_SIZE: dict[str, Callable[[], tuple[Part, ...]]] = {
    "full": full,
    "quick": quick,
    "trial": trial,
}


def made(granules: Granules, folder: Path) -> list[Row]:
    """Write the scenes that the other parts read, and check how well they compress."""
    granules.make(folder)
    return [compressed_size(min(each for each in folder.iterdir() if each.is_dir()))]
