"""Bands and radiometry of scenes from the field: the right band, what a file masks, its fill."""

from __future__ import annotations

from pathlib import Path

import pytest

from spatial_assets_tests.fixtures.field_cases import field_case, materialize, valid_ndvi


@pytest.mark.samples
def test_common_names_say_which_band_of_landsat_7_is_red(tmp_path: Path) -> None:
    project = field_case("landsat7-common-names", tmp_path) / "p"

    done = materialize(project)

    assert done.exit_code == 0, done.output
    ndvi = valid_ndvi(project)
    assert ndvi.size == 37_249
    assert ndvi == pytest.approx(0.7895)
