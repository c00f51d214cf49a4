"""Real scenes that become stale, arrive and are damaged, and the events that Dagster stores."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import dagster as dg
import shapely

from spatial_assets.catalog.rasters import gdal_datasets
from spatial_assets.definitions import build_definitions
from spatial_assets.project import Project
from spatial_assets.project.sections.storage import DatabaseSettings, StorageSettings
from spatial_assets.resources import EngineResource
from spatial_assets_tests.automation.frozen_clock import CHAIN, WARN
from spatial_assets_tests.fixtures.pipeline_runs import pixels, rows, run_tiles
from spatial_assets_tests.fixtures.two_zone_project import write_project
from spatial_assets_tests.stories.automation.killable_services import KillableServices

Found = TypeVar("Found")

NORTH = ("S2A_33TWM_20230818_0_L2A", "S2B_33TWM_20230810_0_L2A", "S2B_33TWM_20230813_0_L2A")
"""Scenes of the initial catalogue."""

SOUTH = "S2A_33TWL_20230818_0_L2A"
"""Scene that arrives later and is then damaged."""

RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
TIMEOUT = 240.0  # seconds for a step of the story: 40 s when idle, and a kill costs another 20
Events = dict[tuple[str, str], list[tuple[str, str]]]
"""(asset, tile) -> (state, data version) of its materializations, oldest first."""


def slovenia_project(folder: Path, samples: Path) -> Project:
    """A project of fifteen tiles of real scenes and regions, kept fresh by itself."""
    catalog = folder / "scenes"
    for name in NORTH:
        shutil.copytree(samples / "scenes" / "sentinel-2-l2a" / name, catalog / name)
    project = write_project(
        folder / "project",
        catalog,
        area={"bbox": [15.0, 45.06, 16.44, 46.95]},
        grid={"pixel_zoom": 9, "chunk": 128, "shard": 256, "level": 9},
        time={"start": "2023-08-01", "end": "2023-08-31"},
        boundaries={
            "name": "boundaries",
            "source": str(samples / "boundaries" / "si_statistical_regions.gpkg"),
            "key": "region_id",
        },
        freshness={"watch": "1 minute"},
        **{
            "freshness.raw_tile": {
                "warn": f"{WARN.days} days",
                "fail": "10 days",
                "never_made": "leave",
            }
        },
    )
    assert len(project.partitioning.keys) == 15
    return project


def make(
    project: Project,
    instance: dg.DagsterInstance,
    assets: Sequence[str],
    ranges: Sequence[Sequence[str]] = ((),),
) -> dt.datetime:
    """Materialize assets in this process, range by range, and return the time of the end."""
    engine = EngineResource(workers=0, gdal_cache_mb=64)
    definitions = build_definitions(project, engine=engine)
    for tiles in ranges:
        tags = dict(zip(RANGE, (tiles[0], tiles[-1]), strict=True)) if tiles else {}
        run = dg.materialize(
            [*(definitions.assets or ()), *(definitions.asset_checks or ())],  # type: ignore[list-item]
            selection=list(assets),
            tags=tags,
            resources=definitions.resources,
            instance=instance,
        )
        assert run.success
    gdal_datasets.close_all()
    time.sleep(0.01)
    return dt.datetime.now(dt.UTC)


def events(instance: dg.DagsterInstance) -> Events:
    """Every materialization of every stage of every tile."""
    found: Events = {}
    for asset in CHAIN:
        wanted = dg.AssetRecordsFilter(dg.AssetKey(asset))
        for record in reversed(instance.fetch_materializations(wanted, limit=5000).records):
            event = record.asset_materialization
            assert event is not None
            assert record.partition_key is not None
            state = str(event.metadata["state"].value)
            version = (event.tags or {})["dagster/data_version"]
            found.setdefault((asset, record.partition_key), []).append((state, version))
    return found


def computed_twice(found: Events) -> list[tuple[str, str]]:
    """Assets and tiles computed more than once from the same inputs; "unchanged" does not count."""
    counts = {
        key: Counter(version for state, version in made if state != "unchanged")
        for key, made in found.items()
    }
    return [key for key, versions in counts.items() if any(n > 1 for n in versions.values())]


def wait_for(look: Callable[[], Found | None], what: str, *, seconds: float = TIMEOUT) -> Found:
    """Call `look` until it returns a value."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found is not None:
            return found
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        time.sleep(0.5)


@dataclass
class SloveniaDeployment:
    """A project, the services that keep it fresh, and the state at the start of the phase."""

    project: Project
    instance: dg.DagsterInstance
    services: KillableServices
    stale: tuple[tuple[str, ...], ...]
    """Ranges of tiles that are stale at first."""

    _before: Events = field(default_factory=dict)
    _known: set[str] = field(default_factory=set)

    @property
    def tiles(self) -> tuple[str, ...]:
        """All tiles."""
        return self.project.partitioning.keys

    @property
    def old(self) -> set[str]:
        """Tiles that are stale at first."""
        return {tile for part in self.stale for tile in part}

    @property
    def catalog(self) -> Path:
        """The folder of scenes."""
        return Path(self.project.catalog_url)

    def begin(self) -> None:
        """Start a phase."""
        self._before = self.events()
        self._known = {run.run_id for run in self.instance.get_runs()}

    def events(self) -> Events:
        """All materializations so far."""
        return events(self.instance)

    def new_events(self) -> Events:
        """Materializations of this phase."""
        new = {key: made[len(self._before.get(key, [])) :] for key, made in self.events().items()}
        return {key: made for key, made in new.items() if made}

    def runs(self) -> list[dg.DagsterRun]:
        """Runs of this phase."""
        return [run for run in self.instance.get_runs() if run.run_id not in self._known]

    def renewed(self) -> set[str]:
        """Tiles with a new event of the last stage."""
        return {tile for asset, tile in self.new_events() if asset == CHAIN[-1]}

    def settled(self, tiles: set[str]) -> bool | None:
        """True when these tiles are renewed and no run is left; None: not yet."""
        runs = self.runs()
        done = bool(runs) and all(run.is_finished for run in runs)
        return True if done and tiles <= self.renewed() else None

    def ticks(self) -> list[str]:
        """Status of each finished tick of the automation, oldest first."""
        (state,) = [
            each
            for each in self.instance.all_instigator_state()
            if each.instigator_name == "tile_automation"
        ]
        found = self.instance.get_ticks(state.instigator_origin_id, state.selector_id)
        ended = [tick.status.value for tick in sorted(found, key=lambda tick: tick.timestamp)]
        return [status for status in ended if status != "STARTED"]

    def under(self, scene: str) -> set[str]:
        """The tiles that a scene's own footprint touches."""
        document = json.loads((self.catalog / scene / f"{scene}.json").read_text())
        footprint = shapely.geometry.shape(document["geometry"])
        grid, tiles = self.project.pixel_grid, self.project.partitioning.tiles
        return {key for key, tile in tiles.items() if tile.footprint(grid).intersects(footprint)}

    def only_under(self, scene: str) -> set[str]:
        """The tiles that no other scene touches."""
        others = set().union(*(self.under(name) for name in NORTH))
        return self.under(scene) - others

    def in_quarantine(self) -> set[str]:
        """The tiles of which the first stage is in quarantine."""
        return {
            str(row["tile"])
            for row in rows(self.project, "tile_state")
            if row["stage"] == "raw_tile" and row["state"] == "quarantined"
        }

    def index_of_plain_run(self, folder: Path) -> dict[str, bytes]:
        """The index that a plain run makes of the same scenes, in another store."""
        other = self.project.model_copy(
            update={
                "storage": StorageSettings(url=str(folder / "data")),
                "database": DatabaseSettings(url=f"duckdb:///{folder}/spatial.duckdb"),
                "boundaries": (),
            }
        )
        run_tiles(other, keys=sorted(set(self.tiles) - self.in_quarantine()))
        return {path: data for path, data in pixels(other).items() if path.startswith("ndvi.zarr/")}

    def cube(self, like: Mapping[str, bytes]) -> dict[str, bytes]:
        """The index, without older values that a quarantined tile has kept."""
        mine = pixels(self.project)
        return {path: data for path, data in mine.items() if path in like}
