"""From what a tile costs to what a country, a continent and all land cost: arithmetic, no clock.

`python -m benchmarks.scale` writes docs/scale.md from results/scale_out.json.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import results
from benchmarks.number_formats import byte_size, hours, table, three_digits
from benchmarks.rows import Row

PAGE = Path(__file__).parents[1] / "docs" / "scale.md"
TEXT = Path(__file__).with_name("scale.in.md")
"""The words of the page, with places for the figures."""

TILE_PIXELS = 2048
PIXEL_METRES = 10
SCENES = 3
"""Of a tile in a period, as in the tiles that were measured."""

BANDS = 2
BLOCK = 1024
"""Pixels along a side of a block of a Sentinel-2 file."""

MAX_PARTITIONS = 100_000
"""Of one asset: Dagster's advice, and what its pages bear."""

BUCKET_READS = 5_500
"""GET requests a second that S3 promises for one prefix."""

LATENCY = 0.02
"""Seconds that S3 takes to answer a small request from the same region."""

BLOCKING_REQUESTS = 1
"""Requests of the driver that a tile waits for: its manifest. On S3 leases are taken ahead and let
go of behind, by other threads."""

CORES = (16, 64, 256)


@dataclass(frozen=True)
class Area:
    """An area of the earth."""

    name: str
    km2: float


PLACES = (
    Area("Germany", 357_000),
    Area("Africa", 30_370_000),
    Area("the land of the Earth", 149_000_000),
)


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What one tile costs, as measured."""

    cpu: float
    """Seconds of a worker, with its share of driver and scheduler."""

    driver: float
    """Seconds of the driver with Dagster's events: whatever else it waits for comes on top."""

    requests: float
    """Of the driver to the store, in line or not."""

    rows: float
    """In the database, without boundaries."""

    events: float
    stored_bytes: float
    objects: float
    archive_bytes: float
    """Of a pixel of a band in the archive."""

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Costs:
        """Find the figures among measured rows."""
        stored = ("raw_tile", "reprojected_raster", "ndvi", "observations")
        return cls(
            cpu=figure(rows, "2 workers of a cluster, against 2 local ones"),
            driver=(
                figure(rows, "driver of a tile, with Dagster") + figure(rows, "the first: driver")
            )
            / 1000,
            requests=figure(rows, "driver's requests to the store"),
            rows=figure(rows, "rows in the database"),
            events=figure(rows, "events of Dagster"),
            stored_bytes=sum(figure(rows, f"stored: {name}") for name in stored) * 1e6,
            objects=figure(rows, "stored objects"),
            archive_bytes=figure(rows, "archive: a pixel of a band"),
        )

    def driver_seconds(self, latency: float) -> float:
        """Of the driver for a tile, where the store answers after `latency` seconds."""
        return self.driver + BLOCKING_REQUESTS * latency

    def workers_per_driver(self, latency: float) -> float:
        """Workers that one driver keeps busy."""
        return self.cpu / self.driver_seconds(latency)


def figure(rows: Sequence[Row], words: str) -> float:
    """Ours in the first row whose name has these words.

    Raises:
        KeyError: no row has.
    """
    for each in rows:
        if words in str(each["what"]):
            return float(str(each["ours"]))
    raise KeyError(words)


@dataclass(frozen=True)
class Estimate:
    """One period of a place."""

    area: Area
    costs: Costs

    @property
    def tiles(self) -> int:
        """Without those that only touch the edge."""
        return math.ceil(self.area.km2 / (TILE_PIXELS * PIXEL_METRES / 1000) ** 2)

    @property
    def pixels(self) -> float:
        """Of the product."""
        return self.area.km2 * 1e6 / PIXEL_METRES**2

    @property
    def cpu_hours(self) -> float:
        """Of all workers."""
        return self.tiles * self.costs.cpu / 3600

    def driver_hours(self, latency: float = LATENCY) -> float:
        """Of one driver."""
        return self.tiles * self.costs.driver_seconds(latency) / 3600

    def wall_hours(self, cores: int, latency: float = LATENCY) -> float:
        """With as three_digits drivers as the workers need."""
        return max(
            self.cpu_hours / cores, self.driver_hours(latency) / self.drivers(cores, latency)
        )

    def drivers(self, cores: int, latency: float = LATENCY) -> int:
        """Runs at a time that so three_digits workers need."""
        return max(1, math.ceil(cores / self.costs.workers_per_driver(latency)))

    @property
    def blocks(self) -> int:
        """Of a scene that a tile reads: it lies across one more than it is long, each way."""
        along = TILE_PIXELS // BLOCK + 1
        class_band = (TILE_PIXELS // 2) // BLOCK + 1  # at 20 m
        return BANDS * along**2 + class_band**2

    @property
    def requests(self) -> int:
        """GET requests to the archive, where neighbouring blocks are one."""
        along = TILE_PIXELS // BLOCK + 1
        return self.tiles * SCENES * (BANDS * along + (TILE_PIXELS // 2) // BLOCK + 1)

    @property
    def read_bytes(self) -> float:
        """From the archive, whole blocks; the class band adds a few percent."""
        along = TILE_PIXELS // BLOCK + 1
        return self.tiles * SCENES * BANDS * (along * BLOCK) ** 2 * self.costs.archive_bytes

    @property
    def gigabits(self) -> float:
        """A second that one worker takes from the archive, if it waits for nothing."""
        return self.read_bytes / self.tiles / self.costs.cpu * 8 / 1e9

    @property
    def requests_per_second(self) -> float:
        """GET requests a second of one worker, if it waits for nothing."""
        return self.requests / self.tiles / self.costs.cpu

    @property
    def stored_bytes(self) -> float:
        """All stages."""
        return self.tiles * self.costs.stored_bytes

    @property
    def zooms_up(self) -> int:
        """Levels above one shard a partition that keep to what Dagster bears."""
        return max(0, math.ceil(math.log(self.tiles / MAX_PARTITIONS, 4)))

    def bottleneck(self, cores: int) -> str:
        """What there is first to do something about."""
        if self.zooms_up:
            shards = 4**self.zooms_up
            return f"partitions: {shards} shards each, or a project for each continent"
        if self.drivers(cores) > 1:
            return f"the driver: {self.drivers(cores)} runs at a time, and PostGIS for their rows"
        return f"the line to the archive: {cores * self.gigabits:.0f} Gbit/s"


def areas_table(costs: Costs) -> str:
    """What one period costs, a column a place."""
    found = [Estimate(place, costs) for place in PLACES]
    lines: list[tuple[str, list[str]]] = [
        ("pixels of 10 m", [three_digits(each.pixels) for each in found]),
        ("tiles of 2,048 pixels", [f"{each.tiles:,}" for each in found]),
        ("CPU hours", [f"{each.cpu_hours:,.1f}" for each in found]),
        *(
            (
                f"wall with {cores} cores (drivers)",
                [f"{hours(each.wall_hours(cores))} ({each.drivers(cores)})" for each in found],
            )
            for cores in CORES
        ),
        ("wall with one driver, at least", [hours(each.driver_hours()) for each in found]),
        ("GET requests to the archive", [three_digits(each.requests) for each in found]),
        ("read from the archive", [byte_size(each.read_bytes) for each in found]),
        (
            "line to the archive for 64 cores, Gbit/s",
            [f"{64 * each.gigabits:.0f}" for each in found],
        ),
        ("stored, all stages", [byte_size(each.stored_bytes) for each in found]),
        ("objects", [three_digits(each.tiles * costs.objects) for each in found]),
        ("events of Dagster", [three_digits(each.tiles * costs.events) for each in found]),
        ("rows in the database", [three_digits(each.tiles * costs.rows) for each in found]),
        ("bottleneck with 64 cores", [each.bottleneck(64) for each in found]),
    ]
    heads = ["", *(f"{each.area.name}, {each.area.km2:,.0f} km²" for each in found)]
    return table(heads, [[name, *cells] for name, cells in lines])


def measured_table(rows: Sequence[Row]) -> str:
    """The rows themselves."""
    lines = []
    for each in rows:
        theirs = "" if each["theirs"] is None else f"{each['theirs']:.3g}"
        ratio = "" if each["ratio"] is None else f"{each['ratio']:.2f}"
        lines.append([str(each["what"]), f"{each['ours']:.3g}", theirs, ratio, str(each["unit"])])
    return table(("", "first", "beside", "ratio", "unit"), lines)


def page(found: Mapping[str, Any]) -> str:
    """docs/scale.md."""
    costs = Costs.of(found["rows"])
    one = Estimate(PLACES[0], costs)
    machine = found["machine"]
    return TEXT.read_text().format(
        places=areas_table(costs),
        measured=measured_table(found["rows"]),
        started=found["started"],
        commit=found["commit"],
        machine=f"{machine['cores']} cores of {machine['cpu']}, {machine['memory_gb']} GB, "
        f"{machine['system']}, Python {machine['python']}",
        load=" to ".join(f"{found['load'][when][0]:.1f}" for when in ("before", "after")),
        versions=", ".join(f"{name} {each}" for name, each in found["versions"].items()),
        cpu=costs.cpu,
        scenes=SCENES,
        driver=costs.driver * 1000,
        requests=costs.requests,
        latency=LATENCY * 1000,
        slow_driver=costs.driver_seconds(LATENCY) * 1000,
        fed_folder=costs.workers_per_driver(0.0),
        fed=costs.workers_per_driver(LATENCY),
        events=costs.events,
        rows=costs.rows,
        blocks=one.blocks,
        gigabits=one.gigabits,
        asked=CORES[-1] * one.requests_per_second,
        promised=BUCKET_READS,
        square=(TILE_PIXELS * PIXEL_METRES / 1000) ** 2,
    )


def main() -> None:
    """Write the page anew."""
    PAGE.write_text(page(results.read("scale_out")))
    print(PAGE)


if __name__ == "__main__":
    main()
