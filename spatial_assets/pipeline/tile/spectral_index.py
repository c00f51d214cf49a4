"""One period of one tile: its reprojected scenes to one value a pixel, and a verdict.

The check `index_range`: one verdict a tile over all its indices and periods, the worst named.

What was removed is kept beside the pixels; the thresholds are asked anew at every look, so that
another threshold needs no other pixels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from spatial_assets.geo.grid.geobox import GeoBox
from spatial_assets.geo.pixels.composite import CompositeMethod, compose_index
from spatial_assets.geo.pixels.evaluate_index import SpectralIndex, judge_range
from spatial_assets.geo.pixels.mosaic import GranuleReflectance
from spatial_assets.geo.verdict import Verdict
from spatial_assets.pipeline.failures import TileQuarantinedError
from spatial_assets.pipeline.outcome import CheckOutcome
from spatial_assets.pipeline.stages import INDEX_RANGE
from spatial_assets.pipeline.tile.manifest_builder import ManifestBuilder
from spatial_assets.pipeline.tile.reprojected_raster import SceneLayer
from spatial_assets.project.sections.checks import ChecksSettings


@dataclass(frozen=True, eq=False)
class ComposedIndex:
    """An index over one period, and whether its values can be believed."""

    values: NDArray[np.int16]
    observations: NDArray[np.uint16]
    verdict: Verdict


def compose(
    index: SpectralIndex,
    layers: Sequence[SceneLayer],
    *,
    box: GeoBox,
    method: CompositeMethod,
    most: float,
) -> ComposedIndex:
    """Mosaic the granules of each solar day and platform, then reduce the days to one value.

    Args:
        index: what to evaluate.
        layers: scenes of one period.
        box: the pixels.
        method: how days become one value.
        most: share of the values that may be out of range.
    """
    days: dict[tuple[date, str], list[GranuleReflectance]] = defaultdict(list)
    for layer in sorted(layers, key=lambda layer: layer.record.id):
        record = layer.record
        pixels = layer.pixels()
        bands = {name: pixels[at] for at, name in enumerate(record.bands)}
        crs = record.of_band(record.bands[0]).grid.crs
        days[(record.solar_day, record.platform)].append(GranuleReflectance(record.id, crs, bands))
    composite = compose_index(index, [days[day] for day in sorted(days)], target=box, method=method)
    verdict = judge_range(index, composite.computed, kept=composite.kept, most_removed_share=most)
    return ComposedIndex(composite.values, composite.observations, verdict)


Evidence = Mapping[str, float | int | str]


class IndexRangeCheck:
    """Judges the indices of one tile."""

    def __init__(
        self, checks: ChecksSettings, indices: Sequence[str], builder: ManifestBuilder
    ) -> None:
        self._checks = checks
        self._indices = indices
        self._builder = builder
        self._worst: dict[str, Evidence] = {}
        """Index -> the figures of its worst period."""

        self._valid: dict[str, float] = {}
        """Index -> valid share in its best period."""

    def require_believable(self, index: str, label: str, evidence: Evidence) -> None:
        """Refuse an index of which most values had to be removed.

        Raises:
            TileQuarantinedError: with the figures, which the check says too.
        """
        most = self._checks.quarantine_removed_share
        if removed(evidence) <= most:
            return
        figures = {"period": label, **evidence}
        self._worst[index] = figures
        self._say(severe=True)
        message = (
            f"{removed(evidence):.0%} of the {index} values of {label} lie outside "
            f"{evidence['expected_range']}, more than {most:.0%} ([checks] "
            "quarantine_removed_share): a wrong band, scale or offset; see the calibration of the "
            "scenes in raw_tile"
        )
        raise TileQuarantinedError(message, reason="index_out_of_range", evidence={**figures})

    def judge(self, index: str) -> None:
        """Say how much was out of range, of an index that is complete for the tile.

        Raises:
            TileQuarantinedError: more than may be, by a threshold that has changed since.
        """
        units = self._builder.units(index)
        facts = {unit: entry.facts.get("range") for unit, entry in units.items()}
        ranges = {unit: each for unit, each in facts.items() if isinstance(each, Mapping)}
        if not ranges:
            return
        label = max(ranges, key=lambda unit: removed(ranges[unit]))
        self.require_believable(index, label, ranges[label])
        self._worst[index] = {"period": label, **ranges[label]}
        shares = (float(str(entry.facts["valid_fraction"])) for entry in units.values())
        self._valid[index] = max(shares)
        self._say(severe=False)

    def _say(self, *, severe: bool) -> None:
        """One verdict for all indices so far, which belongs to the first of the project."""
        most, least = self._checks.most_removed_share, self._checks.least_valid_share
        index = max(self._worst, key=lambda name: removed(self._worst[name]))
        valid = min(self._valid.values(), default=1.0)
        evidence = {
            **self._worst[index],
            "index": index,
            "largest_removed_fraction": most,
            "quarantine_removed_fraction": self._checks.quarantine_removed_share,
            "removed_by_index": ", ".join(
                f"{name} {removed(figures):.4f}" for name, figures in self._worst.items()
            ),
            "valid_share": valid,
            "least_valid_share": least,
        }
        passed = removed(self._worst[index]) <= most and valid >= least
        before = self._builder.said(INDEX_RANGE)
        self._builder.check(
            CheckOutcome(
                check=INDEX_RANGE,
                stage=self._indices[0],
                verdict=Verdict(passed, evidence),
                severe=severe or (before is not None and before.severe),
            )
        )


def removed(evidence: Evidence) -> float:
    """The share that was removed."""
    return float(evidence["removed_fraction"])
