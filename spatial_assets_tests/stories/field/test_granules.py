"""Tiles that the field delivers in parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spatial_assets_tests.fixtures.field_cases import field_case, materialize, valid_ndvi

pytestmark = pytest.mark.samples


def test_both_parts_of_a_split_tile_are_used(tmp_path: Path) -> None:
    project = field_case("cdse-split-tile", tmp_path) / "p"

    result = materialize(project)

    assert result.exit_code == 0, result.output
    assert np.size(valid_ndvi(project)) == pytest.approx(37_249, rel=0.01)
