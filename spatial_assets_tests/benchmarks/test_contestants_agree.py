"""Contestants whose libraries the tests have; the benchmark checks all of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks import contest
from benchmarks.contestants import limit, ours, rioxarray_reproject, warped_vrt
from benchmarks.contestants.task import FILL, AbsentError, Answer, Contestant, Task, Tile
from benchmarks.scenes import Granules

# of rasterio 1.4 itself, at affine 3
pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")

SIZE = contest.Size(
    granules=Granules(days=2, band_metres=100, class_metres=100),
    zoom=10,
    tiles=1,
    repeats=1,
    pixels=256,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Task:
    """A tile that our pipeline has made."""
    folder = tmp_path_factory.mktemp("contest")
    SIZE.granules.make(folder / "scenes")
    task = contest.task_of(SIZE, folder / "ours", scenes=folder / "scenes", which=slice(1))
    ours.work(task)
    return task


@pytest.mark.parametrize(
    "contestant",
    [
        pytest.param(module.CONTESTANT, id=module.__name__.rpartition(".")[2])
        for module in (limit, warped_vrt, rioxarray_reproject)
    ],
)
def test_a_contestant_gives_our_answer(contestant: Contestant, made: Task, tmp_path: Path) -> None:
    theirs = replace(made, folder=tmp_path)

    contestant.work(theirs)

    contest.compare(contestant, theirs, made)
    assert len(np.unique(contestant.ndvi(theirs, made.tiles[0]))) > 1000


def shifted(task: Task, tile: Tile) -> NDArray[np.int16]:
    values = ours.ndvi(task, tile)
    return np.where(values == FILL, FILL, values + 200).astype(np.int16)


def clouded(task: Task, tile: Tile) -> NDArray[np.int16]:
    values = ours.ndvi(task, tile).copy()
    values[::2] = FILL
    return values


@pytest.mark.parametrize("wrong", [shifted, clouded])
def test_different_values_are_not_timed(wrong: Answer, made: Task) -> None:
    contestant = replace(warped_vrt.CONTESTANT, ndvi=wrong)

    with pytest.raises(RuntimeError, match="the values differ too much"):
        contest.compare(contestant, made, made)


def absent() -> str:
    raise AbsentError("nobody has it")


def test_an_unavailable_contestant_is_skipped_with_the_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    there = replace(warped_vrt.CONTESTANT, program=lambda: "it 1.0")

    assert contest.is_available(there)
    assert not contest.is_available(replace(there, name="the rare one", program=absent))
    assert "SKIPPED: the rare one: nobody has it" in capsys.readouterr().out


def test_tiles_given_to_others_are_those_of_our_grid(made: Task) -> None:
    (tile,) = made.tiles

    assert tile.shape == (256, 256)
    assert tile.pixel == pytest.approx(40075016.68557849 / 256 / 2**10)
    west, south, east, north = tile.bounds
    assert east - west == pytest.approx(north - south)
    assert (west + 20037508.342789244) / (east - west) == pytest.approx(
        round((west + 20037508.342789244) / (east - west))
    )
