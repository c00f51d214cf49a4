"""Retention: the stored units of a tile that [retention] keeps no longer.

A unit of `raw_tile` or `reprojected_raster` is released: its objects are deleted, its entry in the
manifest stays, so that it counts as stored. A period of the product expires:
keeps fingerprint and facts, so that it counts as stored. A period of the product expires:
it is removed with all that was made for it. Pure; callers commit the manifest before they delete.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from spatial_assets.geo.periods import Periods
from spatial_assets.pipeline.stages import RAW, REPROJECTED_RASTER
from spatial_assets.project.sections.retention import RetentionSettings, first_kept_period
from spatial_assets.stores.objects.manifests import INVALIDATED, StageEntry, TileManifest
from spatial_assets.stores.stage_facts import (
    IndexFacts,
    SceneUnitFacts,
    StatisticsFacts,
)


@dataclass(frozen=True, kw_only=True)
class FirstKept:
    """Positions on the time axis of the first periods that [retention] keeps."""

    raw_tile: int = 0
    reprojected_raster: int = 0
    periods: int = 0
    """First period of the product; what was read and reprojected for earlier ones goes with it."""

    @classmethod
    def of(
        cls, settings: RetentionSettings, periods: Periods, *, newest: int, today: date
    ) -> FirstKept:
        """Return the first kept periods.

        Args:
            settings: [retention] of the project.
            periods: the time axis.
            newest: position of the newest period of the product.
            today: the present day, UTC.
        """
        limits = {name: getattr(settings, name) for name in cls.__dataclass_fields__}
        return cls(
            **{
                name: first_kept_period(limit, periods, newest=newest, today=today)
                for name, limit in limits.items()
            }
        )

    def of_stage(self, stage: str) -> int:
        """Return the first period whose objects of a stage are kept."""
        return {RAW: self.raw_tile, REPROJECTED_RASTER: self.reprojected_raster}.get(
            stage, self.periods
        )


def period_of(entry: StageEntry, periods: Periods) -> int | None:
    """Return the period that a unit belongs to; None for a unit that belongs to none."""
    facts = entry.facts
    if isinstance(facts, SceneUnitFacts):
        day = date.fromisoformat(facts.scene.solar_day)
        return periods.index_of(max(day, periods.first_day(0)))
    return facts.period if isinstance(facts, IndexFacts | StatisticsFacts) else None


def expired_units(
    manifest: TileManifest, periods: Periods, first: FirstKept
) -> Iterator[tuple[str, str]]:
    """Yield (stage, unit) of the periods that the product keeps no longer."""
    for stage, units in manifest.stages.items():
        for unit, entry in units.items():
            period = period_of(entry, periods)
            if period is not None and period < first.periods:
                yield stage, unit


def releasable_units(
    manifest: TileManifest, periods: Periods, first: FirstKept, *, indices: Iterable[str]
) -> Iterator[tuple[str, str]]:
    """Yield (stage, unit) whose objects are kept no longer, and not needed for what is not made.

    The pixels of a scene are needed until it is reprojected, and those of its raster until every
    index that is made for the tile has the period.
    """
    made = [units for index in indices if (units := manifest.units(index))]
    for stage in (RAW, REPROJECTED_RASTER):
        for unit, entry in manifest.units(stage).items():
            period = period_of(entry, periods)
            if not entry.objects or period is None or period >= first.of_stage(stage):
                continue
            if stage == RAW:
                needed_for = [manifest.entry(REPROJECTED_RASTER, unit)]
            else:
                needed_for = [units.get(periods.label(period)) for units in made]
            if needed_for and all(_is_made(each) for each in needed_for):
                yield stage, unit


def _is_made(entry: StageEntry | None) -> bool:
    return entry is not None and entry.fingerprint != INVALIDATED


def released_message(stage: str, key: str, scene: str) -> str:
    """Return the message that pixels are needed which [retention] released."""
    return (
        f"[retention] {stage} released the pixels of scene {scene} in tile {key}, and they are "
        f'needed again; include {RAW} (--select "{RAW}+"), which reads the archive again'
    )


def lost_lines(lost: Mapping[str, str]) -> list[str]:
    """Return a sentence for the user on each released scene that cannot be read again.

    Args:
        lost: scene -> reason.
    """
    return [
        f"scene {name} was released by [retention] and cannot be read again ({reason}): what "
        "was made of it stays as it is, and anything new is made without it"
        for name, reason in sorted(lost.items())
    ]
