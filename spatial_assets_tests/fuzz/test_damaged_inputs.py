"""A slice of `make fuzz`, and every input that once broke something."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from spatial_assets_tests.fuzz import campaign
from spatial_assets_tests.fuzz.campaign import Case, Player, cases, play_all, summary
from spatial_assets_tests.fuzz.mutation import damaged_bytes, damaged_document
from spatial_assets_tests.fuzz.targets import TARGETS

SLICE = 240

KEPT = [
    Case("item", "1:432"),  # a geometry of an unknown type ended the whole run
    Case("item", "1:1092"),
    Case("project", "1:2173"),  # an unknown key in angle brackets
    Case("raster", "3:1346"),  # pixels of which a trillion fit into one of the product
    Case("raster", "2:134"),  # pixels so small that no grid of them can be inverted
]
"""Findings of the past; each stays here after its cure."""


@pytest.mark.timeout(180)
def test_damaged_inputs_are_refused_in_words_or_used_and_nothing_else_happens() -> None:
    wanted = [*KEPT, *cases(SLICE, seed=2)]

    found = summary(play_all(wanted), seed=2)

    assert found["cases"] == len(wanted)
    assert set(found["by_kind"]) == set(TARGETS)  # type: ignore[call-overload]
    assert found["findings"] == []
    answers: dict[str, dict[str, int]] = found["answers"]  # type: ignore[assignment]
    for kind, told in answers.items():
        # neither is every input ruined, nor does none notice
        assert told.get("accepted", 0) > 0, kind
        assert sum(told.values()) - told.get("accepted", 0) > 0, kind


def test_the_same_seed_damages_in_the_same_way() -> None:
    document = {"a": [1, 2, {"b": "c"}], "d": None}
    for seed in range(50):
        one, two = random.Random(seed), random.Random(seed)
        assert damaged_bytes(b"0123456789" * 9, one) == damaged_bytes(b"0123456789" * 9, two)
        assert repr(damaged_document(document, one)) == repr(damaged_document(document, two))
    assert document == {"a": [1, 2, {"b": "c"}], "d": None}


@pytest.mark.parametrize(
    ("harm", "answer", "told"),
    [
        pytest.param("os.abort()", "crash", "exit code -6", id="a-crash"),
        pytest.param("time.sleep(60)", "hang", "no answer in", id="a-hang"),
        pytest.param("raise ZeroDivisionError", "ZeroDivisionError", "Traceback", id="a-bug"),
        pytest.param(
            "(case.parents[1] / 'evil').write_text('x')",
            None,
            "touched files",
            id="a-file-beside",
        ),
    ],
)
def test_what_goes_wrong_in_a_worker_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, harm: str, answer: str | None, told: str
) -> None:
    script = tmp_path / "harmful.py"
    script.write_text(HARMFUL.format(harm=harm))
    monkeypatch.setattr(campaign, "WORKER", [str(script)])
    monkeypatch.setattr(campaign, "STARTING", 20.0 if answer != "hang" else 6.0)
    player = Player(tmp_path / "good", tmp_path / "all" / "work")
    try:
        played = player.play(Case("raster", "1"))
    finally:
        player.close()

    assert played.answer == answer
    assert told in played.finding


HARMFUL = """
import os, time
from spatial_assets_tests.fuzz import targets, worker
def harm(good, case, dice):
    {harm}
targets.TARGETS = {{"raster": harm}}
worker.main()
"""
