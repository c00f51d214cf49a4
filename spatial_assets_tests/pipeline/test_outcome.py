"""Report of a run on its bad tiles."""

from __future__ import annotations

import pytest

from spatial_assets.pipeline.outcome import (
    BadTilesError,
    RunReport,
    StageOutcome,
    State,
    TileOutcome,
)


def bad(tile: str) -> TileOutcome:
    stage = StageOutcome(
        stage="raw_tile", state=State.FAILED, fingerprint="", reason="timed_out", message="too late"
    )
    return TileOutcome(tile=tile, stages=(stage,))


def test_many_bad_tiles_are_counted_and_the_first_are_named() -> None:
    report = RunReport()
    for number in range(2000):
        report.add(bad(f"{number:04}"))

    with pytest.raises(BadTilesError) as raised:
        report.raise_if_any_tile_is_bad()

    message = str(raised.value)
    assert message.startswith("2000 of 2000 tiles need attention")
    assert "0049: failed at raw_tile: timed_out: too late" in message
    assert "and 1950 more: see the table tile_state" in message
    assert "0050" not in message


def test_a_few_bad_tiles_are_all_named() -> None:
    report = RunReport()
    report.add(bad("0"))
    report.add(bad("1"))

    with pytest.raises(BadTilesError) as raised:
        report.raise_if_any_tile_is_bad()

    assert "more" not in str(raised.value)
