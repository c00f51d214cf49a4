"""One period of one tile: its reprojected scenes to one value a pixel, and a verdict."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from spatial_assets.geo.composite import Method, compose_index
from spatial_assets.geo.geobox import GeoBox
from spatial_assets.geo.index import SpectralIndex, judge_range
from spatial_assets.geo.mosaic import Granule
from spatial_assets.geo.verdict import Verdict
from spatial_assets.pipeline.layers import Layer


@dataclass(frozen=True, eq=False)
class Composed:
    """An index over one period, and whether its values can be believed."""

    values: NDArray[np.int16]
    observations: NDArray[np.uint16]
    verdict: Verdict


def compose(
    index: SpectralIndex, layers: Sequence[Layer], *, box: GeoBox, method: Method, most: float
) -> Composed:
    """Mosaic the granules of each solar day and platform, then reduce the days to one value.

    Args:
        index: what to evaluate.
        layers: scenes of one period.
        box: the pixels.
        method: how days become one value.
        most: share of the values that may be out of range.
    """
    days: dict[tuple[date, str], list[Granule]] = defaultdict(list)
    for layer in sorted(layers, key=lambda layer: layer.record.id):
        record = layer.record
        pixels = layer.pixels()
        bands = {name: pixels[at] for at, name in enumerate(record.bands)}
        crs = record.of_band(record.bands[0]).grid.crs
        days[(record.solar_day, record.platform)].append(Granule(record.id, crs, bands))
    composite = compose_index(index, [days[day] for day in sorted(days)], target=box, method=method)
    verdict = judge_range(index, composite.computed, kept=composite.kept, most=most)
    return Composed(composite.values, composite.observations, verdict)
