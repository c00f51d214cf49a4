"""A run reads, walks and writes the months of a tile that it concerns, and no others."""

from __future__ import annotations

import copy
import datetime as dt
import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spatial_assets.pipeline.engines.engine import InlineEngine
from spatial_assets.pipeline.outcome import State, TileOutcome
from spatial_assets.pipeline.run.driver import TilePipeline
from spatial_assets.pipeline.run.settled_months import unsettle
from spatial_assets.project import Project
from spatial_assets.stores.cube.cube import read_window
from spatial_assets.stores.objects.location import locate
from spatial_assets.stores.objects.manifests import read_manifest
from spatial_assets.stores.objects.store import ObjectInfo, ObjectStore
from spatial_assets.stores.stage_facts import IndexFacts
from spatial_assets_tests.fixtures.answering_catalogue import EDGE, granule, project_of_one_tile
from spatial_assets_tests.fixtures.tables_in_memory import TablesInMemory
from spatial_assets_tests.fixtures.two_zone_project import FILES, write_granule

FIRST_YEAR = 2024
NOW = dt.datetime(2034, 1, 1, 12, tzinfo=dt.UTC)
STAGES = ("raw_tile", "reprojected_raster", "ndvi", "tile_index")


class CountingStore(ObjectStore):
    """A store that counts requests and bytes by the first segment of the path."""

    def __init__(self, url: str) -> None:
        super().__init__(locate(url), {})
        self.requests: Counter[str] = Counter()
        self.sizes: Counter[str] = Counter()
        self.read: set[str] = set()
        self.heads: set[str] = set()

    def _count(self, path: str, data: bytes | None = b"") -> None:
        self.requests[path.split("/", maxsplit=1)[0]] += 1
        self.sizes[path.split("/", maxsplit=1)[0]] += len(data or b"")

    def put(self, path: str, data: bytes) -> ObjectInfo:
        self._count(path, data)
        return super().put(path, data)

    def create(self, path: str, data: bytes) -> bool:
        self._count(path, data)
        return super().create(path, data)

    def get(self, path: str) -> bytes:
        data = super().get(path)
        self.read.add(path)
        self._count(path, data)
        return data

    def find(self, path: str, *, part: slice | None = None) -> bytes | None:
        data = super().find(path, part=part)
        self.read.add(path)
        self._count(path, data)
        return data

    def head(self, path: str) -> ObjectInfo | None:
        self._count(path)
        self.heads.add(path)
        return super().head(path)

    def delete(self, path: str) -> None:
        self._count(path)
        super().delete(path)

    def list(self, prefix: str = "") -> tuple[ObjectInfo, ...]:
        self._count(prefix)
        return super().list(prefix)


class History:
    """A tile with one scene a month, made in one run."""

    def __init__(self, root: Path, months: int) -> None:
        self.catalog = root / "c"
        self._library = write_granule(
            root / "library", granule("a"), tiled=False, blockxsize=EDGE, pixels=pixels()
        )
        for number in range(months):
            self.add(month_of(number))
        self.project: Project = project_of_one_tile(root)
        self.store = CountingStore(self.project.storage_url)
        self.tables = TablesInMemory()
        (self.tile,) = self.project.partitioning.keys
        self.run()

    def twin(self, storage: Path) -> History:
        """Return a history of the same catalogue in another store, made in one run."""
        found = copy.copy(self)
        url = self.project.storage.model_copy(update={"url": str(storage)})
        found.project = self.project.model_copy(update={"storage": url})
        found.store, found.tables = CountingStore(str(storage)), TablesInMemory()
        found.run()
        return found

    def add(self, day: dt.date, *, name: str | None = None) -> str:
        """Add a scene to the catalogue and return its id."""
        scene = replace(granule("a"), id=name or f"s_{day:%Y%m%d}", day=day.isoformat())
        folder = self.catalog / scene.id
        folder.mkdir(parents=True)
        for file in FILES.values():
            os.link(self._library / file, folder / file)
        (folder / f"{scene.id}.json").write_text(json.dumps(scene.item()))
        return scene.id

    def run(
        self, *, verified: int = 0, now: dt.datetime = NOW, project: Project | None = None
    ) -> TileOutcome:
        """Run the tile, counting the requests of this run alone."""
        for counted in (self.store.requests, self.store.sizes, self.store.read, self.store.heads):
            counted.clear()
        pipeline = TilePipeline(
            project=project or self.project,
            store=self.store,
            database=self.tables,
            engine=InlineEngine(),
            clock=lambda: now,
            owner="test",
            verified_months=verified,
        )
        (outcome,) = pipeline.run([self.tile], stages=STAGES)
        return outcome

    @property
    def parts_read(self) -> set[str]:
        """Months of the parts that the last run read."""
        return {path.split("/")[2] for path in self.store.read if path.startswith("manifest_parts")}

    def product(self) -> tuple[object, ...]:
        """Pixels, rows, and the whole manifest without its objects: all that a reader sees."""
        manifest = read_manifest(ObjectStore(locate(self.store.url), {}), self.tile)
        assert manifest is not None
        window = self.project.partitioning.tile(self.tile).window
        units = {
            (stage, unit): (entry.fingerprint, entry.facts)
            for stage, of_stage in manifest.stages.items()
            for unit, entry in of_stage.items()
            if unit
        }
        values = [
            read_window(self.store, "ndvi", period=each.period, window=window)[0].tobytes()
            for each in manifest.facts("ndvi", IndexFacts).values()
        ]
        rows = sorted(
            (row["period"], row["fingerprint"], row["scenes"], row["valid_fraction"])
            for row in self.tables.rows("tile_index")
        )
        return units, values, rows


def pixels() -> Mapping[str, np.ndarray]:
    """Bands of one value everywhere."""
    shape = (EDGE, EDGE)
    return {
        "red": np.full(shape, 2000, np.uint16),
        "nir": np.full(shape, 4000, np.uint16),
        "scl": np.full(shape, 4, np.uint8),
    }


def month_of(number: int) -> dt.date:
    """A day in the month with this number."""
    return dt.date(FIRST_YEAR + number // 12, number % 12 + 1, 10)


def figures(outcome: TileOutcome) -> dict[str, dict[str, object]]:
    """Figures that a tile reports of each stage, without those of this run alone."""
    own = {"units_made", "bytes_read", "seconds", "uri"}
    return {
        stage.stage: {name: value for name, value in stage.facts.items() if name not in own}
        for stage in outcome.stages
    }


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> History:
    return History(tmp_path_factory.mktemp("long"), 100)


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> History:
    return History(tmp_path_factory.mktemp("short"), 10)


def test_an_update_asks_the_store_the_same_after_ten_scenes_and_after_a_hundred(
    short: History, long: History
) -> None:
    for history, months in ((short, 10), (long, 100)):
        history.add(month_of(months - 1) + dt.timedelta(days=5))
        outcome = history.run()
        assert outcome.state is State.MATERIALIZED
        assert history.parts_read == {f"{month_of(months - 1):%Y-%m}"}

    per_tile = {"manifests", "manifest_parts", "raw_tile", "reprojected_raster", "ndvi.zarr"}
    of_short, of_long = (
        {name: history.store.requests[name] for name in (*sorted(per_tile), "leases")}
        for history in (short, long)
    )
    assert of_long == of_short
    for name in per_tile - {"manifests"}:
        assert long.store.sizes[name] == pytest.approx(short.store.sizes[name], abs=200)
    # the head has a line for each month, read once and written once
    a_month = (long.store.sizes["manifests"] - short.store.sizes["manifests"]) / 90 / 2
    assert a_month < 900
    # a run reads what it knows of each scene of the catalogue, once
    assert long.store.requests["scenes"] - short.store.requests["scenes"] == 90


def test_a_tile_without_a_change_is_found_so_from_its_head(long: History) -> None:
    outcome = long.run()

    assert outcome.state is State.UNCHANGED
    assert long.parts_read == set()
    assert not {path for path in long.store.heads if path.startswith("ndvi.zarr/ndvi/c/")}
    assert long.store.requests["raw_tile"] == long.store.requests["reprojected_raster"] == 0
    assert figures(outcome) == figures(long.run(verified=1000))


def test_what_is_settled_is_what_a_walk_of_all_months_would_make(tmp_path: Path) -> None:
    history = History(tmp_path, 8)
    whole = history.twin(tmp_path / "whole")
    history.add(month_of(0) + dt.timedelta(days=3))
    history.add(month_of(4) + dt.timedelta(days=3))

    grown = history.run()
    assert history.parts_read == {"2024-01", "2024-05"}
    assert figures(grown) == figures(whole.run(verified=99))
    assert len(whole.parts_read) == 8
    assert history.product() == whole.product()

    (history.catalog / f"s_{month_of(7):%Y%m%d}").rename(tmp_path / "withdrawn")
    shrunk = history.run()
    assert history.parts_read == {"2024-08"}
    assert figures(shrunk) == figures(whole.run(verified=99))
    assert history.product() == whole.product()


def test_a_setting_concerns_every_month(tmp_path: Path) -> None:
    history = History(tmp_path, 6)
    time = history.project.time.model_copy(update={"composite": "max"})

    history.run(project=history.project.model_copy(update={"time": time}))

    assert len(history.parts_read) == 6


def test_a_lost_object_of_a_settled_month_is_found_in_turn(tmp_path: Path) -> None:
    history = History(tmp_path, 9)
    before = history.product()
    manifest = read_manifest(history.store, history.tile)
    assert manifest is not None
    shard = manifest.units("ndvi")["2024-05"].objects[0].path
    history.store.delete(shard)

    days = [NOW + dt.timedelta(days=day) for day in range(5)]
    outcomes = [history.run(verified=2, now=day) for day in days]

    assert [outcome.state for outcome in outcomes].count(State.MATERIALIZED) == 1
    assert history.product() == before


def test_rows_that_the_database_lost_come_back_for_every_month(tmp_path: Path) -> None:
    history = History(tmp_path, 5)
    before = history.product()
    history.tables = TablesInMemory()

    history.run()

    assert history.product() == before
    assert len(history.tables.rows("tile_index")) == 5


def test_a_loss_that_was_found_is_mended_by_the_next_run(tmp_path: Path) -> None:
    history = History(tmp_path, 6)
    before = history.product()
    manifest = read_manifest(history.store, history.tile)
    assert manifest is not None
    history.store.delete(manifest.units("ndvi")["2024-03"].objects[0].path)
    assert history.run().state is State.UNCHANGED  # nobody looked

    unsettle(history.store, history.tile)

    assert history.run().state is State.MATERIALIZED
    assert history.product() == before
