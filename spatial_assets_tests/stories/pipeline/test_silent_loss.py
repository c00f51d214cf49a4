"""A value of the cube changes only if scenes over it, or the settings that compute it, changed.

Histories of answers of a catalogue and of edits of the project run through the real driver, and a
model of some lines tells what the product must be after each step.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from spatial_assets.catalog import find_scenes
from spatial_assets.errors import CatalogueShrunkError, SourceUnavailableError
from spatial_assets.geo.grid.geobox import Window
from spatial_assets.geo.radiometry import FILL, INDEX_SCALE
from spatial_assets.pipeline.engines.engine import InlineEngine
from spatial_assets.pipeline.freshness.scene_register import absent_scenes, change_register
from spatial_assets.pipeline.outcome import BAD_STATES, State
from spatial_assets.pipeline.run.driver import TilePipeline
from spatial_assets.pipeline.stages import RAW
from spatial_assets.project import Project
from spatial_assets.stores.cube.cube import read_window
from spatial_assets.stores.objects.manifests import read_manifest
from spatial_assets.stores.objects.store import ObjectStore, open_store
from spatial_assets.stores.tables.connect import open_database
from spatial_assets.stores.tables.database import Database
from spatial_assets_tests.fixtures.answering_catalogue import (
    SCENES,
    VERSIONS,
    Answer,
    AnsweringCatalogue,
    ndvi,
    project_of_one_tile,
    with_settings,
)
from spatial_assets_tests.fixtures.pipeline_runs import NOON
from spatial_assets_tests.fixtures.tables_in_memory import TablesInMemory

STAGES = ("raw_tile", "reprojected_raster", "ndvi", "tile_index")
PERIODS = {0: "2023-08", 1: "2023-09"}
TOLERANCE = 2e-4  # reflectance and index are stored in steps of 1e-4

FILTERS: Mapping[str, Mapping[str, object]] = {
    "all": {},
    "august": {"datetime": "2023-08-01/2023-08-31"},
    "september": {"datetime": "2023-09-01/2023-09-30"},
    "another year": {"datetime": "2024-01-01/2024-12-31"},
    "half of the clouds": {"max_cloud_cover": 50.0},
    "hardly a cloud": {"max_cloud_cover": 1.0},
    "the collection": {"collections": ("sentinel-2-l2a",)},
    "a typo": {"collections": ("sentinel-2-l2b",)},
}
OPEN = {"datetime": None, "max_cloud_cover": 100.0, "collections": ()}


def asks_for(name: str, scene: str) -> bool:
    """Return True if a filter asks for a scene: told by hand, without the code under test."""
    day, cloud = SCENES[scene]
    if name in ("august", "september"):
        return day.startswith({"august": "2023-08", "september": "2023-09"}[name])
    if name in ("half of the clouds", "hardly a cloud"):
        return cloud <= {"half of the clouds": 50, "hardly a cloud": 1}[name]
    return name in ("all", "the collection")


@dataclass(frozen=True, kw_only=True)
class Step:
    """One run: the answer of the catalogue, and the settings of the project."""

    answer: Answer
    filter: str = "all"
    composite: str = "median"
    releases: bool = False
    """True if the user releases all absent scenes before the run."""


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    """Answers of a catalogue, of which most list most scenes."""
    some = st.one_of(
        st.just(frozenset[str]()),
        st.frozensets(st.sampled_from(sorted(SCENES)), max_size=2),
        st.frozensets(st.sampled_from(sorted(SCENES))),
    )
    missing = draw(some)
    names = draw(st.permutations(sorted(SCENES)))
    version = st.sampled_from((VERSIONS[0], *VERSIONS))
    one = st.sampled_from(("", "", "", *sorted(SCENES)))
    return Answer(
        listed={name: draw(version) for name in names if name not in missing},
        form=draw(st.sampled_from(("folder", "folder", "static", "page"))),
        cut=draw(one),
        no_files=draw(one),
        is_partial=draw(st.sampled_from((False, False, True))),
    )


def steps() -> st.SearchStrategy[Step]:
    """Runs, of which most have the settings of the run before."""
    return st.builds(
        Step,
        answer=answers(),
        filter=st.sampled_from(("all", "all", *FILTERS)),
        composite=st.sampled_from(("median", "median", "max", "latest")),
        releases=st.sampled_from((False, False, False, True)),
    )


@dataclass
class Model:
    """Expected content of the product."""

    product: dict[str, int] = field(default_factory=dict)
    """Scene -> its version."""

    known: set[str] = field(default_factory=set)
    released: set[str] = field(default_factory=set)
    composed: dict[int, tuple[float | None, int]] = field(default_factory=dict)
    """Period -> value and number of observations; None: no value."""

    def listed(self, step: Step) -> set[str]:
        """Scenes that the answer lists under the filter, readable or not."""
        answer = step.answer
        asked = {each for each in answer.listed if asks_for(step.filter, each)}
        return asked | answer.unread

    def lost(self, step: Step) -> set[str]:
        """Scenes that the filter asks for and the answer does not list."""
        absent = self.known - self.released - self.listed(step)
        return {each for each in absent if asks_for(step.filter, each)}

    def stops(self, step: Step) -> bool:
        """Return True if the run must stop."""
        lost = len(self.lost(step)) if step.answer.is_whole else 0
        return lost > 0.5 * (lost + len(self.known & self.listed(step)))

    def release(self, step: Step) -> None:
        """Release all absent scenes, as a user does by `prune --scenes`."""
        self.released |= self.known - self.listed(step)

    def follow(self, step: Step, *, is_bad: bool) -> None:
        """Follow a run that did not stop."""
        answer = step.answer
        usable = self.listed(step) - answer.unread - {answer.no_files}
        if answer.is_whole:
            self.released |= self.lost(step)
        self.known |= usable
        self.released -= usable
        if is_bad:
            return
        gone = self.released - self.listed(step)
        kept = {name: made for name, made in self.product.items() if name not in gone}
        self.product = kept | {name: answer.listed[name] for name in usable}
        self.composed = {period: self._composed(period, step.composite) for period in PERIODS}

    def _composed(self, period: int, composite: str) -> tuple[float | None, int]:
        days = sorted(name for name in self.product if SCENES[name][0].startswith(PERIODS[period]))
        values = [ndvi(name, self.product[name]) for name in days]
        if not values:
            return None, 0
        latest = values[-1]  # scenes are named in the order of their days
        value = {"median": statistics.median(values), "max": max(values), "latest": latest}
        return value[composite], len(values)


class Histories:
    """A project with its catalogue, computed once, from which every history starts."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.catalogue = AnsweringCatalogue(root)
        self.project = project_of_one_tile(root)
        self._numbers = count()
        self._tables = TablesInMemory()
        run(self._asked(Step(answer=Answer()), root / "made"), self._tables)

    def _asked(self, step: Step, storage: Path) -> Project:
        location = self.catalogue.lay_out(step.answer)
        scenes = {**OPEN, **FILTERS[step.filter], "catalog": location}
        return with_settings(self.project, scenes=scenes, composite=step.composite, storage=storage)

    def tell(self, history: list[Step], database: Database | None = None) -> None:
        """Run a history and compare the product with the model after each step."""
        storage = self.root / f"history_{next(self._numbers)}"
        if database is None:
            shutil.copytree(self.root / "made", storage, copy_function=os.link)
            database = self._tables.copied()
        else:
            run(self._asked(Step(answer=Answer()), storage), database)
        model = Model()
        model.follow(Step(answer=Answer()), is_bad=False)
        for step in history:
            self._take(step, model, database, storage)

    def _take(self, step: Step, model: Model, database: Database, storage: Path) -> None:
        project = self._asked(step, storage)
        if step.answer.raises:
            with pytest.raises(SourceUnavailableError):
                run(project, database)
            event("the catalogue cannot be read")
            require_product(project, model, database)
            return
        if step.releases:
            release_absent(project)
            model.release(step)
        if model.stops(step):
            with pytest.raises(CatalogueShrunkError):
                run(project, database)
            event("the run stops")
        else:
            state = run(project, database)
            is_bad = state in BAD_STATES  # failed: files that are gone may come back
            assert not is_bad or step.answer.no_files in model.listed(step)
            event(f"the tile is {state}")
            model.follow(step, is_bad=is_bad)
        require_product(project, model, database)


def run(project: Project, database: Database) -> State:
    """Run the only tile and return the state it ends in."""
    pipeline = TilePipeline(
        project=project,
        store=open_store(project.storage_url),
        database=database,
        engine=InlineEngine(),
        clock=lambda: NOON,
        owner="test",
        lease_wait=dt.timedelta(0),
        verified_months=0,  # a settled month is not even looked at
    )
    (outcome,) = pipeline.run(project.partitioning.keys, stages=STAGES)
    return outcome.state


def release_absent(project: Project) -> None:
    """Release every absent scene, as `prune --scenes --yes` does."""
    store = open_store(project.storage_url)
    absent = absent_scenes(project, store, find_scenes(project))
    names = absent.withdrawn | absent.not_asked_for | absent.unknown
    change_register(
        store, lambda register: register.releasing(names), owner="test", clock=lambda: NOON
    )


def require_product(project: Project, model: Model, database: Database) -> None:
    """Compare manifest, pixels and rows with the model."""
    store: ObjectStore = open_store(project.storage_url)
    (key,) = project.partitioning.keys
    manifest = read_manifest(store, key)
    assert manifest is not None
    assert set(manifest.scenes(RAW)) == set(model.product)
    window = project.partitioning.tile(key).window
    for period, (value, observations) in model.composed.items():
        found, counted = centre_pixel(store, period, window)
        assert found == (None if value is None else pytest.approx(value, abs=TOLERANCE))
        assert counted == observations
    rows = {row["period"]: row["scenes"] for row in database.rows("tile_index")}
    assert rows == {PERIODS[at]: each[1] for at, each in model.composed.items()}


def centre_pixel(store: ObjectStore, period: int, window: Window) -> tuple[float | None, int]:
    """Return value and number of observations of the middle of the tile."""
    cube = Path(store.url) / "ndvi.zarr"
    files = [cube / name / "c" / str(period) / "0" / "0" for name in ("ndvi", "observations")]
    known = [each.stat() for each in files if each.exists()]
    states = tuple((each.st_ino, each.st_mtime_ns) for each in known)
    return _decoded_centre(store, period, window, states)


@lru_cache(maxsize=10_000)
def _decoded_centre(
    store: ObjectStore, period: int, window: Window, _states: object
) -> tuple[float | None, int]:
    """Decode shards once for each state of their files."""
    values, counts = read_window(store, "ndvi", period=period, window=window)
    assert np.array_equal(values != FILL, counts > 0)
    at = (values.shape[0] // 2, values.shape[1] // 2)
    return (None if values[at] == FILL else float(values[at] * INDEX_SCALE)), int(counts[at])


@pytest.fixture(scope="module")
def histories(tmp_path_factory: pytest.TempPathFactory) -> Histories:
    """The project that every history starts from."""
    return Histories(tmp_path_factory.mktemp("histories"))


@pytest.mark.timeout(1200)  # 60 s of CPU, and a busy machine takes ten times as long
@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(history=st.lists(steps(), min_size=1, max_size=3))
def test_no_value_is_lost_in_any_history(histories: Histories, history: list[Step]) -> None:
    histories.tell(history)


@pytest.mark.timeout(1200)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(history=st.lists(steps(), min_size=1, max_size=2))
def test_no_value_is_lost_with_a_real_database(
    histories: Histories, history: list[Step], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("database") / "spatial.duckdb"
    with open_database(f"duckdb:///{file}") as database:
        histories.tell(history, database)
