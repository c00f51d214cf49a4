"""The sums of the page of operations follow from the measured bytes."""

from __future__ import annotations

from benchmarks.growth import Measured, measured_lines, sums

SIZES = {"SQLite": Measured(made=4_000, renewed=1_000, kept=2_000, run_record=4_000)}
STORED = {"evaluations that request a tile": 250.0, "manifest of a tile with one scene": 1_000.0}


def test_a_hundred_thousand_tiles_are_added_up() -> None:
    said = list(sums(SIZES, STORED))

    # 100,000 x (18 x 1,000 + 2,000) = 2 GB; 100,000 x 365 x 1,000 = 36.5 GB
    assert said[1].endswith("+ 2,000) = 2 GB; without retention 0.0 TB")
    assert said[2].endswith("= 0.1 GB")  # 100,000 x 6 x 250 = 0.15 GB
    assert said[3].endswith("3,650 runs a year x 5 x 4,000 = 0.1 GB")
    assert said[4].endswith("730 scenes x 1,000 = 0.1 TB")


def test_every_measure_is_a_line_of_the_table() -> None:
    assert list(measured_lines(SIZES, STORED))[2:] == [
        "| SQLite: events of a tile that is made | 4,000 |",
        "| SQLite: events of a tile that is renewed | 1,000 |",
        "| SQLite: what a tile leaves after `prune --events` | 2,000 |",
        "| record of a run | 4,000 |",
        "| evaluations that request a tile | 250 |",
        "| manifest of a tile with one scene | 1,000 |",
    ]
