"""The check `source_intact` of a tile: one verdict over the scenes of all its months."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spatial_assets.catalog.rasters.inspect import DOUBTS
from spatial_assets.catalog.scene_facts import SceneFacts
from spatial_assets.geo.verdict import Verdict
from spatial_assets.pipeline.outcome import CheckOutcome
from spatial_assets.pipeline.stages import RAW
from spatial_assets.stores.objects.stage_entries import StageSummary
from spatial_assets.stores.stage_facts import RawTileFacts


def source_check(
    facts: Mapping[str, RawTileFacts],
    *,
    inspected: Mapping[str, SceneFacts],
    refused: Mapping[str, str],
    kept: Sequence[str],
    unread: StageSummary,
    least: float,
) -> CheckOutcome:
    """Judge whether the blocks of every scene could be read, with the calibration's figures.

    Args:
        facts: scene -> facts of its stored windows, of the months of this walk.
        inspected: scene -> facts of its files, of the months of this walk.
        refused: scene -> why it is not used.
        kept: scenes that the catalogue does not list.
        unread: figures of the other months.
        least: smallest share of readable pixels, from 0 to 1.
    """
    lost = {unit: dict(each.unreadable) for unit, each in facts.items() if each.unreadable}
    lost |= {name: dict(each) for name, each in unread.unreadable.items()}
    shares = [unread.readable, *(each.readable_fraction for each in facts.values())]
    wrong = [float(each.figures.get("implausible_share") or 0) for each in inspected.values()]
    doubts = {name: list(each.warnings) for name, each in inspected.items() if each.warnings}
    doubts = {**unread.doubts, **doubts}
    evidence: dict[str, float | int | str] = {
        "scenes": len(facts) + unread.units,
        "unreadable_pixels": str(dict(sorted(lost.items())) or "none"),
        "readable_share": min(shares),
        "least_readable_share": least,
        "refused_scenes": str(refused or "none"),
        "kept_scenes": ", ".join(kept) or "none",
        "largest_implausible_share": max([unread.implausible, *wrong]),
        "doubts": str(dict(sorted(doubts.items())) or "none"),
    }
    passed = min(shares) >= least and not refused
    warnings = (
        *(f"scene {name} is not used: {reason}" for name, reason in sorted(refused.items())),
        *(
            f"scene {name}: {'; '.join(DOUBTS.get(code, code) for code in codes)}"
            for name, codes in sorted(doubts.items())
        ),
    )
    verdict = Verdict(passed=passed, evidence=evidence)
    return CheckOutcome(check="source_intact", stage=RAW, verdict=verdict, warnings=warnings)
