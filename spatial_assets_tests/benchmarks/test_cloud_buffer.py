"""The measurement behind the default of `[scenes] cloud_buffer`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.cloud_buffer import Date, best, measure, page, read_dates
from spatial_assets.geo.clear_sky import CloudBuffer
from spatial_assets.project.sections.scenes import DEFAULT_CLOUD_BUFFER, metres

DEFAULT = CloudBuffer(metres(DEFAULT_CLOUD_BUFFER.cloud), metres(DEFAULT_CLOUD_BUFFER.shadow))


def test_haze_round_a_cloud_is_left_out_by_a_margin_as_wide() -> None:
    """NDVI is 0.8, and 0.5 in two columns on either side of a cloud of 120 m pixels."""
    clear = np.full((10, 60), 0.8, dtype=np.float32)
    hazy, none = clear.copy(), np.zeros(clear.shape, dtype=np.bool_)
    cloud = none.copy()
    cloud[:, 20:40] = True
    hazy[:, 18:42] = 0.5
    hazy[cloud] = np.nan
    dates = [Date(hazy, cloud, none, 120.0), Date(clear, none, none, 120.0)]

    figures = {each.buffer: each for each in measure([dates])}

    assert figures[CloudBuffer()].bias == pytest.approx(-0.3 * 4 / 40)
    assert figures[CloudBuffer(cloud=120)].kept == pytest.approx(38 / 40)
    assert figures[CloudBuffer(cloud=240)].rmse == pytest.approx(0, abs=1e-6)
    assert best(list(figures.values())).buffer.cloud == 240


@pytest.mark.samples
def test_the_default_and_the_page_are_what_the_sample_scenes_say(samples: Path) -> None:
    tiles = read_dates(samples / "scenes" / "sentinel-2-l2a")

    figures = measure(list(tiles.values()))

    assert best(figures).buffer == DEFAULT
    docs = Path(__file__).parents[2] / "docs"
    assert page(figures, 6) == (docs / "cloud_buffer.md").read_text(encoding="utf-8")
