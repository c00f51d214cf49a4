"""Progress is a bar on a terminal and a few lines in a log."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from spatial_assets.cli.app.console import format_count, format_duration, format_list
from spatial_assets.cli.local_run.progress import LineDisplay, progress_display


def test_a_log_has_ten_lines_however_long_the_work_is() -> None:
    said: list[str] = []
    now = iter(range(1_000_000))
    told = LineDisplay(said.append, clock=lambda: float(next(now)))

    told.begin("tiles", total=2_000)
    for number in range(2_000):
        told.step(f"tile {number}")

    assert said[0] == "tiles ..."
    assert len(said) == 11
    assert said[-1] == "  2000 of 2000, last tile 1999"


def test_the_time_left_follows_from_the_steps_since_the_first() -> None:
    said: list[str] = []
    clock = [0.0]
    told = LineDisplay(said.append, clock=lambda: clock[0])

    told.begin("tiles", total=4)
    for seconds in (100.0, 2.0, 2.0):  # a slow start says nothing about the rest
        clock[0] += seconds
        told.step("x")

    assert said[1:] == [
        "  1 of 4, last x",
        "  2 of 4, last x; about 4 s left",
        "  3 of 4, last x; about 2 s left",
    ]


def test_without_a_terminal_lines_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_display() as told:
        told.begin("tiles", total=1)
        told.say("tile 1 [failed]")
        told.step("tile 1")

    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == ["tiles ...", "tile 1 [failed]", "  1 of 1, last tile 1"]


def test_on_a_terminal_messages_stay_and_the_bar_goes() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)

    with progress_display(console) as told:
        told.begin("raw [pixels]", total=2)
        told.step("a")
        told.say("tile 1 [failed]")
        told.begin("next")
        told.step("b")

    written = console.file.getvalue()  # type: ignore[attr-defined]
    assert "tile 1 [failed]" in written
    assert written.rstrip().endswith("\x1b[2K")  # the line of the bar is cleared


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (5_400, "1.5 h"), (200_000, "2 days")],
)
def test_a_duration_is_formatted_for_reading(seconds: float, expected: str) -> None:
    assert format_duration(seconds) == expected


def test_numbers_and_lists_read_well() -> None:
    assert [format_count(number, "tile") for number in (0, 1, 2_400)] == [
        "0 tiles",
        "1 tile",
        "2,400 tiles",
    ]
    assert format_count(2, "boundary") == "2 boundaries"
    assert format_list(["a", "b", "c"], most=2) == "a, b and 1 more"
    assert format_list(["a"], most=2) == "a"
