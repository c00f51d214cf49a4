"""Cost of a country, a continent and all land, computed from the measured cost of a tile.

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
"""Template of the page."""

TILE_PIXELS = 2048
PIXEL_METRES = 10
SCENES = 3
"""Scenes of a tile in a period, as in the measured tiles."""

BANDS = 2
BLOCK = 1024
"""Pixels along a side of a block of a Sentinel-2 file."""

MAX_PARTITIONS = 100_000
"""Maximum number of partitions of an asset: Dagster's advice, and what its pages can show."""

BUCKET_READS = 5_500
"""GET requests a second that S3 promises for one prefix."""

LATENCY = 0.02
"""Response time of S3 for a small request from the same region, in seconds."""

BLOCKING_REQUESTS = 1
"""Requests of the driver that a tile waits for: its manifest. On S3 other threads acquire and
release leases concurrently.
"""

CORES = (16, 64, 256)


@dataclass(frozen=True)
class Area:
    """An area of the Earth."""

    name: str
    km2: float


AREAS = (
    Area("Germany", 357_000),
    Area("Africa", 30_370_000),
    Area("the land of the Earth", 149_000_000),
)


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Measured costs of one tile."""

    cpu: float
    """CPU seconds of a worker, with its share of driver and scheduler."""

    driver: float
    """CPU seconds of the driver with Dagster's events, without waiting."""

    requests: float
    """Requests of the driver to the store, blocking or not."""

    rows: float
    """Rows in the database, without boundaries."""

    events: float
    stored_bytes: float
    objects: float
    archive_bytes: float
    """Size of a pixel of a band in the archive."""

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Costs:
        """Find the figures in measured rows."""
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
        """Seconds of the driver for a tile if the store responds after `latency` seconds."""
        return self.driver + BLOCKING_REQUESTS * latency

    def workers_per_driver(self, latency: float) -> float:
        """Number of workers that one driver keeps busy."""
        return self.cpu / self.driver_seconds(latency)


def figure(rows: Sequence[Row], words: str) -> float:
    """Our figure in the first row whose name contains `words`.

    Raises:
        KeyError: no row does.
    """
    for each in rows:
        if words in str(each["what"]):
            return float(str(each["ours"]))
    raise KeyError(words)


@dataclass(frozen=True)
class Estimate:
    """Cost of one period of an area."""

    area: Area
    costs: Costs

    @property
    def tiles(self) -> int:
        """Number of tiles, without those that only touch the edge."""
        return math.ceil(self.area.km2 / (TILE_PIXELS * PIXEL_METRES / 1000) ** 2)

    @property
    def pixels(self) -> float:
        """Number of pixels of the product."""
        return self.area.km2 * 1e6 / PIXEL_METRES**2

    @property
    def cpu_hours(self) -> float:
        """CPU hours of all workers."""
        return self.tiles * self.costs.cpu / 3600

    def driver_hours(self, latency: float = LATENCY) -> float:
        """Hours of one driver."""
        return self.tiles * self.costs.driver_seconds(latency) / 3600

    def wall_hours(self, cores: int, latency: float = LATENCY) -> float:
        """Wall hours with as many drivers as the workers need."""
        return max(
            self.cpu_hours / cores, self.driver_hours(latency) / self.drivers(cores, latency)
        )

    def drivers(self, cores: int, latency: float = LATENCY) -> int:
        """Number of concurrent runs that the workers need."""
        return max(1, math.ceil(cores / self.costs.workers_per_driver(latency)))

    @property
    def blocks(self) -> int:
        """Blocks of a scene that a tile reads: one more than its length, in each direction."""
        along = TILE_PIXELS // BLOCK + 1
        class_band = (TILE_PIXELS // 2) // BLOCK + 1  # at 20 m
        return BANDS * along**2 + class_band**2

    @property
    def requests(self) -> int:
        """GET requests to the archive; adjacent blocks are one request."""
        along = TILE_PIXELS // BLOCK + 1
        return self.tiles * SCENES * (BANDS * along + (TILE_PIXELS // 2) // BLOCK + 1)

    @property
    def read_bytes(self) -> float:
        """Bytes read from the archive in whole blocks; the class band adds a few percent."""
        along = TILE_PIXELS // BLOCK + 1
        return self.tiles * SCENES * BANDS * (along * BLOCK) ** 2 * self.costs.archive_bytes

    @property
    def gigabits(self) -> float:
        """Gigabits a second that one worker reads from the archive if it never waits."""
        return self.read_bytes / self.tiles / self.costs.cpu * 8 / 1e9

    @property
    def requests_per_second(self) -> float:
        """GET requests a second of one worker if it never waits."""
        return self.requests / self.tiles / self.costs.cpu

    @property
    def stored_bytes(self) -> float:
        """Size of all stages in bytes."""
        return self.tiles * self.costs.stored_bytes

    @property
    def zooms_up(self) -> int:
        """Levels above one shard a partition that keep within the maximum of partitions."""
        return max(0, math.ceil(math.log(self.tiles / MAX_PARTITIONS, 4)))

    def bottleneck(self, cores: int) -> str:
        """Name the first bottleneck."""
        if self.zooms_up:
            shards = 4**self.zooms_up
            return f"partitions: {shards} shards each, or a project for each continent"
        if self.drivers(cores) > 1:
            return f"the driver: {self.drivers(cores)} concurrent runs, and PostGIS for their rows"
        return f"the connection to the archive: {cores * self.gigabits:.0f} Gbit/s"


def areas_table(costs: Costs) -> str:
    """Table of the cost of one period, with a column for each area."""
    found = [Estimate(area, costs) for area in AREAS]
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
            "bandwidth to the archive for 64 cores, Gbit/s",
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
    """Table of the measured rows."""
    lines = []
    for each in rows:
        theirs = "" if each["theirs"] is None else f"{each['theirs']:.3g}"
        ratio = "" if each["ratio"] is None else f"{each['ratio']:.2f}"
        lines.append([str(each["what"]), f"{each['ours']:.3g}", theirs, ratio, str(each["unit"])])
    return table(("", "first", "compared with", "ratio", "unit"), lines)


def page(found: Mapping[str, Any]) -> str:
    """Build the text of docs/scale.md."""
    costs = Costs.of(found["rows"])
    one = Estimate(AREAS[0], costs)
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
    """Write the page."""
    PAGE.write_text(page(results.read("scale_out")))
    print(PAGE)


if __name__ == "__main__":
    main()
