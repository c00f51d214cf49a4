"""The task of a worker for one tile, and its result. Everything here is picklable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from spatial_assets.catalog.scene import RejectedScene
from spatial_assets.geo.grid.pixel_grid import Tile
from spatial_assets.geo.periods import Periods
from spatial_assets.pipeline.fingerprints import fingerprint
from spatial_assets.pipeline.outcome import StageOutcome, TileOutcome
from spatial_assets.pipeline.stages import CODE_VERSIONS, code_of
from spatial_assets.pipeline.tile.retention import FirstKept
from spatial_assets.pipeline.tile.scene_record import SceneRecord
from spatial_assets.stores.objects.manifests import TileManifest

YEAR_DIGITS, MONTH_DIGITS = len("2023"), len("2023-08")


def input_fingerprints(
    scenes: Iterable[SceneRecord],
    rejected: Iterable[RejectedScene],
    *,
    settings: Mapping[str, str],
) -> Mapping[str, str]:
    """Map each stage to a hash of all that decides its quarantine.

    Args:
        scenes: usable scenes that reach the tile.
        rejected: the others that reach it.
        settings: stage -> hash of the settings and the code of this stage and of all before it.
    """
    good = sorted(
        (scene.id, scene.fingerprint, scene.solar_day.isoformat(), scene.platform)
        for scene in scenes
    )
    bad = sorted((scene.id, scene.fingerprint, scene.reason) for scene in rejected)
    of_scenes = fingerprint("input", good, bad)
    return {stage: fingerprint(of_scenes, hashed) for stage, hashed in settings.items()}


@dataclass(frozen=True, kw_only=True)
class TileTask:
    """One tile to walk through the selected stages."""

    tile: Tile
    stages: tuple[str, ...]
    """Selected stages in chain order, without those of `standing`."""

    inputs: Mapping[str, str] = field(default_factory=dict)
    """Stage -> hash of the inputs that decide its quarantine."""

    standing: Mapping[str, StageOutcome] = field(default_factory=dict)
    """Stages that stay in quarantine, or without which they cannot be made: not to be walked."""

    scenes: tuple[SceneRecord, ...]
    """Usable scenes whose pixels reach the tile, by id; empty when `raw_tile` is not selected."""

    raw_bytes: tuple[int, ...]
    """Memory that the pixels to read of each scene take, in bytes."""

    kept: tuple[SceneRecord, ...] = ()
    """Stored scenes that the catalogue does not list and that are not withdrawn, by id: what was
    made of them stays, and they are not read again."""

    rejected: tuple[RejectedScene, ...]
    """Scenes that reach the tile and cannot be used."""

    scenes_hash: str
    """Hash of the scenes that the catalogue has over the tile, see `SceneIndex.scenes_hash`."""

    manifest: TileManifest
    """The stored units of this tile, as far as the database has their rows."""

    periods: Periods
    """The time axis."""

    product_periods: tuple[int, ...]
    """Indices of the periods in which the whole area has any scene."""

    boundaries: tuple[str, ...]
    """Names of the boundary sets."""

    first_kept: FirstKept = field(default_factory=FirstKept)
    """First periods that [retention] keeps."""

    accepted: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Stage -> former code versions whose results a user accepted."""

    unsettled: Mapping[str, str] | None = None
    """Span -> hash of its inputs, see `pipeline.run.settled_months`: what this walk brings up to
    date. Scenes, kept scenes and the manifest's units are those of these spans. None: all, from
    the store alone."""

    def code_versions(self, stage: str) -> tuple[str, ...]:
        """Return the code versions whose results of a stage count, the present one first."""
        return (CODE_VERSIONS[code_of(stage)], *self.accepted.get(stage, ()))

    def span_of(self, day: str) -> str:
        """Return the month of a day or period, as 2023-08; its year if the periods are years."""
        return day[:YEAR_DIGITS] if self.periods.length == "year" else day[:MONTH_DIGITS]

    def concerns(self, period: int) -> bool:
        """Return True if a period is to be brought up to date."""
        return self.unsettled is None or self.span_of(self.periods.label(period)) in self.unsettled

    @property
    def label(self) -> str:
        """Name of the task for the user."""
        return self.tile.key

    def keeps(self, stage: str, scene: SceneRecord) -> bool:
        """Return True if [retention] keeps what a stage stores of a scene."""
        return self.periods.index_of(scene.solar_day) >= self.first_kept.of_stage(stage)


@dataclass(frozen=True, kw_only=True)
class IndexRow:
    """One row of `tile_index`, before the driver adds grid and geometry."""

    index: str
    unit: str
    """Label of the period."""

    period: int
    valid_fraction: float
    observations: float
    """Clear observations of a pixel, on average."""

    scenes: int
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class StatisticsRows:
    """The rows of one (index, period, boundary table) of one tile."""

    index: str
    period: int
    boundary_table: str
    rows: tuple[Mapping[str, object], ...]


@dataclass(frozen=True, kw_only=True)
class TileResult:
    """A walked tile: its objects are in the store, the driver commits the rest."""

    outcome: TileOutcome
    manifest: TileManifest
    index_rows: tuple[IndexRow, ...] | None = None
    """Rows that changed; None: there is none."""

    index_rows_are_all: bool = True
    """True if `index_rows` are all rows of the tile."""

    statistics: tuple[StatisticsRows, ...] = ()
    """Rows that changed."""

    dropped_objects: tuple[str, ...] = ()
    """Paths that the manifest names no longer, deleted after the commit."""
