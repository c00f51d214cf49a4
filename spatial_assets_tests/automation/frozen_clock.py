"""Tiles materialized at one time and evaluated by a clock frozen at another."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dagster as dg

from spatial_assets.definitions import build_definitions
from spatial_assets.project import Project
from spatial_assets.project.sections.freshness import (
    FreshnessSettings,
    FreshnessWindow,
    RegionWindow,
)
from spatial_assets.project.sections.pauses import PausedHours
from spatial_assets.project.sections.regions import RegionSettings
from spatial_assets.stores.rows import (
    QuarantineRecord,
    RowLike,
    TileInputs,
    TileState,
    TileWanted,
    Upsert,
)
from spatial_assets.stores.tables.connect import open_database
from spatial_assets_tests.fixtures.two_zone_project import write_project

CHAIN = ("raw_tile", "reprojected_raster", "ndvi", "ndvi_by_boundary", "tile_index")
WARN = dt.timedelta(days=5)
WINDOW = FreshnessWindow(warn=WARN, fail=2 * WARN, never_made="leave")
BOUNDARIES = {"name": "boundaries", "source": "districts.gpkg", "key": "region_id"}
SMALL = {"pixel_zoom": 12, "chunk": 128, "shard": 256, "level": 12}
EVERYTHING = dg.AssetSelection.all()  # the default also has sources, which warns of being beta
JUST_LONGER = 0.002  # seconds: two events of one moment would be equally old


def windowed_project(folder: Path) -> Project:
    """A project of at least fifteen tiles, without a scene."""
    project = write_project(
        folder / "project", folder / "catalog", grid=SMALL, boundaries=BOUNDARIES
    )
    assert len(project.partitioning.keys) >= 15
    return project.model_copy(update={"freshness": freshness(WINDOW)})


def freshness(window: FreshnessWindow, **others: Any) -> FreshnessSettings:  # noqa: ANN401 - any setting
    """[freshness] with a window for raw_tile, and what else stands there."""
    return FreshnessSettings.model_validate({"raw_tile": window, **others})


@dataclass
class AutomationHarness:
    """A project, its instance, and the requests of automation, tick by tick."""

    project: Project
    instance: dg.DagsterInstance
    clock: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))
    others: tuple[dg.AssetsDefinition, ...] = ()
    cursor: Any = None
    _project: Project | None = None
    _definitions: dg.Definitions = field(default_factory=dg.Definitions)

    @property
    def tiles(self) -> tuple[str, ...]:
        """Fifteen tiles, in the order of the partitions."""
        return self.project.partitioning.keys[:15]

    def make(
        self, tiles: Iterable[str], assets: Iterable[str] = CHAIN, *, version: str = "1"
    ) -> dt.datetime:
        """Record materializations of tiles, and return a time after all of them."""
        for tile in tiles:
            for asset in assets:
                self.note(asset, tile, version=version)
        time.sleep(JUST_LONGER)
        moment = dt.datetime.now(dt.UTC)
        time.sleep(JUST_LONGER)
        return moment

    def note(self, asset: str, tile: str | None = None, *, version: str = "1") -> None:
        """Record one materialization."""
        tags = {"dagster/data_version": version, "dagster/data_version_is_user_provided": "true"}
        self.instance.report_runless_asset_event(
            dg.AssetMaterialization(asset, partition=tile, tags=tags)
        )

    def observe(self, tile: str) -> None:
        """Record an attempt that did not materialize a tile."""
        self.instance.report_runless_asset_event(dg.AssetObservation("raw_tile", partition=tile))

    def begin(self, tile: str) -> None:
        """Record that a run of a tile has started."""
        job = self.definitions().resolve_job_def("tiles")
        self.instance.create_run_for_job(
            job, tags={"dagster/partition": tile}, status=dg.DagsterRunStatus.STARTED
        )

    def change(
        self,
        regions: Mapping[str, tuple[dt.timedelta, Sequence[str]]] | None = None,
        **changes: Any,  # noqa: ANN401 - any setting of a window
    ) -> None:
        """Set another window for raw_tile, and for regions: name -> (warn, tiles)."""
        window = FreshnessWindow(**{**dict(WINDOW), **changes})
        parts = {
            name: RegionSettings(tiles=tuple(tiles)) for name, (_, tiles) in (regions or {}).items()
        }
        others = {name: RegionWindow(warn=warn) for name, (warn, _) in (regions or {}).items()}
        update = {"regions": parts, "freshness": freshness(window, regions=others)}
        self.project = self.project.model_copy(update=update)

    def pause(self, start: str, *, until: str) -> None:
        """Keep some hours of every day free."""
        hours = PausedHours.model_validate({"from": start, "until": until})
        freshness = self.project.freshness.model_copy(update={"paused": (hours,)})
        self.project = self.project.model_copy(update={"freshness": freshness})

    def definitions(self) -> dg.Definitions:
        """The project's definitions, by this clock."""
        if self._project is not self.project:
            ours = build_definitions(self.project, clock=lambda: self.clock)
            self._definitions = dg.Definitions.merge(ours, dg.Definitions(assets=self.others))
            self._project = self.project
        return self._definitions

    def tick(self) -> dict[str, set[str | None]]:
        """Requested tiles: asset -> tiles."""
        result = dg.evaluate_automation_conditions(
            self.definitions(), self.instance, EVERYTHING, cursor=self.cursor
        )
        self.cursor = result.cursor
        keys = [each.key for each in result.results if isinstance(each.key, dg.AssetKey)]
        asked = {key.to_user_string(): set(result.get_requested_partitions(key)) for key in keys}
        return {asset: tiles for asset, tiles in asked.items() if tiles}

    def set_state(self, tile: str, state: Any, *, stage: str = "raw_tile") -> None:  # noqa: ANN401
        """Store the state of a stage of a tile, as the pipeline does."""
        found = TileState(
            grid_id=self.project.grid_id, tile=tile, stage=stage, state=state, since=self.clock
        )
        with open_database(self.project.database_url) as database:
            database.ensure_schema(self.project.boundaries, self.project.indices.names)
            database.set_states([found])
            if state == "quarantined":
                database.quarantine([self._record(tile)])

    def want(self, tile: str, *, wanted: str = "b", stage: str = "raw_tile") -> None:
        """Store a change that a tile has to follow, as the sensor does."""
        change = TileWanted(
            grid_id=self.project.grid_id,
            tile=tile,
            stage=stage,
            wanted=wanted,
            why="a new scene",
            since=self.clock,
        )
        self._commit("tile_wanted", change)

    def follow(self, tile: str, *, wanted: str) -> None:
        """Store the scenes that a tile was made from, as the pipeline does."""
        inputs = {"raw_tile": {"scenes": wanted, "settings": "s", "boundaries": ""}}
        made = TileInputs(
            grid_id=self.project.grid_id, tile=tile, inputs=inputs, looked_at=self.clock
        )
        self._commit("tile_inputs", made)

    def _commit(self, table: str, row: RowLike) -> None:
        with open_database(self.project.database_url) as database:
            database.ensure_schema(self.project.boundaries, self.project.indices.names)
            database.commit([Upsert(table, [row])])

    def release(self, tile: str) -> None:
        """Release a tile from quarantine, as a user does."""
        record = replace(self._record(tile), released_at=self.clock)
        with open_database(self.project.database_url) as database:
            database.ensure_schema(self.project.boundaries, self.project.indices.names)
            database.quarantine([record])

    def _record(self, tile: str) -> QuarantineRecord:
        return QuarantineRecord(
            grid_id=self.project.grid_id,
            kind="tile",
            subject=tile,
            reason="source_corrupt",
            message="no scene can be read",
            code_version="1",
            first_seen=self.clock,
            last_seen=self.clock,
        )
