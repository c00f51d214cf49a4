"""Project files as editors of other systems write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spatial_assets_tests.fixtures.field_cases import field_case, materialize, valid_ndvi

pytestmark = pytest.mark.samples


def test_a_project_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    project = field_case("toml-bom", tmp_path) / "p"
    assert (project / "project.toml").read_bytes().startswith(b"\xef\xbb\xbf")

    result = materialize(project)

    assert result.exit_code == 0, result.output
    values = valid_ndvi(project)
    assert len(values) > 30_000
    assert np.median(values) == pytest.approx(0.7895, abs=1e-4)
