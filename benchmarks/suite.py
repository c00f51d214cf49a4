"""What is measured, in order, by `make bench` and by `make bench-quick`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import contest, imports, orchestration, tables, ticks
from benchmarks.rows import Row
from benchmarks.scenes import Granules, compressed_size

Measure = Callable[[Path, Path], list[Row]]
"""Takes a folder to work in and the folder of the scenes."""


RIVALS_IN_A_HURRY = ("limit", "odc_stac", "mapchete_tiles", "gdal_tools", "warped_vrt")


@dataclass(frozen=True)
class Part:
    """Some rows that are measured together, in a process of their own."""

    name: str
    minutes: float
    """About how long it takes on two quiet cores: for saying when all will be done."""

    measure: Measure


def full() -> tuple[Part, ...]:
    """At full size."""
    granules = Granules(days=3, band_metres=10)
    size = contest.Size(granules=granules, zoom=14, tiles=6, repeats=3)
    return (
        Part("scenes", 1, lambda _, to: made(granules, to)),
        Part("contest", 12, lambda at, of: contest.rows(size, scenes=of, folder=at)),
        Part("big tiles", 9, lambda at, of: orchestration.big_tiles(at, of, count=200, zoom=15)),
        Part("small tiles", 3, lambda at, _: orchestration.small_tiles(at, 1000)),
        Part("many keys", 3, lambda at, _: orchestration.many_keys(at, 1000)),
        Part("usual shape", 1, lambda at, _: orchestration.one_run_a_partition(at, 50, 3)),
        Part("prefect", 1, lambda at, _: orchestration.prefect_map(at, 400)),
        Part("imports", 1, lambda *_: imports.rows()),
        Part("tables", 2, lambda *_: tables.rows()),
        Part("ticks", 4, lambda *_: ticks.rows()),
    )


def quick() -> tuple[Part, ...]:
    """In under three minutes: the same, on less."""
    granules = Granules(days=3, band_metres=20)
    size = contest.Size(granules=granules, zoom=13, tiles=2, repeats=1)
    some = RIVALS_IN_A_HURRY
    return (
        Part("scenes", 0.2, lambda _, to: made(granules, to)),
        Part("contest", 1.2, lambda at, of: contest.rows(size, scenes=of, folder=at, names=some)),
        Part("big tiles", 0.4, lambda at, of: orchestration.big_tiles(at, of, count=6, zoom=13)),
        Part("usual shape", 0.4, lambda at, _: orchestration.one_run_a_partition(at, 50, 1)),
        Part("prefect", 0.3, lambda at, _: orchestration.prefect_map(at, 400)),
        Part("imports", 0.3, lambda *_: imports.rows(tries=2)),
        Part("tables", 0.2, lambda *_: tables.rows(polygons=20_000, tiles=50)),
    )


SUITES = {"full": full, "quick": quick}


def made(granules: Granules, folder: Path) -> list[Row]:
    """Make the scenes that the other parts read, and see that they are as hard to read as real."""
    granules.make(folder)
    return [compressed_size(min(each for each in folder.iterdir() if each.is_dir()))]
