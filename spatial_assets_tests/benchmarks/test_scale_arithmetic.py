"""The arithmetic from a tile to all land, with numbers that can be checked by hand."""

from __future__ import annotations

import pytest

from benchmarks import results, scale
from benchmarks.number_formats import three_digits
from benchmarks.scale import Area, Costs, Estimate
from spatial_assets_tests.servers.process import REPOSITORY

COSTS = Costs(
    cpu=2.0,
    driver=0.05,
    requests=10.0,
    rows=6.0,
    events=13.0,
    stored_bytes=40e6,
    objects=14.0,
    archive_bytes=1.0,
)
KM2_OF_A_TILE = 20.48**2


def estimate(tiles: int) -> Estimate:
    return Estimate(Area("somewhere", tiles * KM2_OF_A_TILE), COSTS)


def test_tiles_and_pixels_follow_from_the_area() -> None:
    assert estimate(100).tiles == 100
    assert estimate(100).pixels == pytest.approx(100 * 2048**2)
    assert Estimate(Area("Germany", 357_000), COSTS).tiles == 852


def test_a_tile_reads_whole_blocks_of_each_scene() -> None:
    one = estimate(1)

    assert one.blocks == 2 * 3 * 3 + 2 * 2
    assert one.requests == 3 * (3 + 3 + 2)
    assert one.read_bytes == pytest.approx(3 * 2 * 3072**2)


def test_one_driver_feeds_so_many_workers_and_more_runs_are_needed_beyond() -> None:
    assert COSTS.workers_per_driver(0.0) == pytest.approx(
        40
    )  # 2 s of a worker for 50 ms of the driver
    assert COSTS.workers_per_driver(0.15) == pytest.approx(10)  # and one request of 150 ms
    assert [estimate(100).drivers(cores, 0.15) for cores in (10, 20, 21)] == [1, 2, 3]


def test_the_wall_is_the_slower_of_workers_and_drivers() -> None:
    found = estimate(36_000)

    assert found.cpu_hours == pytest.approx(20)
    assert found.wall_hours(8, 0.15) == pytest.approx(20 / 8)
    assert found.driver_hours(0.15) == pytest.approx(2)
    assert found.wall_hours(20, 0.15) == pytest.approx(1)


def test_more_tiles_than_dagster_bears_take_a_level_further_up() -> None:
    assert [estimate(n).zooms_up for n in (1, 100_000, 100_001, 400_000, 400_001)] == [
        *(0, 0, 1, 1, 2)
    ]


@pytest.mark.parametrize(
    ("tiles", "cores", "said"),
    [
        (100, 4, "the connection to the archive: 1 Gbit/s"),
        (100, 64, "3 concurrent runs"),
        (200_000, 4, "4 shards each"),
    ],
)
def test_the_bottleneck_is_named(tiles: int, cores: int, said: str) -> None:
    assert said in estimate(tiles).bottleneck(cores)


def test_the_page_is_what_the_kept_figures_give() -> None:
    page = (REPOSITORY / "docs" / "scale.md").read_text()

    assert page == scale.page(results.read("scale_out"))


@pytest.mark.parametrize(
    ("value", "said"),
    [(1.49e14, "149 trillion"), (2.5e6, "2.5 million"), (1234.0, "1,234"), (8.04, "8")],
)
def test_numbers_have_three_significant_digits(value: float, said: str) -> None:
    assert three_digits(value) == said
