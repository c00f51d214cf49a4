from __future__ import annotations

import json

import pytest

from benchmarks import results
from benchmarks.rows import bound, describe, row, verdict


@pytest.mark.parametrize(
    ("ours", "theirs", "most", "expected"),
    [
        pytest.param(1.0, 4.0, 1 / 3, "reached", id="four-times-cheaper"),
        pytest.param(1.0, 2.0, 1 / 3, "MISSED", id="only-twice"),
        pytest.param(1.0, 2.0, 0.5, "reached", id="just-so"),
        pytest.param(9.0, 1.0, None, "", id="nothing-demanded"),
    ],
)
def test_a_cost_is_judged_by_its_ratio(
    ours: float, theirs: float, most: float | None, expected: str
) -> None:
    found = row("tile", ours, theirs, most=most, unit="s")

    assert found["ratio"] == pytest.approx(ours / theirs)
    assert verdict(found) == expected


def test_a_ratio_that_must_not_be_small_either_is_missed_below() -> None:
    assert verdict(row("size", 1.0, 2.0, most=1.2, least=0.8, unit="MB")) == "MISSED"
    assert verdict(row("size", 1.9, 2.0, most=1.2, least=0.8, unit="MB")) == "reached"


def test_a_figure_with_an_absolute_limit_has_no_ratio() -> None:
    found = bound("memory", 601.0, most=600.0, unit="MB")

    assert found["theirs"] is None
    assert found["ratio"] is None
    assert verdict(found) == "MISSED"
    assert "601 MB, at most 600: MISSED" in describe(found)


def test_the_document_of_a_run_names_the_machine_and_survives_json() -> None:
    rows = [row("tile", 1.0, 4.0, most=0.5, unit="s")]

    found = json.loads(json.dumps(results.document(rows, size="quick", failed=[])))

    assert set(found["rows"][0]) == {"what", "ours", "theirs", "ratio", "target", "ok", "unit"}
    assert found["machine"]["cores"] >= 1
    assert found["machine"]["memory_gb"] > 0
    assert found["commit"]


def test_the_table_has_rows_with_a_target_first_and_marks_missed_ones() -> None:
    rows = [
        row("besides", 1.0, 2.0, most=None, unit="s"),
        row("promised", 1.0, 2.0, most=0.1, unit="s"),
    ]

    head, first, second = results.table(rows).splitlines()

    assert "at most" in head
    assert first.startswith("promised (s)")
    assert first.endswith("MISSED")
    assert second.startswith("besides (s)")
