"""A store that releases inputs and old periods has the pixels of one that keeps everything."""

from __future__ import annotations

import datetime as dt
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from spatial_assets.catalog import find_scenes
from spatial_assets.geo.periods import Periods
from spatial_assets.pipeline.engines.engine import InlineEngine
from spatial_assets.pipeline.freshness.scene_register import absent_scenes
from spatial_assets.pipeline.outcome import State, TileOutcome
from spatial_assets.pipeline.run.driver import TilePipeline
from spatial_assets.pipeline.stages import RAW, REPROJECTED_RASTER
from spatial_assets.pipeline.tile.manifest_builder import lost_units
from spatial_assets.pipeline.tile.retention import FirstKept, period_of
from spatial_assets.project import Project
from spatial_assets.project.sections.retention import RetentionSettings
from spatial_assets.stores.cube.cube import stored_cube
from spatial_assets.stores.objects.manifests import TileManifest, read_manifest
from spatial_assets.stores.objects.store import ObjectStore, open_store
from spatial_assets.stores.tables.database import Database
from spatial_assets_tests.fixtures.answering_catalogue import (
    EDGE,
    SCENES,
    VERSIONS,
    Answer,
    AnsweringCatalogue,
    project_of_one_tile,
    with_settings,
)
from spatial_assets_tests.fixtures.pipeline_runs import NOON, failure_of, stage_of
from spatial_assets_tests.fixtures.tables_in_memory import TablesInMemory

AUGUST, SEPTEMBER = 0, 1
NDVI, BOTH = ("ndvi",), ("ndvi", "savi")
KEEP_NOTHING_OLD = {"raw_tile": 1, "reprojected_raster": 1}
LIMITS = (None, 1, 2, "10 days", "30 days")
"""On 15 September, 10 days after its end August is over, and 30 days after it is not."""

IN_WINTER = NOON + dt.timedelta(days=90)
PIXELS_OF_A_SCENE = EDGE * EDGE * (2 + 2 + 1)
"""Bytes of red, near infrared and classes."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One run: the answer of the catalogue, and the settings of the project."""

    answer: Answer = field(default_factory=Answer)
    composite: str = "median"
    indices: tuple[str, ...] = NDVI
    retention: Mapping[str, object] = field(default_factory=dict)
    datetime: str | None = None
    now: dt.datetime = NOON


def steps() -> st.SearchStrategy[Step]:
    """Runs over a catalogue that is whole; scenes come, go, and change."""
    version = st.sampled_from((VERSIONS[0], *VERSIONS))
    return st.builds(
        Step,
        answer=st.builds(
            Answer, listed=st.dictionaries(st.sampled_from(sorted(SCENES)), version, min_size=1)
        ),
        composite=st.sampled_from(("median", "median", "max")),
        indices=st.sampled_from((NDVI, NDVI, BOTH)),
        retention=st.fixed_dictionaries(
            {name: st.sampled_from(LIMITS) for name in FirstKept.__dataclass_fields__}
        ),
    )


class Stores:
    """A project with its catalogue, computed once, from which every history starts."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.catalogue = AnsweringCatalogue(root)
        self.project = project_of_one_tile(root)
        self._numbers = count()
        self._tables = TablesInMemory()
        run(self.asked(Step(), root / "made"), self._tables)

    def asked(self, step: Step, storage: Path) -> Project:
        """Return the project of a step, and lay out its catalogue."""
        location = self.catalogue.lay_out(step.answer)
        scenes = {"catalog": location, "datetime": step.datetime, "max_cloud_cover": 100.0}
        project = with_settings(
            self.project, scenes=scenes, composite=step.composite, storage=storage
        )
        updates = {
            "indices": project.indices.model_copy(update={"names": step.indices}),
            "retention": RetentionSettings.model_validate(step.retention),
            "checks": project.checks.model_copy(update={"withdrawn_share": 1.0}),
        }
        return project.model_copy(update=updates)

    def fresh(self) -> OneTile:
        """Return a copy of the store as computed with everything kept."""
        storage = self.root / f"history_{next(self._numbers)}"
        shutil.copytree(self.root / "made", storage, copy_function=os.link)
        return OneTile(self, storage, self._tables.copied())


@dataclass
class OneTile:
    """A store and its database."""

    stores: Stores
    storage: Path
    database: Database

    def run(self, step: Step, *, stages: tuple[str, ...] | None = None) -> TileOutcome:
        """Run the tile."""
        project = self.stores.asked(step, self.storage)
        return run(project, self.database, stages=stages, now=step.now)

    @property
    def store(self) -> ObjectStore:
        return open_store(str(self.storage))

    @property
    def manifest(self) -> TileManifest:
        (key,) = self.stores.project.partitioning.keys
        found = read_manifest(self.store, key)
        assert found is not None
        return found

    def scenes(self, folder: str) -> set[str]:
        """Scenes of which objects are stored."""
        return {info.path.split("/")[2].removesuffix(".tif") for info in self.store.list(folder)}

    def shards(self, index: str) -> dict[int, bytes]:
        """Period -> bytes of the shards of values and observations."""
        found: dict[int, bytes] = {}
        for array in (index, "observations"):
            for info in self.store.list(f"{index}.zarr/{array}/c"):
                period = int(info.path.split("/")[3])
                found[period] = found.get(period, b"") + self.store.get(info.path)
        return found

    def rows(self) -> dict[tuple[str, str], object]:
        """(index, period) -> scenes of the rows that have some."""
        rows = self.database.rows("tile_index")
        return {
            (str(row["index_name"]), str(row["period"])): row["scenes"]
            for row in rows
            if row["scenes"]
        }


def run(
    project: Project,
    database: Database,
    *,
    stages: tuple[str, ...] | None = None,
    now: dt.datetime = NOON,
) -> TileOutcome:
    """Run the only tile."""
    pipeline = TilePipeline(
        project=project,
        store=open_store(project.storage_url),
        database=database,
        engine=InlineEngine(),
        clock=lambda: now,
        owner="test",
    )
    database.ensure_schema((), project.indices.names)
    (outcome,) = pipeline.run(
        project.partitioning.keys, stages=pipeline.chain.stages if stages is None else stages
    )
    return outcome


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Stores:
    """The project that every history starts from."""
    return Stores(tmp_path_factory.mktemp("retention"))


@pytest.fixture
def tile(stores: Stores) -> OneTile:
    """A store of which nothing was released yet."""
    return stores.fresh()


def released(manifest: TileManifest, stage: str) -> set[str]:
    return {unit for unit, entry in manifest.units(stage).items() if entry.released}


def test_pixels_of_old_periods_are_released_at_the_end_of_a_run(tile: OneTile) -> None:
    before = tile.manifest

    outcome = tile.run(Step(retention=KEEP_NOTHING_OLD))

    assert outcome.state is State.UNCHANGED
    assert tile.scenes(RAW) == tile.scenes(REPROJECTED_RASTER) == {"d", "e"}
    for stage in (RAW, REPROJECTED_RASTER):
        assert released(tile.manifest, stage) == {"a", "b", "c"}
        for unit, entry in before.units(stage).items():
            assert tile.manifest.units(stage)[unit].fingerprint == entry.fingerprint
            assert tile.manifest.units(stage)[unit].facts == entry.facts
    assert stage_of(outcome, RAW).facts["scenes_released"] == 3
    assert lost_units(tile.store, tile.manifest) == ()


def test_a_released_tile_is_unchanged_and_nothing_is_read_or_written(tile: OneTile) -> None:
    step = Step(retention=KEEP_NOTHING_OLD)
    tile.run(step)
    manifest = tile.manifest

    outcome = tile.run(step)

    assert outcome.state is State.UNCHANGED
    assert stage_of(outcome, RAW).facts["bytes_read"] == 0
    assert tile.manifest == manifest


def test_a_new_index_reads_what_was_released_and_releases_it_again(
    stores: Stores, tile: OneTile
) -> None:
    tile.run(Step(retention=KEEP_NOTHING_OLD))
    kept = stores.fresh()
    kept.run(Step(indices=BOTH))

    outcome = tile.run(Step(indices=BOTH, retention=KEEP_NOTHING_OLD))

    assert tile.shards("savi") == kept.shards("savi")
    assert tile.shards("ndvi") == kept.shards("ndvi")
    assert int(str(stage_of(outcome, RAW).facts["bytes_read"])) > 0
    assert tile.scenes(RAW) == tile.scenes(REPROJECTED_RASTER) == {"d", "e"}


def test_a_corrected_scene_reads_only_the_scenes_of_its_period(
    stores: Stores, tile: OneTile
) -> None:
    limits = {"raw_tile": "10 days", "reprojected_raster": "10 days"}
    corrected = Answer(listed={**dict.fromkeys(SCENES, 1), "d": 2})
    tile.run(Step(retention=limits, now=IN_WINTER))
    assert tile.scenes(RAW) == tile.scenes(REPROJECTED_RASTER) == set()
    kept = stores.fresh()
    kept.run(Step(answer=corrected))

    outcome = tile.run(Step(answer=corrected, retention=limits, now=IN_WINTER))

    of_d = sum(info.size for info in kept.manifest.units(RAW)["d"].objects)
    assert stage_of(outcome, RAW).facts["bytes_read"] == of_d + PIXELS_OF_A_SCENE
    assert tile.shards("ndvi") == kept.shards("ndvi")
    assert tile.scenes(RAW) == tile.scenes(REPROJECTED_RASTER) == set()


def test_a_scene_added_to_a_released_period_reads_its_neighbours_again(
    stores: Stores, tile: OneTile
) -> None:
    fewer = Answer(listed={name: 1 for name in SCENES if name != "b"})
    tile.run(Step(answer=fewer, retention=KEEP_NOTHING_OLD))
    assert released(tile.manifest, RAW) == {"a", "c"}
    kept = stores.fresh()

    outcome = tile.run(Step(retention=KEEP_NOTHING_OLD))

    assert tile.shards("ndvi") == kept.shards("ndvi")
    assert released(tile.manifest, RAW) == {"a", "b", "c"}
    assert not any(check.warnings for check in outcome.checks)


def test_where_the_archive_has_a_scene_no_longer_the_old_period_stays_and_is_named(
    tile: OneTile,
) -> None:
    tile.run(Step(retention=KEEP_NOTHING_OLD))
    before = tile.shards("ndvi")
    narrower = "2023-09-01/2023-09-30"

    step = Step(datetime=narrower, composite="max", retention=KEEP_NOTHING_OLD)
    outcome = tile.run(step)

    after = tile.shards("ndvi")
    assert after[AUGUST] == before[AUGUST]
    assert after[SEPTEMBER] != before[SEPTEMBER]
    (check,) = (each for each in outcome.checks if each.check == "source_intact")
    assert not check.verdict.passed
    assert len(check.warnings) == 3
    assert "scene a was released by [retention] and cannot be read again" in check.warnings[0]
    assert released(tile.manifest, RAW) == {"a", "b", "c"}
    again = tile.run(step)
    assert again.state is State.UNCHANGED
    assert sum(len(each.warnings) for each in again.checks) == 3  # not once and never again


def test_a_file_that_is_gone_costs_neither_its_period_nor_the_others(tile: OneTile) -> None:
    tile.run(Step(retention=KEEP_NOTHING_OLD))
    before = tile.shards("ndvi")

    outcome = tile.run(
        Step(answer=Answer(no_files="b"), composite="max", retention=KEEP_NOTHING_OLD)
    )

    assert tile.shards("ndvi")[AUGUST] == before[AUGUST]
    assert outcome.state is State.FAILED or any(check.warnings for check in outcome.checks)


def test_a_stage_alone_says_that_its_inputs_were_released(tile: OneTile) -> None:
    tile.run(Step(retention=KEEP_NOTHING_OLD))
    before = tile.shards("ndvi")

    outcome = tile.run(Step(composite="max", retention=KEEP_NOTHING_OLD), stages=("ndvi",))

    reason, message = failure_of(outcome)
    assert reason == "missing_input"
    assert "[retention] reprojected_raster released the pixels of scene a" in message
    assert '--select "raw_tile+"' in message
    assert tile.shards("ndvi") == before


def test_raw_pixels_alone_are_read_again_for_another_rule_of_clouds(
    stores: Stores, tile: OneTile
) -> None:
    """The rasters stay in the store, and all of them are reprojected again."""
    step = Step(retention={"raw_tile": 1})
    tile.run(step)
    assert tile.scenes(REPROJECTED_RASTER) == set(SCENES)
    assert tile.scenes(RAW) == {"d", "e"}
    broken = next(iter(tile.store.list(f"{REPROJECTED_RASTER}")))
    tile.store.delete(broken.path)
    kept = stores.fresh()

    outcome = tile.run(step)

    assert tile.scenes(REPROJECTED_RASTER) == set(SCENES)
    assert tile.scenes(RAW) == {"d", "e"}
    assert tile.shards("ndvi") == kept.shards("ndvi")
    assert stage_of(outcome, REPROJECTED_RASTER).facts["units_made"] == 1


def test_an_old_period_is_removed_with_its_rows_and_not_made_again(tile: OneTile) -> None:
    step = Step(retention={"periods": 1})
    assert tile.shards("ndvi").keys() == {AUGUST, SEPTEMBER}

    first, again = tile.run(step), tile.run(step)

    assert first.state is State.MATERIALIZED
    assert again.state is State.UNCHANGED
    assert tile.shards("ndvi").keys() == {SEPTEMBER}
    assert tile.rows() == {("ndvi", "2023-09"): 2}
    assert tile.scenes(RAW) == tile.scenes(REPROJECTED_RASTER) == {"d", "e"}
    assert set(tile.manifest.scenes(RAW)) == {"d", "e"}


def test_an_archive_that_forgets_old_scenes_has_withdrawn_none_of_those_that_are_kept(
    stores: Stores, tile: OneTile
) -> None:
    tile.run(Step(retention={"periods": 1}))
    forgetful = Step(answer=Answer(listed={"d": 1, "e": 1}), retention={"periods": 1})
    project = stores.asked(forgetful, tile.storage)
    keeping = project.model_copy(update={"retention": RetentionSettings()})
    catalogue = find_scenes(project)

    absent = absent_scenes(project, tile.store, catalogue)

    assert absent.withdrawn == frozenset()
    assert absent_scenes(keeping, tile.store, catalogue).withdrawn == {"a", "b", "c"}
    assert tile.run(forgetful).state is State.UNCHANGED


class ProcessKilledError(RuntimeError):
    """The process ends before it deletes."""


@pytest.mark.parametrize("limits", [KEEP_NOTHING_OLD, {"periods": 1}])
def test_a_kill_before_the_deletion_leaves_a_manifest_that_names_no_lost_object(
    tile: OneTile, limits: Mapping[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(_store: ObjectStore, path: str) -> None:
        if not path.startswith("leases/"):
            raise ProcessKilledError(path)

    with monkeypatch.context() as killed:
        killed.setattr(ObjectStore, "delete", denied)
        with pytest.raises(ProcessKilledError):
            tile.run(Step(retention=limits))

    assert lost_units(tile.store, tile.manifest) == ()
    assert tile.scenes(RAW) == set(SCENES)
    outcome = tile.run(Step(retention=limits))
    assert outcome.state is State.UNCHANGED
    assert tile.manifest.units(RAW)["d"].objects


def first_kept_of(step: Step, project: Project, store: ObjectStore) -> FirstKept:
    """First kept periods of a step, told from its answer."""
    spec = stored_cube(store, "ndvi")
    assert spec is not None
    newest = max(int(SCENES[name][0] >= "2023-09") for name in step.answer.listed)
    return FirstKept.of(project.retention, spec.periods, newest=newest, today=NOON.date())


@pytest.mark.timeout(1200)  # 20 s of CPU, and a busy machine takes ten times as long
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(history=st.lists(steps(), min_size=1, max_size=3))
# the catalogue lost the newest period, so that the one before is the newest
@example(history=[Step(answer=Answer(listed={"a": 1}), retention={"periods": 1})])
def test_in_any_history_the_kept_periods_are_those_of_a_store_that_keeps_everything(
    stores: Stores, history: list[Step]
) -> None:
    tile, kept = stores.fresh(), stores.fresh()

    for step in history:
        expected = kept.run(replace(step, retention={}))
        found = tile.run(step)

        project = stores.asked(step, tile.storage)
        first = first_kept_of(step, project, tile.store)
        event(f"kept from {first}, the tile is {found.state}")
        assert found.state in {State.MATERIALIZED, State.UNCHANGED, State.EMPTY}
        assert expected.state in {State.MATERIALIZED, State.UNCHANGED, State.EMPTY}
        require_same(tile, kept, first, step.indices)
        assert lost_units(tile.store, tile.manifest) == ()
        require_released(tile.manifest, first)
        assert not any(check.warnings for check in found.checks)
        assert tile.run(step).state is State.UNCHANGED


def require_same(tile: OneTile, kept: OneTile, first: FirstKept, indices: tuple[str, ...]) -> None:
    """Compare the pixels and rows of the periods that are kept; of others there is nothing."""
    for index in indices:
        mine, others = tile.shards(index), kept.shards(index)
        assert all(period >= first.periods for period in mine)
        assert {each: others[each] for each in mine} == mine
    is_kept = {"2023-08": first.periods <= AUGUST, "2023-09": first.periods <= SEPTEMBER}
    assert tile.rows() == {at: each for at, each in kept.rows().items() if is_kept[at[1]]}


def require_released(manifest: TileManifest, first: FirstKept) -> None:
    """Require that nothing is stored of what is kept no longer, and all of what is."""
    axis = Periods(NOON.date().replace(month=8), "month", NOON.date())
    for stage in (RAW, REPROJECTED_RASTER):
        for unit, entry in manifest.units(stage).items():
            period = period_of(entry, axis)
            if unit and period is not None:
                assert period >= first.periods
                assert not (entry.objects and period < first.of_stage(stage))
                assert bool(entry.objects) is not entry.released
