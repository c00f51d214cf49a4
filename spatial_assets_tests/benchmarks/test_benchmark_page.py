from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import page, plots
from benchmarks.contestants import limit, ours, warped_vrt
from benchmarks.rows import Row, bound, row


@pytest.fixture
def rows() -> list[Row]:
    beside = [
        {**row("against it", 1.0, theirs, most=most, unit=unit), "contestant": name, "measure": m}
        for name, theirs, most in (("mapchete", 4.0, 0.3), ("the limit", 0.5, 1.5))
        for m, unit in (("cpu", "s"), ("wall", "s"), ("memory", "MB"))
    ]
    return [*beside, bound("peak", 512.0, most=600.0, unit="MB")]


@pytest.fixture
def document(rows: list[Row]) -> dict[str, Any]:
    return {
        "size": "full",
        "commit": "abc1234",
        "machine": {
            "cpu": "Some CPU",
            "cores": 2,
            "memory_gb": 24,
            "system": "Debian",
            "python": "3",
        },
        "started": "2023-08-01 10:00 UTC",
        "minutes": 31.4,
        "load": {"before": [0.1, 0.2, 0.3], "after": [2.0, 2.1, 2.2]},
        "versions": {"numpy": "2.4.6", "GDAL": "3.6.2"},
        "failed": ["prefect"],
        "rows": rows,
    }


def test_the_page_lists_targets_misses_failures_machine_and_versions(
    document: dict[str, Any],
) -> None:
    told = page.text(document, [limit.CONTESTANT], {"cpu": Path("benchmark_cpu.svg")})

    assert "## Targets: 4 of 7 reached" in told
    assert told.count("**MISSED**") == 3
    assert "**Not measured because it failed**: prefect." in told
    assert "Some CPU, 2 cores, 24 GB" in told
    assert "at commit abc1234" in told
    assert "GDAL 3.6.2" in told
    assert "(benchmark_cpu.svg)" in told
    assert "| the limit | 0.5 | 0.5 | 2 | 0.5 |" in told
    assert "about 31 minutes" in told


def test_contestants_are_those_of_the_run(document: dict[str, Any]) -> None:
    everybody = [each.CONTESTANT for each in (ours, limit, warped_vrt)]

    told = page.text(document, everybody, {})

    assert "(../benchmarks/contestants/ours.py)" in told
    assert "(../benchmarks/contestants/limit.py)" in told
    assert "(../benchmarks/contestants/warped_vrt.py)" not in told


def test_every_row_is_on_the_page_once(document: dict[str, Any]) -> None:
    document["rows"] = [
        row(f"thing {number}", 1.0, 2.0, most=most, unit="s")
        for number, most in enumerate((0.1, None, 0.9, None))
    ]

    told = page.text(document, [], {})

    for number in range(4):
        assert told.count(f"| thing {number} (s) |") == 1


def test_a_plot_has_us_first_and_then_the_cheapest(rows: list[Row]) -> None:
    assert list(plots.figures_of(rows, "cpu").items()) == [
        (plots.OURS, 1.0),
        ("the limit", 0.5),
        ("mapchete", 4.0),
    ]


def test_a_measure_without_figures_has_no_plot(rows: list[Row]) -> None:
    assert plots.figures_of(rows[-1:], "wall") == {}
