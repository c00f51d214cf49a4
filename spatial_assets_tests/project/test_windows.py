"""Freshness windows: what becomes of tiles never made, and how many windows there may be."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest

from spatial_assets.project import Project

Load = Callable[..., Project]
Refusal = Callable[..., str]
WINDOW = "[freshness.raw_tile]\nwarn = '5 days'\nfail = '10 days'\n"


def regions(count: int) -> str:
    return "".join(
        f"[[freshness.raw_tile.regions]]\ntiles = ['12{number}*']\nwarn = '{number + 1} hours'\n"
        for number in range(count)
    )


@pytest.mark.parametrize("never_made", ["last", "first", "leave"])
def test_tiles_never_made_come_when_the_window_says(load: Load, never_made: str) -> None:
    window = load(f"{WINDOW}never_made = '{never_made}'\n").freshness["raw_tile"]

    assert window.never_made == never_made
    assert load(WINDOW).freshness["raw_tile"].never_made == "last"


def test_another_word_for_tiles_never_made_is_refused(refusal: Refusal) -> None:
    assert "freshness.raw_tile.never_made" in refusal(f"{WINDOW}never_made = 'now'\n")


def test_eight_different_windows_are_the_most(load: Load, refusal: Refusal) -> None:
    window = load(WINDOW + regions(7)).freshness["raw_tile"]
    message = refusal(WINDOW + regions(8))

    assert window.warn_for("126") == dt.timedelta(hours=7)
    assert "has 9 different windows, and 8 are the most" in message
    assert "give several regions the same warn" in message
